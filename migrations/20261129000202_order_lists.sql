-- The order in which a list without one of its own is paged.

CREATE INDEX accounts_in_order ON directory.accounts (source, created_at, id);
CREATE INDEX groups_in_order ON directory.groups (source, created_at, id);
