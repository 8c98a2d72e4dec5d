//! Decisions have their effect once, and what is in force follows from the history, not from the order of arrival.

use directory::EVERYWHERE;
use lifecycle::cutoff::StateMark;
use lifecycle::{Standing, SubjectKind};

use crate::decided::{WEB, by_hand, decide_all, delivery, departed, lost, made, reinstated, suspended};
use crate::world::{World, person};

#[tokio::test]
async fn deciding_an_event_twice_has_one_effect() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    let event = suspended(&world, &ana).await;
    let undecided = world.revoker.undecided(&[event]).await.unwrap();
    let batch: Vec<_> = undecided.into_iter().map(made).collect();
    assert_eq!(world.revoker.decide(&batch).await.unwrap(), 1);
    let before = (world.revoker.cutoffs(ana.identity_id).await.unwrap(), delivery(&world, ana.identity_id, WEB).await);
    assert_eq!(world.revoker.decide(&batch).await.unwrap(), 0, "the decision made is reused");
    assert!(world.revoker.undecided(&[event]).await.unwrap().is_empty());
    let after = (world.revoker.cutoffs(ana.identity_id).await.unwrap(), delivery(&world, ana.identity_id, WEB).await);
    assert_eq!(after, before);
    assert_eq!(world.ask::<i64>("SELECT count(*) FROM ledger.revocations").await, 1);
    assert_eq!(world.ask::<i64>("SELECT revision FROM ledger.cutoff_subjects").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_revokers_that_decide_the_same_events_at_once_decide_each_once() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for n in 0..20 {
        let account = world.create("okta", person(&format!("p{n}"))).await;
        ids.push(suspended(&world, &account).await);
    }
    let mut reversed = ids.clone();
    reversed.reverse();
    let batch = async |ids: &[uuid::Uuid]| {
        let made: Vec<_> = world.revoker.undecided(ids).await.unwrap().into_iter().map(made).collect();
        world.revoker.decide(&made).await.unwrap()
    };
    let (one, two) = tokio::join!(batch(&ids), batch(&reversed));
    assert_eq!(one + two, 20);
    assert_eq!(world.ask::<i64>("SELECT sum(cardinality(waiting))::int8 FROM working.deliveries").await, 40);
}

#[tokio::test]
async fn a_cutoff_says_what_was_ordered_at_the_instant_of_its_event() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    let event = suspended(&world, &ana).await;
    let recorded_at = world.revoker.undecided(&[event]).await.unwrap()[0].recorded_at;
    decide_all(&world, &[event]).await;
    let cutoffs = world.revoker.cutoffs(ana.identity_id).await.unwrap();
    let everywhere = cutoffs[EVERYWHERE];
    assert_eq!((everywhere.sessions_before, everywhere.refresh_before), (Some(recorded_at), Some(recorded_at)));
    assert_eq!(everywhere.state, Some(StateMark { version: 2, disabled: true }));
    assert_eq!(everywhere.generation, 1);
    let revocation = world.console.revocation(event).await.unwrap().unwrap();
    assert_eq!((revocation.id, revocation.at, revocation.state.as_str()), (event, recorded_at, "owed"));
}

#[tokio::test]
async fn what_ends_sessions_without_ending_access_disables_nobody() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    let event = lost(&world, &ana).await;
    decide_all(&world, &[event]).await;
    by_hand(&world, ana.identity_id, EVERYWHERE, &[WEB]).await;
    let cutoffs = world.revoker.cutoffs(ana.identity_id).await.unwrap();
    assert_eq!(cutoffs.keys().collect::<Vec<_>>(), [EVERYWHERE, WEB]);
    assert!(cutoffs.values().all(|c| c.state.is_none() && c.sessions_before.is_some()), "{cutoffs:?}");
}

#[tokio::test]
async fn a_request_carried_out_twice_is_one_revocation_at_the_instant_it_was_asked() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    let id = by_hand(&world, ana.identity_id, EVERYWHERE, &[WEB]).await;
    let request = world.revoker.request(id).await.unwrap();
    assert_eq!(request.state, "done");
    let cutoff = world.revoker.cutoffs(ana.identity_id).await.unwrap()[EVERYWHERE];
    assert_eq!(cutoff.sessions_before, Some(request.asked_at));
    let ordered = directory::Ordered::default();
    world.revoker.revoke_by_hand(&request, (ana.identity_id, SubjectKind::Identity), &ordered, "again").await.unwrap();
    assert_eq!(world.ask::<i64>("SELECT count(*) FROM ledger.revocations").await, 1);
    assert_eq!(delivery(&world, ana.identity_id, WEB).await["waiting"], serde_json::json!([id]));
}

#[tokio::test]
async fn a_reinstatement_that_arrives_first_decides_its_suspension_before_itself() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    let (out, back) = (suspended(&world, &ana).await, reinstated(&world, &ana).await);
    let recorded_at = world.revoker.undecided(&[back]).await.unwrap()[0].recorded_at;
    assert_eq!(decide_all(&world, &[back]).await, 2);
    assert_eq!(decide_all(&world, &[out]).await, 0, "nothing is left to decide when it comes");
    let cutoff = world.revoker.cutoffs(ana.identity_id).await.unwrap()[EVERYWHERE];
    assert_eq!(cutoff.state, Some(StateMark { version: 3, disabled: false }));
    assert_eq!(cutoff.sessions_before, Some(recorded_at), "enabling again revives nothing from before");
    assert_eq!(
        delivery(&world, ana.identity_id, WEB).await["waiting"],
        serde_json::json!([out]),
        "and it is still owed"
    );
}

#[tokio::test]
async fn a_later_reinstatement_that_arrives_first_takes_nothing_from_an_earlier_one() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    let out = suspended(&world, &ana).await;
    let back = reinstated(&world, &ana).await;
    let gone = departed(&world, &ana).await;
    let rehired = reinstated(&world, &ana).await;
    let recorded_at = world.revoker.undecided(&[back]).await.unwrap()[0].recorded_at;
    decide_all(&world, &[rehired, gone, back, out]).await;
    let cutoffs = world.revoker.cutoffs(ana.identity_id).await.unwrap();
    assert_eq!(cutoffs[EVERYWHERE].state, Some(StateMark { version: 3, disabled: false }));
    assert_eq!(cutoffs[EVERYWHERE].sessions_before, Some(recorded_at), "the departure was for web alone");
    assert_eq!(cutoffs[WEB].state, Some(StateMark { version: 5, disabled: false }));
}

#[tokio::test]
async fn a_replay_of_the_old_suspension_after_a_rehire_changes_nothing() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    let history = [suspended(&world, &ana).await, departed(&world, &ana).await, reinstated(&world, &ana).await];
    decide_all(&world, &history).await;
    assert_eq!(world.identity(ana.identity_id).await.generation, 2);
    let before = world.revoker.cutoffs(ana.identity_id).await.unwrap();
    assert_eq!(before[EVERYWHERE].generation, 2);
    assert_eq!(decide_all(&world, &[history[0], history[1], history[0], history[2]]).await, 0);
    assert_eq!(world.revoker.cutoffs(ana.identity_id).await.unwrap(), before);
}

#[tokio::test]
async fn a_reinstatement_of_somebody_who_was_never_cut_off_demands_nothing() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    world.set("okta", &ana.native_id, Standing::Gone).await;
    world.set("okta", &ana.native_id, Standing::Active).await;
    let told = world.told_of(ana.identity_id).await;
    let (gone, back) = (told[1].event_id, told[2].event_id);
    // The departure is decided as "nothing": no rule asked for it.
    let mut nothing = made(world.revoker.undecided(&[gone]).await.unwrap().remove(0));
    nothing.ordered = None;
    world.revoker.decide(&[nothing]).await.unwrap();
    decide_all(&world, &[back]).await;
    assert!(world.revoker.cutoffs(ana.identity_id).await.unwrap().is_empty());
    assert!(world.revoker.owed().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_survivor_of_a_merge_joins_the_instants_of_the_other() {
    let world = World::new().await;
    world.pull("hr", &[crate::world::number("7", person("a.smith"))]).await;
    let okta = world.create("okta", person("ana")).await;
    let merged = okta.identity_id;
    by_hand(&world, merged, EVERYWHERE, &[WEB]).await;
    let before = world.revoker.cutoffs(merged).await.unwrap()[EVERYWHERE];
    world.change("okta", &okta.native_id, |f| f.profile.employee_number = Some("7".to_owned())).await;
    let survivor = world.who("hr:a.smith").await.id;
    let event = world.told_of(survivor).await.into_iter().find(|t| t.what == "identity.merged").unwrap().event_id;
    decide_all(&world, &[event]).await;
    assert_eq!(world.revoker.cutoffs(survivor).await.unwrap()[EVERYWHERE].sessions_before, before.sessions_before);
}

#[tokio::test]
async fn an_urgent_event_without_a_decision_is_found_by_the_clock() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    let event = suspended(&world, &ana).await;
    let now = world.revoker.now().await.unwrap();
    let long_ago = now - chrono::Duration::hours(1);
    assert!(world.revoker.overdue(long_ago, &[], 10).await.unwrap().is_empty(), "it may still be on its way");
    let overdue = world.revoker.overdue(now, &[], 10).await.unwrap();
    assert_eq!(overdue.iter().map(|e| e.event_id).collect::<Vec<_>>(), [event]);
    decide_all(&world, &[event]).await;
    assert!(world.revoker.overdue(now, &[], 10).await.unwrap().is_empty());
}
