//! Trying what the other calls need, without changing anything.

use sqlx::{AssertSqlSafe, Connection, Executor, SqlSafeStr, SqlStr, postgres::PgArguments};

use super::client::Lease;
use crate::{Error, Result};

/// Plans a statement, which checks the types and the rights that running it would need. That the server lets nothing be
/// written, functions included, is what makes it safe to try.
pub(super) async fn plan(lease: &mut Lease<'_>, sql: &SqlStr, arguments: PgArguments) -> Result<()> {
    lease
        .ask(async |connection| {
            let mut read_only = connection.begin_with("begin read only").await?;
            match explained(sql) {
                Some(explain) => drop(sqlx::query_with(explain, arguments).fetch_all(&mut *read_only).await?),
                None => drop(read_only.prepare(sql.clone()).await?),
            }
            read_only.rollback().await
        })
        .await
}

/// Product and version of a server that can be written to.
pub(super) async fn product(lease: &mut Lease<'_>) -> Result<String> {
    let (version, read_only): (String, String) = lease
        .ask(async |connection| {
            sqlx::query_as("select current_setting('server_version'), current_setting('transaction_read_only')")
                .fetch_one(connection)
                .await
        })
        .await?;
    if read_only == "on" {
        return Err(Error::Unavailable(Box::new(ReadOnly)));
    }
    // Distributions append their own version.
    Ok(format!("PostgreSQL {}", version.split(' ').next().unwrap_or_default()))
}

/// `end` would be refused there, as a failover may mend.
#[derive(Debug, thiserror::Error)]
#[error("the server is read-only, as a standby is")]
struct ReadOnly;

/// The statement under EXPLAIN, if it is of a kind that has a plan (`CALL` has none).
fn explained(sql: &SqlStr) -> Option<SqlStr> {
    let word = sql.as_str().trim_start().split(|c: char| !c.is_ascii_alphabetic()).next()?.to_ascii_lowercase();
    let planned = ["select", "with", "delete", "update", "insert", "merge", "values"].contains(&word.as_str());
    planned.then(|| AssertSqlSafe(format!("explain {}", sql.as_str())).into_sql_str())
}
