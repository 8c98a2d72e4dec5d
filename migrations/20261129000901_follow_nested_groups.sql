-- Whoever is in a group is in the groups that this one is in.

ALTER TABLE directory.nested_groups ADD COLUMN child_id uuid REFERENCES directory.groups;
ALTER TABLE directory.nested_groups ADD COLUMN present boolean NOT NULL DEFAULT true;
ALTER TABLE directory.nested_groups ADD COLUMN waits_for uuid;
ALTER TABLE directory.nested_groups ADD COLUMN rejected_by uuid REFERENCES directory.plans;
COMMENT ON TABLE directory.nested_groups IS 'durable: groups that are members of groups, by the source''s id; every row is in force';
COMMENT ON COLUMN directory.nested_groups.child_id IS 'null until a group of that id, or of that externalId alone, is there';
COMMENT ON COLUMN directory.nested_groups.present IS 'the fact, which the provider reads back; one that is not is in force until a plan lets it go, or until nobody is in its child';
COMMENT ON COLUMN directory.nested_groups.waits_for IS 'the plan of the parent that takes it out';
COMMENT ON COLUMN directory.nested_groups.rejected_by IS 'the plan with which a person rejected that it goes; null again once it is present';
CREATE TRIGGER end_override BEFORE UPDATE ON directory.nested_groups FOR EACH ROW
    WHEN (OLD.rejected_by IS NOT NULL AND NEW.present <> OLD.present) EXECUTE FUNCTION directory.end_override();

DROP INDEX directory.nested_groups_by_child;
CREATE INDEX nested_groups_by_child ON directory.nested_groups (child_id);
CREATE INDEX nested_groups_awaited ON directory.nested_groups (child_reference) WHERE child_id IS NULL;
CREATE INDEX nested_groups_waiting ON directory.nested_groups (waits_for) WHERE waits_for IS NOT NULL;

UPDATE directory.nested_groups n SET child_id = c.id FROM directory.groups p, directory.groups c
WHERE p.id = n.parent_id AND c.source = p.source AND c.native_id = n.child_reference AND c.tombstone IS NULL;

CREATE TABLE directory.inherited_memberships (
    group_id uuid NOT NULL REFERENCES directory.groups,
    account_id uuid NOT NULL,
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (group_id, account_id)
);
CREATE INDEX inherited_memberships_by_account ON directory.inherited_memberships (account_id);
COMMENT ON TABLE directory.inherited_memberships IS 'durable: who is in a group by being in a group within it, as far as it has been told';
COMMENT ON COLUMN directory.inherited_memberships.account_id IS 'of directory.accounts; no reference, since whoever locks an account may wait for the writer of this row';

GRANT SELECT, INSERT, DELETE ON directory.inherited_memberships TO leaver_sync;
GRANT SELECT ON directory.inherited_memberships TO leaver_revoker, leaver_console;

CREATE VIEW directory.effective_memberships AS
SELECT group_id, account_id, true AS direct FROM directory.memberships WHERE counted
UNION ALL
SELECT group_id, account_id, false FROM directory.inherited_memberships;
COMMENT ON VIEW directory.effective_memberships IS 'who is in which group in force; one who is in it both ways stands here twice';
GRANT SELECT ON directory.effective_memberships TO leaver_sync, leaver_revoker, leaver_console;

ALTER TABLE directory.fan_outs ADD COLUMN children uuid[];
ALTER TABLE directory.fan_outs ADD COLUMN after uuid;
COMMENT ON COLUMN directory.fan_outs.children IS 'groups that came into the group or left it; null: it is about members of its own';
COMMENT ON COLUMN directory.fan_outs.after IS 'the last account within the children that was looked at';
GRANT UPDATE (after) ON directory.fan_outs TO leaver_sync;

ALTER TABLE directory.plan_items ADD COLUMN inherited boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN directory.plan_items.inherited IS 'a member by a group within the group, who leaves when that group does';

-- The groups and all within them, however they circle.
CREATE FUNCTION directory.within(groups uuid[]) RETURNS SETOF uuid
    LANGUAGE sql STABLE
AS $$
    WITH RECURSIVE down AS (
        SELECT g AS id FROM UNNEST(groups) AS g
        UNION
        SELECT n.child_id FROM down JOIN directory.nested_groups n ON n.parent_id = down.id WHERE n.child_id IS NOT NULL)
    SELECT id FROM down
$$;

-- Whether being in the group is being in a privileged one.
CREATE FUNCTION directory.confers_privilege(of uuid) RETURNS boolean
    LANGUAGE sql STABLE
AS $$
    WITH RECURSIVE up AS (
        SELECT of AS id
        UNION
        SELECT n.parent_id FROM up JOIN directory.nested_groups n ON n.child_id = up.id)
    SELECT EXISTS (SELECT FROM up JOIN directory.groups g ON g.id = up.id WHERE g.privileged)
$$;

-- Who is in a group, and whether they stay if everything goes that waits for one of these marks.
CREATE FUNCTION directory.weigh_members(of uuid, marks uuid[]) RETURNS TABLE (account_id uuid, stays boolean)
    LANGUAGE sql STABLE
AS $$
    WITH RECURSIVE every AS (
        SELECT of AS id
        UNION
        SELECT n.child_id FROM every JOIN directory.nested_groups n ON n.parent_id = every.id WHERE n.child_id IS NOT NULL),
    firm AS (
        SELECT of AS id
        UNION
        SELECT n.child_id FROM firm JOIN directory.nested_groups n ON n.parent_id = firm.id
        WHERE n.child_id IS NOT NULL AND (n.waits_for IS NULL OR n.waits_for <> ALL (marks)))
    SELECT w.account_id, bool_or(w.stays) FROM (
        SELECT m.account_id, m.waits_for IS NULL OR m.waits_for <> ALL (marks) AS stays FROM directory.memberships m
        WHERE m.group_id = of AND m.counted AND (m.present OR m.waits_for = ANY (marks) OR m.rejected_by IS NOT NULL)
        UNION ALL
        SELECT m.account_id, m.group_id IN (SELECT id FROM firm) FROM directory.memberships m
        WHERE m.group_id IN (SELECT id FROM every) AND m.group_id <> of AND m.counted) AS w
    GROUP BY w.account_id
$$;

-- Who changes members and who changes which groups are in which do not overlook each other: these share the lock, those have it
-- alone. Each statement of a volatile function sees what was committed before it, so after the wait. False: being in one of these
-- groups or not says nothing of any other.
CREATE FUNCTION directory.share_nesting(source text, groups uuid[]) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1279608142, hashtext(source));
    RETURN EXISTS (SELECT FROM directory.nested_groups n WHERE n.child_id = ANY (groups))
        OR EXISTS (SELECT FROM directory.nested_groups n WHERE n.parent_id = ANY (groups))
        OR EXISTS (SELECT FROM directory.fan_outs f WHERE f.children IS NOT NULL);
END
$$;

-- Until now it told nothing to be in a group within a group. From here on nobody is told to have joined by what was there before,
-- and everybody who leaves is.
INSERT INTO directory.inherited_memberships (group_id, account_id)
WITH RECURSIVE up AS (
    SELECT child_id AS low, parent_id AS high FROM directory.nested_groups WHERE child_id IS NOT NULL
    UNION
    SELECT up.low, n.parent_id FROM up JOIN directory.nested_groups n ON n.child_id = up.high)
SELECT DISTINCT up.high, m.account_id FROM up JOIN directory.memberships m ON m.group_id = up.low AND m.counted
WHERE up.high <> up.low;
