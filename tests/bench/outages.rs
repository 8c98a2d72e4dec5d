//! Revocations that are issued while a part is away: how long each takes, from the first try of its PATCH to the session gone. That each
//! does go is waited for without a limit.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::json;
use tests::world::{Broker, Names, Postgres, Redis, Role, Sentinel, Site, World, okta, person};
use tokio::task::JoinSet;

use crate::watch::Watch;
use crate::{histogram, micros, row};

/// Changes per second, before, during and after.
const PER_SECOND: u32 = 10;
const BEFORE: u32 = 50;
const DURING: u32 = 100;
const AFTER: u32 = 50;

/// How long a primary is silent until a Sentinel promotes its replica.
const SILENCE: Duration = Duration::from_secs(5);

/// What is away for 10 s, or until something takes its place.
#[derive(Debug, Clone, Copy)]
enum Fault {
    BrokerStopped,
    RevokerKilled,
    PostgresKilled,
    RedisAway,
    RedisFailsOver,
}

impl Fault {
    fn describe(self) -> &'static str {
        match self {
            Self::BrokerStopped => "Kafka stopped for 10 s",
            Self::RevokerKilled => "one of two revokers killed, for good",
            Self::PostgresKilled => "PostgreSQL killed, started again after 10 s",
            Self::RedisAway => "Redis killed, started again after 10 s",
            Self::RedisFailsOver => "Redis killed, its replica promoted by a Sentinel that waits 5 s",
        }
    }
}

pub async fn measure(wanted: impl Fn(&str) -> bool) {
    println!(
        "## Revocations issued during an outage, {PER_SECOND} per second for 10 s (PATCH first tried → session gone)\n"
    );
    println!("| ms | p50 | p99 | max |\n|---|---|---|---|");
    let faults =
        [Fault::BrokerStopped, Fault::RevokerKilled, Fault::PostgresKilled, Fault::RedisAway, Fault::RedisFailsOver];
    for fault in faults.into_iter().filter(|fault| wanted(fault.describe())) {
        let (quiet, during) = issue(fault).await;
        row("nothing away", &quiet);
        row(fault.describe(), &during);
    }
    println!();
}

/// The Redis of the sessions.
enum Sessions {
    Alone(Redis),
    Replicated(Sentinel),
}

impl Sessions {
    async fn start(fault: Fault) -> Self {
        match fault {
            Fault::RedisFailsOver => {
                let redis = Sentinel::start().await;
                redis.minds(SILENCE).await;
                Self::Replicated(redis)
            }
            _ => Self::Alone(Redis::start().await),
        }
    }

    fn downstream(&self, names: &Names) -> String {
        match self {
            Self::Alone(redis) => names.redis("web", &redis.url(), "[30s]"),
            Self::Replicated(redis) => names.redis_by_sentinel("web", &redis.url(), "[30s]"),
        }
    }

    /// Where applications write them, at first.
    fn url(&self) -> String {
        match self {
            Self::Alone(redis) => redis.url(),
            Self::Replicated(redis) => redis.primary(),
        }
    }

    /// Where they can be read once it is over.
    fn left(&self) -> String {
        match self {
            Self::Alone(redis) => redis.url(),
            Self::Replicated(redis) => redis.replica(),
        }
    }

    fn kill9(&mut self) {
        match self {
            Self::Alone(redis) => redis.kill9(),
            Self::Replicated(redis) => redis.kill9_primary(),
        }
    }

    async fn start_again(&mut self) {
        if let Self::Alone(redis) = self {
            redis.start_again().await;
        }
    }

    /// Whether something has taken its place by itself.
    async fn is_over(&self) -> bool {
        match self {
            Self::Alone(_) => false,
            Self::Replicated(redis) => redis.has_promoted().await,
        }
    }
}

async fn issue(fault: Fault) -> (Histogram<u64>, Histogram<u64>) {
    let mut broker = Broker::start().await;
    let mut redis = Sessions::start(fault).await;
    let site = Site::with_postgres(Postgres::start_durable().await, |names| {
        let source = okta(", brake: { burst: { count: 1000000, window: 60s } }");
        let web = redis.downstream(names);
        format!("sources:\n  okta: {source}\ndownstreams:\n  web: {web}\n{}", names.kafka_at(&broker.address()))
    })
    .await;
    let mut world = World::apart(site, &[(Role::Console, 1), (Role::SyncWorker, 1), (Role::Revoker, 2)]).await;
    let okta = world.gateway("okta");
    let prefix = world.site().names().prefix("web");
    let watch = Watch::start(&redis.url(), &prefix).await;
    let count = BEFORE + DURING + AFTER;
    let mut ids = Vec::new();
    for n in 0..count {
        let person = person(n + 1, &format!("user{n}"));
        ids.push(okta.create(&person).await);
        watch.sign_in(&person.user).await;
    }

    // The first of all makes topics and opens connections.
    let first = okta.create(&person(0, "first")).await;
    watch.sign_in("first").await;
    okta.set_active(&first, false).await;
    watch.until_gone(&redis.left(), "first").await;

    // Whoever came when it was over already was not issued during it.
    let mut over = None;
    let mut tick = tokio::time::interval(Duration::from_secs(1) / PER_SECOND);
    let mut tasks = JoinSet::new();
    for (n, id) in (0..).zip(ids) {
        tick.tick().await;
        if n == BEFORE {
            match fault {
                Fault::BrokerStopped => broker.stop(),
                Fault::RevokerKilled => world.member_mut(Role::Revoker, 0).kill9(),
                Fault::PostgresKilled => world.site_mut().postgres_mut().kill9(),
                Fault::RedisAway | Fault::RedisFailsOver => redis.kill9(),
            }
        }
        if n > BEFORE && over.is_none() && redis.is_over().await {
            over = Some(n);
        }
        if n == BEFORE + DURING {
            match fault {
                Fault::BrokerStopped => broker.start_again().await,
                Fault::RevokerKilled => {}
                Fault::PostgresKilled => world.site_mut().postgres_mut().start_again().await,
                Fault::RedisAway | Fault::RedisFailsOver => redis.start_again().await,
            }
        }
        let (okta, user, watch) = (okta.clone(), format!("user{n}"), watch.clone());
        let url = redis.left();
        tasks.spawn(async move {
            // Its notifications go with a Redis, so then the key itself is looked for.
            let told = (!matches!(fault, Fault::RedisAway | Fault::RedisFailsOver)).then(|| watch.expect(&user));
            let sent = Instant::now();
            let operation = json!({"op": "replace", "path": "active", "value": false});
            let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation]});
            while okta.send("PATCH", &format!("/Users/{id}"), &body).await.status != 200 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let at = match told {
                Some(gone) => gone.await.expect("the session goes"),
                None => watch.until_gone(&url, &user).await,
            };
            (n, at.duration_since(sent))
        });
    }
    let over = over.unwrap_or(BEFORE + DURING).min(BEFORE + DURING);
    let (mut quiet, mut during) = (histogram(), histogram());
    while let Some(done) = tasks.join_next().await {
        let (n, took) = done.expect("no change fails");
        match n {
            n if n < BEFORE => quiet.saturating_record(micros(took)),
            n if n < over => during.saturating_record(micros(took)),
            _ => {}
        }
    }
    assert_eq!((quiet.len(), during.len()), (BEFORE.into(), (over - BEFORE).into()), "each session went");
    (quiet, during)
}
