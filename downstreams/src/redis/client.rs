//! The connections to Redis, opened when first needed and replaced when broken.

use std::{future::Future, time::Duration};

use ::redis::{IntoConnectionInfo, RedisConnectionInfo, RedisError};
use tokio::{sync::Mutex, time::timeout};

use super::{
    commands::{self, Redis},
    config::Tls,
    mapping, refusal,
    servers::{Lookup, Servers},
};
use crate::{BoxError, ConfigError, Error, Result, error::NoAnswer};

/// The library's own `ConnectionManager` would lose the call that notices a closed connection; here that call goes on
/// over a new one.
pub(crate) struct Client {
    pub(super) servers: Servers,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    /// Counts connections, so that a late failure of an old one does not throw away its successor.
    number: u64,
    redis: Option<Redis>,
}

struct Lease {
    redis: Redis,
    number: u64,
    reused: bool,
}

const CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";

impl Client {
    /// For one server, at the address of `url`.
    pub(crate) fn new(url: &str, tls: Option<&Tls>, timeout: Duration) -> Result<Self, ConfigError> {
        Self::of(url, tls, timeout, Lookup::Here)
    }

    pub(super) fn of(url: &str, tls: Option<&Tls>, timeout: Duration, lookup: Lookup) -> Result<Self, ConfigError> {
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
        let unusable = |source: BoxError| ConfigError::File { key: "tls.ca", source };
        let root = match tls {
            Some(_) if !url.starts_with("rediss://") => {
                return Err(ConfigError::Scheme { expected: "rediss://, as there is `tls`" });
            }
            Some(tls) => {
                let root = std::fs::read(&tls.ca).map_err(|cause| unusable(Box::new(cause)))?;
                // The library would trust nobody, and say so with every connection.
                if !root.windows(CERTIFICATE.len()).any(|window| window == CERTIFICATE) {
                    return Err(unusable("no certificate in PEM is in it".into()));
                }
                Some(root)
            }
            None => None,
        };
        let servers = Servers { info, root, login, timeout, lookup };
        servers.client(servers.info.addr()).map_err(|cause| match tls {
            Some(_) => unusable(Box::new(cause)),
            None => invalid(cause),
        })?;
        Ok(Self { servers, current: Mutex::default() })
    }

    /// Does `work` on the connections. If one that had been idle turns out to be closed, or slots to be elsewhere by now, once
    /// more on new ones: so `work` has to bear being repeated.
    pub(crate) async fn run<T, F>(&self, work: impl Fn(Redis) -> F) -> Result<T>
    where
        F: Future<Output = Result<T, RedisError>>,
    {
        let mut lease = self.lease().await?;
        let mut outcome = work(lease.redis.clone()).await;
        let outdated = |error: &RedisError| {
            error.is_connection_dropped() || (self.servers.are_a_cluster() && refusal::is_elsewhere(error))
        };
        if lease.reused && outcome.as_ref().is_err_and(outdated) {
            self.forget(lease.number).await;
            lease = self.lease().await?;
            outcome = work(lease.redis.clone()).await;
        }
        match outcome.map_err(|error| self.servers.classify(error)) {
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
        match self.run(|redis| async move { commands::info(&redis).await }).await {
            Ok(info) => Ok(mapping::product(&info)),
            // Nothing else needs the right to ask.
            Err(Error::Unauthorized(_) | Error::Rejected(_)) => Ok("Redis".into()),
            Err(error) => Err(error),
        }
    }

    async fn lease(&self) -> Result<Lease> {
        // Also bounds the wait behind another caller who is connecting.
        timeout(self.servers.timeout, async {
            let mut current = self.current.lock().await;
            if let Some(redis) = &current.redis {
                return Ok(Lease { redis: redis.clone(), number: current.number, reused: true });
            }
            let redis = self.servers.connect().await?;
            current.number += 1;
            current.redis = Some(redis.clone());
            Ok(Lease { redis, number: current.number, reused: false })
        })
        .await
        .map_err(|_| NoAnswer::after(self.servers.timeout))?
    }

    async fn forget(&self, number: u64) {
        let mut current = self.current.lock().await;
        if current.number == number {
            current.redis = None;
        }
    }
}
