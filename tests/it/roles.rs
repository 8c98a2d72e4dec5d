//! What a part of Leaver must not do, PostgreSQL refuses, whatever the code says.

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tests::world::World;

/// SQLSTATE `insufficient_privilege`.
const REFUSED: &str = "42501";

/// Runs `statement` as `role`, as the pools do; nothing of it stays.
async fn attempt(database: &mut PgConnection, role: &str, statement: &str) -> Result<(), sqlx::Error> {
    let mut tx = database.begin().await?;
    sqlx::query(AssertSqlSafe(format!("SET LOCAL ROLE {role}"))).execute(&mut *tx).await?;
    let outcome = sqlx::query(AssertSqlSafe(statement)).execute(&mut *tx).await.map(drop);
    tx.rollback().await?;
    outcome
}

#[tokio::test]
async fn each_part_writes_only_what_is_its_own() {
    let world = World::start(|names| names.usual()).await;
    let mut database = PgConnection::connect(world.site().database().url()).await.unwrap();
    let nil = "'00000000-0000-0000-0000-000000000000'";
    let identity = format!(
        "INSERT INTO directory.identities (id, state, version, recorded_at) VALUES ({nil}, 'active', 1, now())"
    );
    let event = format!(
        "INSERT INTO ledger.events (event_id, subject_kind, subject_id, type, version, prev, lane, class, recorded_at, body)
         VALUES ({nil}, 'identity', {nil}, 'identity.reinstated', 1, 0, 0, 1, now(), '{{}}')"
    );
    let receipt =
        format!("INSERT INTO ledger.receipts (revocation, downstream, state) VALUES ({nil}, 'web', 'verified')");
    let forbidden = [
        ("leaver_revoker", &*identity),
        ("leaver_revoker", "UPDATE directory.identities SET state = 'active'"),
        ("leaver_revoker", "UPDATE directory.accounts SET counted = 'active'"),
        ("leaver_revoker", &*event),
        ("leaver_revoker", "SELECT hash FROM secrets.tokens"),
        ("leaver_sync", &*receipt),
        ("leaver_sync", "UPDATE ledger.cutoffs SET cutoff = '{}'"),
        ("leaver_sync", "SELECT context FROM ledger.event_context"),
        ("leaver_relay", "SELECT native_id FROM directory.accounts"),
        ("leaver_relay", "SELECT context FROM ledger.event_context"),
        ("leaver_relay", &*event),
        ("leaver_console", &*event),
        ("leaver_console", &*receipt),
        ("leaver_console", "UPDATE directory.plans SET state = 'approved'"),
        ("leaver_console", "UPDATE ledger.requests SET state = 'done'"),
    ];
    for (role, statement) in forbidden {
        let error = attempt(&mut database, role, statement).await.expect_err(statement);
        let code = error.as_database_error().and_then(|e| e.code().map(|code| code.into_owned()));
        assert_eq!(code.as_deref(), Some(REFUSED), "{role}: {statement}: {error}");
    }
    for role in ["leaver_sync", "leaver_revoker", "leaver_relay", "leaver_console"] {
        for statement in
            ["UPDATE ledger.events SET body = ''", "DELETE FROM ledger.events", "TRUNCATE ledger.events CASCADE"]
        {
            let error = attempt(&mut database, role, statement).await.expect_err(statement);
            assert!(error.to_string().contains("permission denied"), "{role}: {statement}: {error}");
        }
    }
    // And the roles are not simply without any right.
    for (role, statement) in [
        ("leaver_sync", "DELETE FROM directory.pending_members"),
        ("leaver_revoker", "UPDATE ledger.receipts SET found = found"),
        ("leaver_relay", "DELETE FROM ledger.pending"),
        ("leaver_console", "SELECT hash FROM secrets.tokens"),
    ] {
        attempt(&mut database, role, statement).await.unwrap_or_else(|error| panic!("{role}: {statement}: {error}"));
    }
}
