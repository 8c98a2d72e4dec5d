-- What waits for a person before sessions end: orders of a rule beyond its brake, and revocations by hand of a whole group.

CREATE TABLE ledger.holds (
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('rule', 'group')),
    name text NOT NULL,
    state text NOT NULL CHECK (state IN ('held', 'approved', 'applied', 'rejected')),
    class smallint NOT NULL DEFAULT 2 CHECK (class IN (0, 1, 2)),
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    bound bigint,
    window_begins timestamptz,
    window_ends timestamptz,
    asked_by text,
    reason text,
    trace text,
    spared bigint NOT NULL DEFAULT 0,
    decided_at timestamptz,
    decided_by text,
    decision_reason text,
    applied_at timestamptz,
    CHECK ((kind = 'rule') = (window_begins IS NOT NULL AND window_ends IS NOT NULL AND bound IS NOT NULL)),
    CHECK ((kind = 'group') = (asked_by IS NOT NULL AND reason IS NOT NULL))
);
CREATE UNIQUE INDEX holds_gathering ON ledger.holds (name, window_begins) WHERE kind = 'rule' AND state = 'held';
CREATE INDEX holds_open ON ledger.holds (class, decided_at) WHERE state IN ('held', 'approved');
COMMENT ON TABLE ledger.holds IS 'durable: orders that concern many people, each with the answer that a person gave; id of a group''s is the request''s';
COMMENT ON COLUMN ledger.holds.name IS 'the rule, or source/group';
COMMENT ON COLUMN ledger.holds.bound IS 'of a rule: how many orders its brake let through in that window';
COMMENT ON COLUMN ledger.holds.spared IS 'of a group: members whom break_glass names, who are not in it';

CREATE TABLE ledger.held (
    hold uuid NOT NULL REFERENCES ledger.holds,
    revocation uuid NOT NULL,
    subject_id uuid NOT NULL,
    event bigint REFERENCES ledger.events,
    at timestamptz,
    generation bigint NOT NULL DEFAULT 0,
    ordered jsonb NOT NULL,
    done_at timestamptz,
    PRIMARY KEY (hold, revocation)
);
CREATE INDEX held_undone ON ledger.held (hold, subject_id) WHERE done_at IS NULL;
CREATE INDEX held_by_event ON ledger.held (event) WHERE event IS NOT NULL;
COMMENT ON TABLE ledger.held IS 'durable: what a hold would end, one row for each revocation that it becomes once it is approved';
COMMENT ON COLUMN ledger.held.at IS 'the instant of the cutoff; null: when the hold is approved';

CREATE TABLE ledger.hold_approvals (
    hold uuid NOT NULL REFERENCES ledger.holds,
    by text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (hold, by)
);
COMMENT ON TABLE ledger.hold_approvals IS 'durable: who agreed to a hold, whoever asked for it included; a large one takes two';

CREATE TABLE working.rule_windows (
    rule text NOT NULL,
    begins_at timestamptz NOT NULL,
    orders bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (rule, begins_at)
);
CREATE INDEX rule_windows_by_age ON working.rule_windows (begins_at);
COMMENT ON TABLE working.rule_windows IS 'operational: how often a rule with a brake has ordered something in a window; counted across all revokers, forgotten after a week';

CREATE FUNCTION directory.people_in(of uuid) RETURNS TABLE (identity_id uuid)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE inside (id, source) AS (
        SELECT id, source FROM directory.groups WHERE id = of
        UNION
        SELECT c.id, c.source FROM inside p JOIN directory.nested_groups n ON n.parent_id = p.id
        JOIN directory.groups c ON c.source = p.source AND c.native_id = n.child_reference AND c.tombstone IS NULL)
    SELECT DISTINCT i.id
    FROM inside g JOIN directory.memberships m ON m.group_id = g.id AND m.counted
    JOIN directory.accounts a ON a.id = m.account_id AND a.tombstone IS DISTINCT FROM 'unlinked'
    JOIN directory.identities i ON i.id = a.identity_id AND i.state NOT IN ('merged', 'erased')
$$;
COMMENT ON FUNCTION directory.people_in(uuid) IS 'who is in a group now, or in a group within it, at any depth; groups may contain one another';

ALTER TABLE ledger.requests DROP CONSTRAINT requests_kind_check;
ALTER TABLE ledger.requests ADD CONSTRAINT requests_kind_check
    CHECK (kind IN ('revoke', 'sync', 'plan', 'approve', 'reject', 'retry', 'pause', 'resume', 'retry_owed', 'look', 'lock',
                    'unlock', 'revoke_group', 'approve_hold', 'reject_hold'));

GRANT SELECT, INSERT, UPDATE ON ledger.holds, ledger.held TO leaver_revoker;
GRANT SELECT, INSERT ON ledger.hold_approvals TO leaver_revoker;
GRANT SELECT, INSERT, UPDATE, DELETE ON working.rule_windows TO leaver_revoker;
GRANT SELECT ON ledger.holds, ledger.held, ledger.hold_approvals, working.rule_windows TO leaver_console;
