//! How long the way of one change takes: a SCIM PATCH is sent, and a session is gone from Redis.
//!
//! Prints one table per rate and per way of running: all in one process with the embedded PostgreSQL, and in separate roles
//! over Kafka. Everything is real: the release build of `leaver`, PostgreSQL with fsync on, Redis with 1,000 live sessions of
//! which the store has no index by user, so that each pass reads them all. Then the relay alone, and revocations that are
//! issued while a part is away, and each adapter beside the bare deletion. Then everybody in a large realm of Keycloak, a group
//! of 100,000 members, a personnel file of up to a million people, SCIM requests beside others', and decisions of the policy
//! beside the bare evaluation of its conditions. Then ten thousand who leave at once, a downstream beside a dead one, and a
//! million sessions with and without an index beside them.
//! Arguments choose among `embedded`, `kafka`, `relay`, `outages`, `adapters`, `mass`, `neighbour`, `keycloak`, `groups`, `scale`,
//! `scan`, `scim` and `policy`; `adapters:redis` chooses the adapters whose rows begin so, `outages:Redis` the outages.

mod adapters;
mod groups;
mod hops;
mod keycloak;
mod machine;
mod mass;
mod neighbour;
mod outages;
mod policy;
#[expect(clippy::unwrap_used, reason = "tests share it, where a step fails like that")]
#[path = "../keycloak/realm.rs"]
mod realm;
mod relay;
mod scale;
mod scan;
mod scim;
mod usage;
mod watch;

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tests::world::{Broker, Names, Person, Postgres, Role, Scim, Site, World, okta, person, redis_url};
use tokio::task::JoinSet;

use hops::Hops;
use usage::Usage;
use watch::Watch;

/// Sessions that live at any time.
const LIVE: usize = 1_000;

/// One measurement: so many changes, so many in a second.
struct Rate {
    per_second: u64,
    changes: usize,
}

const RATES: [Rate; 2] = [Rate { per_second: 1, changes: 60 }, Rate { per_second: 200, changes: 3_000 }];

#[tokio::main]
async fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |section: &str| asked.is_empty() || asked.iter().any(|word| word == section);
    println!("{}\n", machine::describe());
    for rate in &RATES {
        if wanted("embedded") {
            let world = World::start_embedded(parts).await;
            let data = world.site().path("data");
            measure(rate, "in one process", &world, || Hops::of_embedded(&data)).await;
        }
        if wanted("kafka") {
            let broker = Broker::start().await;
            let kafka = |names: &Names| parts(names) + &names.kafka_at(&broker.address());
            let site = Site::with_postgres(Postgres::start_durable().await, kafka).await;
            let world = World::apart(site, &[(Role::Console, 1), (Role::SyncWorker, 1), (Role::Revoker, 1)]).await;
            let url = world.site().database().url();
            measure(rate, "in separate roles over Kafka", &world, || Hops::of(url)).await;
            for member in world.members() {
                let used = Usage::of(member.process_id());
                let role = member.role().as_str();
                println!("{role}: {:.1} CPU-seconds, at most {} MiB", used.cpu_seconds, used.peak_mib);
            }
            println!();
        }
    }
    if wanted("relay") {
        relay::measure().await;
    }
    // `SECTION:BEGIN`, where only rows are asked for that begin so.
    let rows = |section: &str| -> Vec<String> {
        asked.iter().filter_map(|word| word.strip_prefix(section)?.strip_prefix(':').map(str::to_owned)).collect()
    };
    let (some, all) = (rows("outages"), wanted("outages"));
    if all || !some.is_empty() {
        outages::measure(|row| all || some.iter().any(|begin| row.starts_with(begin.as_str()))).await;
    }
    if wanted("mass") {
        mass::measure().await;
    }
    if wanted("neighbour") {
        neighbour::measure().await;
    }
    if wanted("keycloak") {
        keycloak::measure().await;
    }
    if wanted("groups") {
        groups::measure().await;
    }
    if wanted("scale") {
        scale::measure().await;
    }
    if wanted("scan") {
        scan::measure().await;
    }
    if wanted("scim") {
        scim::measure().await;
    }
    if wanted("policy") {
        policy::measure();
    }
    let (some, all) = (rows("adapters"), wanted("adapters"));
    if all || !some.is_empty() {
        adapters::measure(|row| all || some.iter().any(|begin| row.starts_with(begin.as_str()))).await;
    }
}

fn parts(names: &Names) -> String {
    let source = okta(", brake: { burst: { count: 1000000, window: 60s } }");
    let web = names.redis("web", &redis_url(), "[30s]");
    format!("sources:\n  okta: {source}\ndownstreams:\n  web: {web}\n")
}

async fn measure<F: Future<Output = Hops>>(rate: &Rate, way: &str, world: &World, hops: impl FnOnce() -> F) {
    let scim = world.scim("okta");
    let people: Vec<Person> = (1..).map(|n| person(n, &format!("user{n}"))).take(rate.changes + LIVE).collect();
    let ids = create(&scim, &people).await;
    let watch = Watch::start(&redis_url(), &world.site().names().prefix("web")).await;
    for person in &people[..LIVE] {
        watch.sign_in(&person.user).await;
    }

    // The first of all makes topics and opens connections; it is not what the rest is like.
    let first = scim.create(&person(0, "first")).await;
    watch.sign_in("first").await;
    let gone = watch.expect("first");
    scim.deactivate(&first).await;
    gone.await.expect("the session goes");

    let mut tasks = JoinSet::new();
    let mut tick =
        tokio::time::interval(Duration::from_secs(1) / u32::try_from(rate.per_second).expect("a small rate"));
    for (n, id) in ids.iter().take(rate.changes).enumerate() {
        tick.tick().await;
        let (scim, id, user, watch) = (scim.clone(), id.clone(), people[n].user.clone(), watch.clone());
        let next = people[n + LIVE].user.clone();
        tasks.spawn(async move {
            let gone = watch.expect(&user);
            let sent = Instant::now();
            scim.deactivate(&id).await;
            let answered = sent.elapsed();
            let gone = gone.await.expect("the session goes").duration_since(sent);
            watch.sign_in(&next).await;
            (answered, gone)
        });
    }
    let (mut answered, mut gone) = (histogram(), histogram());
    while let Some(done) = tasks.join_next().await {
        let (answer, end) = done.expect("no change fails");
        answered.saturating_record(micros(answer));
        gone.saturating_record(micros(end));
    }
    let hops = hops().await.read(rate.changes).await;
    let title = if rate.per_second == 1 { "One change".to_owned() } else { format!("{} changes", rate.per_second) };
    println!("## {title} per second, {way}, {} changes, {LIVE} live sessions\n", rate.changes);
    println!("| ms | p50 | p99 | max |\n|---|---|---|---|");
    row("PATCH sent → session gone", &gone);
    row("PATCH sent → answered", &answered);
    for (name, hop) in hops.rows() {
        row(name, hop);
    }
    println!();
}

async fn create(scim: &Scim, people: &[Person]) -> Vec<String> {
    let mut ids = vec![String::new(); people.len()];
    for (at, chunk) in people.chunks(16).enumerate() {
        let mut tasks = JoinSet::new();
        for (n, person) in chunk.iter().enumerate() {
            let (scim, person) = (scim.clone(), person.clone());
            tasks.spawn(async move { (at * 16 + n, scim.create(&person).await) });
        }
        while let Some(done) = tasks.join_next().await {
            let (n, id) = done.expect("no creation fails");
            ids[n] = id;
        }
    }
    ids
}

pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(600_000_000, 3).expect("three digits up to ten minutes fit")
}

pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

pub(crate) fn row(name: &str, times: &Histogram<u64>) {
    let ms = |micros: u64| format!("{:.1}", micros as f64 / 1e3);
    let quantile = |q: f64| ms(times.value_at_quantile(q));
    println!("| {name} | {} | {} | {} |", quantile(0.5), quantile(0.99), ms(times.max()));
}
