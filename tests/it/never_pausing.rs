//! A client that never pauses, at an application that writes the session back at the end of every request: as long as each request
//! reads what the one before wrote, looking again now and then does not get it out. A store that tells of what is written does.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use rand::RngExt;
use tests::world::{Browser, SOON, World, eventually, okta, person, redis_url};
use tokio::sync::watch;

#[tokio::test]
async fn a_client_that_never_pauses_is_out_where_the_store_tells_of_what_is_written() {
    let world = World::start(|names| {
        let web = names.redis_with_index("web", &redis_url(), "[60s]");
        format!("sources:\n  okta: {}\ndownstreams:\n  web: {web}\n", okta(""))
    })
    .await;
    let express = world.express_that_resaves("web").await;
    let told = async || world.metric("leaver_session_index_notified", "").await == 1.0;
    eventually(SOON, "the store tells of what is written", told).await;
    let scim = world.scim("okta");
    scim.create(&person(1, "neighbour")).await;
    let account = scim.create(&person(2, "ana")).await;
    let (neighbour, ana) = (express.sign_in("neighbour").await, express.sign_in("ana").await);

    let (tell, left) = watch::channel(None);
    let worked = AtomicUsize::new(0);
    let tabs = (0..4).map(|tab| work(&ana, tab, &worked, left.clone()));
    let leaving = async {
        eventually(SOON, "all are at work", async || worked.load(Ordering::Relaxed) > 20).await;
        scim.deactivate(&account).await;
        tell.send_replace(Some(Instant::now()));
    };
    let (last, ()) = tokio::join!(join_all(tabs), leaving);
    let left = left.borrow().expect("the provider had its answer");
    let stayed = last.into_iter().max().map_or(Duration::ZERO, |at| at.saturating_duration_since(left));
    println!("the last request that still worked ended {stayed:?} after the provider had its answer");
    world.reached("ana", "web", "verified").await;
    assert_eq!(ana.me().await, None);
    assert_eq!(neighbour.me().await.as_deref(), Some("neighbour"));
}

/// Requests of a few tens of milliseconds, the next at once, whether or not the last was refused: another may have written the
/// session back meanwhile. When the last one ended that was not refused, once all have been for a second.
async fn work(browser: &Browser, tab: usize, worked: &AtomicUsize, left: watch::Receiver<Option<Instant>>) -> Instant {
    let mut last = Instant::now();
    for turn in 0.. {
        if let Some(in_flight) = browser.try_hold(&format!("{tab}-{turn}")).await {
            let time = rand::rng().random_range(20..60);
            tokio::time::sleep(Duration::from_millis(time)).await;
            in_flight.finish().await.expect_status(200);
            last = Instant::now();
            worked.fetch_add(1, Ordering::Relaxed);
        }
        let since = left.borrow().map(|at| at.elapsed()).unwrap_or_default();
        if since > Duration::from_secs(1) && last.elapsed() > Duration::from_secs(1) {
            break;
        }
        assert!(since < SOON, "whoever has left works on and on");
    }
    last
}
