CREATE TABLE ledger.events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid NOT NULL UNIQUE,
    subject_kind text NOT NULL CHECK (subject_kind IN ('identity', 'group', 'source', 'credential')),
    subject_id uuid NOT NULL,
    type text NOT NULL,
    version bigint NOT NULL,
    prev bigint NOT NULL,
    lane smallint NOT NULL CHECK (lane IN (0, 1)),
    class smallint NOT NULL CHECK (class IN (0, 1, 2)),
    source text,
    effective_at timestamptz,
    received_at timestamptz,
    recorded_at timestamptz NOT NULL,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    body text NOT NULL,
    UNIQUE (subject_id, version),
    CHECK (prev < version)
);
CREATE INDEX events_in_commit_order ON ledger.events (xid, id);
CREATE INDEX events_urgent ON ledger.events (id) WHERE lane = 0;
COMMENT ON TABLE ledger.events IS 'durable, append-only: every lifecycle event, rendered once as it goes to the bus; no personal data';
COMMENT ON COLUMN ledger.events.prev IS 'version of the subject''s previous event in the same lane, 0 for the first';

CREATE TABLE ledger.event_context (
    event bigint PRIMARY KEY REFERENCES ledger.events,
    context jsonb NOT NULL
);
COMMENT ON TABLE ledger.event_context IS 'durable, erasable: the people and groups behind an event, all that policy reads; never in a topic';

CREATE TABLE ledger.pending (
    shard smallint NOT NULL,
    lane smallint NOT NULL,
    id bigint NOT NULL,
    PRIMARY KEY (shard, lane, id)
);
COMMENT ON TABLE ledger.pending IS 'durable: a row exists until the bus acknowledged that very event';

CREATE TABLE ledger.pending_cutoffs (
    shard smallint NOT NULL,
    subject_id uuid NOT NULL,
    revision bigint NOT NULL,
    PRIMARY KEY (shard, subject_id)
);
COMMENT ON TABLE ledger.pending_cutoffs IS 'durable: subjects whose cutoffs changed since the bus last acknowledged them';

CREATE TABLE ledger.decisions (
    event bigint PRIMARY KEY REFERENCES ledger.events,
    policy_digest text NOT NULL,
    rules text[] NOT NULL,
    actions jsonb NOT NULL,
    context_digest text,
    note text,
    published_at timestamptz NOT NULL,
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE ledger.decisions IS 'durable: what policy made of an event, once; redelivery reuses it';
COMMENT ON COLUMN ledger.decisions.published_at IS 'the bus''s timestamp of the message';

CREATE TABLE ledger.cutoff_subjects (
    subject_id uuid PRIMARY KEY,
    kind text NOT NULL,
    revision bigint NOT NULL DEFAULT 0,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE ledger.cutoff_subjects IS 'durable: who has cutoffs, and how often they changed';

CREATE TABLE ledger.cutoffs (
    subject_id uuid NOT NULL REFERENCES ledger.cutoff_subjects,
    scope text NOT NULL,
    cutoff jsonb NOT NULL,
    PRIMARY KEY (subject_id, scope)
);
COMMENT ON TABLE ledger.cutoffs IS 'durable, monotone: the revocation watermark of a subject, for all downstreams (*) or one';

CREATE TABLE ledger.revocations (
    id uuid PRIMARY KEY,
    subject_id uuid NOT NULL,
    subject_kind text NOT NULL,
    event bigint REFERENCES ledger.events,
    class smallint NOT NULL,
    at timestamptz NOT NULL,
    actions text[] NOT NULL,
    downstreams text[] NOT NULL,
    reason text,
    asked_by text,
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX revocations_by_subject ON ledger.revocations (subject_id, at);
COMMENT ON TABLE ledger.revocations IS 'durable: one per event or request that ends something; id is the event''s or the request''s';

CREATE TABLE ledger.receipts (
    revocation uuid NOT NULL REFERENCES ledger.revocations,
    downstream text NOT NULL,
    state text NOT NULL CHECK (state IN ('applied', 'verified', 'settled', 'stuck')),
    found integer NOT NULL DEFAULT 0,
    ended integer NOT NULL DEFAULT 0,
    resurrected integer NOT NULL DEFAULT 0,
    collateral integer NOT NULL DEFAULT 0,
    applied_at timestamptz,
    verified_at timestamptz,
    settled_at timestamptz,
    stuck_at timestamptz,
    note text,
    PRIMARY KEY (revocation, downstream)
);
COMMENT ON TABLE ledger.receipts IS 'durable: what a downstream answered; written from its answer only';

CREATE TABLE ledger.requests (
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('revoke', 'sync', 'plan', 'approve')),
    payload jsonb NOT NULL,
    asked_by text NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    state text NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'done', 'failed')),
    result jsonb,
    done_at timestamptz
);
CREATE INDEX requests_new ON ledger.requests (asked_at) WHERE state = 'new';
COMMENT ON TABLE ledger.requests IS 'durable: what people asked for; the worker of that kind takes it';

CREATE TABLE ledger.parked (
    id uuid PRIMARY KEY,
    source text NOT NULL,
    place text NOT NULL,
    reason text NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen timestamptz NOT NULL DEFAULT clock_timestamp(),
    times bigint NOT NULL DEFAULT 1,
    UNIQUE (source, place, reason)
);
COMMENT ON TABLE ledger.parked IS 'durable: what a source sent and nobody could understand; places and reasons, no content';

-- One event per version step: a state that changed without its event would be a leaver whom nobody ends.
CREATE FUNCTION directory.check_version() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off
AS $$
DECLARE
    before bigint := CASE WHEN TG_OP = 'INSERT' THEN 0 ELSE OLD.version END;
    written bigint;
BEGIN
    SELECT count(*) INTO written FROM ledger.events e
    WHERE e.subject_id = NEW.id AND e.version > before AND e.version <= NEW.version;
    IF NEW.version <= before OR written <> NEW.version - before THEN
        RAISE EXCEPTION '%.% %: version % to % with % events', TG_TABLE_SCHEMA, TG_TABLE_NAME, NEW.id, before, NEW.version, written
            USING ERRCODE = 'integrity_constraint_violation',
                  HINT = 'every step of a version is written in one transaction with its event';
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER identity_has_event AFTER INSERT ON directory.identities
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION directory.check_version();
CREATE CONSTRAINT TRIGGER identity_change_has_event AFTER UPDATE ON directory.identities
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (OLD.state <> NEW.state OR OLD.generation <> NEW.generation OR OLD.version <> NEW.version)
    EXECUTE FUNCTION directory.check_version();
CREATE CONSTRAINT TRIGGER group_change_has_event AFTER UPDATE ON directory.groups
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (OLD.version <> NEW.version)
    EXECUTE FUNCTION directory.check_version();
