-- A held plan can be rejected, and more than one person may have to agree to it.

ALTER TABLE directory.accounts ADD COLUMN rejected_by uuid REFERENCES directory.plans;
COMMENT ON COLUMN directory.accounts.rejected_by IS 'the plan with which a person rejected that fact counts; null again once fact changes';
ALTER TABLE directory.memberships ADD COLUMN rejected_by uuid REFERENCES directory.plans;
COMMENT ON COLUMN directory.memberships.rejected_by IS 'the plan with which a person rejected that present counts; null again once present changes';

CREATE FUNCTION directory.end_override() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.rejected_by := NULL;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION directory.end_override() IS 'a rejection is about one fact: when the source says something else, it is over';
CREATE TRIGGER end_override BEFORE UPDATE ON directory.accounts FOR EACH ROW
    WHEN (OLD.rejected_by IS NOT NULL AND NEW.fact <> OLD.fact) EXECUTE FUNCTION directory.end_override();
CREATE TRIGGER end_override BEFORE UPDATE ON directory.memberships FOR EACH ROW
    WHEN (OLD.rejected_by IS NOT NULL AND NEW.present <> OLD.present) EXECUTE FUNCTION directory.end_override();

-- What was rejected waits no longer.
DROP INDEX directory.accounts_held;
CREATE INDEX accounts_held ON directory.accounts (source) WHERE fact <> counted AND rejected_by IS NULL;
DROP INDEX directory.memberships_held;
CREATE INDEX memberships_held ON directory.memberships (group_id) WHERE present <> counted AND rejected_by IS NULL;

ALTER TABLE directory.plans ADD COLUMN confirmed_at timestamptz;
COMMENT ON COLUMN directory.plans.confirmed_at IS 'when a run last found the very same rows waiting; null: only the one that made it';

CREATE TABLE directory.approvals (
    plan_id uuid NOT NULL REFERENCES directory.plans,
    by text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (plan_id, by)
);
COMMENT ON TABLE directory.approvals IS 'durable: who agreed to a plan; a large one takes two';
GRANT SELECT, INSERT ON directory.approvals TO leaver_sync;
GRANT SELECT ON directory.approvals TO leaver_revoker, leaver_console;
