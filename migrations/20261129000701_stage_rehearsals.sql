-- A rehearsal keeps what it has read aside, page by page, as a run applies it: it has nobody in memory and no transaction of ours is
-- open while the source is asked.

CREATE UNLOGGED TABLE scratch.rehearsed (
    source text NOT NULL,
    page integer NOT NULL,
    accounts jsonb NOT NULL,
    staged_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (source, page)
);
COMMENT ON TABLE scratch.rehearsed IS 'disposable: what `source plan` has read of a source and a run would write, until it is weighed';
GRANT SELECT, INSERT, DELETE ON scratch.rehearsed TO leaver_sync;
