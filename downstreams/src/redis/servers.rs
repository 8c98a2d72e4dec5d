//! Which servers hold the keys, and how we get in: one at its address, the primary that Sentinel names, or every primary of a
//! cluster. Looked up anew for each new connection, so a failover costs no more than a broken connection does.

use std::{sync::Arc, time::Duration};

use ::redis::{
    AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, ProtocolVersion, RedisConnectionInfo, RedisError,
    TlsCertificates, Value,
    aio::{MultiplexedConnection, PubSub},
    cmd, from_redis_value_ref,
};
use futures::{StreamExt, future::try_join_all, stream::FuturesUnordered};
use tokio::time::timeout;

use super::{
    commands::Redis,
    refusal::{self, classify},
    slots::{Address, Slots},
};
use crate::{Error, Result, error::NoAnswer};

pub(super) struct Servers {
    /// With the address of `url`, and without its login.
    pub(super) info: ConnectionInfo,
    /// Authorities to trust, and no others.
    pub(super) root: Option<Vec<u8>>,
    pub(super) login: RedisConnectionInfo,
    pub(super) timeout: Duration,
    pub(super) lookup: Lookup,
}

/// Whom to ask, beside the address of `url`, where the keys are.
pub(super) enum Lookup {
    /// Nobody: they are there.
    Here,
    Sentinel {
        others: Vec<Address>,
        master: String,
        password: Option<String>,
    },
    Cluster {
        others: Vec<Address>,
    },
}

/// Where the keys are: at one server, or at the primaries of a cluster, in the order in which its slots number them.
pub(super) struct Places {
    pub(super) primaries: Vec<ConnectionAddr>,
    slots: Option<Arc<Slots>>,
}

/// What cannot be as it is configured, or is on its way to being otherwise.
#[derive(Debug, thiserror::Error)]
enum Misled {
    #[error("Sentinel knows no primary of the name that `master` says")]
    UnknownMaster,
    /// A failover has begun, or Sentinel has not heard of its end.
    #[error("the server that Sentinel names is not, or not yet, the primary")]
    NotPrimary,
    #[error("the keys are at other servers by now")]
    Elsewhere,
}

impl Places {
    /// Whether the keys have stayed where they were. A node of a cluster is known by its id: each may call the others by other
    /// addresses.
    fn are_still(&self, now: &Places) -> bool {
        match (&self.slots, &now.slots) {
            (Some(slots), Some(now)) => slots == now,
            _ => self.primaries == now.primaries,
        }
    }
}

impl Servers {
    pub(super) fn are_a_cluster(&self) -> bool {
        matches!(self.lookup, Lookup::Cluster { .. })
    }

    pub(super) async fn connect(&self) -> Result<Redis> {
        self.connect_to(&self.places().await?).await
    }

    pub(super) async fn connect_to(&self, places: &Places) -> Result<Redis> {
        let mut servers = try_join_all(places.primaries.iter().map(|primary| self.sign_in(primary))).await?;
        if let (Lookup::Sentinel { .. }, [server]) = (&self.lookup, &mut servers[..]) {
            // What a replica lacks would count as gone.
            let role: Vec<Value> = cmd("ROLE").query_async(server).await.map_err(classify)?;
            match role.first().map(from_redis_value_ref::<String>) {
                Some(Ok(role)) if role == "master" => {}
                _ => return Err(Error::Unavailable(Box::new(Misled::NotPrimary))),
            }
        }
        Ok(Redis::of(servers, places.slots.clone()))
    }

    /// Where the keys are now.
    pub(super) async fn places(&self) -> Result<Places> {
        match &self.lookup {
            Lookup::Here => Ok(Places { primaries: vec![self.info.addr().clone()], slots: None }),
            Lookup::Sentinel { others, master, password } => {
                let primary =
                    self.first(others, |sentinel| self.primary(sentinel, master, password.as_deref())).await?;
                Ok(Places { primaries: vec![self.at(primary)], slots: None })
            }
            Lookup::Cluster { others } => {
                let (slots, primaries) = self.first(others, |node| self.slots(node)).await?;
                let primaries = primaries.into_iter().map(|primary| self.at(primary)).collect();
                Ok(Places { primaries, slots: Some(Arc::new(slots)) })
            }
        }
    }

    /// # Errors
    /// If the keys are no longer where they were.
    pub(super) async fn have_stayed(&self, places: &Places) -> Result<()> {
        match places.are_still(&self.places().await?) {
            true => Ok(()),
            false => Err(Error::Unavailable(Box::new(Misled::Elsewhere))),
        }
    }

    /// What the revoker should do about an error of these servers.
    pub(super) fn classify(&self, error: RedisError) -> Error {
        refusal::of_cluster(error, self.are_a_cluster())
    }

    /// A connection of its own that hears what the server at `place` says on `channel`.
    pub(super) async fn listen(&self, place: &ConnectionAddr, channel: &str) -> Result<PubSub> {
        // The library signs in here; that our login is right, and the server not full, was seen a moment before.
        let login = self.login.clone().set_db(0).set_protocol(ProtocolVersion::RESP2).set_skip_set_lib_name();
        let client = self.client_of(self.info.clone().set_redis_settings(login), place).map_err(classify)?;
        timeout(self.timeout, async {
            let mut events = client.get_async_pubsub().await.map_err(classify)?;
            events.subscribe(channel).await.map_err(classify)?;
            Ok(events)
        })
        .await
        .map_err(|_| NoAnswer::after(self.timeout))?
    }

    /// The first good answer of those that are asked, all at once. Failing that, the failure that somebody has to mend,
    /// if there is one.
    async fn first<T, F: Future<Output = Result<T>>>(
        &self,
        others: &[Address],
        ask: impl Fn(ConnectionAddr) -> F,
    ) -> Result<T> {
        let others = others.iter().map(|other| self.at(other.clone()));
        let mut answers: FuturesUnordered<_> =
            std::iter::once(self.info.addr().clone()).chain(others).map(ask).collect();
        let mut failure = None;
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(answer) => return Ok(answer),
                Err(error) if failure.as_ref().is_none_or(|e| matches!(e, Error::Unavailable(_))) => {
                    failure = Some(error);
                }
                Err(_) => {}
            }
        }
        Err(failure.expect("the address of `url` was asked"))
    }

    async fn primary(&self, sentinel: ConnectionAddr, master: &str, password: Option<&str>) -> Result<Address> {
        let mut sentinel = self.open(&sentinel).await?;
        if let Some(password) = password {
            sign_in(&mut sentinel, None, password).await?;
        }
        let address: Option<Address> = cmd("SENTINEL")
            .arg("GET-MASTER-ADDR-BY-NAME")
            .arg(master)
            .query_async(&mut sentinel)
            .await
            .map_err(classify)?;
        address.ok_or_else(|| Error::Rejected(Box::new(Misled::UnknownMaster)))
    }

    async fn slots(&self, node: ConnectionAddr) -> Result<(Slots, Vec<Address>)> {
        let mut connection = self.sign_in(&node).await?;
        let answer: Value = cmd("CLUSTER").arg("SLOTS").query_async(&mut connection).await.map_err(classify)?;
        let (slots, mut primaries) = Slots::read(&answer).map_err(classify)?;
        // A node that was never told its own address leaves it out.
        for (host, _) in primaries.iter_mut().filter(|(host, _)| host.is_empty()) {
            if let ConnectionAddr::Tcp(known, _) | ConnectionAddr::TcpTls { host: known, .. } = &node {
                host.clone_from(known);
            }
        }
        Ok((slots, primaries))
    }

    /// Another address, spoken to as the one of `url` is.
    fn at(&self, (host, port): Address) -> ConnectionAddr {
        match self.info.addr() {
            ConnectionAddr::TcpTls { insecure, .. } => {
                ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: None }
            }
            _ => ConnectionAddr::Tcp(host, port),
        }
    }

    /// Before any connection: whether the certificates can be used.
    pub(super) fn client(&self, address: &ConnectionAddr) -> Result<::redis::Client, RedisError> {
        self.client_of(self.info.clone(), address)
    }

    fn client_of(&self, info: ConnectionInfo, address: &ConnectionAddr) -> Result<::redis::Client, RedisError> {
        let info = info.set_addr(address.clone());
        match &self.root {
            Some(root) => {
                let certificates = TlsCertificates { client_tls: None, root_cert: Some(root.clone()) };
                ::redis::Client::build_with_tls(info, certificates)
            }
            None => ::redis::Client::open(info),
        }
    }

    async fn open(&self, address: &ConnectionAddr) -> Result<MultiplexedConnection> {
        // The library's default of 500 ms would be shorter than a busy server's pauses.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout))
            .set_response_timeout(Some(self.timeout));
        let client = self.client(address).map_err(classify)?;
        client.get_multiplexed_async_connection_with_config(&config).await.map_err(classify)
    }

    async fn sign_in(&self, address: &ConnectionAddr) -> Result<MultiplexedConnection> {
        let mut connection = self.open(address).await?;
        if let Some(password) = self.login.password() {
            sign_in(&mut connection, self.login.username(), password).await?;
        }
        if self.login.db() != 0 {
            cmd("SELECT").arg(self.login.db()).exec_async(&mut connection).await.map_err(classify)?;
        }
        Ok(connection)
    }
}

async fn sign_in(connection: &mut MultiplexedConnection, user: Option<&str>, password: &str) -> Result<()> {
    let mut auth = cmd("AUTH");
    if let Some(user) = user {
        auth.arg(user);
    }
    auth.arg(password).exec_async(connection).await.map_err(|error| match classify(error) {
        Error::Rejected(cause) => Error::Unauthorized(cause),
        other => other,
    })
}
