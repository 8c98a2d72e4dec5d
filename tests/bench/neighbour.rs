//! A downstream that is dead beside one that is well: what the dead one costs its neighbour.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tests::world::{Postgres, Redis, Site, World, okta, person};
use tokio::task::JoinSet;

use crate::watch::Watch;
use crate::{histogram, micros, row};

const CHANGES: u32 = 600;
const PER_SECOND: u32 = 20;

/// What is beside the downstream that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nothing,
    Dead,
}

pub async fn measure() {
    println!(
        "## A downstream that is well, alone and beside a dead one, {PER_SECOND} changes per second, {CHANGES} changes\n"
    );
    println!("| PATCH sent → session gone, ms | p50 | p99 | max |\n|---|---|---|---|");
    let alone = changes(Beside::Nothing).await;
    row("alone", &alone);
    let beside = changes(Beside::Dead).await;
    row("beside a dead one, which is owed all of them", &beside);
    let ratio = |q: f64| beside.value_at_quantile(q) as f64 / alone.value_at_quantile(q) as f64;
    println!("\nThe p50 is {:.2} times that of alone, the p99 {:.2} times.\n", ratio(0.5), ratio(0.99));
}

async fn changes(beside: Beside) -> Histogram<u64> {
    let (well, mut dead) = (Redis::start().await, Redis::start().await);
    let site = Site::with_postgres(Postgres::start_durable().await, |names| {
        let source = okta(", brake: { burst: { count: 1000000, window: 60s } }");
        let mut downstreams = format!("  web: {}\n", names.redis("web", &well.url(), "[30s]"));
        if beside == Beside::Dead {
            downstreams += &format!("  dead: {}\n", names.redis("dead", &dead.url(), "[30s]"));
        }
        format!("sources:\n  okta: {source}\ndownstreams:\n{downstreams}")
    })
    .await;
    let world = World::at(site).await;
    let scim = world.scim("okta");
    let watch = Watch::start(&well.url(), &world.site().names().prefix("web")).await;
    let mut people = Vec::new();
    for n in 0..=CHANGES {
        let person = person(n, &format!("user{n}"));
        people.push((scim.create(&person).await, person.user.clone()));
        watch.sign_in(&person.user).await;
    }
    dead.kill9();
    let mut tick = tokio::time::interval(Duration::from_secs(1) / PER_SECOND);
    let mut tasks = JoinSet::new();
    for (n, (id, user)) in people.into_iter().enumerate() {
        tick.tick().await;
        let (scim, watch) = (scim.clone(), watch.clone());
        tasks.spawn(async move {
            let gone = watch.expect(&user);
            let sent = Instant::now();
            scim.deactivate(&id).await;
            (n, gone.await.expect("the session goes").duration_since(sent))
        });
    }
    let mut times = histogram();
    while let Some(done) = tasks.join_next().await {
        let (n, took) = done.expect("no change fails");
        // The first opens connections.
        if n > 0 {
            times.saturating_record(micros(took));
        }
    }
    times
}
