CREATE TABLE working.deliveries (
    subject_id uuid NOT NULL,
    downstream text NOT NULL,
    wanted jsonb NOT NULL,
    delivered jsonb NOT NULL DEFAULT '{"generation": 0}',
    revision bigint NOT NULL,
    waiting uuid[] NOT NULL DEFAULT '{}',
    answered uuid[] NOT NULL DEFAULT '{}',
    settled boolean NOT NULL DEFAULT true,
    class smallint NOT NULL,
    turn bigint NOT NULL DEFAULT 1,
    due_at timestamptz,
    sweeps_done integer NOT NULL DEFAULT 0,
    applied_at timestamptz,
    lease uuid,
    lease_holder text,
    leased_until timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    last_error text,
    stuck_since timestamptz,
    PRIMARY KEY (subject_id, downstream)
);
CREATE INDEX deliveries_due ON working.deliveries (downstream, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX deliveries_owed ON working.deliveries (downstream) WHERE wanted <> delivered;
COMMENT ON TABLE working.deliveries IS 'operational: per subject and downstream what is wanted and what was delivered; owed is their difference';
COMMENT ON COLUMN working.deliveries.revision IS 'of the subject''s cutoffs from which wanted was joined';
COMMENT ON COLUMN working.deliveries.waiting IS 'revocations that no pass has answered yet';
COMMENT ON COLUMN working.deliveries.answered IS 'revocations of the running or last series of sweeps';
COMMENT ON COLUMN working.deliveries.turn IS 'raised by each new cutoff; a pass that began at an older turn does not clear it';

CREATE TABLE working.ended (
    subject_id uuid NOT NULL,
    downstream text NOT NULL,
    session_hash bytea NOT NULL,
    ended_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (subject_id, downstream, session_hash)
);
COMMENT ON TABLE working.ended IS 'operational: hashes of sessions that were ended, so that one that comes back is known';

CREATE TABLE working.leases (
    name text PRIMARY KEY,
    holder text NOT NULL,
    until timestamptz NOT NULL
);
COMMENT ON TABLE working.leases IS 'operational: who does work that one process at a time should do; correctness never rests on it';

CREATE TABLE working.checkpoints (
    source text PRIMARY KEY,
    turn bigint NOT NULL,
    checkpoint jsonb,
    written_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE working.checkpoints IS 'operational: where a source was read to; turn is compared and set, and every transaction of a run checks it';

CREATE TABLE working.runs (
    id uuid PRIMARY KEY,
    source text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    outcome text CHECK (outcome IN ('complete', 'partial', 'failed', 'held')),
    rows bigint,
    counts jsonb,
    error text
);
CREATE INDEX runs_by_source ON working.runs (source, started_at DESC);
COMMENT ON TABLE working.runs IS 'operational: what each run of a source did';

CREATE TABLE working.source_status (
    source text PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('ok', 'running', 'held', 'backed_off', 'paused')),
    note text,
    failures integer NOT NULL DEFAULT 0,
    last_run timestamptz,
    next_run timestamptz
);
COMMENT ON TABLE working.source_status IS 'operational: how a source does, for people';

CREATE UNLOGGED TABLE scratch.seen (
    run uuid NOT NULL,
    native_id text NOT NULL,
    PRIMARY KEY (run, native_id)
);
COMMENT ON TABLE scratch.seen IS 'disposable: who was in a snapshot, until the run ends';

CREATE TABLE secrets.tokens (
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('source', 'admin')),
    name text NOT NULL,
    hash bytea NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz,
    revoked_at timestamptz
);
COMMENT ON TABLE secrets.tokens IS 'secret: SHA-256 of bearer tokens of 256 random bits';
COMMENT ON COLUMN secrets.tokens.name IS 'the source, or the administrator';
