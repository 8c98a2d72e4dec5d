-- What a revoker saw when a person asked it to look at somebody's sessions.

CREATE UNLOGGED TABLE scratch.looks (
    request uuid PRIMARY KEY,
    answer jsonb NOT NULL,
    answered_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE scratch.looks IS 'disposable: sessions seen for a person, without their ids; erased after five minutes';

GRANT USAGE ON SCHEMA scratch TO leaver_revoker, leaver_console;
GRANT SELECT, INSERT, DELETE ON scratch.looks TO leaver_revoker;
GRANT SELECT ON scratch.looks TO leaver_console;
