//! A server that went away and came back: what the pools have left of it, and who may bring the schema up to date.

use std::sync::Arc;
use std::time::{Duration, Instant};

use directory::{Directory, Error, Role, Sources, Wake};
use futures::future::join_all;
use sqlx::{AssertSqlSafe, Executor};

use crate::database::Database;

const CONNECTIONS: usize = 8;

/// Opens every connection that the pool may have, and waits until all are idle.
async fn fill(directory: &Directory) {
    let held = join_all((0..CONNECTIONS).map(|_| directory.pool().acquire())).await;
    assert_eq!(held.iter().filter(|one| one.is_ok()).count(), CONNECTIONS);
    drop(held);
    let deadline = Instant::now() + Duration::from_secs(60);
    while directory.pool().num_idle() < CONNECTIONS {
        assert!(Instant::now() < deadline, "{} are idle", directory.pool().num_idle());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn after_the_server_was_away_one_statement_fails_and_not_one_for_each_connection() {
    let database = Database::migrated().await;
    let sources = Arc::new(Sources::new([].into(), &[]).unwrap());
    let directory = database.open(Role::Console, &sources, &Wake::default()).await;
    fill(&directory).await;
    let ended: Vec<bool> = sqlx::query_scalar(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'leaver'",
    )
    .fetch_all(&database.owner().await)
    .await
    .unwrap();
    assert_eq!(ended, [true; CONNECTIONS]);
    let mut failed = 0;
    for _ in 0..2 * CONNECTIONS {
        match directory.ping().await {
            Ok(()) => {}
            Err(error @ Error::Unavailable(_)) if failed == 0 => failed += usize::from(error.is_transient()),
            Err(error) => panic!("{error:?} after {failed} failures"),
        }
    }
    assert!(failed <= 1);
}

/// A login that may take the roles of Leaver's parts and no more; gone with the test.
struct Guest {
    name: String,
    url: String,
    database: Database,
}

impl Guest {
    async fn of(database: Database) -> Self {
        let name = format!("guest_{}", uuid::Uuid::new_v4().simple());
        let create = format!(
            "CREATE ROLE {name} LOGIN PASSWORD 'guest'; \
             GRANT leaver_sync, leaver_revoker, leaver_relay, leaver_console TO {name}"
        );
        database.owner().await.execute(AssertSqlSafe(create)).await.unwrap();
        let (scheme, rest) = database.url().split_once("://").unwrap();
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        let url = format!("{scheme}://{name}:guest@{host}");
        Self { name, url, database }
    }

    async fn leave(self) {
        let drop = format!("DROP ROLE {}", self.name);
        self.database.owner().await.execute(AssertSqlSafe(drop)).await.unwrap();
    }
}

#[tokio::test]
async fn a_login_that_owns_nothing_starts_where_the_schema_is_current() {
    let guest = Guest::of(Database::migrated().await).await;
    assert!(directory::migrate(&guest.url).await.unwrap().starts_with("PostgreSQL "));
    let schema = directory::schema(&guest.url).await.unwrap();
    assert_eq!((schema.behind, schema.ahead), (0, 0));
    let sources = Arc::new(Sources::new([].into(), &[]).unwrap());
    let directory = Directory::connect(&guest.url, Role::Sync, 1, sources, Wake::default()).await.unwrap();
    directory.ping().await.unwrap();
    directory.close().await;
    guest.leave().await;
}

#[tokio::test]
async fn a_login_that_owns_nothing_is_told_when_the_schema_is_behind() {
    let guest = Guest::of(Database::migrated().await).await;
    let last = "DELETE FROM _sqlx_migrations WHERE version = (SELECT max(version) FROM _sqlx_migrations)";
    guest.database.owner().await.execute(last).await.unwrap();
    assert_eq!(directory::schema(&guest.url).await.unwrap().behind, 1);
    let refused = directory::migrate(&guest.url).await;
    assert!(matches!(refused, Err(Error::NotOwner(_))), "{refused:?}");
    guest.leave().await;
}

#[tokio::test]
async fn a_schema_that_a_newer_leaver_made_is_taken_as_it_is() {
    let database = Database::migrated().await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (29991231000001, 'from the future', true, '', 0)";
    database.owner().await.execute(newer).await.unwrap();
    database.migrate().await.unwrap();
    let schema = directory::schema(database.url()).await.unwrap();
    assert_eq!((schema.behind, schema.ahead), (0, 1));
}
