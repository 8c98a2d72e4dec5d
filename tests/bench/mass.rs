//! Ten thousand people leave at once, each with ten sessions in Redis: how long until the last session is gone, beside a bare
//! client that unlinks the same keys; and what becomes meanwhile of those whose sessions must end now.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt;
use redis::aio::MultiplexedConnection;
use tests::world::{Postgres, Redis, Role, Site, World, okta, people, person};
use tokio::task::JoinSet;

use crate::usage::Usage;
use crate::watch::Watch;
use crate::{histogram, micros, row};

/// How many people leave, unless `LEAVER_BENCH_PEOPLE` says otherwise.
const PEOPLE: u32 = 10_000;

/// Sessions of each.
const SESSIONS: usize = 10;

/// Keys of one round trip of the bare client.
const PAGE: usize = 1_000;

/// People who leave one by one meanwhile: more than there will be seconds.
const URGENT: u32 = 300;

/// What the keys of sessions begin with.
const PREFIX: &str = "session:";

/// How long nothing may happen before it is given up.
const PATIENCE: Duration = Duration::from_secs(120);

pub async fn measure() {
    let count = std::env::var("LEAVER_BENCH_PEOPLE").map_or(PEOPLE, |text| text.parse().expect("a number of people"));
    let redis = Redis::start().await;
    let watch = Watch::start(&redis.url(), PREFIX).await;
    let names: Vec<String> = (0..count).map(|n| format!("leaver{n}")).collect();
    let gone = Gone::of(&redis.url(), "leaver").await;

    sign_in(watch.connection(), &names).await;
    let bare = unlink(watch.connection(), &names).await;
    gone.all(names.len() * SESSIONS).await;
    sign_in(watch.connection(), &names).await;

    let site = Site::with_postgres(Postgres::start_durable().await, |_| {
        let hr = people(", brake: { max_disable: \"100%\", min: 1000000 }");
        let okta = okta(", brake: { burst: { count: 1000000, window: 60s } }");
        let adapter = format!(
            "{{ type: redis, url: \"{}\", layout: generic, index: \"user:{{subject}}\", session: \"{PREFIX}{{id}}\" }}",
            redis.url()
        );
        let web = format!("{{ adapter: {adapter}, subject: identity.userName, sweeps: [120s] }}");
        format!("sources:\n  people: {hr}\n  okta: {okta}\ndownstreams:\n  web: {web}\n")
    })
    .await;
    let world = World::at(site).await;
    let process = world.member(Role::Up, 0).process_id();
    let staff: Vec<_> = (0..).zip(&names).map(|(n, name)| person(n, name)).collect();
    world.hr(&staff).await.expect_code(0);
    let scim = world.scim("okta");
    let mut urgent = Vec::new();
    for n in 0..URGENT {
        let person = person(1_000_000 + n, &format!("urgent{n}"));
        urgent.push((scim.create(&person).await, person.user));
    }
    one_session_each(watch.connection(), urgent.iter().map(|(_, user)| user)).await;

    let left: Vec<_> = staff.iter().map(|person| person.status("left")).collect();
    let before = Usage::of(process).cpu_seconds;
    let begun = Instant::now();
    gone.forget();
    let run = async {
        world.hr(&left).await.expect_code(0);
        begun.elapsed()
    };
    let ended = gone.all(names.len() * SESSIONS);
    let mass = async { tokio::join!(run, ended) };
    tokio::pin!(mass);
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let (mut tasks, mut remaining) = (JoinSet::new(), urgent.into_iter());
    let (read, last) = loop {
        tokio::select! {
            done = &mut mass => break done,
            _ = tick.tick() => {
                let Some((id, user)) = remaining.next() else { continue };
                let (scim, watch) = (scim.clone(), watch.clone());
                tasks.spawn(async move {
                    let gone = watch.expect(&user);
                    let sent = Instant::now();
                    scim.deactivate(&id).await;
                    gone.await.expect("the session goes").duration_since(sent)
                });
            }
        }
    };
    let mut during = histogram();
    for took in tasks.join_all().await {
        during.saturating_record(micros(took));
    }
    let used = Usage::of(process);
    let took = last.duration_since(begun);
    println!("## {count} people with {SESSIONS} sessions each leave at once (one file of HR; Redis, layout generic)\n");
    println!("| | seconds | sessions/s | CPU-seconds of Leaver | peak memory of Leaver, MiB |\n|---|---|---|---|---|");
    let line = |name: &str, took: Duration, rest: &str| {
        let seconds = took.as_secs_f64();
        let rate = (names.len() * SESSIONS) as f64 / seconds;
        println!("| {name} | {seconds:.2} | {rate:.0} | {rest} |");
    };
    line("a bare client unlinks the keys that it knows", bare, "|");
    line("the file is read, and every change committed", read, "|");
    line(
        "the run began → the last session is gone",
        took,
        &format!("{:.1} | {}", used.cpu_seconds - before, used.peak_mib),
    );
    println!("\n| ms | p50 | p99 | max |\n|---|---|---|---|");
    row(&format!("PATCH sent → session gone, {} meanwhile, one per second", during.len()), &during);
    println!();
}

async fn sign_in(mut redis: MultiplexedConnection, names: &[String]) {
    for name in names {
        let mut commands = redis::pipe();
        for n in 0..SESSIONS {
            let id = format!("{name}-{n}");
            commands.cmd("SET").arg(format!("{PREFIX}{id}")).arg(name).arg("EX").arg(86_400).ignore();
            commands.cmd("SADD").arg(format!("user:{name}")).arg(id).ignore();
        }
        let () = commands.query_async(&mut redis).await.expect("Redis stores");
    }
}

/// Under the user's own name, so that the notification says whose it was.
async fn one_session_each(mut redis: MultiplexedConnection, users: impl Iterator<Item = &String>) {
    for user in users {
        let mut commands = redis::pipe();
        commands.cmd("SET").arg(format!("{PREFIX}{user}")).arg(user).arg("EX").arg(86_400).ignore();
        commands.cmd("SADD").arg(format!("user:{user}")).arg(user).ignore();
        let () = commands.query_async(&mut redis).await.expect("Redis stores");
    }
}

/// The least that it takes: the client knows every key.
async fn unlink(mut redis: MultiplexedConnection, names: &[String]) -> Duration {
    let keys: Vec<String> =
        names.iter().flat_map(|name| (0..SESSIONS).map(move |n| format!("{PREFIX}{name}-{n}"))).collect();
    let begun = Instant::now();
    for page in keys.chunks(PAGE) {
        let mut commands = redis::pipe();
        for key in page {
            commands.cmd("UNLINK").arg(key).ignore();
        }
        let () = commands.query_async(&mut redis).await.expect("Redis deletes");
    }
    begun.elapsed()
}

/// Counts the sessions that go, by the store's own notifications.
#[derive(Clone)]
struct Gone(Arc<Mutex<(usize, Instant)>>);

impl Gone {
    /// Of the sessions whose id begins with `whose`.
    async fn of(url: &str, whose: &str) -> Self {
        let client = redis::Client::open(url).expect("an address of Redis");
        let mut events = client.get_async_pubsub().await.expect("Redis answers");
        events.psubscribe(format!("__keyspace@*__:{PREFIX}{whose}*")).await.expect("Redis notifies");
        let gone = Self(Arc::new(Mutex::new((0, Instant::now()))));
        let counted = gone.clone();
        tokio::spawn(async move {
            let mut events = events.into_on_message();
            while let Some(event) = events.next().await {
                if event.get_payload::<String>().is_ok_and(|what| what == "del") {
                    let mut state = counted.0.lock().unwrap_or_else(PoisonError::into_inner);
                    *state = (state.0 + 1, Instant::now());
                }
            }
        });
        gone
    }

    fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (0, Instant::now());
    }

    /// When the last of so many went.
    async fn all(&self, count: usize) -> Instant {
        loop {
            let (gone, at) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if gone >= count {
                return at;
            }
            assert!(at.elapsed() < PATIENCE, "{gone} of {count} sessions went, and then none for {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
