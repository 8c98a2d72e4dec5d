//! A few connections to MariaDB or MySQL, opened when needed and kept while they are sound: as those to PostgreSQL beside this.

use std::{
    future::Future,
    str::FromStr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use sqlx::{ConnectOptions, Connection};
use sqlx_mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use crate::{ConfigError, Error, Result, error::NoAnswer};

/// Calls that may be on the way at once: the urgent ones beside a pass over many.
const CONNECTIONS: usize = 4;

pub(super) struct Client {
    options: MySqlConnectOptions,
    timeout: Duration,
    permits: Semaphore,
    idle: Mutex<Vec<MySqlConnection>>,
}

/// A connection for one call. Unless [`keep`](Self::keep) is called it is closed: after an error or an abandoned call
/// nobody knows what is still on the wire.
pub(super) struct Lease<'a> {
    connection: MySqlConnection,
    client: &'a Client,
    _permit: SemaphorePermit<'a>,
}

impl Client {
    pub(super) fn new(url: &str, timeout: Duration) -> Result<Self, ConfigError> {
        let options = MySqlConnectOptions::from_str(url)
            .map_err(|cause| ConfigError::Url(Box::new(cause)))?
            // Ours are the modes of the application, which decides what its values mean.
            .pipes_as_concat(false)
            .no_engine_substitution(false)
            .disable_statement_logging();
        Ok(Self { options, timeout, permits: Semaphore::new(CONNECTIONS), idle: Mutex::default() })
    }

    /// A connection that has just answered.
    pub(super) async fn lease(&self) -> Result<Lease<'_>> {
        self.within(async {
            let permit = self.permits.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
            if let Some(mut connection) = self.with_idle(Vec::pop) {
                if connection.ping().await.is_ok() {
                    return Ok(Lease { connection, client: self, _permit: permit });
                }
                // What closed this one has closed the others.
                self.with_idle(Vec::clear);
            }
            let connection = MySqlConnection::connect_with(&self.options).await?;
            Ok(Lease { connection, client: self, _permit: permit })
        })
        .await
    }

    fn with_idle<T>(&self, f: impl FnOnce(&mut Vec<MySqlConnection>) -> T) -> T {
        f(&mut self.idle.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn within<T>(&self, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T> {
        match timeout(self.timeout, work).await {
            Ok(outcome) => outcome.map_err(classify),
            Err(_) => Err(NoAnswer::after(self.timeout)),
        }
    }
}

impl Lease<'_> {
    /// Awaits one answer.
    pub(super) async fn ask<T>(
        &mut self,
        question: impl AsyncFnOnce(&mut MySqlConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T> {
        self.client.within(question(&mut self.connection)).await
    }

    /// Gives the connection back for the next call.
    pub(super) fn keep(self) {
        let Lease { connection, client, _permit } = self;
        client.with_idle(|idle| idle.push(connection));
    }
}

/// The number of the server's error. Its message may quote values, so it is left out.
#[derive(Debug, thiserror::Error)]
#[error("the server refused it with error {number}{}", state.as_deref().map(|s| format!(" ({s})")).unwrap_or_default())]
struct Refusal {
    number: u16,
    state: Option<String>,
}

/// What the revoker should do about an error of the library, by the numbers that MariaDB and MySQL share.
fn classify(error: sqlx::Error) -> Error {
    let server = match &error {
        sqlx::Error::Database(server) => server.downcast_ref::<MySqlDatabaseError>(),
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
            return Error::Unavailable(Box::new(error));
        }
        _ => return Error::Rejected(Box::new(error)),
    };
    let refusal = Box::new(Refusal { number: server.number(), state: server.code().map(str::to_owned) });
    match refusal.number {
        // the login, the database, a table, a column, a routine, a privilege
        1044 | 1045 | 1142 | 1143 | 1370 | 1227 | 1698 => Error::Unauthorized(refusal),
        // too many connections, out of resources, shutting down, lock waits and deadlocks, a killed or late query, read-only
        1040 | 1041 | 1053 | 1203 | 1205 | 1213 | 1226 | 1290 | 1317 | 1836 | 1927 | 1969 | 3024 => {
            Error::Unavailable(refusal)
        }
        _ => Error::Rejected(refusal),
    }
}
