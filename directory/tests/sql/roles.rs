//! What each database role may do; what is not granted, Postgres refuses whatever the code does.

use directory::Directory;

use crate::world::World;

/// (role, statement, allowed). No statement touches a row: permissions are checked before rows are looked for.
const TABLE: &[(&str, &str, bool)] = &[
    ("sync", "UPDATE directory.identities SET state = state WHERE false", true),
    ("sync", "UPDATE directory.accounts SET counted = counted WHERE false", true),
    ("sync", "DELETE FROM directory.inherited_memberships WHERE false", true),
    ("sync", "INSERT INTO ledger.events (event_id) SELECT gen_random_uuid() WHERE false", true),
    ("sync", "INSERT INTO ledger.event_context (event) SELECT 1 WHERE false", true),
    ("sync", "INSERT INTO ledger.pending (id) SELECT 1 WHERE false", true),
    ("sync", "SELECT body FROM ledger.events WHERE false", false),
    ("sync", "SELECT context FROM ledger.event_context WHERE false", false),
    ("sync", "DELETE FROM ledger.pending WHERE false", false),
    ("sync", "INSERT INTO ledger.decisions (event) SELECT 1 WHERE false", false),
    ("sync", "INSERT INTO ledger.cutoffs (scope) SELECT '' WHERE false", false),
    ("sync", "INSERT INTO ledger.pending_cutoffs (revision) SELECT 1 WHERE false", false),
    ("sync", "INSERT INTO ledger.pending_receipts (shard) SELECT 0 WHERE false", false),
    ("sync", "UPDATE ledger.receipts SET state = state WHERE false", false),
    ("sync", "UPDATE working.deliveries SET turn = turn WHERE false", false),
    ("sync", "UPDATE ledger.requests SET state = state WHERE false", true),
    ("sync", "UPDATE ledger.requests SET payload = payload WHERE false", false),
    ("sync", "DELETE FROM working.refused_requests WHERE false", true),
    ("sync", "UPDATE working.refused_requests SET body = body WHERE false", false),
    ("sync", "SELECT value FROM ledger.strangers WHERE false", false),
    ("sync", "SELECT hash FROM secrets.tokens WHERE false", true),
    ("sync", "INSERT INTO secrets.tokens (name) SELECT '' WHERE false", false),
    ("revoker", "SELECT state FROM directory.identities WHERE false", true),
    ("revoker", "UPDATE directory.identities SET state = state WHERE false", false),
    ("revoker", "UPDATE directory.accounts SET counted = counted WHERE false", false),
    ("revoker", "DELETE FROM directory.memberships WHERE false", false),
    ("revoker", "SELECT direct FROM directory.effective_memberships WHERE false", true),
    ("revoker", "DELETE FROM directory.inherited_memberships WHERE false", false),
    ("revoker", "SELECT context FROM ledger.event_context WHERE false", true),
    ("revoker", "INSERT INTO ledger.events (event_id) SELECT gen_random_uuid() WHERE false", false),
    ("revoker", "INSERT INTO ledger.pending (id) SELECT 1 WHERE false", false),
    ("revoker", "INSERT INTO ledger.decisions (event) SELECT 1 WHERE false", true),
    ("revoker", "UPDATE working.deliveries SET turn = turn WHERE false", true),
    ("revoker", "DELETE FROM ledger.receipts WHERE false", false),
    ("revoker", "DELETE FROM ledger.cutoffs WHERE false", false),
    ("revoker", "DELETE FROM ledger.decisions WHERE false", false),
    ("revoker", "INSERT INTO ledger.requests (kind) SELECT 'revoke' WHERE false", false),
    ("revoker", "SELECT body FROM working.refused_requests WHERE false", false),
    ("revoker", "SELECT value FROM ledger.strangers WHERE false", true),
    ("revoker", "DELETE FROM ledger.strangers WHERE false", true),
    ("revoker", "INSERT INTO ledger.strangers (value) SELECT '' WHERE false", false),
    ("revoker", "SELECT hash FROM secrets.tokens WHERE false", false),
    ("revoker", "INSERT INTO ledger.pending_receipts (shard) SELECT 0 WHERE false", true),
    ("revoker", "DELETE FROM ledger.pending_receipts WHERE false", false),
    ("revoker", "DELETE FROM ledger.pending_cutoffs WHERE false", false),
    ("revoker", "UPDATE ledger.cutoff_subjects SET published = published WHERE false", true),
    ("revoker", "DELETE FROM working.publications WHERE false", true),
    ("revoker", "UPDATE ledger.errands SET state = state WHERE false", true),
    ("revoker", "DELETE FROM ledger.errands WHERE false", false),
    ("console", "SELECT state FROM ledger.answers WHERE false", true),
    ("console", "UPDATE ledger.errands SET state = state WHERE false", false),
    ("sync", "SELECT state FROM ledger.errands WHERE false", false),
    ("relay", "SELECT state FROM ledger.errands WHERE false", false),
    ("revoker", "INSERT INTO ledger.holds (kind) SELECT 'rule' WHERE false", true),
    ("revoker", "DELETE FROM ledger.held WHERE false", false),
    ("console", "UPDATE ledger.holds SET state = 'approved' WHERE false", false),
    ("console", "INSERT INTO ledger.hold_approvals (by) SELECT 'jo' WHERE false", false),
    ("sync", "SELECT state FROM ledger.holds WHERE false", false),
    ("revoker", "INSERT INTO ledger.parked (reason) SELECT '' WHERE false", true),
    ("relay", "SELECT body FROM ledger.events WHERE false", true),
    ("relay", "DELETE FROM ledger.pending WHERE false", true),
    ("relay", "INSERT INTO ledger.pending (id) SELECT 1 WHERE false", false),
    ("relay", "SELECT cutoff FROM ledger.cutoffs WHERE false", true),
    ("relay", "SELECT published FROM ledger.cutoff_subjects WHERE false", true),
    ("relay", "UPDATE ledger.cutoff_subjects SET published = published WHERE false", false),
    ("relay", "INSERT INTO ledger.pending_cutoffs (revision) SELECT 1 WHERE false", true),
    ("relay", "DELETE FROM ledger.pending_receipts WHERE false", true),
    ("relay", "INSERT INTO ledger.pending_receipts (shard) SELECT 0 WHERE false", false),
    ("relay", "UPDATE ledger.pending_receipts SET body = body WHERE false", false),
    ("relay", "INSERT INTO ledger.parked (reason) SELECT '' WHERE false", true),
    ("relay", "SELECT value FROM ledger.strangers WHERE false", false),
    ("relay", "SELECT digest FROM working.publications WHERE false", false),
    ("relay", "UPDATE ledger.cutoffs SET cutoff = cutoff WHERE false", false),
    ("relay", "SELECT user_name FROM directory.accounts WHERE false", false),
    ("relay", "SELECT user_name FROM directory.identities WHERE false", false),
    ("relay", "SELECT context FROM ledger.event_context WHERE false", false),
    ("relay", "SELECT state FROM ledger.receipts WHERE false", false),
    ("relay", "SELECT hash FROM secrets.tokens WHERE false", false),
    ("console", "SELECT parked FROM working.refused_requests WHERE false", true),
    ("console", "SELECT body FROM working.refused_requests WHERE false", false),
    ("console", "SELECT path FROM working.refused_requests WHERE false", false),
    ("console", "SELECT user_name FROM directory.accounts WHERE false", true),
    ("console", "SELECT context FROM ledger.event_context WHERE false", true),
    ("console", "UPDATE directory.accounts SET counted = counted WHERE false", false),
    ("console", "INSERT INTO ledger.events (event_id) SELECT gen_random_uuid() WHERE false", false),
    ("console", "INSERT INTO ledger.requests (kind) SELECT 'revoke' WHERE false", true),
    ("console", "UPDATE ledger.requests SET state = state WHERE false", false),
    ("console", "INSERT INTO ledger.strangers (value) SELECT '' WHERE false", true),
    ("console", "UPDATE ledger.strangers SET asked_at = asked_at WHERE false", true),
    ("console", "UPDATE ledger.strangers SET value = value WHERE false", false),
    ("console", "DELETE FROM ledger.strangers WHERE false", false),
    ("console", "UPDATE directory.plans SET state = state WHERE false", false),
    ("console", "INSERT INTO ledger.revocations (reason) SELECT '' WHERE false", false),
    ("console", "UPDATE working.deliveries SET turn = turn WHERE false", false),
    ("console", "INSERT INTO secrets.tokens (name) SELECT '' WHERE false", true),
    ("console", "UPDATE secrets.tokens SET revoked_at = revoked_at WHERE false", true),
    ("console", "UPDATE secrets.tokens SET hash = hash WHERE false", false),
    ("console", "DELETE FROM secrets.tokens WHERE false", false),
];

#[tokio::test]
async fn each_role_may_do_what_its_part_needs_and_nothing_else() {
    let world = World::new().await;
    for (role, statement, allowed) in TABLE {
        let refused = refused(part(&world, role), statement).await;
        assert_eq!(refused, !allowed, "{role}: {statement}");
    }
}

#[tokio::test]
async fn nobody_updates_or_deletes_an_event() {
    let world = World::new().await;
    for role in ["sync", "revoker", "relay", "console"] {
        for statement in [
            "UPDATE ledger.events SET body = body WHERE false",
            "DELETE FROM ledger.events WHERE false",
            "TRUNCATE ledger.events CASCADE",
        ] {
            assert!(refused(part(&world, role), statement).await, "{role}: {statement}");
        }
    }
}

#[tokio::test]
async fn every_connection_of_a_pool_begins_in_its_role() {
    let world = World::new().await;
    for role in ["sync", "revoker", "relay", "console"] {
        let who: String =
            sqlx::query_scalar("SELECT current_user::text").fetch_one(part(&world, role).pool()).await.unwrap();
        assert_eq!(who, format!("leaver_{role}"));
    }
}

fn part<'a>(world: &'a World, role: &str) -> &'a Directory {
    match role {
        "sync" => &world.sync,
        "revoker" => &world.revoker,
        "relay" => &world.relay,
        "console" => &world.console,
        other => panic!("no role is called {other}"),
    }
}

/// Whether Postgres says `insufficient_privilege`; any other failure is a mistake of the table above.
async fn refused(part: &Directory, statement: &'static str) -> bool {
    match sqlx::query(statement).execute(part.pool()).await {
        Ok(_) => false,
        Err(error) => {
            let code = error.as_database_error().and_then(|e| e.code().map(|c| c.into_owned()));
            assert_eq!(code.as_deref(), Some("42501"), "{statement}: {error}");
            true
        }
    }
}
