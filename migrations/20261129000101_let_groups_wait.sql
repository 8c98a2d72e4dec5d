-- Groups as identity providers push them: what takes many members away waits for a person, and what changes more members than
-- one transaction may is worked off in chunks. The set itself is a fact at once.

ALTER TABLE directory.groups ADD COLUMN revision bigint NOT NULL DEFAULT 0;
UPDATE directory.groups SET revision = version;
COMMENT ON COLUMN directory.groups.revision IS 'raised by every change of what a reader sees, members included; version counts the group''s own events';

ALTER TABLE directory.memberships ADD COLUMN waits_for uuid;
CREATE INDEX memberships_waiting ON directory.memberships (waits_for) WHERE waits_for IS NOT NULL;
COMMENT ON COLUMN directory.memberships.waits_for IS 'the plan of its group or the fan-out that makes present count; null with present <> counted: the plan of its source';

ALTER TABLE directory.plans ADD COLUMN group_id uuid REFERENCES directory.groups;
CREATE INDEX plans_held_of_group ON directory.plans (group_id) WHERE state = 'held';
COMMENT ON COLUMN directory.plans.group_id IS 'the group whose members it would remove; null: it speaks of the whole source';

CREATE TABLE directory.fan_outs (
    id uuid PRIMARY KEY,
    group_id uuid NOT NULL REFERENCES directory.groups,
    lost_privileged boolean NOT NULL,
    effective_at timestamptz,
    received_at timestamptz,
    trace text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE directory.fan_outs IS 'durable: changes of more members than one transaction may have; gone once each of them counts and has its event';
COMMENT ON COLUMN directory.fan_outs.lost_privileged IS 'whether those who lose the group lose a privilege, as it was when they did';

GRANT SELECT, INSERT, DELETE ON directory.fan_outs TO leaver_sync;
GRANT SELECT ON directory.fan_outs TO leaver_revoker, leaver_console;
