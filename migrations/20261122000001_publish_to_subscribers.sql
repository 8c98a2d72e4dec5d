-- What subscribers outside are told: subjects by the names that they know, receipts, and what the bus could not carry.

ALTER TABLE ledger.cutoff_subjects ADD COLUMN published jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN ledger.cutoff_subjects.published IS 'the subject''s names for subscribers, by publish.subjects: opaque ids and keyed hashes';

ALTER TABLE ledger.events ADD COLUMN trace text;
COMMENT ON COLUMN ledger.events.trace IS 'W3C traceparent of what caused it; null where nothing is traced';
ALTER TABLE ledger.revocations ADD COLUMN trace text;
COMMENT ON COLUMN ledger.revocations.trace IS 'W3C traceparent of what caused it; null where nothing is traced';

-- Whoever is looked for by former names is looked for by those of identities merged into it as well.
CREATE INDEX identities_merged ON directory.identities (merged_into) WHERE merged_into IS NOT NULL;

CREATE TABLE ledger.pending_receipts (
    shard smallint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    record_id uuid NOT NULL,
    subject_id uuid NOT NULL,
    body text NOT NULL,
    trace text,
    PRIMARY KEY (shard, id)
);
COMMENT ON TABLE ledger.pending_receipts IS 'durable: records for the receipts topic; a row exists until the bus acknowledged it';

CREATE TABLE working.publications (
    name text PRIMARY KEY,
    digest text NOT NULL,
    since timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE working.publications IS 'operational: which topics were filled from their beginning, and by which names of subjects';

-- Reconcile also decides who left in a large plan, should the bus have lost it.
CREATE INDEX events_ending ON ledger.events (id)
    WHERE lane = 1 AND type IN ('identity.suspended', 'identity.departed', 'identity.erased');
GRANT SELECT ON ledger.pending TO leaver_revoker;

GRANT SELECT, DELETE ON ledger.pending_receipts TO leaver_relay;
-- What was acknowledged, but may have been overtaken on its way, becomes pending again.
GRANT INSERT ON ledger.pending_cutoffs TO leaver_relay;
GRANT SELECT, INSERT, UPDATE ON ledger.parked TO leaver_relay, leaver_revoker;
GRANT INSERT ON ledger.pending_receipts TO leaver_revoker;
GRANT SELECT, INSERT, UPDATE, DELETE ON working.publications TO leaver_revoker;
GRANT SELECT ON ALL TABLES IN SCHEMA ledger, working TO leaver_console;
