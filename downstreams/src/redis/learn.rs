//! The session index of a store in Redis, by what a written key says: in a store that has none by user, whose session it is; in one that
//! has, in which spelling there is a user.

use std::{collections::BTreeSet, convert::Infallible};

use ::redis::{RedisError, Value};
use async_trait::async_trait;
use tokio::sync::mpsc::UnboundedSender;
use uuid::Uuid;

use super::{
    commands::{PAGE, Redis},
    follow::{Followed, Keys, follow},
    indexed::Indexed,
    layout,
    scan::{Finding, Scan, Seen, session},
    servers::Servers,
};
use crate::{Appeared, IndexState, Result, Session, SessionIndex, Subject, entries::Entries, subject::Wanted};

impl Followed for Scan {
    fn servers(&self) -> &Servers {
        &self.client.servers
    }

    fn entries(&self) -> &Entries {
        self.entries.as_ref().expect("`index` hands out what has entries")
    }

    fn keys(&self) -> Keys<'_> {
        Keys { template: &self.key, kind: self.format.kind(), written: self.format.written() }
    }

    async fn learn(
        &self,
        redis: &Redis,
        keys: &[Vec<u8>],
        appeared: &UnboundedSender<Appeared>,
    ) -> Result<(), RedisError> {
        let values = self.format.read(redis, keys).await?;
        for (key, value) in keys.iter().zip(&values) {
            if let (Some(id), Seen::Somebody(user)) = (self.key.gap(key), self.format.look(value)) {
                for who in self.entries().insert(&user, id) {
                    // Nobody listens any more when the process ends.
                    drop(appeared.send(Appeared { who, session: session(id) }));
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl SessionIndex for Scan {
    async fn known(&self, subjects: &[Subject]) -> Result<Vec<Vec<Session>>> {
        let ids: BTreeSet<String> = subjects.iter().flat_map(|subject| self.entries().of(subject)).collect();
        if ids.is_empty() {
            return Ok(vec![Vec::new(); subjects.len()]);
        }
        let keys: Vec<Vec<u8>> = ids.iter().map(|id| self.key.with(id).into_bytes()).collect();
        let (keys, wanted) = (&keys, &Wanted::new(subjects, self.matching));
        self.client
            .run(|redis| async move {
                let mut found = Finding::of(subjects.len());
                for keys in keys.chunks(PAGE) {
                    let values: Vec<Value> = self.format.read(&redis, keys).await?;
                    // It may be somebody else's by now, or never have been theirs.
                    self.pick(keys, &values, wanted, &mut found);
                }
                Ok(found.sessions)
            })
            .await
    }

    async fn follow(&self, appeared: &UnboundedSender<Appeared>) -> Result<Infallible> {
        follow(self, appeared).await
    }

    fn watch(&self, who: Uuid, subject: Option<&Subject>) {
        self.entries().watch(who, subject);
    }

    fn state(&self) -> IndexState {
        self.entries().state()
    }
}

impl Followed for Indexed {
    fn servers(&self) -> &Servers {
        &self.client.servers
    }

    fn entries(&self) -> &Entries {
        self.entries.as_ref().expect("`index` hands out what has entries")
    }

    fn keys(&self) -> Keys<'_> {
        Keys { template: self.layout.index(), kind: Some("set"), written: layout::WRITTEN }
    }

    async fn learn(
        &self,
        redis: &Redis,
        keys: &[Vec<u8>],
        appeared: &UnboundedSender<Appeared>,
    ) -> Result<(), RedisError> {
        let (mut watchers, mut indexes) = (Vec::new(), Vec::new());
        for name in keys.iter().filter_map(|key| self.layout.index().gap(key)) {
            let who = self.entries().insert(name, name);
            if !who.is_empty() {
                watchers.push(who);
                indexes.push(self.layout.index().with(name));
            }
        }
        // The name says whose index it is: what is in it matters only where somebody is watched.
        let ids = self.members(redis, &indexes.iter().collect::<Vec<_>>()).await?;
        let live = self.live(redis, &ids.iter().flatten().collect::<Vec<_>>()).await?;
        let found = watchers.iter().zip(&ids).flat_map(|(who, ids)| ids.iter().map(move |id| (who, id)));
        for ((who, id), _) in found.zip(live).filter(|(_, live)| *live) {
            for &who in who {
                // Nobody listens any more when the process ends.
                drop(appeared.send(Appeared { who, session: session(id) }));
            }
        }
        Ok(())
    }
}

#[async_trait]
impl SessionIndex for Indexed {
    async fn known(&self, subjects: &[Subject]) -> Result<Vec<Vec<Session>>> {
        let indexes = &self.spelled(self.entries(), &subjects.iter().collect::<Vec<_>>());
        self.client.run(|redis| async move { self.look(&redis, subjects, indexes).await }).await
    }

    async fn follow(&self, appeared: &UnboundedSender<Appeared>) -> Result<Infallible> {
        follow(self, appeared).await
    }

    fn watch(&self, who: Uuid, subject: Option<&Subject>) {
        self.entries().watch(who, subject);
    }

    fn state(&self) -> IndexState {
        self.entries().state()
    }
}
