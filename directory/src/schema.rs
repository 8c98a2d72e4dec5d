//! The schema of the database: looked at by whoever starts, brought up to date by whoever may.

use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

use crate::{Error, Result};

pub static MIGRATOR: Migrator = sqlx::migrate!("../migrations");

/// SQLSTATE of what the login may not do, and of a table that is not there.
const FORBIDDEN: &str = "42501";
const NO_TABLE: &str = "42P01";

/// Whether the owner of the table of migrations, which is the migrator's own, has yet to let the parts of Leaver read it.
const UNREADABLE: &str = "SELECT pg_has_role(relowner, 'USAGE') AND NOT has_table_privilege('leaver_relay', oid, 'SELECT') \
                          FROM pg_class WHERE oid = '_sqlx_migrations'::regclass";
/// Two grants at once would be in each other's way.
const MAKE_READABLE: &str = "BEGIN; LOCK TABLE _sqlx_migrations IN SHARE ROW EXCLUSIVE MODE; \
                             GRANT SELECT ON _sqlx_migrations TO leaver_sync, leaver_revoker, leaver_relay, leaver_console; \
                             COMMIT";

/// A database as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// Such as `PostgreSQL 17.2`.
    pub server: String,
    /// How many migrations it lacks.
    pub behind: usize,
    /// How many it has that this program does not know: a newer one was here. They only add, so both can work on it.
    pub ahead: usize,
}

/// Looks at the database without changing it. A login that may only take the roles of Leaver's parts can do that, too.
pub async fn schema(url: &str) -> Result<Schema> {
    let mut connection = connect(url).await?;
    let schema = look(&mut connection).await?;
    connection.close().await?;
    Ok(schema)
}

/// Brings the database to the newest schema, if it is behind, and says which server it is. Several callers take turns.
///
/// # Errors
/// [`Error::NotOwner`] if the login may not do that.
pub async fn migrate(url: &str) -> Result<String> {
    // A connection of its own says at once why it cannot be made; a pool would keep trying and then only say that it gave up.
    let mut connection = connect(url).await?;
    let Schema { server, behind, .. } = look(&mut connection).await?;
    if behind > 0 {
        let migrator = Migrator {
            migrations: MIGRATOR.migrations.clone(),
            table_name: MIGRATOR.table_name.clone(),
            ignore_missing: true,
            ..Migrator::DEFAULT
        };
        migrator.run(&mut connection).await.map_err(refused)?;
    }
    if sqlx::query_scalar(UNREADABLE).fetch_one(&mut connection).await? {
        sqlx::raw_sql(MAKE_READABLE).execute(&mut connection).await?;
    }
    connection.close().await?;
    Ok(server)
}

async fn connect(url: &str) -> Result<PgConnection> {
    let options: PgConnectOptions = url.parse().map_err(Error::Statement)?;
    Ok(PgConnection::connect_with(&options.application_name("leaver")).await?)
}

async fn look(connection: &mut PgConnection) -> Result<Schema> {
    let server: String = sqlx::query_scalar("SELECT 'PostgreSQL ' || current_setting('server_version')")
        .fetch_one(&mut *connection)
        .await?;
    let applied = match connection.list_applied_migrations(&MIGRATOR.table_name).await {
        Ok(applied) => applied,
        Err(error) if database_code(&error).as_deref() == Some(NO_TABLE) => Vec::new(),
        Err(error) => return Err(refused(error)),
    };
    // One that was applied in another form counts as lacking: to apply it says what is wrong.
    let lacks = MIGRATOR
        .iter()
        .filter(|ours| !applied.iter().any(|done| done.version == ours.version && done.checksum == ours.checksum));
    let behind = lacks.count();
    let ahead = applied.iter().filter(|done| !MIGRATOR.version_exists(done.version)).count();
    Ok(Schema { server, behind, ahead })
}

fn refused(error: MigrateError) -> Error {
    match database_code(&error).as_deref() {
        Some(FORBIDDEN) => Error::NotOwner(error),
        _ => Error::Migrate(error),
    }
}

fn database_code(error: &MigrateError) -> Option<String> {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else { return None };
    Some(error.as_database_error()?.code()?.into_owned())
}
