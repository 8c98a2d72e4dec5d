//! Real stores, filled as their applications fill them, for the conformance table.

pub mod authjs;
mod database;
pub mod django;
mod flask;
pub mod generic;
pub mod keycloak;
pub mod keys;
pub mod laravel;
pub mod mariadb;
pub mod redis;
pub mod spring;
pub mod spring_jdbc;
pub mod sql;
pub mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use downstreams::{Config, Downstream, Ending, Match, Session, SessionId, Subject};
use serde_json::{Value, json};

/// A store that a test has to itself.
#[async_trait]
pub trait Store: Send + Sync {
    fn name(&self) -> &'static str;

    /// The adapter's configuration for it.
    fn config(&self) -> Value;

    /// Some users it can hold, different from each other.
    fn users(&self) -> [&'static str; 3];

    /// Signs `user` in and returns the id of the session.
    async fn sign_in(&self, user: &str) -> String;

    /// Writes a session as a request in flight does.
    async fn write_back(&self, id: &str, user: &str);

    /// Whether a test can have an ended session come back when it wants to.
    fn can_write_back(&self) -> bool {
        true
    }

    /// The id that a session has once it is written back.
    fn comes_back_as(&self, id: &str) -> String {
        id.to_owned()
    }

    /// The ids of all sessions, sorted.
    async fn ids(&self) -> Vec<String>;

    /// An address with a login that may look for sessions but not end them.
    async fn url_that_may_only_read(&self) -> String;

    /// The rights over its keys that the manual names, for a store in Redis.
    fn rights(&self) -> Option<Rights<'_>> {
        None
    }

    async fn remove(&self);

    /// The configuration with which `match: ignore_case` finds every spelling.
    fn folded(&self) -> Value {
        self.config()
    }

    fn adapter(&self) -> Arc<dyn Downstream> {
        self.adapter_with(json!({}))
    }

    fn adapter_with(&self, with: Value) -> Arc<dyn Downstream> {
        build(self.config(), with, Match::Exact)
    }

    fn url(&self) -> String {
        self.config()["url"].as_str().unwrap().to_owned()
    }

    /// The address with another host and port.
    fn url_at(&self, address: std::net::SocketAddr) -> String {
        let mut url = url::Url::parse(&self.url()).unwrap();
        url.set_host(Some(&address.ip().to_string())).unwrap();
        url.set_port(Some(address.port())).unwrap();
        url.into()
    }

    /// The address with another login.
    fn url_as(&self, user: &str, password: &str) -> String {
        login(&self.url(), user, password)
    }
}

/// What a login of a store in Redis may do.
pub struct Rights<'a> {
    pub keys: &'a keys::Keys,
    pub commands: &'static [&'static str],
}

/// The table: one line per adapter and kind of id.
pub async fn all() -> Vec<Box<dyn Store>> {
    let mut stores = textual().await;
    stores.push(Box::new(redis::Redis::with_numbers().await));
    stores.push(Box::new(sql::Sql::create("sql, int4 and int8", "int4", "int8").await));
    stores.push(Box::new(sql::Sql::create("sql, uuid and int4", "uuid", "int4").await));
    stores.push(Box::new(mariadb::MariaDb::create(mariadb::Of::Numbers).await));
    stores.push(Box::new(authjs::Authjs::create(false).await));
    stores.push(Box::new(laravel::Laravel::create(false).await));
    stores.push(Box::new(keycloak::Keycloak::create().await));
    stores
}

/// Those that keep users as text, so that a user may have any name.
pub async fn textual() -> Vec<Box<dyn Store>> {
    vec![
        Box::new(redis::Redis::with_names().await),
        Box::new(flask::Flask::create(false).await),
        Box::new(flask::Flask::create(true).await),
        Box::new(redis::Redis::of_cluster().await),
        Box::new(redis::Redis::of_sentinel().await),
        Box::new(redis::Redis::with_index().await),
        Box::new(redis::Redis::of_cluster_with_index().await),
        Box::new(generic::Generic::create().await),
        Box::new(generic::Generic::of_cluster().await),
        Box::new(spring::Spring::create(true).await),
        Box::new(spring::Spring::create(false).await),
        Box::new(spring::Spring::of_cluster().await),
        Box::new(spring_jdbc::SpringJdbc::create().await),
        Box::new(django::Django::create(false).await),
        Box::new(django::Django::create(true).await),
        Box::new(authjs::Authjs::create(true).await),
        Box::new(laravel::Laravel::create(true).await),
        Box::new(mariadb::MariaDb::create(mariadb::Of::Text).await),
        Box::new(mariadb::MariaDb::create(mariadb::Of::Spring).await),
        Box::new(mariadb::MariaDb::create(mariadb::Of::Laravel).await),
        Box::new(sql::Sql::create("sql, text", "text", "text").await),
        Box::new(sql::Sql::create("sql, varchar and uuid", "varchar(80)", "uuid").await),
    ]
}

pub fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run make services"))
}

pub fn unique() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// The adapter for `config` with some of its keys replaced.
pub fn build(config: Value, with: Value, matching: Match) -> Arc<dyn Downstream> {
    let mut config = config;
    for (key, value) in with.as_object().unwrap() {
        config[key] = value.clone();
    }
    serde_json::from_value::<Config>(config).unwrap().build(matching).unwrap()
}

pub fn login(url: &str, user: &str, password: &str) -> String {
    let mut url = url::Url::parse(url).unwrap();
    url.set_username(user).unwrap();
    url.set_password(Some(password)).unwrap();
    url.into()
}

/// The ids of found sessions, sorted.
pub fn ids(sessions: &[Session]) -> Vec<String> {
    let mut ids: Vec<_> = sessions.iter().map(|session| session.id.expose().to_owned()).collect();
    ids.sort();
    ids
}

pub fn sorted(ids: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut ids: Vec<_> = ids.into_iter().collect();
    ids.sort();
    ids
}

/// What is found for one subject by one value.
pub async fn find(adapter: &dyn Downstream, user: &str) -> downstreams::Result<Vec<Session>> {
    Ok(adapter.find(&[Subject::new([user])]).await?.remove(0))
}

/// Ends `sessions` of one subject and returns how many were there.
pub async fn end(adapter: &dyn Downstream, user: &str, sessions: &[Session]) -> downstreams::Result<u64> {
    let sessions: Vec<SessionId> = sessions.iter().map(|session| session.id.clone()).collect();
    let subject = Subject::new([user]);
    Ok(adapter.end(&[Ending { subject: &subject, sessions: &sessions }]).await?[0])
}

/// An error with all its causes, as a log would show it.
pub fn chain(error: &downstreams::Error) -> String {
    let mut text = format!("{error:?}");
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
