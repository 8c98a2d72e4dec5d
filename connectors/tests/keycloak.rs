//! What the Keycloak connector owes the worker, on a real server.
#![cfg_attr(test, allow(clippy::unwrap_used))]

#[path = "../../tests/keycloak/realm.rs"]
mod realm;

use std::collections::BTreeMap;
use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use connectors::{Batch, Budget, Checkpoint, Config, Connector, Coverage, Error, Pull};
use lifecycle::account::IdentityKind;
use lifecycle::{AccountFacts, Change, Standing};
use realm::Realm;
use reqwest::Method;
use serde_json::{Value, json};

fn connector(settings: Value) -> Box<dyn Pull> {
    match serde_json::from_value::<Config>(settings).unwrap().build(None).unwrap() {
        Connector::Pull(pull) => pull,
        Connector::Push(_) => panic!("a pushed source"),
    }
}

/// Everything that a snapshot says, by native id, and the checkpoint after it.
async fn snapshot(pull: &dyn Pull) -> (BTreeMap<String, AccountFacts>, Checkpoint) {
    let (mut people, mut at) = (BTreeMap::new(), None);
    loop {
        let Batch { changes, coverage, next, more, .. } = pull.pull(at.as_ref()).await.unwrap();
        assert_eq!(coverage, Coverage::Snapshot);
        for change in changes {
            let Change::Account(facts) = change else { panic!("a snapshot deletes nobody") };
            people.insert(facts.native_id.clone(), facts);
        }
        if !more {
            return (people, next);
        }
        at = Some(next);
    }
}

/// The changes after `since`, and the checkpoint after them.
async fn delta(pull: &dyn Pull, since: &Checkpoint) -> (Vec<Change>, Checkpoint) {
    let batch = pull.pull(Some(since)).await.unwrap();
    assert_eq!((batch.coverage, batch.more), (Coverage::Delta, false));
    (batch.changes, batch.next)
}

fn named<'a>(people: &'a BTreeMap<String, AccountFacts>, name: &str) -> &'a AccountFacts {
    people.values().find(|facts| facts.profile.user_name.as_deref() == Some(name)).unwrap()
}

fn groups(facts: &AccountFacts) -> Vec<&str> {
    facts.groups.as_ref().unwrap().iter().map(String::as_str).collect()
}

#[tokio::test]
async fn a_snapshot_has_everybody_with_their_groups_and_those_above() {
    let realm = Realm::create().await;
    let ben = realm.user_id("ben").await;
    realm.enable(&ben, false).await;
    let pull = connector(realm.settings("leaver"));
    let (people, next) = snapshot(&*pull).await;
    let names: Vec<_> = people.values().filter_map(|facts| facts.profile.user_name.clone()).collect();
    assert_eq!(names.len(), 5, "{names:?}");

    let ana = named(&people, "ana");
    assert_eq!(groups(ana), ["engineering", "engineering/platform", "staff"]);
    assert_eq!((ana.standing, ana.kind), (Standing::Active, None));
    let number = ana.profile.employee_number.as_deref();
    assert_eq!((number, ana.profile.manager.as_deref()), (Some("1001"), Some("1003")));
    assert_eq!((named(&people, "ben").standing, &named(&people, "ben").native_id), (Standing::Inactive, &ben));
    assert_eq!(named(&people, "service-account-leaver").kind, Some(IdentityKind::Service));

    // Nothing happened, so nothing changed; and asking anew says the same.
    let (changes, after) = delta(&*pull, &next).await;
    assert_eq!((changes, &after), (Vec::new(), &next));
    assert_eq!(snapshot(&*pull).await.0, people);
    realm.remove().await;
}

/// Allows so many requests.
struct Allows(AtomicUsize);

#[async_trait]
impl Budget for Allows {
    async fn take(&self) -> connectors::Result<()> {
        let taken = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        taken.map(drop).map_err(|_| Error::Unavailable("the budget is spent".into()))
    }
}

#[tokio::test]
async fn the_last_page_lists_groups_that_nobody_is_in_and_no_request_goes_past_the_budget() {
    let realm = Realm::create().await;
    realm.admin(Method::POST, "/groups", json!({ "name": "empty" })).await;
    let config: Config = serde_json::from_value(realm.settings("leaver")).unwrap();
    let within = |requests| {
        let budget = Arc::new(Allows(AtomicUsize::new(requests)));
        match config.build_within(None, Some(budget.clone())).unwrap() {
            Connector::Pull(pull) => (pull, budget),
            Connector::Push(_) => panic!("a pushed source"),
        }
    };
    let (pull, budget) = within(1_000);
    let page = pull.pull(None).await.unwrap();
    let listed: Vec<&str> = page.groups.iter().map(|group| group.native_id.as_str()).collect();
    assert!(!page.more && listed.contains(&"empty") && listed.contains(&"engineering/platform"), "{listed:?}");
    let needed = 1_000 - budget.0.load(Ordering::SeqCst);
    assert!(within(needed).0.pull(None).await.is_ok());
    // The first one is to sign in.
    for few in [0, 1, needed - 1] {
        let refused = within(few).0.pull(None).await.unwrap_err();
        assert!(chain(&refused).contains("the budget is spent"), "{few} of {needed}: {refused:?}");
    }
    realm.remove().await;
}

#[tokio::test]
async fn what_a_realm_says_of_its_groups_is_read_with_them_and_a_change_of_it_is_noticed() {
    let realm = Realm::create().await;
    let of = |batch: &Batch, name: &str| {
        batch.groups.iter().find(|group| group.native_id == name).map(|group| group.attributes.clone())
    };
    let say = async |group: &str, name: &str, attributes: Value| {
        let id = realm.group_id(group).await;
        realm.admin(Method::PUT, &format!("/groups/{id}"), json!({ "name": name, "attributes": attributes })).await;
    };
    say("staff", "staff", json!({ "tier": ["0"], "site": ["Berlin", "Oslo"] })).await;
    let engineering = realm.group_id("engineering").await;
    let child = json!({ "name": "oncall", "attributes": { "tier": ["1"] } });
    realm.admin(Method::POST, &format!("/groups/{engineering}/children"), child).await;

    let pull = connector(realm.settings("leaver"));
    let all = pull.pull(None).await.unwrap();
    assert_eq!(of(&all, "staff"), Some(json!({ "tier": "0", "site": ["Berlin", "Oslo"] })));
    assert_eq!(of(&all, "engineering/oncall"), Some(json!({ "tier": "1" })));
    assert_eq!(of(&all, "engineering"), Some(json!({})), "what is below it says nothing of it");

    realm.enable(&realm.user_id("ana").await, false).await;
    let told = pull.pull(Some(&all.next)).await.unwrap();
    assert_eq!((&told.coverage, of(&told, "staff")), (&Coverage::Delta, of(&all, "staff")));
    say("staff", "staff", json!({})).await;
    assert!(matches!(pull.pull(Some(&told.next)).await, Err(Error::CheckpointExpired)));
    assert_eq!(of(&pull.pull(None).await.unwrap(), "staff"), Some(json!({})));
    realm.remove().await;
}

#[tokio::test]
async fn admin_events_name_who_was_disabled_moved_created_and_deleted() {
    let realm = Realm::create().await;
    let pull = connector(realm.settings("leaver"));
    let (people, start) = snapshot(&*pull).await;
    let (ana, ben, cleo) = (realm.user_id("ana").await, realm.user_id("ben").await, realm.user_id("cleo").await);

    realm.enable(&ana, false).await;
    let admins = realm.group_id("admins").await;
    realm.admin(Method::DELETE, &format!("/users/{cleo}/groups/{admins}"), Value::Null).await;
    realm.admin(Method::DELETE, &format!("/users/{ben}"), Value::Null).await;
    let dora = realm.add_user("dora").await;
    let (changes, next) = delta(&*pull, &start).await;
    assert_eq!(changes.len(), 4, "{changes:?}");
    for change in &changes {
        match change {
            Change::Deleted { native_id } => assert_eq!(native_id, &ben),
            Change::Account(facts) if facts.native_id == ana => {
                assert_eq!(facts, &AccountFacts { standing: Standing::Inactive, ..people[&ana].clone() });
            }
            Change::Account(facts) if facts.native_id == cleo => assert_eq!(groups(facts), ["staff"]),
            Change::Account(facts) => assert_eq!((&facts.native_id, facts.standing), (&dora, Standing::Active)),
        }
    }
    assert_eq!(delta(&*pull, &next).await.0, [], "each event is dealt with once");
    assert_eq!(delta(&*pull, &start).await.0, changes, "until the checkpoint is kept");
    realm.remove().await;
}

#[tokio::test]
async fn what_our_own_client_did_is_no_news() {
    let realm = Realm::create().await;
    let pull = connector(realm.settings("leaver"));
    let (_, start) = snapshot(&*pull).await;
    let ana = realm.user_id("ana").await;
    // The client may manage users, so it can do what no part of Leaver does.
    realm.disable_as("leaver", &ana).await;
    let (changes, next) = delta(&*pull, &start).await;
    assert_eq!(changes, []);
    assert_ne!(next, start);
    assert_eq!(snapshot(&*pull).await.0[&ana].standing, Standing::Inactive, "a fact it is all the same");
    realm.remove().await;
}

#[tokio::test]
async fn pages_are_read_whole_and_nobody_twice() {
    let realm = Realm::create().await;
    let users: Vec<Value> = (0..1_010).map(|n| json!({ "username": format!("p{n:04}"), "enabled": true })).collect();
    let import = json!({ "ifResourceExists": "FAIL", "users": users });
    realm.admin(Method::POST, "/partialImport", import).await;
    realm.admin(Method::PUT, "", json!({ "editUsernameAllowed": true })).await;
    let pull = connector(realm.settings("leaver"));
    let (mut seen, mut pages, mut at) = (Vec::new(), 0, None);
    loop {
        let batch = pull.pull(at.as_ref()).await.unwrap();
        pages += 1;
        assert_eq!(!batch.groups.is_empty(), pages != 2, "groups come before their members, and once more at the end");
        seen.extend(batch.changes.into_iter().map(|change| match change {
            Change::Account(facts) => facts.native_id,
            Change::Deleted { native_id } => panic!("{native_id}"),
        }));
        if pages == 1 {
            // Somebody on the first page goes, so that all after it move up; somebody after it takes a name before it.
            let (gone, moved) = (realm.user_id("p0003").await, realm.user_id("p0900").await);
            realm.admin(Method::DELETE, &format!("/users/{gone}"), Value::Null).await;
            let rename = json!({ "username": "a0900", "enabled": true });
            realm.admin(Method::PUT, &format!("/users/{moved}"), rename).await;
        }
        at = Some(batch.next);
        if !batch.more {
            break;
        }
    }
    assert_eq!(pages, 3);
    let total = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!((seen.len(), total), (1_010 + 5, 1_010 + 5));
    assert!(seen.contains(&realm.user_id("a0900").await));

    let first = pull.pull(None).await.unwrap();
    realm.admin(Method::PUT, "", json!({ "editUsernameAllowed": false })).await;
    let second = pull.pull(Some(&first.next)).await.unwrap();
    let refused = pull.pull(Some(&second.next)).await.unwrap_err();
    assert!(matches!(refused, Error::Unavailable(_)), "{refused:?}");
    assert!(chain(&refused).contains("while users were read, the settings of the realm were changed"));
    realm.remove().await;
}

#[tokio::test]
async fn without_events_everything_is_read_and_the_probe_says_so() {
    let realm = Realm::create().await;
    let pull = connector(realm.settings("leaver"));
    assert_eq!(pull.probe().await.unwrap(), format!("realm {}, 3 users, admin events are saved", realm.name));
    let (_, saved) = snapshot(&*pull).await;
    realm.admin(Method::PUT, "/events/config", json!({ "adminEventsEnabled": false })).await;
    let found = pull.probe().await.unwrap();
    assert!(found.ends_with("admin events are not saved, so every read is a full one"), "{found}");
    assert!(matches!(pull.pull(Some(&saved)).await, Err(Error::CheckpointExpired)));
    let (people, unsaved) = snapshot(&*pull).await;
    assert_eq!(people.len(), 5);
    assert!(matches!(pull.pull(Some(&unsaved)).await, Err(Error::CheckpointExpired)));
    // Saved again: what happened in between is in no event, so the checkpoint from before does not hold.
    realm.admin(Method::PUT, "/events/config", json!({ "adminEventsEnabled": true })).await;
    assert!(matches!(pull.pull(Some(&saved)).await, Err(Error::CheckpointExpired)));
    let (_, next) = snapshot(&*pull).await;
    assert_eq!(delta(&*pull, &next).await.0, []);
    realm.remove().await;
}

#[tokio::test]
async fn a_checkpoint_expires_with_its_events_and_with_a_change_of_a_group() {
    let realm = Realm::create().await;
    let pull = connector(realm.settings("leaver"));
    realm.enable(&realm.user_id("ben").await, false).await;
    let (_, known) = snapshot(&*pull).await;
    assert_eq!(delta(&*pull, &known).await.0, []);

    let staff = realm.group_id("staff").await;
    realm.admin(Method::PUT, &format!("/groups/{staff}"), json!({ "name": "people" })).await;
    assert!(matches!(pull.pull(Some(&known)).await, Err(Error::CheckpointExpired)));
    let (people, renamed) = snapshot(&*pull).await;
    assert_eq!(groups(named(&people, "ben")), ["people"]);
    assert_eq!(delta(&*pull, &renamed).await.0, []);

    realm.admin(Method::DELETE, "/admin-events", Value::Null).await;
    assert!(matches!(pull.pull(Some(&renamed)).await, Err(Error::CheckpointExpired)));
    assert!(matches!(pull.pull(Some(&Checkpoint(json!({ "sha256": "" })))).await, Err(Error::CheckpointExpired)));
    realm.remove().await;
}

/// The error with its causes.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

#[tokio::test]
async fn the_roles_that_its_manual_names_suffice_and_one_fewer_is_named() {
    let realm = Realm::create().await;
    let all = ["view-users", "view-events", "view-clients"];
    realm.add_client("enough", &all).await;
    let pull = connector(realm.settings("enough"));
    pull.probe().await.unwrap();
    let (people, next) = snapshot(&*pull).await;
    assert_eq!(people.len(), 6);
    assert_eq!(delta(&*pull, &next).await.0, []);

    for lacking in all {
        let client = format!("without-{lacking}");
        // What looks for users or clients without being allowed to see them gets an empty list from Keycloak.
        let rest: Vec<&str> =
            all.into_iter().filter(|role| *role != lacking).chain(["query-users", "query-clients"]).collect();
        realm.add_client(&client, &rest).await;
        let pull = connector(realm.settings(&client));
        for error in [pull.pull(None).await.unwrap_err(), pull.probe().await.unwrap_err()] {
            assert!(matches!(error, Error::Unauthorized(_)), "{lacking}: {error:?}");
            assert!(chain(&error).contains(&format!("lacks the role {lacking} ")), "{}", chain(&error));
        }
    }
    let mut people_only = realm.settings("without-view-clients");
    people_only["service_accounts"] = false.into();
    assert_eq!(snapshot(&*connector(people_only)).await.0.len(), 3);
    realm.remove().await;
}

#[tokio::test]
async fn a_wrong_secret_is_unauthorized_and_a_server_out_of_reach_unavailable() {
    let realm = Realm::create().await;
    let with = |key: &str, value: &str| {
        let mut settings = realm.settings("leaver");
        settings[key] = value.into();
        connector(settings)
    };
    let error = with("client_secret", "wr0ng-secret").pull(None).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized(_)), "{error:?}");
    assert!(chain(&error).contains("unauthorized_client") && !chain(&error).contains("wr0ng"), "{}", chain(&error));
    // Nothing listens on port 1.
    let error = with("url", "http://127.0.0.1:1").pull(None).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    let error = with("realm", "no-such-realm").pull(None).await.unwrap_err();
    assert!(matches!(error, Error::Malformed { .. }) && chain(&error).contains("no such realm"), "{}", chain(&error));
    realm.remove().await;
}
