//! Downstreams that fail: everything stays owed, is shown, and is done once they are well; nobody waits for a neighbour.

use chrono::Utc;
use lifecycle::Standing;
use serde_json::json;

use crate::store::{Mood, Store};
use crate::world::{Setup, World, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_downstream_that_is_away_could_not_do_stays_owed_and_is_done_later() {
    let web = Store::new();
    web.becomes(Mood::Away);
    let world = Setup::of([("web", &web)]).start().await;
    let ana = world.person("ana").await;
    web.sign_in("ana", "w1");
    let event = world.set(&ana, Standing::Inactive).await;
    let tried = || async { world.delivery(&ana, "web").await["attempts"].as_i64().is_some_and(|n| n >= 2) };
    eventually("it is tried again", tried).await;
    assert_eq!(world.receipt(event, "web").await["state"], "owed", "no answer, no receipt");
    assert_eq!(world.revoker.directory.owed().await.unwrap()["web"], (1, 0));
    assert!(world.delivery(&ana, "web").await["last_error"].as_str().unwrap().contains("connection refused"));

    web.becomes(Mood::Well);
    world.until(event, "web", "settled").await;
    assert_eq!(web.of_user("ana"), Vec::<String>::new());
    assert!(world.revoker.directory.owed().await.unwrap().is_empty());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_downstream_that_is_away_is_asked_with_one_delivery_at_a_time() {
    let web = Store::new();
    web.becomes(Mood::Away);
    let world = Setup::of([("web", &web)]).start().await;
    let first = world.person("first").await;
    let event = world.set(&first, Standing::Inactive).await;
    eventually("it was tried", || async { tried(&world).await > 0 }).await;
    let mut events = vec![event];
    for n in 0..20 {
        let name = format!("p{n}");
        let account = world.person(&name).await;
        web.sign_in(&name, &format!("session of {name}"));
        events.push(world.set(&account, Standing::Inactive).await);
    }
    eventually("all are owed", || async { world.count("SELECT count(*) FROM working.deliveries").await == 21 }).await;
    let before = tried(&world).await;
    eventually("it is tried again", || async { tried(&world).await > before }).await;
    let waiting = world.count("SELECT count(*) FROM working.deliveries WHERE attempts = 0").await;
    assert!(waiting >= 10, "a pass for everybody would have failed for everybody; {waiting} were left alone");

    web.becomes(Mood::Well);
    for event in events {
        world.until(event, "web", "settled").await;
    }
    world.stop().await;
}

/// How often a delivery was tried in vain, all together.
async fn tried(world: &World) -> i64 {
    world.count("SELECT coalesce(sum(attempts), 0)::int8 FROM working.deliveries").await
}

#[tokio::test(flavor = "multi_thread")]
async fn once_a_downstream_answers_nobody_waits_for_his_next_try() {
    let web = Store::new();
    web.becomes(Mood::Away);
    let world = Setup::of([("web", &web)]).start().await;
    let (ana, ben) = (world.person("ana").await, world.person("ben").await);
    web.sign_in("ana", "w1");
    let event = world.set(&ana, Standing::Inactive).await;
    eventually("it was tried", || async { tried(&world).await > 0 }).await;
    let put_off =
        "UPDATE working.deliveries SET due_at = due_at + interval '1 hour' WHERE attempts > 0 AND lease IS NULL";
    let is_put_off = || async { sqlx::query(put_off).execute(&world.owner).await.unwrap().rows_affected() == 1 };
    eventually("its next try is in an hour", is_put_off).await;

    web.becomes(Mood::Well);
    let other = world.set(&ben, Standing::Inactive).await;
    world.until(other, "web", "settled").await;
    world.until(event, "web", "settled").await;
    assert_eq!(web.of_user("ana"), Vec::<String>::new());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_downstream_refuses_is_shown_as_stuck_until_it_is_mended() {
    let web = Store::new();
    web.becomes(Mood::Refuses("ana"));
    let world = Setup::of([("web", &web)]).start().await;
    let ana = world.person("ana").await;
    web.sign_in("ana", "w1");
    let event = world.set(&ana, Standing::Inactive).await;
    let stuck = world.until(event, "web", "stuck").await;
    assert!(stuck["note"].as_str().unwrap().contains("too long for its column"), "{stuck}");
    assert_eq!(world.console.revocation(event).await.unwrap().unwrap().state, "stuck");
    assert_eq!(world.revoker.directory.owed().await.unwrap()["web"], (1, 1));

    web.becomes(Mood::Well);
    // A new order is due at once, and its pass answers for what waited before it.
    let revocation = world.revoke(&ana).await;
    world.until(revocation, "web", "settled").await;
    let recovered = world.until(event, "web", "settled").await;
    assert_eq!((&recovered["at"]["stuck"], &recovered["note"]), (&json!(null), &json!(null)));
    assert_eq!(web.of_user("ana"), Vec::<String>::new());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_that_a_downstream_cannot_take_does_not_stand_in_front_of_the_others() {
    let web = Store::new();
    web.becomes(Mood::Refuses("p3"));
    let mut world = Setup::of([("web", &web)]).idle().await;
    world.follow();
    let mut events = Vec::new();
    for n in 0..7 {
        let name = format!("p{n}");
        let account = world.person(&name).await;
        web.sign_in(&name, &format!("session of {name}"));
        events.push(world.set(&account, Standing::Inactive).await);
    }
    eventually("all are owed", || async { world.count("SELECT count(*) FROM working.deliveries").await == 7 }).await;
    world.deliver();
    world.until(events[3], "web", "stuck").await;
    assert_eq!(
        world.count("SELECT count(*) FROM ledger.receipts WHERE state = 'stuck'").await,
        1,
        "and nobody with him"
    );
    for (n, event) in events.iter().enumerate() {
        let state = if n == 3 { "stuck" } else { "settled" };
        world.until(*event, "web", state).await;
    }
    let left: Vec<String> = (0..7).flat_map(|n| web.of_user(&format!("p{n}"))).collect();
    assert_eq!(left, ["session of p3"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_downstream_that_hangs_delays_no_other() {
    let (web, shop) = (Store::new(), Store::new());
    web.becomes(Mood::Hangs);
    let world = Setup::of([("web", &web), ("shop", &shop)]).start().await;
    let ana = world.person("ana").await;
    web.sign_in("ana", "w1");
    shop.sign_in("ana", "s1");
    let event = world.set(&ana, Standing::Inactive).await;
    world.until(event, "shop", "settled").await;
    assert_eq!(world.receipt(event, "web").await["state"], "owed");
    assert_eq!(world.console.revocation(event).await.unwrap().unwrap().state, "owed", "the worst of them");
    web.becomes(Mood::Well);
    world.until(event, "web", "settled").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_event_brought_is_found_by_the_clock() {
    let web = Store::new();
    let mut world = Setup::of([("web", &web)]).idle().await;
    let ana = world.person("ana").await;
    web.sign_in("ana", "w1");
    let event = world.set(&ana, Standing::Inactive).await;
    let long_ago = Utc::now() - chrono::Duration::minutes(1);
    assert_eq!(world.revoker.reconcile_once(long_ago).await.unwrap(), 0, "it may still be on its way");
    assert_eq!(world.revoker.reconcile_once(Utc::now()).await.unwrap(), 1);
    world.deliver();
    world.until(event, "web", "settled").await;
    assert_eq!(world.revoker.reconcile_once(Utc::now()).await.unwrap(), 0);

    sqlx::query("DELETE FROM working.deliveries").execute(&world.owner).await.unwrap();
    web.sign_in("ana", "w2");
    assert_eq!(world.revoker.reconcile_once(Utc::now()).await.unwrap(), 1);
    eventually("whoever is suspended is looked for", || async { web.of_user("ana").is_empty() }).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_that_were_leased_are_worked_off_before_the_revoker_stops() {
    let web = Store::new();
    web.becomes(Mood::Hangs);
    let world = Setup::of([("web", &web)]).start().await;
    let ana = world.person("ana").await;
    web.sign_in("ana", "w1");
    world.set(&ana, Standing::Inactive).await;
    eventually("a pass has begun", || async { !world.delivery(&ana, "web").await["lease"].is_null() }).await;
    let stopping = world.stop();
    web.becomes(Mood::Well);
    stopping.await;
    assert_eq!(web.of_user("ana"), Vec::<String>::new(), "the pass that had begun was finished");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_written_while_its_lease_is_renewed_waits_for_nobody() {
    let web = Store::new();
    let world = Setup::of([("web", &web)]).start().await;
    // As on a database that is slow: longer than a lease goes without being renewed, and with the delivery locked.
    let slowly =
        "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(4); RETURN NEW; END $$;
                  CREATE TRIGGER slowly BEFORE INSERT OR UPDATE ON ledger.receipts
                      FOR EACH ROW WHEN (NEW.state = 'verified') EXECUTE FUNCTION slowly()";
    sqlx::raw_sql(slowly).execute(&world.owner).await.unwrap();
    let ana = world.person("ana").await;
    web.sign_in("ana", "w1");
    let event = world.set(&ana, Standing::Inactive).await;
    let verified = world.until(event, "web", "verified").await;
    assert_eq!((&verified["found"], &verified["ended"]), (&json!(1), &json!(1)), "the first pass was answered");
    world.stop().await;
}
