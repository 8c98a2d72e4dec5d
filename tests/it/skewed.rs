//! The clock of Leaver's machine is wrong: who leaves is out, who comes back stays, and nobody else notices.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tests::world::{Portal, SOON, Site, Store, World, eventually, people, person, text};

/// Where Debian keeps the library that makes a process believe in another time.
const LIBRARIES: [&str; 2] =
    ["/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1"];

/// A Leaver whose clock is off, beside stores and a PostgreSQL whose clocks are right.
async fn world(off_by: &str) -> World {
    let mut site = Site::new(|names| {
        let (web, sweeps) = (names.redis("web", &tests::world::redis_url(), "[200ms, 1s, 3s]"), "[200ms, 1s, 3s]");
        let (portal, coarse) = (Portal::downstream("portal", sweeps), Portal::downstream("coarse", sweeps));
        let sources = format!("sources:\n  people: {}\n", people(""));
        format!("{sources}downstreams:\n  coarse: {coarse}\n  portal: {portal}\n  web: {web}\n")
    })
    .await;
    let library = LIBRARIES.iter().find(|path| std::path::Path::new(path).exists());
    site.set("LD_PRELOAD", library.expect("libfaketime is installed: run scripts/needs packages"));
    site.set("FAKETIME", off_by);
    // What is measured between two moments is right, and so are the times of files.
    site.set("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    site.set("DONT_FAKE_MONOTONIC", "1");
    site.set("NO_FAKE_STAT", "1");
    World::at(site).await
}

/// The hops of the latest revocation of somebody, by downstream, and how long after the one before each was.
async fn hops(world: &World, who: &str) -> BTreeMap<String, Vec<(String, i64)>> {
    let trace = world.admin().get(&format!("/api/v1/identities/{who}/trace")).await.expect_status(200).json();
    let mut there: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for hop in trace["hops"].as_array().unwrap().iter().filter(|hop| hop["downstream"].is_string()) {
        let read = (text(&hop["hop"]), hop["ms"].as_i64().unwrap());
        there.entry(text(&hop["downstream"])).or_default().push(read);
    }
    there
}

async fn leaves_and_comes_back(off_by: &str) {
    let world = world(off_by).await;
    let web: Store = world.store("web").await;
    let (portal, coarse) = (Portal::open(&world, "portal").await, Portal::of_whole_seconds(&world, "coarse").await);
    let (ana, ben, cleo) = (person(1001, "ana"), person(1002, "ben"), person(1003, "cleo"));
    world.hr(&[ana.clone(), ben.clone(), cleo.clone()]).await.expect_code(0);
    let sign_in = async |who: &str| (web.sign_in(who).await, portal.sign_in(who).await, coarse.sign_in(who).await);
    let lives = async |(one, two, three): &(String, String, String)| {
        [web.lives(one).await, portal.lives(two).await, coarse.lives(three).await]
    };
    let (before, last, others) = (sign_in("ana").await, sign_in("ben").await, sign_in("cleo").await);

    let leaving = Instant::now();
    world.hr(&[ana.status("left"), ben.clone(), cleo.clone()]).await.expect_code(0);
    for downstream in ["coarse", "portal", "web"] {
        world.reached("ana", downstream, "settled").await;
    }
    let took = leaving.elapsed();
    assert_eq!((lives(&before).await, lives(&last).await), ([false; 3], [true; 3]));
    for (downstream, hops) in hops(&world, "ana").await {
        // An instant of the wrong clock would be before the one that it follows, or make all of it longer than it was.
        assert_eq!(hops.len(), 3, "{downstream}: {hops:?}");
        assert!(hops.iter().all(|(_, ms)| *ms >= 0), "{downstream}: {hops:?}");
        let all = hops.iter().map(|(_, ms)| ms.unsigned_abs()).sum();
        assert!(Duration::from_millis(all) <= took, "{downstream}: {hops:?} within {took:?}");
    }

    world.hr(&[ana.clone(), ben.clone(), cleo.clone()]).await.expect_code(0);
    eventually(SOON, "she is back", async || world.state_of("ana").await == "active").await;
    portal.later().await;
    let after = sign_in("ana").await;
    // Whatever is still to be looked at has been looked at when somebody else's revocation is settled.
    world.hr(&[ana, ben.status("left"), cleo]).await.expect_code(0);
    for downstream in ["coarse", "portal", "web"] {
        world.reached("ben", downstream, "settled").await;
    }
    assert_eq!((lives(&last).await, lives(&after).await, lives(&others).await), ([false; 3], [true; 3], [true; 3]));
}

#[tokio::test]
async fn with_a_clock_that_is_ahead_who_leaves_is_out_and_who_comes_back_stays() {
    leaves_and_comes_back("+5s").await;
}

#[tokio::test]
async fn with_a_clock_that_is_behind_who_leaves_is_out_and_who_comes_back_stays() {
    leaves_and_comes_back("-5s").await;
}
