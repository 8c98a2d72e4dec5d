//! A few connections to PostgreSQL, opened when needed and kept while they are sound.

use std::{
    future::Future,
    str::FromStr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::refusal::classify;
use crate::{ConfigError, Result, error::NoAnswer};

/// Calls that may be on the way at once: the urgent ones beside a pass over many.
const CONNECTIONS: usize = 4;

/// The library's own pool retries a refused connection until its timeout, and then reports only that it timed out; the
/// revoker wants to know at once, and why.
pub(super) struct Client {
    options: PgConnectOptions,
    timeout: Duration,
    permits: Semaphore,
    idle: Mutex<Vec<PgConnection>>,
}

/// A connection for one call. Unless [`keep`](Self::keep) is called it is closed: after an error or an abandoned call
/// nobody knows what is still on the wire.
pub(super) struct Lease<'a> {
    connection: PgConnection,
    client: &'a Client,
    _permit: SemaphorePermit<'a>,
}

impl Client {
    pub(super) fn new(url: &str, timeout: Duration) -> Result<Self, ConfigError> {
        // The library would take any other scheme for PostgreSQL.
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(ConfigError::Scheme { expected: "postgres:// or mysql://" });
        }
        let options = PgConnectOptions::from_str(url)
            .map_err(|cause| ConfigError::Url(Box::new(cause)))?
            .application_name("leaver")
            // The server, too, stops what nobody waits for any longer.
            .options([("statement_timeout", format!("{}ms", timeout.as_millis().max(1)))])
            .disable_statement_logging();
        Ok(Self { options, timeout, permits: Semaphore::new(CONNECTIONS), idle: Mutex::default() })
    }

    /// A connection that has just answered.
    pub(super) async fn lease(&self) -> Result<Lease<'_>> {
        self.within(async {
            let permit = self.permits.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
            if let Some(mut connection) = self.take() {
                if connection.ping().await.is_ok() {
                    return Ok(Lease { connection, client: self, _permit: permit });
                }
                // What closed this one has closed the others.
                self.with_idle(Vec::clear);
            }
            let connection = PgConnection::connect_with(&self.options).await?;
            Ok(Lease { connection, client: self, _permit: permit })
        })
        .await
    }

    fn take(&self) -> Option<PgConnection> {
        self.with_idle(Vec::pop)
    }

    fn with_idle<T>(&self, f: impl FnOnce(&mut Vec<PgConnection>) -> T) -> T {
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
        question: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T> {
        self.client.within(question(&mut self.connection)).await
    }

    /// Gives the connection back for the next call.
    pub(super) fn keep(self) {
        let Lease { connection, client, _permit } = self;
        client.with_idle(|idle| idle.push(connection));
    }
}
