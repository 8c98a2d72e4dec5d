-- Since when each row is owed, kept with it, so that a page of what is owed costs the page, however much that is.

ALTER TABLE working.deliveries ADD COLUMN owed_since timestamptz;
COMMENT ON COLUMN working.deliveries.owed_since IS 'while something is owed, when the oldest of it was asked for; null: a process of the release before wrote it';
UPDATE working.deliveries d SET owed_since = coalesce(
    (SELECT min(v.at) FROM ledger.revocations v WHERE v.id = ANY(d.waiting)),
    (SELECT c.changed_at FROM ledger.cutoff_subjects c WHERE c.subject_id = d.subject_id))
WHERE wanted <> delivered OR cardinality(waiting) > 0;

-- What is asked for is in the words of directory's owed_rows: by the very same expressions, or these are of no use to it.
CREATE INDEX deliveries_by_owed_since ON working.deliveries (
    (CASE WHEN wanted = delivered AND cardinality(waiting) = 0 THEN stuck_since ELSE coalesce(owed_since, due_at, 'epoch') END),
    (md5(subject_id::text || ' ' || downstream)::uuid)
) WHERE wanted <> delivered OR cardinality(waiting) > 0 OR stuck_since IS NOT NULL;
CREATE INDEX deliveries_stuck ON working.deliveries (
    (CASE WHEN wanted = delivered AND cardinality(waiting) = 0 THEN stuck_since ELSE coalesce(owed_since, due_at, 'epoch') END),
    (md5(subject_id::text || ' ' || downstream)::uuid)
) WHERE stuck_since IS NOT NULL;

ALTER TABLE ledger.errands ADD COLUMN at timestamptz;
COMMENT ON COLUMN ledger.errands.at IS 'of the revocation: when what was decided came to be';
UPDATE ledger.errands e SET at = v.at FROM ledger.revocations v WHERE v.id = e.revocation;
ALTER TABLE ledger.errands ALTER COLUMN at SET DEFAULT clock_timestamp(), ALTER COLUMN at SET NOT NULL;
CREATE INDEX errands_by_at ON ledger.errands (at, (md5(decision::text || ' ' || action || ' ' || downstream)::uuid)) WHERE due_at IS NOT NULL;
CREATE INDEX errands_stuck ON ledger.errands (at, (md5(decision::text || ' ' || action || ' ' || downstream)::uuid)) WHERE stuck_since IS NOT NULL;
