//! Several workers share the sources and what a vendor allows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use connectors::{Budget, Rate};
use directory::Role;
use sync_worker::Allowance;
use tokio_util::sync::CancellationToken;

use crate::site::{Site, until};

#[tokio::test(flavor = "multi_thread")]
async fn workers_with_one_budget_never_ask_more_than_it_allows_together() {
    let site = Site::new().await;
    let rate = Rate::try_from("100/s".to_owned()).unwrap();
    let taken = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let mut workers = Vec::new();
    for _ in 0..2 {
        let share = Allowance::new(site.directory(Role::Sync).await, "vendor".to_owned(), rate);
        let taken = taken.clone();
        workers.push(tokio::spawn(async move {
            for _ in 0..100 {
                share.take().await.unwrap();
                let so_far = taken.fetch_add(1, Ordering::SeqCst) + 1;
                // One for each of them may be at the very beginning of its time.
                let allowed = begun.elapsed().as_secs_f64() * 100.0 + 2.0;
                assert!(so_far as f64 <= allowed, "{so_far} so far, and {allowed} are allowed");
            }
        }));
    }
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(taken.load(Ordering::SeqCst), 200);
    assert!(begun.elapsed() >= Duration::from_millis(1_750), "a share each would have taken one second");
}

#[tokio::test]
async fn another_budget_does_not_wait_and_a_quiet_hour_saves_nothing_up() {
    let site = Site::new().await;
    let sync = site.directory(Role::Sync).await;
    let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3_600));
    assert_eq!(sync.reserve("vendor", hour).await.unwrap(), Duration::ZERO);
    let wait = sync.reserve("vendor", second).await.unwrap();
    assert!(wait > hour - Duration::from_secs(60) && wait <= hour, "{wait:?}");
    assert_eq!(sync.reserve("other", second).await.unwrap(), Duration::ZERO);
    site.run("UPDATE working.budgets SET reserved_until = reserved_until - interval '5 hours'").await;
    assert_eq!(sync.reserve("vendor", hour).await.unwrap(), Duration::ZERO);
    assert!(sync.reserve("vendor", second).await.unwrap() > Duration::from_secs(3_500), "one hour, and not three");
}

#[tokio::test]
async fn a_source_is_left_to_the_worker_that_is_first_as_long_as_that_is_there() {
    let site = Site::new().await;
    let sync = site.directory(Role::Sync).await;
    // One of ten is first, and this one is not.
    let others: Vec<String> = (0..10).map(|n| format!("other{n}")).collect();
    for other in &others {
        sync.be_there(other).await.unwrap();
    }
    let worker = site.worker("here", Some("* * * * * *")).await;
    let ticks = Instant::now() + Duration::from_millis(3_200);
    until("three ticks", async || (Instant::now() > ticks).then_some(())).await;
    assert_eq!(worker.runs(), 0);
    for other in &others {
        sync.be_gone(other).await.unwrap();
    }
    until("a run", async || (worker.runs() > 0).then_some(())).await;
    worker.end().await;
}

#[tokio::test]
async fn a_source_is_read_by_the_worker_that_is_first_and_by_another_when_that_is_away() {
    let site = Site::new().await;
    let sync = site.directory(Role::Sync).await;
    // Of these two, whoever is first for the people by a digest of both.
    let (one, other) = ("one", "other");
    let workers = [site.worker(one, Some("* * * * * *")).await, site.worker(other, Some("* * * * * *")).await];
    let stops = [CancellationToken::new(), CancellationToken::new()];
    let mut present = Vec::new();
    for (name, stop) in [one, other].into_iter().zip(&stops) {
        let worker = site.idle(name, sync.clone(), None);
        let stop = stop.clone();
        present.push(tokio::spawn(async move { worker.be_there(stop).await }));
    }
    until("both are there", async || (sync.workers().await.unwrap().len() == 2).then_some(())).await;
    site.run("DELETE FROM working.runs").await;
    let runs = async || site.count("SELECT count(*) FROM working.runs WHERE ended_at IS NOT NULL").await;
    until("some ticks", async || (runs().await >= 3).then_some(())).await;
    let by = workers.each_ref().map(|worker| worker.runs());
    let first = usize::from(by[1] > by[0]);
    let before = workers[1 - first].runs();
    until("more ticks", async || (runs().await >= 6).then_some(())).await;
    assert_eq!(workers[1 - first].runs(), before, "the second one leaves it to the first: {by:?}");

    let [a, b] = workers;
    let (away, stays) = if first == 0 { (a, b) } else { (b, a) };
    // As a crash leaves it: nobody says that it goes.
    away.kill().await;
    stops[first].cancel();
    until("the other takes over", async || (stays.runs() > before).then_some(())).await;
    stops[1 - first].cancel();
    for task in present {
        task.await.unwrap();
    }
    assert!(sync.workers().await.unwrap().is_empty());
    stays.end().await;
}
