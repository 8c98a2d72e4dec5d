//! A million sessions in a store without an index by user: how long until those of one person are gone, and what an index beside
//! the store costs and saves.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use redis::aio::MultiplexedConnection;
use tests::world::{Postgres, Redis, Role, Scim, Site, World, okta, person};

use crate::usage::Usage;
use crate::watch::Watch;
use crate::{histogram, micros, row};

/// How many sessions live, unless `LEAVER_BENCH_SESSIONS` says otherwise.
const SESSIONS: u32 = 1_000_000;

/// People who leave, one after the other.
const LEAVERS: u32 = 20;

/// How often the session of somebody who has left is written back.
const WRITTEN_BACK: u32 = 100;

/// Sessions of one round trip.
const PAGE: usize = 500;

/// How long nothing may happen before it is given up.
const PATIENCE: Duration = Duration::from_secs(600);

pub async fn measure() {
    let count = std::env::var("LEAVER_BENCH_SESSIONS").map_or(SESSIONS, |n| n.parse().expect("a number of sessions"));
    println!(
        "## {LEAVERS} people leave one after the other, {count} sessions of others in Redis, layout connect-redis\n"
    );
    println!("| PATCH sent → session gone, ms | p50 | p99 | max |\n|---|---|---|---|");
    let without = leave(count, false).await;
    row("without an index", &without.gone);
    let with = leave(count, true).await;
    row("with `session_index`", &with.gone);
    println!("\n| ms | p50 | p99 | max |\n|---|---|---|---|");
    row("written back after that → gone again, with `session_index`", &with.again);
    println!("\n| | without | with |\n|---|---|---|");
    println!("| PATCH sent → verified, median, s | {:.2} | {:.2} |", without.verified, with.verified);
    println!("| first walk of the index, s | | {:.1} |", with.walked.as_secs_f64());
    println!("| most memory of Leaver before anybody leaves, MiB | {} | {} |", without.idle_mib, with.idle_mib);
    println!();
}

struct Leaving {
    gone: Histogram<u64>,
    again: Histogram<u64>,
    verified: f64,
    walked: Duration,
    idle_mib: u64,
}

async fn leave(count: u32, index: bool) -> Leaving {
    let redis = Redis::start().await;
    let site = Site::with_postgres(Postgres::start_durable().await, |names| {
        let source = okta(", brake: { burst: { count: 1000000, window: 60s } }");
        // The first sweep comes when all has been measured.
        let web = match index {
            true => names.redis_with_index("web", &redis.url(), "[1h]"),
            false => names.redis("web", &redis.url(), "[1h]"),
        };
        format!("sources:\n  okta: {source}\ndownstreams:\n  web: {web}\n")
    })
    .await;
    let prefix = site.names().prefix("web");
    let watch = Watch::start(&redis.url(), &prefix).await;
    let mut connection = watch.connection();
    // Those of the watch, and those of the index.
    let () = redis::cmd("CONFIG")
        .arg(&["SET", "notify-keyspace-events", "KEg$"])
        .query_async(&mut connection)
        .await
        .expect("Redis can be configured");
    fill(&mut connection, &prefix, count).await;

    let begun = Instant::now();
    let world = World::at(site).await;
    if index {
        let walked = async || world.metric("leaver_session_index_walked_timestamp_seconds", "").await > 0.0;
        while !walked().await {
            assert!(begun.elapsed() < PATIENCE, "the index has never walked over the store");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let walked = begun.elapsed();
    let idle_mib = Usage::of(world.member(Role::Up, 0).process_id()).peak_mib;

    let scim = world.scim("okta");
    let (mut gone, mut again, mut verified) = (histogram(), histogram(), Vec::new());
    for n in 0..=LEAVERS {
        let user = format!("leaver{n}");
        let (took, seen) = one(&world, &scim, &watch, n, &user).await;
        // The first opens connections.
        if n > 0 {
            gone.saturating_record(micros(took));
            verified.push(seen.as_secs_f64());
        }
    }
    if index {
        for _ in 0..WRITTEN_BACK {
            let expected = watch.expect("leaver1");
            let written = Instant::now();
            watch.sign_in("leaver1").await;
            let at = expected.await.expect("the session goes");
            again.saturating_record(micros(at.duration_since(written)));
        }
    }
    verified.sort_by(f64::total_cmp);
    Leaving { gone, again, verified: verified[verified.len() / 2], walked, idle_mib }
}

/// Somebody leaves: when the session was gone, and when that was verified.
async fn one(world: &World, scim: &Scim, watch: &Watch, n: u32, user: &str) -> (Duration, Duration) {
    let id = scim.create(&person(n, user)).await;
    watch.sign_in(user).await;
    let expected = watch.expect(user);
    let sent = Instant::now();
    scim.deactivate(&id).await;
    let gone = expected.await.expect("the session goes").duration_since(sent);
    world.reached(user, "web", "verified").await;
    (gone, sent.elapsed())
}

/// Sessions of as many others.
async fn fill(redis: &mut MultiplexedConnection, prefix: &str, count: u32) {
    for from in (0..count).step_by(PAGE) {
        let mut sessions = redis::pipe();
        for n in from..count.min(from + PAGE as u32) {
            let session = serde_json::json!({
                "cookie": {"originalMaxAge": 86_400_000, "expires": "2030-01-01T00:00:00.000Z", "httpOnly": true, "path": "/"},
                "passport": {"user": format!("other{n}")},
                "csrf": "4f2c6a1d9be84c0f8a7e5d3b1c9f0e2a",
            });
            // As long as an id of express-session.
            sessions.set(format!("{prefix}{n:032}"), session.to_string()).ignore();
        }
        let () = sessions.query_async(redis).await.expect("Redis stores");
    }
}
