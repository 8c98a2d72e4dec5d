//! Several workers share the sources and what a vendor allows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use connectors::{Budget, Rate};
use directory::Role;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use serde_json::json;
use sync_worker::{Allowance, Hops, Metrics, SyncWorker};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use crate::site::{FOR_AN_HOUR, Site, until};

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

/// Answers every request with 429, as long as the test lasts.
async fn busy_vendor() -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut request = [0; 4_096];
            if !client.read(&mut request).await.is_ok_and(|read| read > 0) {
                continue;
            }
            let answer =
                "HTTP/1.1 429 Too Many Requests\r\nretry-after: 600\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            client.write_all(answer.as_bytes()).await.ok();
        }
    });
    address
}

#[tokio::test]
async fn a_vendor_that_asks_one_worker_to_wait_is_left_alone_by_all_who_share_its_budget() {
    let site = Site::new().await;
    let sync = site.directory(Role::Sync).await;
    sync.register_sources().await.unwrap();
    let vendor = busy_vendor().await;
    let corp = json!({"connector": {"type": "keycloak", "url": format!("http://{vendor}"), "realm": "corp", "client_id": "leaver",
                                    "client_secret": "s", "rate": "20/s"}, "schedule": "* * * * * *"});
    let config = [("corp".to_owned(), serde_json::from_value(corp).unwrap())].into();
    let hops = Hops::new_with_constructor(|| Histogram::new([]));
    let metrics = Metrics::register(&mut Registry::default(), hops);
    let worker = Arc::new(SyncWorker::new(sync.clone(), &config, metrics, "here".to_owned(), None).unwrap());
    let stop = CancellationToken::new();
    let reads = {
        let (worker, source, stop) = (worker.clone(), worker.pulled["corp"].clone(), stop.clone());
        tokio::spawn(async move { worker.follow(source, stop).await })
    };
    let spared = "SELECT count(*) FROM working.budgets WHERE reserved_until > clock_timestamp() + interval '5 minutes'";
    until("the budget is spared", async || (site.count(spared).await == 1).then_some(())).await;
    let of_another = site.directory(Role::Sync).await;
    let wait = of_another.reserve(&format!("keycloak/{vendor}"), Duration::from_millis(250)).await.unwrap();
    assert!(wait > Duration::from_secs(300), "{wait:?}");
    stop.cancel();
    reads.await.unwrap();
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
    site.run(FOR_AN_HOUR).await;
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
    let alone = workers.each_ref().map(|worker| worker.runs());
    site.run("DELETE FROM working.runs").await;
    let runs = async || site.count("SELECT count(*) FROM working.runs WHERE ended_at IS NOT NULL").await;
    until("some ticks", async || (runs().await >= 3).then_some(())).await;
    // One of the second may still have been under way.
    let by = [0, 1].map(|n| workers[n].runs() - alone[n]);
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
