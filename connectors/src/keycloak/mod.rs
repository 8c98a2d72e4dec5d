#![doc = include_str!("README.md")]

mod client;
mod config;
mod events;
mod mapping;
mod realm;
mod refusal;
mod snapshot;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, future::try_join, stream};
use lifecycle::{AccountFacts, Change};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Mutex;

pub use config::{Config, Map};

use self::{
    client::Client,
    events::{Changed, Lost, Position},
    mapping::{Groups, User},
    realm::Realm,
    snapshot::Snapshot,
};
use crate::{Batch, Budget, Checkpoint, Coverage, Error, Pull, Result};

const VIEW_USERS: &str = "view-users";
const VIEW_EVENTS: &str = "view-events";
const VIEW_CLIENTS: &str = "view-clients";

/// Single users asked for at once.
const IN_FLIGHT: usize = 16;

/// Changed users in one batch, more or less: events are not divided.
const BATCH: usize = 1_000;

/// The users of a realm: a snapshot by pages, and after it what admin events tell.
pub(crate) struct Keycloak {
    realm: Realm,
    /// The snapshot under way, too large to stand in checkpoints: those name its number.
    snapshot: Mutex<Option<Snapshot>>,
    numbers: std::sync::atomic::AtomicU64,
}

/// What our checkpoints hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum At {
    /// Within a snapshot, which lasts no longer than a run.
    Page { snapshot: u64, first: usize },
    /// Everything is known up to here; `None` where admin events are not saved.
    Events(Option<Position>),
}

/// A snapshot during which something happened that may hide people from it.
#[derive(Debug, thiserror::Error)]
#[error("while users were read, {0}")]
struct Unsettled(&'static str);

impl At {
    fn checkpoint(&self) -> Checkpoint {
        Checkpoint(json!(self))
    }
}

impl Keycloak {
    /// # Errors
    /// [`Error::Malformed`] where a setting can never work.
    pub fn new(config: Config, budget: Option<Arc<dyn Budget>>) -> Result<Self> {
        let client = Client::new(&config, budget)?;
        Ok(Self { realm: Realm { client, config }, snapshot: Mutex::default(), numbers: Default::default() })
    }

    async fn begin(&self) -> Result<Batch> {
        // The list of users is empty, and not forbidden, for those who may not see anybody.
        self.realm.ourselves().await?;
        let number = self.numbers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut snapshot = Snapshot::begin(&self.realm, number).await?;
        let mut batch = self.realm.users(&mut snapshot, 0).await?;
        if batch.more {
            batch.groups = snapshot.groups();
        }
        *self.snapshot.lock().await = batch.more.then_some(snapshot);
        Ok(batch)
    }

    async fn proceed(&self, number: u64, first: usize) -> Result<Batch> {
        let mut current = self.snapshot.lock().await;
        let snapshot = current.as_mut().filter(|snapshot| snapshot.number == number).ok_or(Error::CheckpointExpired)?;
        let batch = self.realm.users(snapshot, first).await?;
        if !batch.more {
            *current = None;
        }
        Ok(batch)
    }
}

impl Realm {
    /// One page of a snapshot; with the last come the service accounts, and whoever changed since the first.
    async fn users(&self, snapshot: &mut Snapshot, first: usize) -> Result<Batch> {
        let (users, next) = snapshot.page(self, first).await?;
        let mut changes: Vec<Change> = Vec::with_capacity(users.len());
        for user in users {
            let groups = snapshot.groups_of(&user.id);
            changes.push(Change::Account(mapping::facts(user, groups, &self.config.map)));
        }
        if let Some(first) = next {
            let next = At::Page { snapshot: snapshot.number, first }.checkpoint();
            return Ok(batch(changes, Coverage::Snapshot, next, true));
        }
        snapshot.check(self).await?;
        let groups = self.groups().await?;
        let mut also = if self.config.service_accounts { self.service_accounts().await? } else { BTreeSet::new() };
        if let Some(begun) = &snapshot.begun {
            // Somebody renamed may have moved from a page to come to one that was read.
            let (read, _) = self.events_since(begun, usize::MAX).await?;
            let Changed { users, lost } = events::changed(&read, begun, "");
            // Groups are read anew by the next pull, which finds the same.
            if let Some(lost @ (Lost::Expired | Lost::Realm)) = lost {
                return Err(Error::Unavailable(Box::new(Unsettled(lost.as_str()))));
            }
            also.extend(users);
        }
        let known = self.each(also, &groups).await?;
        // Who is gone by now was not named, and so is missing.
        changes.extend(known.into_iter().filter_map(|(_, facts)| facts).map(Change::Account));
        let next = At::Events(snapshot.begun.clone()).checkpoint();
        Ok(Batch { groups: groups.facts(), ..batch(changes, Coverage::Snapshot, next, false) })
    }

    /// What changed after `position`.
    async fn changes(&self, position: &Position) -> Result<Batch> {
        if !self.events_are_saved().await? {
            tracing::warn!(realm = self.config.realm, "admin events are not saved, so all users are read");
            return Err(Error::CheckpointExpired);
        }
        let ourselves = self.ourselves().await?;
        let (read, more) = self.events_since(position, BATCH).await?;
        let Changed { users, lost } = events::changed(&read, position, &ourselves);
        if let Some(lost) = lost {
            tracing::info!(realm = self.config.realm, why = lost.as_str(), "all users are read");
            return Err(Error::CheckpointExpired);
        }
        let groups = if users.is_empty() { Groups::default() } else { self.groups().await? };
        let changes = self.each(users, &groups).await?.into_iter().map(|(native_id, facts)| match facts {
            Some(facts) => Change::Account(facts),
            None => Change::Deleted { native_id },
        });
        let next = At::Events(Some(position.after(&read))).checkpoint();
        Ok(Batch { groups: groups.facts(), ..batch(changes.collect(), Coverage::Delta, next, more) })
    }

    /// What is known of each of these, asked for one by one; `None` for those who are not there.
    async fn each(&self, users: BTreeSet<String>, groups: &Groups) -> Result<Vec<(String, Option<AccountFacts>)>> {
        let users: Vec<String> = users.into_iter().collect();
        let one = |id: String| async move {
            let facts = self.one(&id, groups).await?;
            Ok((id, facts))
        };
        stream::iter(users).map(one).buffered(IN_FLIGHT).try_collect().await
    }

    async fn one(&self, id: &str, groups: &Groups) -> Result<Option<AccountFacts>> {
        let path = ["users", id];
        let user = self.client.get::<User>(&path, &[], VIEW_USERS);
        let (user, direct) = try_join(user, self.direct(id)).await?;
        // Gone between the two answers is gone; it is not there without any group.
        Ok(user.zip(direct).map(|(user, direct)| {
            let names = direct.iter().flat_map(|group| groups.names(&group.id)).map(str::to_owned).collect();
            mapping::facts(user, names, &self.config.map)
        }))
    }
}

fn batch(changes: Vec<Change>, coverage: Coverage, next: Checkpoint, more: bool) -> Batch {
    Batch { changes, coverage, parked: Vec::new(), seen_only: Vec::new(), groups: Vec::new(), next, more }
}

#[async_trait]
impl Pull for Keycloak {
    async fn pull(&self, since: Option<&Checkpoint>) -> Result<Batch> {
        let Some(Checkpoint(value)) = since else { return self.begin().await };
        match At::deserialize(value) {
            Ok(At::Page { snapshot, first }) => self.proceed(snapshot, first).await,
            Ok(At::Events(Some(position))) => self.realm.changes(&position).await,
            // Somebody else's checkpoint, or events were not saved when it was made.
            Ok(At::Events(None)) | Err(_) => Err(Error::CheckpointExpired),
        }
    }

    async fn probe(&self) -> Result<String> {
        self.realm.ourselves().await?;
        if self.realm.config.service_accounts {
            self.realm.service_accounts().await?;
        }
        let (saved, users) = try_join(self.realm.events_are_saved(), self.realm.count()).await?;
        let realm = &self.realm.config.realm;
        let noun = if users == 1 { "user" } else { "users" };
        let events =
            if saved { "admin events are saved" } else { "admin events are not saved, so every read is a full one" };
        Ok(format!("realm {realm}, {users} {noun}, {events}"))
    }
}
