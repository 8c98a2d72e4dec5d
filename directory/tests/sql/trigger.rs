//! The triggers under every version step and membership, and migrations that meet each other.

use sqlx::{AssertSqlSafe, Row};

use crate::database::Database;
use crate::world::{World, person};

const IDENTITY: &str = "INSERT INTO directory.identities (id, state, version, recorded_at)
    VALUES ('00000000-0000-0000-0000-000000000001', 'active', 1, now())";
const FIRST: &str = "INSERT INTO ledger.events (event_id, subject_kind, subject_id, type, version, prev, lane, class, recorded_at, body)
    VALUES (gen_random_uuid(), 'identity', '00000000-0000-0000-0000-000000000001', 'identity.created', 1, 0, 1, 1, now(), '{}')";
const SECOND: &str = "INSERT INTO ledger.events (event_id, subject_kind, subject_id, type, version, prev, lane, class, recorded_at, body)
    VALUES (gen_random_uuid(), 'identity', '00000000-0000-0000-0000-000000000001', 'identity.suspended', 2, 0, 0, 1, now(), '{}')";
const THIRD: &str = "INSERT INTO ledger.events (event_id, subject_kind, subject_id, type, version, prev, lane, class, recorded_at, body)
    VALUES (gen_random_uuid(), 'identity', '00000000-0000-0000-0000-000000000001', 'identity.departed', 3, 2, 0, 1, now(), '{}')";

#[tokio::test]
async fn a_version_step_without_exactly_its_event_before_it_is_refused() {
    let world = World::new().await;
    run(&world, &[FIRST, IDENTITY]).await.unwrap();
    for (statements, why) in [
        (vec!["UPDATE directory.identities SET state = 'suspended'"], "a state changed without a version"),
        (vec!["UPDATE directory.identities SET generation = 2"], "a generation changed without a version"),
        (vec!["UPDATE directory.identities SET state = 'suspended', version = 2"], "a version without its event"),
        (vec!["UPDATE directory.identities SET state = 'suspended', version = 2", SECOND], "an event that comes after"),
        (vec![SECOND, "UPDATE directory.identities SET state = 'suspended', version = 3"], "two versions, one event"),
        (vec!["UPDATE directory.identities SET version = 0"], "a version that fell"),
        (
            vec![THIRD, "UPDATE directory.identities SET version = 2", "UPDATE directory.identities SET version = 3"],
            "two steps of one transaction, one event",
        ),
        (
            vec![
                "INSERT INTO directory.identities (id, state, version, recorded_at)
                 VALUES (gen_random_uuid(), 'active', 1, now())",
            ],
            "a new identity without its event",
        ),
    ] {
        let error = run(&world, &statements).await.expect_err(why);
        assert_eq!(error.as_database_error().and_then(|e| e.code()).as_deref(), Some("23000"), "{why}: {error}");
    }
    run(&world, &[SECOND, THIRD, "UPDATE directory.identities SET state = 'departed', version = 3"]).await.unwrap();
    run(&world, &["UPDATE directory.identities SET department = 'x'"]).await.expect("no step, no event");
}

#[tokio::test]
async fn a_group_that_changes_without_its_event_is_refused_at_commit() {
    let world = World::new().await;
    let group =
        "INSERT INTO directory.groups (source, native_id, display_name, content_hash) VALUES ('hr', 'g', 'g', '')";
    run(&world, &[group]).await.unwrap();
    let error = run(&world, &["UPDATE directory.groups SET version = 1"]).await.unwrap_err();
    assert_eq!(error.as_database_error().and_then(|e| e.code()).as_deref(), Some("23000"), "{error}");
}

#[tokio::test]
async fn a_membership_without_its_account_or_its_group_is_refused_and_neither_is_deleted_under_it() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    let group = "INSERT INTO directory.groups (id, source, native_id, display_name, content_hash)
                 VALUES ('00000000-0000-0000-0000-00000000000a', 'okta', 'g', 'g', '')";
    run(&world, &[group]).await.unwrap();
    let member = |group: &str, account: &str| {
        format!(
            "INSERT INTO directory.memberships (group_id, account_id, present, counted)
             VALUES ('00000000-0000-0000-0000-00000000000a', '{}', true, true), ('{group}', '{account}', true, true)
             ON CONFLICT DO NOTHING",
            ana.id
        )
    };
    let (known, nobody) = ("00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b");
    for statement in [
        member(known, nobody),
        member(nobody, &ana.id.to_string()),
        format!("{}; DELETE FROM directory.accounts", member(known, &ana.id.to_string())),
        format!("{}; DELETE FROM directory.groups", member(known, &ana.id.to_string())),
    ] {
        // Sent as one, so that none of it stays.
        let error = sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&world.owner).await.expect_err(&statement);
        assert_eq!(error.as_database_error().and_then(|e| e.code()).as_deref(), Some("23503"), "{error}");
    }
    let good = member(known, &ana.id.to_string());
    sqlx::raw_sql(AssertSqlSafe(good)).execute(&world.owner).await.unwrap();
}

#[tokio::test]
async fn migrating_twice_changes_nothing_the_second_time() {
    let database = Database::migrated().await;
    let said = database.migrate().await.unwrap();
    assert!(said.starts_with("PostgreSQL "), "{said}");
    let applied: i64 = sqlx::query("SELECT count(*) FROM _sqlx_migrations WHERE success")
        .fetch_one(&database.owner().await)
        .await
        .unwrap()
        .get(0);
    assert_eq!(applied, i64::try_from(directory::MIGRATOR.iter().count()).unwrap());
}

#[tokio::test]
async fn two_databases_of_one_cluster_are_migrated_at_once_though_they_share_the_roles() {
    let (one, two) = tokio::join!(Database::empty(), Database::empty());
    let (first, second) = tokio::join!(one.migrate(), two.migrate());
    first.unwrap();
    second.unwrap();
}

async fn run(world: &World, statements: &[&'static str]) -> sqlx::Result<()> {
    let mut tx = world.owner.begin().await?;
    for statement in statements {
        sqlx::query(*statement).execute(&mut *tx).await?;
    }
    tx.commit().await
}
