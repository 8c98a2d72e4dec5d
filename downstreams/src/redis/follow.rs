//! The session index of a store in Redis: what the server tells of keys that are written, and walks at leisure over all of them.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    time::{Duration, Instant},
};

use ::redis::{
    ConnectionAddr, RedisError, Value,
    aio::{PubSub, PubSubSink, PubSubStream},
};
use async_trait::async_trait;
use futures::StreamExt;
use tokio::{
    sync::mpsc::UnboundedSender,
    time::{sleep, timeout},
};
use uuid::Uuid;

use super::{
    commands::{self, Cursor, PAGE, Redis},
    refusal::classify,
    scan::{Finding, Format, Scan, Seen, session},
};
use crate::{
    Appeared, Error, IndexState, Result, Session, SessionIndex, Subject, entries::Entries, error::NoAnswer,
    subject::Wanted,
};

/// Sessions that a walk reads at a time: few, for what was written a moment ago must not wait behind them.
const STRIDE: usize = 100;

/// How long a whole walk is good for where the server tells of what is written between two.
const KEPT_UP: Duration = Duration::from_secs(600);

/// Where it does not, walks follow each other with a rest of so many times what one took: a fifth of the time is spent on them.
const REST: u32 = 4;
const SHORTEST_REST: Duration = Duration::from_secs(5);

/// How often the ear is tried.
const BEAT: Duration = Duration::from_secs(5);

/// Nobody speaks to us any more: the server is gone, or we were too slow for it.
#[derive(Debug, thiserror::Error)]
#[error("the server has closed the connection that tells of what is written")]
struct Deaf;

/// Sentinel names another primary by now.
#[derive(Debug, thiserror::Error)]
#[error("the keys are at another server by now")]
struct Elsewhere;

impl Format {
    /// The event by which a session is written, and the letter that turns its notification on.
    fn written(&self) -> (&'static str, char) {
        match self {
            Format::Json(_) | Format::MessagePack(_) => ("set", '$'),
            Format::Spring => ("hset", 'h'),
        }
    }
}

/// What `notify-keyspace-events` has to be so that `letter` is told of by event as well, unless it is so already.
fn lacking(flags: &str, letter: char) -> Option<String> {
    // A is short for all classes of events but a few that are none of ours.
    let has = |wanted| flags.contains(wanted) || (wanted != 'E' && flags.contains('A'));
    let missing: String = ['E', letter].into_iter().filter(|wanted| !has(*wanted)).collect();
    (!missing.is_empty()).then(|| format!("{flags}{missing}"))
}

impl Scan {
    /// A connection on which the server tells of written sessions, if it tells of them at all.
    pub(super) async fn hear(&self, place: &ConnectionAddr) -> Result<PubSub> {
        self.client.servers.listen(place, &self.channel()).await
    }

    fn channel(&self) -> String {
        format!("__keyevent@{}__:{}", self.client.servers.login.db(), self.format.written().0)
    }

    /// What keeps the server from telling of written sessions, as a sentence with the command that mends it.
    pub(super) async fn missing_notifications(&self, redis: &Redis) -> Result<Option<String>, RedisError> {
        let key = "notify-keyspace-events";
        let letter = self.format.written().1;
        match commands::setting(redis, key).await {
            Ok(Some(flags)) => Ok(lacking(&flags, letter).map(|needed| {
                format!(
                    "The server does not tell of sessions that are written, so the session index learns of them by walks alone: \
                     redis-cli CONFIG SET {key} '{needed}'."
                )
            })),
            Ok(None) => Ok(None),
            // Nothing else needs that right, and some servers have no such command.
            Err(error) if error.code().is_some() => Ok(Some(format!(
                "Whether the server tells of sessions that are written could not be seen, for want of +config|get: \
                 `redis-cli CONFIG GET {key}` has to show E and {letter}, or A instead of the latter."
            ))),
            Err(error) => Err(error),
        }
    }

    fn entries(&self) -> &Entries {
        self.entries.as_ref().expect("`index` hands out what has entries")
    }

    /// Reads what was written and learns whose it is.
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

    /// Learns of sessions as they are written.
    async fn listen(
        &self,
        redis: &Redis,
        events: PubSubStream,
        appeared: &UnboundedSender<Appeared>,
    ) -> Result<Infallible> {
        let mut events = events.ready_chunks(PAGE);
        while let Some(events) = events.next().await {
            self.entries().notified(true);
            // Keys of other applications are told of as well.
            let keys = events.iter().map(|event| event.get_payload_bytes()).filter(|key| self.key.gap(key).is_some());
            let keys: Vec<Vec<u8>> = keys.collect::<BTreeSet<_>>().into_iter().map(<[u8]>::to_vec).collect();
            if !keys.is_empty() {
                self.learn(redis, &keys, appeared).await.map_err(classify)?;
            }
        }
        Err(Error::Unavailable(Box::new(Deaf)))
    }

    /// Learns of everything that lives, resting as long as it works.
    async fn walk(&self, redis: &Redis, appeared: &UnboundedSender<Appeared>) -> Result<(), RedisError> {
        let (pattern, mut next) = (self.key.pattern(), Some(Cursor::START));
        self.entries().begin_walk();
        while let Some(cursor) = next {
            let begun = Instant::now();
            let keys;
            (next, keys) = commands::scan(redis, &pattern, self.format.kind(), cursor).await?;
            for keys in keys.chunks(STRIDE) {
                self.learn(redis, keys, appeared).await?;
            }
            sleep(begun.elapsed()).await;
        }
        self.entries().end_walk();
        Ok(())
    }

    /// Walk after walk.
    async fn walks(&self, redis: &Redis, appeared: &UnboundedSender<Appeared>) -> Result<Infallible> {
        loop {
            let begun = Instant::now();
            self.walk(redis, appeared).await.map_err(classify)?;
            let rest = (begun.elapsed() * REST).max(SHORTEST_REST);
            sleep(if self.entries().state().notified { KEPT_UP } else { rest }).await;
        }
    }

    /// Sees that the server at `place` still speaks to us, and that it is still the one.
    async fn beat(&self, place: &ConnectionAddr, ear: Option<PubSubSink>) -> Result<Infallible> {
        let servers = &self.client.servers;
        let mut ear = ear;
        loop {
            sleep(BEAT).await;
            if let Some(ear) = &mut ear {
                // It is subscribed already; PING would take another right.
                let answer = timeout(servers.timeout, ear.subscribe(self.channel())).await;
                answer.map_err(|_| NoAnswer::after(servers.timeout))?.map_err(classify)?;
            }
            if servers.place().await? != *place {
                return Err(Error::Unavailable(Box::new(Elsewhere)));
            }
        }
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
        self.entries().notified(false);
        let place = self.client.servers.place().await?;
        // Of our own: what was just written must not wait behind a pass.
        let (heard, walked) = (self.client.servers.connect().await?, self.client.servers.connect().await?);
        let ear = match self.hear(&place).await {
            Ok(ear) => Some(ear.split()),
            // Without the right to it, walks have to do; `probe` says so.
            Err(Error::Unauthorized(_)) => None,
            Err(error) => return Err(error),
        };
        // From here on nothing is missed, so the walk that now begins is one for good.
        let told = self.missing_notifications(&walked).await.map_err(classify)?.is_none();
        self.entries().notified(told && ear.is_some());
        let (ear, events) = ear.unzip();
        let listen = async {
            match events {
                Some(events) => self.listen(&heard, events, appeared).await,
                None => std::future::pending().await,
            }
        };
        let end = tokio::select! {
            end = listen => end,
            end = self.walks(&walked, appeared) => end,
            end = self.beat(&place, ear) => end,
        };
        self.entries().notified(false);
        end
    }

    fn watch(&self, who: Uuid, subject: Option<&Subject>) {
        self.entries().watch(who, subject);
    }

    fn state(&self) -> IndexState {
        self.entries().state()
    }
}
