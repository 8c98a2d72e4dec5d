-- A run writes ten members of each account. Asked for each account once, and never by reading all accounts there are, which is what
-- the planner makes of ten thousand questions as soon as it knows how many they are.
CREATE OR REPLACE FUNCTION directory.members_exist() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM (SELECT DISTINCT account_id FROM added) m
               WHERE NOT EXISTS (SELECT FROM directory.accounts a WHERE a.id = m.account_id))
       OR EXISTS (SELECT FROM (SELECT DISTINCT group_id FROM added) m
                  WHERE NOT EXISTS (SELECT FROM directory.groups g WHERE g.id = m.group_id)) THEN
        RAISE foreign_key_violation USING MESSAGE = 'a membership needs its account and its group';
    END IF;
    RETURN NULL;
END $$;
