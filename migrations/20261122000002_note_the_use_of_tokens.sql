-- When a token was last used, so that the old one of a rotation is revoked once nobody presents it any more.

ALTER TABLE secrets.tokens ADD COLUMN last_used_at timestamptz;
COMMENT ON COLUMN secrets.tokens.last_used_at IS 'to the minute; null: never, or not since this was noted';

GRANT UPDATE (last_used_at) ON secrets.tokens TO leaver_sync, leaver_console;
