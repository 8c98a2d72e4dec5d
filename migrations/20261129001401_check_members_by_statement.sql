-- A first run of a large directory spends more time on asking, member by member, whether the account and the group exist than on
-- writing the members. One question for each statement asks the same.
ALTER TABLE directory.memberships
    DROP CONSTRAINT memberships_account_id_fkey,
    DROP CONSTRAINT memberships_group_id_fkey;

CREATE FUNCTION directory.members_exist() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added m WHERE NOT EXISTS (SELECT FROM directory.accounts a WHERE a.id = m.account_id))
       OR EXISTS (SELECT FROM (SELECT DISTINCT group_id FROM added) m
                  WHERE NOT EXISTS (SELECT FROM directory.groups g WHERE g.id = m.group_id)) THEN
        RAISE foreign_key_violation USING MESSAGE = 'a membership needs its account and its group';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER members_exist AFTER INSERT ON directory.memberships
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION directory.members_exist();

-- Accounts and groups are marked as gone and never deleted. Who tries it all the same is told.
CREATE FUNCTION directory.has_no_members() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM directory.memberships m WHERE m.account_id = OLD.id OR m.group_id = OLD.id) THEN
        RAISE foreign_key_violation USING MESSAGE = 'it has memberships';
    END IF;
    RETURN OLD;
END $$;

CREATE TRIGGER has_no_members BEFORE DELETE ON directory.accounts FOR EACH ROW EXECUTE FUNCTION directory.has_no_members();
CREATE TRIGGER has_no_members BEFORE DELETE ON directory.groups FOR EACH ROW EXECUTE FUNCTION directory.has_no_members();
