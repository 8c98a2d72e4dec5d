#![doc = include_str!("README.md")]

mod client;
mod config;
mod mapping;
mod refusal;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use ::redis::{RedisError, Value, aio::MultiplexedConnection};
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, future::try_join, stream};
use lifecycle::Action;

use crate::{
    Capabilities, ConfigError, Downstream, Ending, Error, Finds, Match, Probe, Result, Session, SessionId, Subject,
    subject::Wanted,
};
use client::{Client, PAGE};
pub use config::{Config, Layout};
use mapping::Path;

/// Orders to delete that are on the wire at once.
const IN_FLIGHT: usize = 64;

/// A session store in Redis.
pub struct Redis {
    client: Client,
    prefix: String,
    pattern: String,
    path: Path,
    matching: Match,
}

impl Redis {
    /// The adapter, not yet connected.
    pub fn new(config: &Config, matching: Match) -> Result<Self, ConfigError> {
        if config.timeout.is_zero() {
            return Err(ConfigError::NoTimeout);
        }
        match config.layout {
            Layout::ConnectRedis => Ok(Self {
                client: Client::new(config.url.expose(), config.timeout)?,
                prefix: config.prefix.clone(),
                pattern: mapping::pattern(&config.prefix),
                path: Path::parse(&config.path)?,
                matching,
            }),
        }
    }

    /// The sessions of the wanted subjects among all of the store. While one page is read, the next is already asked
    /// for.
    async fn pass(
        &self,
        redis: MultiplexedConnection,
        wanted: &Wanted,
        subjects: usize,
    ) -> Result<Vec<Vec<Session>>, RedisError> {
        let mut found = vec![Vec::new(); subjects];
        let mut seen = HashSet::new();
        let (mut cursor, mut keys) = client::scan(redis.clone(), &self.pattern, 0).await?;
        loop {
            let next = async {
                match cursor {
                    0 => Ok(None),
                    _ => client::scan(redis.clone(), &self.pattern, cursor).await.map(Some),
                }
            };
            let (values, next) = try_join(client::read(redis.clone(), &keys), next).await?;
            for (key, value) in keys.iter().zip(&values) {
                let Value::BulkString(session) = value else { continue };
                let Some(user) = self.path.user(session) else { continue };
                let owners = wanted.who(&user);
                if let Some(id) = self.id(key)
                    && !owners.is_empty()
                    && seen.insert(id.to_owned())
                {
                    for &owner in owners {
                        found[owner].push(Session { id: SessionId::new(id), auth_time: None });
                    }
                }
            }
            match next {
                Some(page) => (cursor, keys) = page,
                None => return Ok(found),
            }
        }
    }

    /// The session id in a key. The application's keys are strings of JavaScript: one that is not UTF-8 is not its.
    fn id<'a>(&self, key: &'a [u8]) -> Option<&'a str> {
        std::str::from_utf8(key).ok()?.strip_prefix(&self.prefix)
    }

    fn keys<'a>(&'a self, sessions: &'a [SessionId]) -> impl Iterator<Item = String> + 'a {
        sessions.iter().map(|session| format!("{}{}", self.prefix, session.expose()))
    }
}

#[async_trait]
impl Downstream for Redis {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            finds: Finds::ScanOnly,
            // The library writes with an unconditional SET at the end of a request that changed its session.
            resurrects: true,
            knows_auth_time: false,
            actions: &[Action::RevokeSessions, Action::Lock],
        }
    }

    async fn find(&self, subjects: &[Subject]) -> Result<Vec<Vec<Session>>> {
        let wanted = &Wanted::new(subjects, self.matching);
        if wanted.is_empty() {
            return Ok(vec![Vec::new(); subjects.len()]);
        }
        self.client.run(|redis| self.pass(redis, wanted, subjects.len())).await
    }

    async fn end(&self, endings: &[Ending<'_>]) -> Result<Vec<u64>> {
        let mut orders = Vec::new();
        for (index, ending) in endings.iter().enumerate() {
            orders.extend(ending.sessions.chunks(PAGE).map(|sessions| (index, sessions)));
        }
        if orders.is_empty() {
            return Ok(vec![0; endings.len()]);
        }
        let order = |redis: MultiplexedConnection, at: usize| client::unlink(redis, self.keys(orders[at].1));
        let answers: Vec<u64> = self
            .client
            .run(|redis| {
                stream::iter(0..orders.len()).map(move |at| order(redis.clone(), at)).buffered(IN_FLIGHT).try_collect()
            })
            .await?;
        let mut ended = vec![0; endings.len()];
        for ((index, _), count) in orders.iter().zip(answers) {
            ended[*index] += count;
        }
        Ok(ended)
    }

    async fn probe(&self) -> Result<Probe> {
        let (sessions, users) = self
            .client
            .run(|redis| async move {
                let (_, keys) = client::scan(redis.clone(), &self.pattern, 0).await?;
                let values = client::read(redis.clone(), &keys).await?;
                let signed_in = |value: &&Value| matches!(value, Value::BulkString(s) if self.path.user(s).is_some());
                // A key that no session has: deleting it takes the right and the primary that `end` takes, and changes
                // nothing.
                client::unlink(redis, self.keys(&[SessionId::new("leaver:probe")])).await?;
                Ok((values.len(), values.iter().filter(signed_in).count()))
            })
            .await?;
        let store = match self.client.run(client::info).await {
            Ok(info) => mapping::product(&info),
            // Nothing else needs the right to ask.
            Err(Error::Unauthorized(_) | Error::Rejected(_)) => "Redis".into(),
            Err(error) => return Err(error),
        };
        let lost = sessions > 0 && users == 0;
        let notes = lost.then(|| format!("None of {sessions} sessions looked at has a user at `path`."));
        Ok(Probe { store, notes: notes.into_iter().collect() })
    }
}
