CREATE TABLE directory.sources (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL UNIQUE,
    kind text NOT NULL,
    fingerprint text,
    rows_applied bigint,
    baselined_at timestamptz,
    baseline_open boolean NOT NULL DEFAULT true,
    version bigint NOT NULL DEFAULT 0,
    last_urgent bigint NOT NULL DEFAULT 0,
    last_bulk bigint NOT NULL DEFAULT 0,
    recorded_at timestamptz NOT NULL DEFAULT 'epoch'
);
COMMENT ON TABLE directory.sources IS 'durable: the systems that say who may have access';
COMMENT ON COLUMN directory.sources.fingerprint IS 'of the configuration that selected the scope of the last complete run that was applied';
COMMENT ON COLUMN directory.sources.rows_applied IS 'rows of the last complete run whose plan was applied; a fall from here is held';

COMMENT ON COLUMN directory.sources.baselined_at IS 'end of the first complete run; membership events begin after it';
COMMENT ON COLUMN directory.sources.baseline_open IS 'no complete run has been applied yet: whatever would end access is held';

CREATE TABLE directory.identities (
    id uuid PRIMARY KEY,
    kind text NOT NULL DEFAULT 'human' CHECK (kind IN ('human', 'service', 'workload', 'agent')),
    state text NOT NULL CHECK (state IN ('staged', 'active', 'suspended', 'departed', 'merged', 'erased')),
    generation bigint NOT NULL DEFAULT 1,
    unresolved boolean NOT NULL DEFAULT false,
    merged_into uuid REFERENCES directory.identities,
    user_name text,
    email text,
    employee_number text,
    display_name text,
    department text,
    manager text,
    version bigint NOT NULL,
    last_urgent bigint NOT NULL DEFAULT 0,
    last_bulk bigint NOT NULL DEFAULT 0,
    recorded_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX identities_by_user_name ON directory.identities (lower(user_name));
CREATE INDEX identities_by_email ON directory.identities (lower(email));
CREATE INDEX identities_by_employee_number ON directory.identities (employee_number);
COMMENT ON TABLE directory.identities IS 'durable: a person or machine behind one or more accounts; state is the effective one';
COMMENT ON COLUMN directory.identities.version IS 'dense: exactly one event per step, held by a deferred trigger';
COMMENT ON COLUMN directory.identities.last_urgent IS 'version of the latest event in the urgent lane, 0 for none';
COMMENT ON COLUMN directory.identities.unresolved IS 'several identities matched; stands alone until a person links it';

CREATE TABLE directory.accounts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    source text NOT NULL REFERENCES directory.sources (name),
    native_id text NOT NULL,
    identity_id uuid NOT NULL REFERENCES directory.identities DEFERRABLE INITIALLY DEFERRED,
    external_id text,
    user_name text,
    unique_name text,
    email text,
    employee_number text,
    display_name text,
    department text,
    manager text,
    attributes jsonb NOT NULL,
    stated text NOT NULL CHECK (stated IN ('unknown', 'staged', 'active', 'inactive', 'gone')),
    starts_at timestamptz,
    ends_at timestamptz,
    fact text NOT NULL CHECK (fact IN ('unknown', 'staged', 'active', 'inactive', 'gone')),
    counted text NOT NULL CHECK (counted IN ('unknown', 'staged', 'active', 'inactive', 'gone')),
    tombstone text CHECK (tombstone IN ('soft', 'hard', 'out_of_scope', 'unlinked')),
    content_hash bytea NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    linked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (source, native_id),
    UNIQUE (source, unique_name)
);
CREATE INDEX accounts_by_identity ON directory.accounts (identity_id);
CREATE INDEX accounts_by_user_name ON directory.accounts (source, lower(user_name));
CREATE INDEX accounts_by_external_id ON directory.accounts (source, external_id);
CREATE INDEX accounts_by_email ON directory.accounts (source, lower(email));
CREATE INDEX accounts_by_display_name ON directory.accounts (source, lower(display_name));
CREATE INDEX accounts_held ON directory.accounts (source) WHERE fact <> counted;
CREATE INDEX accounts_dated ON directory.accounts (source) WHERE starts_at IS NOT NULL OR ends_at IS NOT NULL;
COMMENT ON TABLE directory.accounts IS 'durable: one user as one source sees it';
COMMENT ON COLUMN directory.accounts.stated IS 'what the source said, before its dates are taken into account';
COMMENT ON COLUMN directory.accounts.fact IS 'the standing that follows from what the source said, by the last look at the clock';
COMMENT ON COLUMN directory.accounts.counted IS 'the standing that a plan let through; effective state reads only this, so fact <> counted is a hold';
COMMENT ON COLUMN directory.accounts.unique_name IS 'lower-case userName where the source must not have two of them (SCIM); null once deleted for good';

CREATE TABLE directory.groups (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    source text NOT NULL REFERENCES directory.sources (name),
    native_id text NOT NULL,
    external_id text,
    display_name text NOT NULL,
    privileged boolean NOT NULL DEFAULT false,
    attributes jsonb NOT NULL DEFAULT '{}',
    tombstone text CHECK (tombstone IN ('soft', 'hard', 'out_of_scope', 'unlinked')),
    content_hash bytea NOT NULL,
    version bigint NOT NULL DEFAULT 0,
    last_urgent bigint NOT NULL DEFAULT 0,
    last_bulk bigint NOT NULL DEFAULT 0,
    recorded_at timestamptz NOT NULL DEFAULT 'epoch',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (source, native_id)
);
CREATE INDEX groups_by_display_name ON directory.groups (source, lower(display_name));
CREATE INDEX groups_by_external_id ON directory.groups (source, external_id);
COMMENT ON TABLE directory.groups IS 'durable: one group as one source sees it';

CREATE TABLE directory.memberships (
    group_id uuid NOT NULL REFERENCES directory.groups,
    account_id uuid NOT NULL REFERENCES directory.accounts,
    present boolean NOT NULL,
    counted boolean NOT NULL,
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (group_id, account_id)
);
CREATE INDEX memberships_by_account ON directory.memberships (account_id);
CREATE INDEX memberships_held ON directory.memberships (group_id) WHERE present <> counted;
COMMENT ON TABLE directory.memberships IS 'durable: who is in which group; present is the fact, counted what a plan let through';

CREATE TABLE directory.pending_members (
    group_id uuid NOT NULL REFERENCES directory.groups,
    reference text NOT NULL,
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (group_id, reference)
);
CREATE INDEX pending_members_by_reference ON directory.pending_members (reference);
COMMENT ON TABLE directory.pending_members IS 'durable: members named before their user arrived; bound when it does';

CREATE TABLE directory.nested_groups (
    parent_id uuid NOT NULL REFERENCES directory.groups,
    child_reference text NOT NULL,
    PRIMARY KEY (parent_id, child_reference)
);
COMMENT ON TABLE directory.nested_groups IS 'durable: groups that are members of groups, by the source''s id';

CREATE TABLE directory.plans (
    id uuid PRIMARY KEY,
    source text NOT NULL REFERENCES directory.sources (name),
    state text NOT NULL CHECK (state IN ('held', 'approved', 'rejected', 'applied', 'superseded')),
    counts jsonb NOT NULL,
    reasons jsonb NOT NULL,
    rows bigint NOT NULL,
    fingerprint text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    decided_at timestamptz,
    decided_by text,
    decision_reason text
);
CREATE INDEX plans_held ON directory.plans (source) WHERE state = 'held';
COMMENT ON TABLE directory.plans IS 'durable: what a run would have done to people''s access, held for a person to judge';

CREATE TABLE directory.plan_items (
    plan_id uuid NOT NULL REFERENCES directory.plans,
    ordinal integer NOT NULL,
    class text NOT NULL CHECK (class IN ('disable', 'delete', 'privileged-loss', 'member-remove')),
    account_id uuid NOT NULL REFERENCES directory.accounts,
    group_id uuid REFERENCES directory.groups,
    counted text,
    fact text,
    PRIMARY KEY (plan_id, ordinal)
);
COMMENT ON TABLE directory.plan_items IS 'durable, never changed: the rows of a plan; approval applies exactly these';
