//! One connection to Redis, opened when first needed and replaced when broken, and the commands that we send over it.

use std::{future::Future, time::Duration};

use ::redis::{
    AsyncConnectionConfig, IntoConnectionInfo, Pipeline, RedisConnectionInfo, RedisError, TlsCertificates, Value,
    aio::MultiplexedConnection, cmd,
};
use tokio::{sync::Mutex, time::timeout};

use super::{config::Tls, mapping, refusal::classify};
use crate::{BoxError, ConfigError, Error, Result, error::NoAnswer};

/// The library's own `ConnectionManager` would lose the call that notices a closed connection; here that call goes on
/// over a new one.
pub(crate) struct Client {
    server: ::redis::Client,
    login: RedisConnectionInfo,
    timeout: Duration,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    /// Counts connections, so that a late failure of an old one does not throw away its successor.
    number: u64,
    connection: Option<MultiplexedConnection>,
}

struct Lease {
    connection: MultiplexedConnection,
    number: u64,
    reused: bool,
}

const CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";

impl Client {
    pub(crate) fn new(url: &str, tls: Option<&Tls>, timeout: Duration) -> Result<Self, ConfigError> {
        if timeout.is_zero() {
            return Err(ConfigError::NoTimeout);
        }
        let invalid = |cause: RedisError| ConfigError::Url(Box::new(cause));
        let info = url.into_connection_info().map_err(invalid)?;
        // We sign in ourselves: the library would report every failure of it, a full server too, as a wrong password.
        // Nor does it need the right to CLIENT SETINFO.
        let login = info.redis_settings().clone();
        let info = info
            .set_redis_settings(RedisConnectionInfo::default().set_protocol(login.protocol()).set_skip_set_lib_name());
        let server = match tls {
            Some(_) if !url.starts_with("rediss://") => {
                return Err(ConfigError::Scheme { expected: "rediss://, as there is `tls`" });
            }
            Some(tls) => {
                let unusable = |source: BoxError| ConfigError::File { key: "tls.ca", source };
                let root = std::fs::read(&tls.ca).map_err(|cause| unusable(Box::new(cause)))?;
                // The library would trust nobody, and say so with every connection.
                if !root.windows(CERTIFICATE.len()).any(|window| window == CERTIFICATE) {
                    return Err(unusable("no certificate in PEM is in it".into()));
                }
                let certificates = TlsCertificates { client_tls: None, root_cert: Some(root) };
                ::redis::Client::build_with_tls(info, certificates).map_err(|cause| unusable(Box::new(cause)))?
            }
            None => ::redis::Client::open(info).map_err(invalid)?,
        };
        Ok(Self { server, login, timeout, current: Mutex::default() })
    }

    /// Does `work` on the connection. If a connection that had been idle turns out to be closed, once more on a new
    /// one: so `work` has to bear being repeated.
    pub(crate) async fn run<T, F>(&self, work: impl Fn(MultiplexedConnection) -> F) -> Result<T>
    where
        F: Future<Output = Result<T, RedisError>>,
    {
        let mut lease = self.lease().await?;
        let mut outcome = work(lease.connection.clone()).await;
        if lease.reused && outcome.as_ref().is_err_and(RedisError::is_connection_dropped) {
            self.forget(lease.number).await;
            lease = self.lease().await?;
            outcome = work(lease.connection.clone()).await;
        }
        match outcome.map_err(classify) {
            // Silent, no longer the primary, or signed out: the next call looks up the address and signs in anew.
            Err(error @ (Error::Unavailable(_) | Error::Unauthorized(_))) => {
                self.forget(lease.number).await;
                Err(error)
            }
            other => other,
        }
    }

    /// Product and version; only the product where we may not ask.
    pub(crate) async fn product(&self) -> Result<String> {
        match self.run(info).await {
            Ok(info) => Ok(mapping::product(&info)),
            // Nothing else needs the right to ask.
            Err(Error::Unauthorized(_) | Error::Rejected(_)) => Ok("Redis".into()),
            Err(error) => Err(error),
        }
    }

    async fn lease(&self) -> Result<Lease> {
        // Also bounds the wait behind another caller who is connecting.
        timeout(self.timeout, async {
            let mut current = self.current.lock().await;
            if let Some(connection) = &current.connection {
                return Ok(Lease { connection: connection.clone(), number: current.number, reused: true });
            }
            let connection = self.connect().await?;
            current.number += 1;
            current.connection = Some(connection.clone());
            Ok(Lease { connection, number: current.number, reused: false })
        })
        .await
        .map_err(|_| NoAnswer::after(self.timeout))?
    }

    async fn connect(&self) -> Result<MultiplexedConnection> {
        // The library's default of 500 ms would be shorter than a busy server's pauses.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout))
            .set_response_timeout(Some(self.timeout));
        let mut connection =
            self.server.get_multiplexed_async_connection_with_config(&config).await.map_err(classify)?;
        if let Some(password) = self.login.password() {
            let mut auth = cmd("AUTH");
            if let Some(user) = self.login.username() {
                auth.arg(user);
            }
            auth.arg(password).exec_async(&mut connection).await.map_err(|error| match classify(error) {
                Error::Rejected(cause) => Error::Unauthorized(cause),
                other => other,
            })?;
        }
        if self.login.db() != 0 {
            cmd("SELECT").arg(self.login.db()).exec_async(&mut connection).await.map_err(classify)?;
        }
        Ok(connection)
    }

    async fn forget(&self, number: u64) {
        let mut current = self.current.lock().await;
        if current.number == number {
            current.connection = None;
        }
    }
}

/// Keys asked for, read or deleted at a time: few round trips, and no pause that other clients of the server would
/// feel.
pub(crate) const PAGE: usize = 1000;

/// One page of the keys that fit `pattern` and are of that type, if any; the cursor is 0 again after the last. A key
/// may be returned more than once.
pub(super) async fn scan(
    mut redis: MultiplexedConnection,
    pattern: &str,
    kind: Option<&str>,
    cursor: u64,
) -> Result<(u64, Vec<Vec<u8>>), RedisError> {
    let mut order = cmd("SCAN");
    order.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(PAGE);
    if let Some(kind) = kind {
        order.arg("TYPE").arg(kind);
    }
    order.query_async(&mut redis).await
}

/// Some of the keys that fit: enough to judge by, of as much of the store as may be walked over for that.
pub(super) async fn sample(
    redis: MultiplexedConnection,
    pattern: &str,
    kind: Option<&str>,
) -> Result<Vec<Vec<u8>>, RedisError> {
    let (mut cursor, mut sample) = (0, Vec::new());
    for _ in 0..20 {
        let (next, keys) = scan(redis.clone(), pattern, kind, cursor).await?;
        sample.extend(keys);
        if next == 0 || sample.len() >= PAGE / 10 {
            break;
        }
        cursor = next;
    }
    sample.sort();
    sample.dedup();
    Ok(sample)
}

/// The answers to all commands of a pipeline, unless one of them is a refusal.
pub(crate) async fn ask(mut redis: MultiplexedConnection, mut commands: Pipeline) -> Result<Vec<Value>, RedisError> {
    if commands.is_empty() {
        return Ok(Vec::new());
    }
    // Otherwise the library would answer with an error of its own, without the server's code.
    let answers: Vec<Result<Value, RedisError>> = commands.ignore_errors().query_async(&mut redis).await?;
    answers.into_iter().collect()
}

/// The values of `keys`, in their order; `Nil` for what is gone by now or is no string.
pub(super) async fn read(mut redis: MultiplexedConnection, keys: &[Vec<u8>]) -> Result<Vec<Value>, RedisError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    cmd("MGET").arg(keys).query_async(&mut redis).await
}

/// Deletes `keys` and says how many were there.
pub(crate) async fn unlink(
    mut redis: MultiplexedConnection,
    keys: impl Iterator<Item = String>,
) -> Result<u64, RedisError> {
    let mut order = cmd("UNLINK");
    for key in keys {
        order.arg(key);
    }
    order.query_async(&mut redis).await
}

/// What the server says of itself: lines of `name:value`.
async fn info(mut redis: MultiplexedConnection) -> Result<String, RedisError> {
    cmd("INFO").arg("server").query_async(&mut redis).await
}
