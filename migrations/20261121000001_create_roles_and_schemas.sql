-- Schemas by lifespan, and one database role per part of Leaver. The roles cannot log in: each pool does SET ROLE.
-- Roles belong to the whole cluster, so another database may be creating them at this moment: that is tolerated.

DO $$
DECLARE
    name text;
    -- From PostgreSQL 16 on, whoever creates a role is a member of it without being allowed to set it.
    may text := CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END;
BEGIN
    FOREACH name IN ARRAY ARRAY['leaver_sync', 'leaver_revoker', 'leaver_relay', 'leaver_console'] LOOP
        FOR attempt IN 1..50 LOOP
            BEGIN
                IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
                    EXECUTE format('CREATE ROLE %I NOLOGIN', name);
                END IF;
                IF NOT pg_has_role(current_user, name, may) THEN
                    EXECUTE format('GRANT %I TO CURRENT_USER', name);
                END IF;
                EXIT;
            EXCEPTION WHEN duplicate_object OR unique_violation OR internal_error THEN
                PERFORM pg_sleep(0.02);
            END;
        END LOOP;
    END LOOP;
END
$$;

CREATE SCHEMA directory;
COMMENT ON SCHEMA directory IS 'durable: who exists and what each source says of them';
CREATE SCHEMA ledger;
COMMENT ON SCHEMA ledger IS 'durable: events, decisions, cutoffs, receipts, requests; append-mostly';
CREATE SCHEMA working;
COMMENT ON SCHEMA working IS 'operational: rebuilt from durable state or upstream';
CREATE SCHEMA scratch;
COMMENT ON SCHEMA scratch IS 'disposable: nothing needs it after a restart';
CREATE SCHEMA secrets;
COMMENT ON SCHEMA secrets IS 'secret: hashes of bearer tokens; never a token itself';
