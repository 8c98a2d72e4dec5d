//! How the session index of a store in Redis is kept: what the servers tell of keys that are written, and walks at leisure over all.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    future::{Future, pending},
    time::{Duration, Instant, SystemTime},
};

use ::redis::{RedisError, aio::PubSub};
use futures::{StreamExt, future::try_join_all, stream::FuturesUnordered};
use tokio::{sync::mpsc::UnboundedSender, time::sleep};

use super::{
    commands::{self, Cursor, PAGE, Redis},
    ears::{BEAT, Ears, Told, Written},
    mapping::Template,
    servers::{Places, Servers},
};
use crate::{Appeared, Error, Result, entries::Entries};

/// Keys that a walk learns from at a time: few, for what was written a moment ago must not wait behind them.
const STRIDE: usize = 100;

/// How long a whole walk is good for where the servers tell of what is written between two.
const KEPT_UP: Duration = Duration::from_secs(600);

/// Where they do not, walks follow each other with a rest of so many times what one took: a fifth of the time is spent on them.
const REST: u32 = 4;
const SHORTEST_REST: Duration = Duration::from_secs(5);

/// Nobody speaks to us any more: the server is gone, or we were too slow for it.
#[derive(Debug, thiserror::Error)]
#[error("the server has closed the connection that tells of what is written")]
struct Deaf;

/// A store of which an index is kept.
pub(super) trait Followed: Sync {
    fn servers(&self) -> &Servers;

    fn entries(&self) -> &Entries;

    fn keys(&self) -> Keys<'_>;

    /// Reads what was written and learns whose it is.
    fn learn(
        &self,
        redis: &Redis,
        keys: &[Vec<u8>],
        appeared: &UnboundedSender<Appeared>,
    ) -> impl Future<Output = Result<(), RedisError>> + Send;
}

/// The keys that say whose sessions live.
pub(super) struct Keys<'a> {
    pub(super) template: &'a Template,
    /// Their type, where a store has others under the same prefix.
    pub(super) kind: Option<&'static str>,
    pub(super) written: Written,
}

/// Follows the servers that have the keys now, until one of them is silent or the keys are elsewhere.
pub(super) async fn follow<F: Followed>(store: &F, appeared: &UnboundedSender<Appeared>) -> Result<Infallible> {
    let servers = store.servers();
    let places = &servers.places().await?;
    // Of our own: what was just written must not wait behind a pass.
    let (heard, walked) = (servers.connect_to(places).await?, servers.connect_to(places).await?);
    let following = Following { store, keys: store.keys(), places, appeared };
    let ears = Ears::new(servers, following.keys.written);
    let opened = ears.open(places).await?;
    // From here on nothing is missed, so the walk that now begins is one for good.
    let set = ears.set(&walked).await?;
    let told = Told::new(store.entries(), opened.iter().zip(set).map(|(ear, set)| set && ear.is_some()));
    let mut listening = FuturesUnordered::new();
    for (server, ear) in opened.into_iter().enumerate() {
        let told = &told;
        listening.extend(ear.map(|ear| following.listen(&heard, &ears, ear, move || told.by(server))));
    }
    let listen = async {
        match listening.next().await {
            Some(end) => end,
            None => pending().await,
        }
    };
    tokio::select! {
        end = listen => end,
        end = following.walks(&walked) => end,
        end = following.stay() => end,
    }
}

struct Following<'a, F> {
    store: &'a F,
    keys: Keys<'a>,
    places: &'a Places,
    appeared: &'a UnboundedSender<Appeared>,
}

impl<F: Followed> Following<'_, F> {
    /// Learns of keys as one server tells that they are written.
    async fn listen(&self, redis: &Redis, ears: &Ears<'_>, ear: PubSub, told: impl Fn()) -> Result<Infallible> {
        let (ear, events) = ear.split();
        let listen = async {
            let mut events = events.ready_chunks(PAGE);
            while let Some(events) = events.next().await {
                told();
                // Keys of other applications are told of as well.
                let keys = events.iter().map(|event| event.get_payload_bytes());
                let keys = keys.filter(|key| self.keys.template.gap(key).is_some());
                let keys: Vec<Vec<u8>> = keys.collect::<BTreeSet<_>>().into_iter().map(<[u8]>::to_vec).collect();
                if !keys.is_empty() {
                    self.learn(redis, &keys).await?;
                }
            }
            Err(Error::Unavailable(Box::new(Deaf)))
        };
        tokio::select! {
            end = listen => end,
            end = ears.beat(ear) => end,
        }
    }

    async fn learn(&self, redis: &Redis, keys: &[Vec<u8>]) -> Result<()> {
        let learnt = self.store.learn(redis, keys, self.appeared).await;
        learnt.map_err(|error| self.store.servers().classify(error))
    }

    /// Walk after walk.
    async fn walks(&self, redis: &Redis) -> Result<Infallible> {
        loop {
            let begun = Instant::now();
            self.walk(redis).await?;
            let rest = (begun.elapsed() * REST).max(SHORTEST_REST);
            sleep(if self.store.entries().state().notified { KEPT_UP } else { rest }).await;
        }
    }

    /// Learns of everything that lives, on all servers at once.
    async fn walk(&self, redis: &Redis) -> Result<()> {
        self.store.entries().begin_walk();
        let walks = redis.each().map(|server| self.walk_over(server, redis));
        let ends = try_join_all(walks).await?;
        // What moved from one to the other meanwhile may have been passed by.
        self.store.servers().have_stayed(self.places).await?;
        if let Some(oldest) = ends.into_iter().min() {
            self.store.entries().end_walk(oldest);
        }
        Ok(())
    }

    /// Goes over the keys of one server, resting as long as it works, and says when it was through.
    async fn walk_over(&self, server: Redis, all: &Redis) -> Result<SystemTime> {
        let (pattern, mut next) = (self.keys.template.pattern(), Some(Cursor::START));
        while let Some(cursor) = next {
            let begun = Instant::now();
            let page = commands::scan(&server, &pattern, self.keys.kind, cursor).await;
            let keys;
            (next, keys) = page.map_err(|error| self.store.servers().classify(error))?;
            for keys in keys.chunks(STRIDE) {
                self.learn(all, keys).await?;
            }
            sleep(begun.elapsed()).await;
        }
        Ok(SystemTime::now())
    }

    /// Sees that the keys stay where they are.
    async fn stay(&self) -> Result<Infallible> {
        loop {
            sleep(BEAT).await;
            self.store.servers().have_stayed(self.places).await?;
        }
    }
}
