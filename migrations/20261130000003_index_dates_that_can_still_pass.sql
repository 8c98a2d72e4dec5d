-- Nearly everybody has a first day, and for nearly everybody it has passed and been acted on. Only of the others need a run know.
DROP INDEX directory.accounts_dated;
CREATE INDEX accounts_to_pass ON directory.accounts (source)
    WHERE tombstone IS NULL AND (starts_at IS NOT NULL OR ends_at IS NOT NULL)
      AND (stated = 'staged' OR (ends_at IS NOT NULL AND fact <> 'gone') OR stated NOT IN ('unknown', fact));
