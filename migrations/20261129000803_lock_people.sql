-- Locks: for so long every session of a subject is dead, also one that begins meanwhile.

CREATE TABLE ledger.locks (
    revocation uuid PRIMARY KEY REFERENCES ledger.revocations,
    subject_id uuid NOT NULL,
    at timestamptz NOT NULL,
    until timestamptz NOT NULL,
    scopes text[] NOT NULL,
    ended_at timestamptz,
    ending text CHECK (ending IN ('cleared', 'expired', 'replaced')),
    ended_by text,
    end_reason text,
    CHECK ((ended_at IS NULL) = (ending IS NULL))
);
CREATE INDEX locks_open ON ledger.locks (until) WHERE ended_at IS NULL;
CREATE INDEX locks_by_subject ON ledger.locks (subject_id, at);
COMMENT ON TABLE ledger.locks IS 'durable: who was locked, until when, and how it ended; what is in force stands in the cutoffs';
COMMENT ON COLUMN ledger.locks.ending IS 'a person ended it, its time was over, or a later lock or unlock took its place';

GRANT SELECT, INSERT, UPDATE ON ledger.locks TO leaver_revoker;
GRANT SELECT ON ledger.locks TO leaver_console;
