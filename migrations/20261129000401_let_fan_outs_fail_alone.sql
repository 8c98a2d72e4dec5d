-- A fan-out that fails is left alone for a while, so that those behind it go on.

ALTER TABLE directory.fan_outs ADD COLUMN due_at timestamptz NOT NULL DEFAULT clock_timestamp();
ALTER TABLE directory.fan_outs ADD COLUMN failures integer NOT NULL DEFAULT 0;
ALTER TABLE directory.fan_outs ADD COLUMN error text;
COMMENT ON COLUMN directory.fan_outs.failures IS 'chunks in a row that failed; 0 after one that did not';
COMMENT ON COLUMN directory.fan_outs.error IS 'why the last chunk failed; null after one that did not';
GRANT UPDATE (due_at, failures, error) ON directory.fan_outs TO leaver_sync;
