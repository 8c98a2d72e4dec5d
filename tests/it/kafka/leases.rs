//! Leases change hands: whoever relayed dies or stands still, and another process relays. Nothing is lost by it.

use std::collections::BTreeSet;
use std::time::Duration;

use tests::world::{Member, Reader, Role, Site, World, eventually, people, person, until};
use tokio::time::{Instant, interval};

use super::stage::{PATIENTLY, all_end, count, database, holder, nothing_is_pending, signed_in, usual, works};

const URGENT: &str = "relay/0/urgent";

/// How long a lease lasts.
const TTL: Duration = Duration::from_secs(10);

/// The roles apart, with the console relaying: it was there first.
async fn relayed_by_the_console() -> World {
    let mut world = World::apart(Site::new(usual).await, &[(Role::Console, 1)]).await;
    let mut database = database(world.site()).await;
    let console = world.member(Role::Console, 0).holder();
    until(PATIENTLY, "the console relays", async || {
        holder(&mut database, URGENT).await.filter(|holder| *holder == console)
    })
    .await;
    world.add(Role::SyncWorker).await;
    world.add(Role::Revoker).await;
    works(&world, 1).await;
    assert_eq!(holder(&mut database, URGENT).await, Some(console), "it keeps what it has");
    world
}

#[tokio::test]
async fn when_the_relaying_process_is_killed_another_takes_over() {
    let mut world = relayed_by_the_console().await;
    let (okta, store) = (world.gateway("okta"), world.store("web").await);
    let people = signed_in(&okta, &store, 1001, 1).await;
    let mut database = database(world.site()).await;

    let killed = world.member(Role::Console, 0).holder();
    world.member_mut(Role::Console, 0).kill9();
    okta.set_active(&people[0].account, false).await;
    all_end(&store, &people).await;
    let successor = holder(&mut database, URGENT).await.unwrap();
    let others: Vec<String> = world.members().filter(|member| member.runs()).map(Member::holder).collect();
    assert!(successor != killed && others.contains(&successor), "{successor} is one of {others:?}");

    world.start_again(Role::Console, 0).await;
    world.reached(&people[0].person.user, "web", "verified").await;
    nothing_is_pending(&world).await;
}

#[tokio::test]
async fn a_relay_that_stood_still_past_its_lease_and_wakes_up_loses_nothing() {
    let world = relayed_by_the_console().await;
    let (okta, store) = (world.gateway("okta"), world.store("web").await);
    let people = signed_in(&okta, &store, 1001, 60).await;
    let mut database = database(world.site()).await;
    let console = world.member(Role::Console, 0);
    let stopped = console.holder();
    nothing_is_pending(&world).await;

    // Changes go on before, while and after it stands still.
    let mut pace = interval(Duration::from_millis(250));
    let mut since: Option<Instant> = None;
    let mut taken_over = false;
    for (n, one) in people.iter().enumerate() {
        pace.tick().await;
        if n == 5 {
            console.pause();
            since = Some(Instant::now());
        }
        okta.set_active(&one.account, false).await;
        if n % 2 == 0 {
            // And some come back and leave again, so that order matters.
            okta.set_active(&one.account, true).await;
            okta.set_active(&one.account, false).await;
        }
        taken_over |= holder(&mut database, URGENT).await.is_some_and(|holder| holder != stopped);
        if taken_over && since.is_some_and(|since| since.elapsed() > TTL + Duration::from_secs(1)) {
            console.resume();
            since = None;
        }
    }
    if !taken_over {
        let other = async || holder(&mut database, URGENT).await.filter(|holder| *holder != stopped);
        until(PATIENTLY, "somebody else relays meanwhile", other).await;
    }
    console.resume();
    all_end(&store, &people).await;
    nothing_is_pending(&world).await;

    let reader = Reader::of(&world.site().names().topics().events().await);
    assert_eq!(reader.holes(), Vec::<&(String, String)>::new());
    let events = sqlx::query_scalar::<_, String>("SELECT event_id::text FROM ledger.events");
    let committed: BTreeSet<String> = events.fetch_all(&mut database).await.unwrap().into_iter().collect();
    let told: BTreeSet<String> = reader.taken.iter().cloned().collect();
    assert_eq!(committed, told, "every event was told");
    for one in &people {
        let user = &one.person.user;
        let suspended = async || world.state_of(user).await == "suspended";
        eventually(PATIENTLY, &format!("{user} is suspended"), suspended).await;
        world.reached(user, "web", "verified").await;
    }
}

/// Without what a worker waited for at the database when it was stopped, which may be too late when it wakes; that is not the source's.
const BACKED_OFF: &str = "SELECT count(*) FROM ledger.events
                          WHERE type = 'source.backed_off' AND body::jsonb #>> '{data,reason}' <> 'database'";

#[tokio::test]
async fn a_sync_worker_that_stood_still_past_its_lease_is_stood_in_for_and_undoes_nothing_when_it_wakes() {
    let site = Site::new(|names| {
        let people = people(", schedule: \"* * * * * *\"");
        format!("sources:\n  people: {people}\ndownstreams:\n  web: {}\n", names.web()) + &names.kafka()
    });
    let world = World::apart(site.await, &[(Role::Console, 1), (Role::SyncWorker, 2), (Role::Revoker, 1)]).await;
    let (ana, ben) = (person(1001, "ana"), person(1002, "ben"));
    world.hr(&[ana.clone(), ben.clone()]).await.expect_code(0);
    let mut database = database(world.site()).await;
    let reads = until(PATIENTLY, "somebody reads", async || holder(&mut database, "source/people").await).await;
    let workers = [0, 1].map(|number| world.member(Role::SyncWorker, number));
    let stopped = workers.into_iter().find(|worker| worker.holder() == reads).expect("one of them reads");
    stopped.pause();

    world.hr_file(&[ana.clone(), ben.status("left")]);
    eventually(PATIENTLY, "the other one reads that Ben has left", async || world.state_of("ben").await == "departed")
        .await;
    world.hr_file(&[ana, ben]);
    eventually(PATIENTLY, "and that he is back", async || world.state_of("ben").await == "active").await;
    let runs = count(&mut database, "SELECT count(*) FROM working.runs WHERE outcome = 'complete'").await;
    // A file that is replaced while the other one reads it is told of.
    let backed_off = count(&mut database, BACKED_OFF).await;
    stopped.resume();
    until(PATIENTLY, "some more runs", async || {
        let now = count(&mut database, "SELECT count(*) FROM working.runs WHERE outcome = 'complete'").await;
        (now >= runs + 4).then_some(())
    })
    .await;
    assert_eq!(world.state_of("ben").await, "active");
    let left = "SELECT count(*) FROM ledger.events WHERE type = 'identity.departed'";
    assert_eq!(count(&mut database, left).await, 1, "what the old one had read is said by nobody");
    assert_eq!(
        count(&mut database, BACKED_OFF).await,
        backed_off,
        "that a worker stood still says nothing of its source"
    );
}
