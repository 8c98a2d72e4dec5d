-- Each identity that was written asked for its events at commit, in a call of its own. Events are written first now, so one question
-- for each statement asks the same, of all its rows, and before anybody could see what it says.
DROP TRIGGER identity_has_event ON directory.identities;
DROP TRIGGER identity_change_has_event ON directory.identities;

CREATE FUNCTION directory.identities_have_events() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off
AS $$
DECLARE
    wrong record;
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT n.id, 0::bigint AS before, n.version, e.written INTO wrong
        FROM added n, LATERAL (SELECT count(*) AS written FROM ledger.events e
                               WHERE e.subject_id = n.id AND e.version > 0 AND e.version <= n.version) e
        WHERE n.version <= 0 OR e.written <> n.version LIMIT 1;
    ELSE
        SELECT n.id, o.version AS before, n.version, e.written INTO wrong
        FROM added n JOIN former o USING (id),
             LATERAL (SELECT count(*) AS written FROM ledger.events e
                      WHERE e.subject_id = n.id AND e.version > o.version AND e.version <= n.version) e
        WHERE (o.state <> n.state OR o.generation <> n.generation OR o.version <> n.version)
          AND (n.version <= o.version OR e.written <> n.version - o.version) LIMIT 1;
    END IF;
    IF FOUND THEN
        RAISE EXCEPTION 'directory.identities %: version % to % with % events', wrong.id, wrong.before, wrong.version, wrong.written
            USING ERRCODE = 'integrity_constraint_violation',
                  HINT = 'every step of a version is written in one transaction with its event, the event first';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER identity_has_event AFTER INSERT ON directory.identities
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION directory.identities_have_events();
CREATE TRIGGER identity_change_has_event AFTER UPDATE ON directory.identities
    REFERENCING OLD TABLE AS former NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION directory.identities_have_events();
