//! Each adapter beside the deletion that it makes, done directly: from a SCIM PATCH to the session gone, and from the order of
//! a bare client at the same store to the same moment there.
//!
//! The two take turns in one run, so that both meet the same machine and the same store.

mod keycloak;
mod redis;
mod sql;

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tests::world::{Scim, World, okta, person};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{error::Elapsed, timeout};

use self::{keycloak::Keycloak, redis::Redis, sql::Sql};
use crate::{histogram, micros};

/// Sessions that live beside those that end.
const LIVE: usize = 1_000;

/// Of each kind: changes sent to Leaver, and deletions by the bare client.
const CHANGES: usize = 200;

/// Both kinds together.
const PER_SECOND: u32 = 20;

/// How long a session may take to go: more means that it never will, and a measurement that waits says nothing.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where sessions are, in the layout of one adapter. A user has one session, found under the user's own name.
trait Store: Clone + Send + Sync + 'static {
    /// The `adapter` of the downstream, as the configuration has it.
    fn adapter(&self) -> String;

    /// How a downstream is told whose sessions to end.
    fn subject(&self) -> &'static str {
        "identity.userName"
    }

    /// The store's own id of a user where it has one; it becomes the SCIM `externalId`.
    fn id_of(&self, _user: &str) -> Option<String> {
        None
    }

    fn sign_in(&self, user: &str) -> impl Future<Output = ()> + Send;

    /// Resolves at the moment when the session goes; whatever it takes to notice is in place when this returns.
    fn gone(&self, user: &str) -> impl Future<Output = Instant> + Send + 'static;

    /// What a bare client orders that knows the session.
    fn delete(&self, user: &str) -> impl Future<Output = ()> + Send;
}

/// Measures those adapters whose rows are `wanted`.
pub async fn measure(wanted: impl Fn(&str) -> bool) {
    println!(
        "## Each adapter beside the deletion itself, {CHANGES} of each, {PER_SECOND} per second, {LIVE} live sessions\n"
    );
    println!(
        "| ms | PATCH sent → gone, p50 | p99 | max | deleted directly → gone, p50 | p99 | max | ratio of p50 | of p99 |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let redis = tests::world::Redis::start().await;
    for layout in redis::ALL.into_iter().filter(|layout| wanted(layout.name())) {
        compare(layout.name(), Redis::open(layout, &redis.url()).await).await;
    }
    for layout in sql::ALL.into_iter().filter(|layout| wanted(layout.name())) {
        compare(layout.name(), Sql::start(layout).await).await;
    }
    if wanted("keycloak") {
        let keycloak = Keycloak::create((0..LIVE + 2 * CHANGES + 2).map(user)).await;
        compare("keycloak", keycloak.clone()).await;
        keycloak.remove().await;
    }
    println!();
}

fn user(number: usize) -> String {
    format!("user{number}")
}

async fn compare<S: Store>(name: &str, store: S) {
    let world = World::start_embedded(|_| {
        let source = okta(", brake: { burst: { count: 1000000, window: 60s } }");
        let (adapter, subject) = (store.adapter(), store.subject());
        format!(
            "sources:\n  okta: {source}\ndownstreams:\n  \
             web: {{ adapter: {adapter}, subject: '{subject}', sweeps: [30s] }}\n"
        )
    })
    .await;
    let scim = world.scim("okta");
    for number in 0..LIVE {
        store.sign_in(&user(2 + 2 * CHANGES + number)).await;
    }
    let mut accounts = Vec::new();
    for number in (0..2 + 2 * CHANGES).step_by(2) {
        accounts.push(create(&scim, number, &store).await);
    }
    for number in 0..2 + 2 * CHANGES {
        store.sign_in(&user(number)).await;
    }
    // The first of each opens connections.
    change(&scim, &accounts[0], &store, &user(0)).await;
    delete(&store, &user(1)).await;

    let (mut changed, mut deleted) = (JoinSet::new(), JoinSet::new());
    let mut tick = tokio::time::interval(Duration::from_secs(1) / PER_SECOND);
    for (pair, account) in accounts.into_iter().enumerate().skip(1) {
        tick.tick().await;
        let (scim, ours) = (scim.clone(), store.clone());
        changed.spawn(async move { change(&scim, &account, &ours, &user(2 * pair)).await });
        tick.tick().await;
        let bare = store.clone();
        deleted.spawn(async move { delete(&bare, &user(2 * pair + 1)).await });
    }
    let (ours, bare) = (times(changed).await, times(deleted).await);
    let ms = |micros: u64| format!("{:.1}", micros as f64 / 1e3);
    let cells = |times: &Histogram<u64>| {
        [times.value_at_quantile(0.5), times.value_at_quantile(0.99), times.max()].map(ms).join(" | ")
    };
    let ratio = |q: f64| format!("{:.1}", ours.value_at_quantile(q) as f64 / bare.value_at_quantile(q) as f64);
    println!("| {name} | {} | {} | {} | {} |", cells(&ours), cells(&bare), ratio(0.5), ratio(0.99));
}

async fn create<S: Store>(scim: &Scim, number: usize, store: &S) -> String {
    let user = user(number);
    let person = person(u32::try_from(number).expect("a small number"), &user);
    let mut resource = Scim::resource(&person, true);
    if let Some(id) = store.id_of(&user) {
        resource["externalId"] = id.into();
    }
    let answer = scim.raw("POST", "/Users", Some(resource.to_string())).await.expect_status(201);
    answer.json()["id"].as_str().expect("a resource has an id").to_owned()
}

async fn change<S: Store>(scim: &Scim, account: &str, store: &S, user: &str) -> Duration {
    let gone = tokio::spawn(timeout(PATIENCE, store.gone(user)));
    let sent = Instant::now();
    scim.deactivate(account).await;
    went(user, gone).await.duration_since(sent)
}

async fn delete<S: Store>(store: &S, user: &str) -> Duration {
    let gone = tokio::spawn(timeout(PATIENCE, store.gone(user)));
    let sent = Instant::now();
    store.delete(user).await;
    went(user, gone).await.duration_since(sent)
}

async fn went(user: &str, gone: JoinHandle<Result<Instant, Elapsed>>) -> Instant {
    let looked = gone.await.expect("the store can be looked at");
    looked.unwrap_or_else(|_| panic!("after {PATIENCE:?} the session of {user} is still there"))
}

async fn times(mut tasks: JoinSet<Duration>) -> Histogram<u64> {
    let mut times = histogram();
    while let Some(took) = tasks.join_next().await {
        times.saturating_record(micros(took.expect("no change fails")).max(1));
    }
    times
}
