-- Sources that a person stopped from being read.

ALTER TABLE directory.sources
    ADD COLUMN paused_at timestamptz,
    ADD COLUMN paused_by text,
    ADD COLUMN pause_reason text;
COMMENT ON COLUMN directory.sources.paused_at IS 'since when nobody reads it, as a person asked; null: it is read';

ALTER TABLE ledger.requests DROP CONSTRAINT requests_kind_check;
ALTER TABLE ledger.requests ADD CONSTRAINT requests_kind_check
    CHECK (kind IN ('revoke', 'sync', 'plan', 'approve', 'reject', 'retry', 'pause', 'resume'));
