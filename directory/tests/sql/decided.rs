//! Decides events as the revoker does: a suspension and a lost privilege end sessions, and before a reinstatement comes what
//! it ends.

use std::convert::Infallible;

use chrono::Utc;
use directory::{AccountRow, EVERYWHERE, Made, MemberChange, Ordered, Undecided};
use lifecycle::{Action, EventType, GroupFacts, Standing, SubjectKind};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{FREE, World, cause};

pub const WEB: &str = "web";
pub const SHOP: &str = "shop";

/// Suspensions end everything at both downstreams, departures and lost privileges only the sessions at `web`: the scopes
/// differ, so that joining them is put to the test.
fn ordered(event: &Undecided) -> Option<Ordered> {
    let order = |scope: &str, actions: &[Action], downstreams: &[&str]| Ordered {
        scopes: vec![(scope.to_owned(), actions.to_vec())],
        downstreams: downstreams.iter().map(|d| (*d).to_owned()).collect(),
        ..Ordered::default()
    };
    match event.event_type {
        EventType::IdentitySuspended => {
            Some(order(EVERYWHERE, &[Action::RevokeSessions, Action::RevokeRefresh], &[SHOP, WEB]))
        }
        EventType::IdentityDeparted => Some(order(WEB, &[Action::RevokeSessions], &[WEB])),
        EventType::MembershipRemoved => Some(order(WEB, &[Action::RevokeSessions], &[WEB])),
        _ => None,
    }
}

pub fn made(event: Undecided) -> Made {
    let ordered = ordered(&event);
    Made {
        published_at: Utc::now(),
        policy_digest: "digest".to_owned(),
        rules: Vec::new(),
        actions: json!([]),
        context_digest: String::new(),
        note: None,
        ordered,
        braked: Vec::new(),
        event,
    }
}

/// Decides these events in this order, one transaction each. Returns how many decisions were new.
pub async fn decide_all(world: &World, ids: &[Uuid]) -> usize {
    let mut new = 0;
    for id in ids {
        let events = world.revoker.undecided(&[*id]).await.unwrap();
        let early = world.revoker.undecided_before(&events).await.unwrap();
        let batch: Vec<Made> = early.into_iter().chain(events).map(made).collect();
        new += world.revoker.decide(&batch).await.unwrap();
    }
    new
}

async fn latest(world: &World, account: &AccountRow) -> Uuid {
    world.told_of(account.identity_id).await.pop().unwrap().event_id
}

/// Suspends; returns the event.
pub async fn suspended(world: &World, account: &AccountRow) -> Uuid {
    world.set("okta", &account.native_id, Standing::Inactive).await;
    latest(world, account).await
}

pub async fn departed(world: &World, account: &AccountRow) -> Uuid {
    world.set("okta", &account.native_id, Standing::Gone).await;
    latest(world, account).await
}

pub async fn reinstated(world: &World, account: &AccountRow) -> Uuid {
    world.set("okta", &account.native_id, Standing::Active).await;
    latest(world, account).await
}

/// Takes a privileged group away; returns the event.
pub async fn lost(world: &World, account: &AccountRow) -> Uuid {
    let facts = GroupFacts {
        native_id: directory::new_id(),
        external_id: None,
        display_name: "admins".to_owned(),
        attributes: json!({}),
    };
    let member = [(account.native_id.clone(), false)];
    let group = world.sync.create_group(&cause("okta"), &facts, &member).await.unwrap();
    let same = move |_: &directory::GroupRow| Ok::<_, Infallible>(facts.clone());
    let all = [MemberChange::RemoveAll];
    world.sync.change_group(&cause("okta"), FREE, &group.native_id, same, &all).await.unwrap().unwrap().unwrap();
    latest(world, account).await
}

/// A request by hand, carried out at these downstreams and in this scope.
pub async fn by_hand(world: &World, subject: Uuid, scope: &str, downstreams: &[&str]) -> Uuid {
    let payload = json!({"subject": subject, "reason": "laptop stolen"});
    let id = world.console.ask(directory::RequestKind::Revoke, &payload, "ciso").await.unwrap();
    let request = world.revoker.request(id).await.unwrap();
    let ordered = Ordered {
        scopes: vec![(scope.to_owned(), vec![Action::RevokeSessions])],
        downstreams: downstreams.iter().map(|d| (*d).to_owned()).collect(),
        ..Ordered::default()
    };
    world.revoker.revoke_by_hand(&request, (subject, SubjectKind::Identity), &ordered, "laptop stolen").await.unwrap();
    id
}

/// The delivery row as JSON; `null` where there is none.
pub async fn delivery(world: &World, subject: Uuid, downstream: &str) -> Value {
    sqlx::query_scalar("SELECT to_jsonb(d) FROM working.deliveries d WHERE subject_id = $1 AND downstream = $2")
        .bind(subject)
        .bind(downstream)
        .fetch_optional(&world.owner)
        .await
        .unwrap()
        .unwrap_or(Value::Null)
}
