-- The planner's statistics, made anew while the first people arrive.
--
-- A connection keeps the plan that it made for a statement, and one made while a table was empty reads all of it. Autovacuum
-- comes by once a minute; a first load writes tens of thousands of rows before. Only owners may ANALYZE, so it is a function.

CREATE FUNCTION directory.refresh_statistics() RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    ANALYZE directory.accounts, directory.identities, directory.groups, directory.memberships, directory.pending_members,
        ledger.events, ledger.event_context;
END $$;
REVOKE EXECUTE ON FUNCTION directory.refresh_statistics() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION directory.refresh_statistics() TO leaver_sync;
