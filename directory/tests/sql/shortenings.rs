//! Sessions that may live for a while yet: nothing ends before its time, and then exactly what was meant, once.

use std::time::Duration;

use directory::{AccountRow, Braked, EVERYWHERE, Made, Ordered, RequestKind, Shortened, in_force};
use lifecycle::Action;
use serde_json::json;
use uuid::Uuid;

use crate::decided::{SHOP, WEB, by_hand, delivery, lost, made, suspended};
use crate::world::{World, person};

const LEFT: Duration = Duration::from_secs(900);

fn shortened(scopes: &[&str], downstreams: &[&str]) -> Ordered {
    let names = |of: &[&str]| of.iter().map(|name| (*name).to_owned()).collect();
    let shortened = Shortened { to: LEFT, scopes: names(scopes), downstreams: names(downstreams) };
    Ordered { shortened: Some(shortened), ..Ordered::default() }
}

/// Decides that event so.
async fn decide(world: &World, event: Uuid, ordered: Ordered) -> Made {
    let event = world.revoker.undecided(&[event]).await.unwrap().remove(0);
    let made = Made { ordered: Some(ordered), ..made(event) };
    assert_eq!(world.revoker.decide(std::slice::from_ref(&made)).await.unwrap(), 1);
    made
}

/// The time of everything that waits has come.
async fn time_passes(world: &World) {
    sqlx::query("UPDATE ledger.shortenings SET due_at = clock_timestamp() WHERE ended_at IS NULL")
        .execute(&world.owner)
        .await
        .unwrap();
}

async fn endings(world: &World) -> Vec<String> {
    sqlx::query_scalar("SELECT coalesce(ending, 'waits') FROM ledger.shortenings ORDER BY sessions_before")
        .fetch_all(&world.owner)
        .await
        .unwrap()
}

async fn ana(world: &World) -> (AccountRow, Uuid) {
    let ana = world.create("okta", person("ana")).await;
    let event = lost(world, &ana).await;
    (ana, event)
}

#[tokio::test]
async fn what_was_shortened_ends_at_its_time_by_a_revocation_of_its_own() {
    let world = World::new().await;
    let (ana, event) = ana(&world).await;
    let at_once = Ordered {
        scopes: vec![(SHOP.to_owned(), vec![Action::RevokeSessions])],
        downstreams: vec![SHOP.to_owned()],
        ..shortened(&[WEB], &[WEB])
    };
    let decided = decide(&world, event, at_once).await;
    let (subject, recorded) = (ana.identity_id, decided.event.recorded_at);
    assert_eq!(delivery(&world, subject, SHOP).await["waiting"], json!([event]));
    assert!(delivery(&world, subject, WEB).await.is_null(), "nothing is owed there yet");
    let shown = world.console.identity_detail(subject).await.unwrap().unwrap().shortened;
    assert_eq!((shown.len(), shown[0].sessions_before, shown[0].due_at), (1, recorded, recorded + LEFT));
    assert_eq!(shown[0].scopes, [WEB]);
    assert_ne!(shown[0].revocation, event, "that is what ends at once");
    let wait = world.revoker.next_shortening().await.unwrap().unwrap();
    assert!(wait <= LEFT && wait > LEFT - Duration::from_secs(60), "{wait:?}");
    assert_eq!(world.revoker.shorten_due().await.unwrap(), None, "its time has not come");

    time_passes(&world).await;
    assert_eq!(world.revoker.next_shortening().await.unwrap(), Some(Duration::ZERO));
    assert_eq!(world.revoker.shorten_due().await.unwrap(), Some(vec![subject]));
    let scopes = world.revoker.cutoffs(subject).await.unwrap();
    assert_eq!(in_force(&scopes, WEB).sessions_before, Some(recorded), "as of the event, so that later sessions live");
    assert_eq!(delivery(&world, subject, WEB).await["waiting"], json!([shown[0].revocation]));
    let row = world.console.revocation(shown[0].revocation).await.unwrap().unwrap();
    assert!(row.at > recorded, "it is asked for when its time has come");
    assert_eq!(
        (world.revoker.shorten_due().await.unwrap(), world.revoker.next_shortening().await.unwrap()),
        (None, None)
    );
    assert!(world.console.shortenings(subject).await.unwrap().is_empty());
    assert_eq!(endings(&world).await, ["carried_out"]);
    world.assert_clean_ledger().await;
}

#[tokio::test]
async fn an_event_that_only_shortens_touches_nothing_until_then() {
    let world = World::new().await;
    let (ana, event) = ana(&world).await;
    decide(&world, event, shortened(&[EVERYWHERE], &[SHOP, WEB])).await;
    assert!(world.revoker.cutoffs(ana.identity_id).await.unwrap().is_empty());
    let revocations: i64 = world.ask("SELECT count(*) FROM ledger.revocations").await;
    assert_eq!(revocations, 0);
    let made = world.revoker.undecided(&[event]).await.unwrap();
    assert!(made.is_empty(), "it is decided all the same");
    let span = world.console.span(chrono::DateTime::UNIX_EPOCH).await.unwrap();
    let chapter = world.console.chapter(span, &[], 1_000).await.unwrap();
    assert!(chapter.items.iter().any(|past| past.decided.as_ref().is_some_and(|d| d.ended)), "and counts as ending");
    world.assert_clean_ledger().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_revokers_together_carry_out_each_once() {
    let world = World::new().await;
    for number in 0..12 {
        let account = world.create("okta", person(&format!("p{number}"))).await;
        let event = suspended(&world, &account).await;
        decide(&world, event, shortened(&[EVERYWHERE], &[WEB])).await;
    }
    time_passes(&world).await;
    let both = async || {
        let mut many = 0;
        while let Some(subjects) = world.revoker.shorten_due().await.unwrap() {
            many += subjects.len();
        }
        many
    };
    let (one, other) = tokio::join!(both(), both());
    assert_eq!(one + other, 12);
    let twice: i64 = world.ask("SELECT count(*) FROM working.deliveries WHERE cardinality(waiting) <> 1").await;
    assert_eq!(twice, 0);
    assert_eq!(endings(&world).await, ["carried_out"; 12]);
}

#[tokio::test]
async fn where_something_stronger_came_in_between_no_later_session_is_touched() {
    let world = World::new().await;
    let (ana, event) = ana(&world).await;
    let subject = ana.identity_id;
    decide(&world, event, shortened(&[EVERYWHERE], &[SHOP, WEB])).await;
    by_hand(&world, subject, WEB, &[WEB]).await;
    let before = delivery(&world, subject, WEB).await;
    time_passes(&world).await;
    world.revoker.shorten_due().await.unwrap();
    assert_eq!(delivery(&world, subject, WEB).await["waiting"], before["waiting"], "it ended there already");
    assert_eq!(delivery(&world, subject, SHOP).await["waiting"], json!([event]));

    let again = lost(&world, &world.create("okta", person("ben")).await).await;
    decide(&world, again, shortened(&[WEB], &[WEB])).await;
    let ben: Uuid = world.ask("SELECT subject_id FROM ledger.shortenings WHERE ended_at IS NULL").await;
    by_hand(&world, ben, EVERYWHERE, &[SHOP, WEB]).await;
    assert!(world.console.shortenings(ben).await.unwrap().is_empty(), "nothing is left that it could end");
    time_passes(&world).await;
    world.revoker.shorten_due().await.unwrap();
    assert_eq!(endings(&world).await, ["carried_out", "overtaken"]);
    world.assert_clean_ledger().await;
}

#[tokio::test]
async fn a_brake_holds_what_shortens_and_an_approved_hold_waits_for_its_time() {
    let world = World::new().await;
    let (ana, event) = ana(&world).await;
    let event = world.revoker.undecided(&[event]).await.unwrap().remove(0);
    let begins = chrono::DateTime::from_timestamp(event.recorded_at.timestamp() - 3_600, 0).unwrap();
    let braked = vec![Braked {
        rule: "mover".to_owned(),
        bound: 0,
        window_begins: begins,
        window_ends: begins + Duration::from_secs(60),
        ordered: shortened(&[EVERYWHERE], &[WEB]),
    }];
    let made = Made { braked, ordered: None, ..made(event) };
    world.revoker.decide(&[made]).await.unwrap();
    assert!(endings(&world).await.is_empty());
    let hold = world.console.holds(true).await.unwrap()[0].id;
    let held = world.console.held_rows(hold, 0, 10).await.unwrap();
    assert_eq!((&held[0].scopes, &held[0].downstreams), (&json!([["*", ["shorten_ttl"]]]), &json!([WEB])));

    let id = world.console.ask(RequestKind::ApproveHold, &json!({"hold": hold}), "jo").await.unwrap();
    let request = world.revoker.request(id).await.unwrap();
    world.revoker.approve_hold(&request, hold, None).await.unwrap();
    while world.revoker.carry_out_held().await.unwrap().is_some() {}
    assert_eq!(endings(&world).await, ["waits"]);
    time_passes(&world).await;
    assert_eq!(world.revoker.shorten_due().await.unwrap(), Some(vec![ana.identity_id]));
    assert_eq!(delivery(&world, ana.identity_id, WEB).await["waiting"], json!([held[0].revocation]));
    world.assert_clean_ledger().await;
}

#[tokio::test]
async fn after_a_merge_it_is_the_survivor_whose_sessions_end() {
    let world = World::new().await;
    world.pull("hr", &[crate::world::number("7", person("a.smith"))]).await;
    let (okta, event) = ana(&world).await;
    let decided = decide(&world, event, shortened(&[EVERYWHERE], &[WEB])).await;
    world.change("okta", &okta.native_id, |f| f.profile.employee_number = Some("7".to_owned())).await;
    let survivor = world.who("hr:a.smith").await.id;
    assert_eq!(world.console.shortenings(survivor).await.unwrap().len(), 1);
    time_passes(&world).await;
    assert_eq!(world.revoker.shorten_due().await.unwrap(), Some(vec![survivor]));
    let recorded = Some(decided.event.recorded_at);
    assert_eq!(world.revoker.cutoffs(survivor).await.unwrap()[EVERYWHERE].sessions_before, recorded);
    assert_eq!(delivery(&world, survivor, WEB).await["waiting"], json!([event]));
}
