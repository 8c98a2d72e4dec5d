-- Sessions that may live for a while yet: a cutoff that comes into force later.

CREATE TABLE ledger.shortenings (
    revocation uuid PRIMARY KEY,
    subject_id uuid NOT NULL,
    event bigint REFERENCES ledger.events,
    class smallint NOT NULL CHECK (class IN (0, 1, 2)),
    sessions_before timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    generation bigint NOT NULL DEFAULT 0,
    scopes text[] NOT NULL,
    downstreams text[] NOT NULL,
    trace text,
    ended_at timestamptz,
    ending text CHECK (ending IN ('carried_out', 'overtaken')),
    CHECK ((ended_at IS NULL) = (ending IS NULL))
);
CREATE INDEX shortenings_due ON ledger.shortenings (due_at) WHERE ended_at IS NULL;
CREATE INDEX shortenings_open ON ledger.shortenings (subject_id) WHERE ended_at IS NULL;
CREATE INDEX shortenings_by_event ON ledger.shortenings (event) WHERE event IS NOT NULL;
COMMENT ON TABLE ledger.shortenings IS 'durable: sessions from before an instant that end at a later one; carried out, each is a revocation like any other';
COMMENT ON COLUMN ledger.shortenings.revocation IS 'the id of the revocation that it becomes';
COMMENT ON COLUMN ledger.shortenings.ending IS 'it was carried out, or by then all of it had been ended otherwise';

GRANT SELECT, INSERT, UPDATE ON ledger.shortenings TO leaver_revoker;
GRANT SELECT ON ledger.shortenings TO leaver_console;
