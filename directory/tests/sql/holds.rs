//! What waits for a person before sessions end: a rule beyond its brake, and a whole group by hand.

use chrono::{DateTime, Duration, Utc};
use directory::{AccountRow, Braked, Directory, EVERYWHERE, GroupOrder, Made, MemberChange, Ordered, RequestKind};
use lifecycle::{Action, GroupFacts};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::decided::{WEB, made};
use crate::world::{World, cause, person};

fn everywhere() -> Ordered {
    Ordered {
        scopes: vec![(EVERYWHERE.to_owned(), vec![Action::RevokeSessions])],
        downstreams: vec![WEB.to_owned()],
        ..Ordered::default()
    }
}

/// That somebody was created, which a rule with this brake answers; the windows of all of them are one.
async fn braked(world: &World, accounts: &[AccountRow], bound: u64, window: DateTime<Utc>) -> Vec<Made> {
    let mut all = Vec::new();
    for account in accounts {
        let event = world.told_of(account.identity_id).await[0].event_id;
        for event in world.revoker.undecided(&[event]).await.unwrap() {
            let (window_begins, window_ends) = (window, window + Duration::seconds(60));
            let rule = "fresh".to_owned();
            let braked = vec![Braked { rule, bound, window_begins, window_ends, ordered: everywhere() }];
            all.push(Made { braked, ..made(event) });
        }
    }
    all
}

/// Windows begin at whole seconds.
fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(Utc::now().timestamp(), 0).unwrap()
}

fn an_hour_ago() -> DateTime<Utc> {
    now() - Duration::hours(1)
}

async fn staff(world: &World, many: usize) -> Vec<AccountRow> {
    let mut all = Vec::new();
    for number in 0..many {
        all.push(world.create("okta", person(&format!("p{number}"))).await);
    }
    all
}

async fn request(world: &World, kind: RequestKind, payload: Value, by: &str) -> directory::Request {
    let id = world.console.ask(kind, &payload, by).await.unwrap();
    world.revoker.request(id).await.unwrap()
}

/// Somebody answers; what came of it.
async fn approve(world: &World, hold: Uuid, by: &str, mass: Option<u64>) -> Value {
    let asked = request(world, RequestKind::ApproveHold, json!({"hold": hold}), by).await;
    world.revoker.approve_hold(&asked, hold, mass).await.unwrap();
    world.revoker.request(asked.id).await.unwrap().result.unwrap()
}

async fn revocations(world: &World) -> i64 {
    world.ask("SELECT count(*) FROM ledger.revocations").await
}

async fn carry_out(revoker: &Directory) -> usize {
    let mut subjects = 0;
    while let Some(chunk) = revoker.carry_out_held().await.unwrap() {
        subjects += chunk.len();
    }
    subjects
}

#[tokio::test(flavor = "multi_thread")]
async fn several_revokers_together_let_through_no_more_than_the_brake_of_a_rule() {
    let world = World::new().await;
    let staff = staff(&world, 10).await;
    let all = braked(&world, &staff, 3, an_hour_ago()).await;
    // They overlap, as batches do that are delivered twice.
    let (first, second) = (&all[..7], &all[3..]);
    let (one, other) = tokio::join!(world.revoker.decide(first), world.revoker.decide(second));
    assert_eq!(one.unwrap() + other.unwrap(), 10, "each is decided once");
    assert_eq!(revocations(&world).await, 3);
    assert_eq!(world.revoker.decide(&all).await.unwrap(), 0);
    let holds = world.console.holds(true).await.unwrap();
    let [hold] = &holds[..] else { panic!("one window is one hold: {holds:?}") };
    assert_eq!((hold.name.as_str(), hold.rows, hold.bound), ("fresh", 7, Some(3)));
    let notes: i64 = world
        .ask("SELECT count(*) FROM ledger.decisions WHERE note LIKE '%held by the brake of rule \"fresh\"%'")
        .await;
    assert_eq!(notes, 7);

    // Another window is counted anew.
    let later = world.create("okta", person("later")).await;
    world.revoker.decide(&braked(&world, &[later], 3, now()).await).await.unwrap();
    assert_eq!(revocations(&world).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_hold_becomes_exactly_what_was_held_and_what_comes_later_is_another() {
    let world = World::new().await;
    let staff = staff(&world, 4).await;
    let window = an_hour_ago();
    world.revoker.decide(&braked(&world, &staff[..3], 1, window).await).await.unwrap();
    let hold = world.console.holds(true).await.unwrap()[0].id;
    assert_eq!(approve(&world, hold, "jo", Some(1)).await["state"], "waiting", "more than one takes two people");
    assert_eq!(approve(&world, hold, "jo", Some(1)).await["approved_by"], json!(["jo"]), "the same person, again");
    assert_eq!(carry_out(&world.revoker).await, 0);
    assert_eq!(approve(&world, hold, "kim", Some(1)).await, json!({"state": "approved", "rows": 2}));
    world.revoker.decide(&braked(&world, &staff[3..], 1, window).await).await.unwrap();
    assert_eq!(carry_out(&world.revoker).await, 2);
    assert_eq!(revocations(&world).await, 3);
    let event = world.told_of(staff[2].identity_id).await.remove(0);
    let row = world.console.revocation(event.event_id).await.unwrap().expect("a revocation has its event's id");
    let recorded = world.revoker.cutoffs(row.subject).await.unwrap()[EVERYWHERE].sessions_before;
    assert_eq!(recorded, Some(row.at), "as of the event, so that later sessions live");
    let holds = world.console.holds(false).await.unwrap();
    let states: Vec<(&str, i64, i64)> = holds.iter().map(|h| (h.state.as_str(), h.rows, h.done)).collect();
    assert_eq!(states, [("held", 1, 0), ("applied", 2, 2)]);
    let refused = approve(&world, hold, "kim", None).await;
    assert!(refused["error"].as_str().unwrap().contains("is applied"), "{refused}");

    let asked = request(&world, RequestKind::RejectHold, json!({}), "jo").await;
    world.revoker.reject_hold(&asked, holds[0].id, "a wrong rule").await.unwrap();
    assert_eq!(carry_out(&world.revoker).await, 0);
    assert_eq!(revocations(&world).await, 3);
    world.assert_clean_ledger().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_still_gathers_cannot_be_answered() {
    let world = World::new().await;
    let staff = staff(&world, 1).await;
    world.revoker.decide(&braked(&world, &staff, 0, now()).await).await.unwrap();
    let hold = world.console.holds(true).await.unwrap()[0].id;
    let refused = approve(&world, hold, "jo", None).await;
    assert!(refused["error"].as_str().unwrap().contains("gathers until"), "{refused}");
}

async fn group(world: &World, name: &str, members: &[(String, bool)]) -> directory::GroupRow {
    let facts = GroupFacts {
        native_id: directory::new_id(),
        external_id: None,
        display_name: name.to_owned(),
        attributes: json!({}),
    };
    world.sync.create_group(&cause("okta"), &facts, members).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_everybody_in_it_at_any_depth_once_but_for_those_whom_break_glass_names() {
    let world = World::new().await;
    let staff = staff(&world, 4).await;
    let of = |number: usize| (staff[number].native_id.clone(), false);
    let inner = group(&world, "inner", &[of(0), of(1), of(2)]).await;
    let outer = group(&world, "outer", &[of(0), (inner.native_id.clone(), true)]).await;
    // A circle, as providers allow.
    let around = [MemberChange::Add(vec![(outer.native_id.clone(), true)])];
    let same = |row: &directory::GroupRow| {
        Ok::<_, std::convert::Infallible>(GroupFacts {
            native_id: row.native_id.clone(),
            external_id: None,
            display_name: row.display_name.clone(),
            attributes: json!({}),
        })
    };
    let free = crate::world::FREE;
    world.sync.change_group(&cause("okta"), free, &inner.native_id, same, &around).await.unwrap().unwrap().unwrap();

    assert_eq!(world.console.groups_named("OUTER").await.unwrap()[0].name, "okta/outer");
    assert_eq!(world.console.groups_named("okta/outer").await.unwrap()[0].id, outer.id);
    let break_glass = ["p2".to_owned()];
    let size = world.console.group_size(outer.id, &break_glass).await.unwrap();
    assert_eq!((size.members, size.spared), (2, 1));

    let ordered = everywhere();
    let order = GroupOrder {
        group: outer.id,
        ordered: &ordered,
        reason: "phished",
        trace: None,
        break_glass: &break_glass,
        mass: Some(1),
    };
    let asked = request(&world, RequestKind::RevokeGroup, json!({}), "jo").await;
    world.revoker.revoke_group(&asked, &order).await.unwrap();
    world.revoker.revoke_group(&asked, &order).await.unwrap();
    let hold = world.console.holds(true).await.unwrap().pop().unwrap();
    assert_eq!((hold.id, hold.rows, hold.spared, hold.approved_by), (asked.id, 2, 1, vec!["jo".to_owned()]));
    assert_eq!(carry_out(&world.revoker).await, 0, "who asked is one of the two");
    assert_eq!(approve(&world, hold.id, "jo", Some(1)).await["state"], "waiting");
    assert_eq!(approve(&world, hold.id, "kim", Some(1)).await["state"], "approved");
    assert_eq!(carry_out(&world.revoker).await, 2);
    let class: i16 = world.ask("SELECT min(class) FROM working.deliveries").await;
    assert_eq!(class, 2, "one person's urgent revocation passes it");

    // Few enough for one person: at once, and as urgent as one by hand.
    let few = GroupOrder { mass: None, ..order };
    let asked = request(&world, RequestKind::RevokeGroup, json!({}), "jo").await;
    world.revoker.revoke_group(&asked, &few).await.unwrap();
    assert_eq!(carry_out(&world.revoker).await, 2);
    let class: i16 = world.ask("SELECT min(class) FROM working.deliveries").await;
    assert_eq!(class, 0);
}
