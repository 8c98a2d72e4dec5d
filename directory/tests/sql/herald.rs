//! Bells across processes: two of them, each with its own bells, over one database.

use std::time::{Duration, Instant};

use directory::{Herald, Listener, Wake};
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::database::Database;

/// Longer than anything here takes; shorter than it would take to be found by chance.
const LIMIT: Duration = Duration::from_secs(60);

/// A process: its bells, and the herald that joins them with those of others.
struct Process {
    wake: Wake,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Process {
    async fn start(database: &Database) -> Self {
        let (wake, stop) = (Wake::default(), CancellationToken::new());
        let herald = Herald::new(database.url(), wake.clone()).unwrap();
        let mut listening = wake.progress.listen();
        let token = stop.clone();
        let task = tokio::spawn(async move { herald.run(token).await });
        // The bells ring when it begins to listen.
        assert!(heard(&mut listening).await, "it listens");
        Self { wake, stop, task }
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

async fn heard(listener: &mut Listener) -> bool {
    let start = Instant::now();
    listener.heard_or(LIMIT).await;
    start.elapsed() < LIMIT
}

async fn heralds(owner: &PgPool) -> Vec<(i32, String)> {
    let sql = "SELECT pid, query FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'leaver herald'";
    sqlx::query_as(sql).fetch_all(owner).await.unwrap()
}

#[tokio::test]
async fn a_bell_that_rings_in_one_process_is_heard_in_the_other_and_no_other_bell() {
    let database = Database::migrated().await;
    let (one, other) = (Process::start(&database).await, Process::start(&database).await);
    let (mut requests, mut pending) = (other.wake.requests.listen(), other.wake.pending.listen());
    one.wake.requests.ring();
    assert!(heard(&mut requests).await);
    // What came before it would have been heard by now.
    let quiet = tokio::time::timeout(Duration::from_millis(1), pending.heard_or(LIMIT)).await;
    assert!(quiet.is_err(), "nobody rang for pending events");

    let mut back = one.wake.pending.listen();
    other.wake.pending.ring();
    assert!(heard(&mut back).await, "and the other way round");
    one.end().await;
    other.end().await;
}

#[tokio::test]
async fn what_was_heard_from_others_is_not_passed_on() {
    let database = Database::migrated().await;
    let (one, other) = (Process::start(&database).await, Process::start(&database).await);
    let owner = database.owner().await;
    let mut told = sqlx::postgres::PgListener::connect_with(&owner).await.unwrap();
    told.listen_all(["leaver_requests", "leaver_pending"]).await.unwrap();
    let (mut requests, mut pending) = (other.wake.requests.listen(), one.wake.pending.listen());
    one.wake.requests.ring();
    assert!(heard(&mut requests).await);
    // Were there an echo of the first, it would stand before this one.
    other.wake.pending.ring();
    assert!(heard(&mut pending).await);
    let first = told.recv().await.unwrap();
    let second = told.recv().await.unwrap();
    assert_eq!((first.channel(), second.channel()), ("leaver_requests", "leaver_pending"));
    one.end().await;
    other.end().await;
}

#[tokio::test]
async fn a_storm_of_rings_becomes_few_notifications_and_the_last_ring_is_among_them() {
    let database = Database::migrated().await;
    let (one, other) = (Process::start(&database).await, Process::start(&database).await);
    let owner = database.owner().await;
    let mut told = sqlx::postgres::PgListener::connect_with(&owner).await.unwrap();
    told.listen_all(["leaver_deliveries", "leaver_progress"]).await.unwrap();
    let start = Instant::now();
    for _ in 0..20_000 {
        one.wake.deliveries.ring();
        tokio::task::yield_now().await;
    }
    let mut last = other.wake.deliveries.listen();
    one.wake.deliveries.ring();
    assert!(heard(&mut last).await, "the last one counts as well");
    let most = start.elapsed().as_millis() / 5 + 2;
    one.wake.progress.ring();
    let mut notifications = 0;
    while told.recv().await.unwrap().channel() == "leaver_deliveries" {
        notifications += 1;
    }
    assert!((1..=most).contains(&notifications), "{notifications} notifications, at most {most} have room");
    one.end().await;
    other.end().await;
}

#[tokio::test]
async fn a_herald_whose_connections_are_ended_goes_on_with_others_and_misses_nothing_for_long() {
    let database = Database::migrated().await;
    let (one, other) = (Process::start(&database).await, Process::start(&database).await);
    let owner = database.owner().await;
    // Two connections each; the one that tells may come after the one that hears.
    let deadline = Instant::now() + LIMIT;
    while heralds(&owner).await.len() < 4 {
        assert!(Instant::now() < deadline, "{:?}", heralds(&owner).await);
        tokio::task::yield_now().await;
    }
    let before: Vec<i32> = heralds(&owner).await.into_iter().map(|(pid, _)| pid).collect();
    let (mut pending, mut progress) = (other.wake.pending.listen(), other.wake.progress.listen());
    for pid in &before {
        sqlx::query("SELECT pg_terminate_backend($1)").bind(pid).execute(&owner).await.unwrap();
    }
    one.wake.pending.ring();
    assert!(heard(&mut pending).await, "that ring, or the one after the new connection");
    assert!(heard(&mut progress).await, "every bell rings once the connection is back");

    let deadline = Instant::now() + LIMIT;
    let listens = |(pid, query): &(i32, String)| !before.contains(pid) && query.starts_with("LISTEN");
    while heralds(&owner).await.iter().filter(|connection| listens(connection)).count() < 2 {
        assert!(Instant::now() < deadline, "{:?}", heralds(&owner).await);
        tokio::task::yield_now().await;
    }
    // Who has had nothing to tell since finds its connection lost only now.
    let mut requests = one.wake.requests.listen();
    other.wake.requests.ring();
    assert!(heard(&mut requests).await);
    one.end().await;
    other.end().await;
}
