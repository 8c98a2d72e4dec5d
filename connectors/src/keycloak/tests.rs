//! What needs no server: facts, events, settings.

use std::collections::{BTreeMap, BTreeSet};

use lifecycle::{Standing, account::IdentityKind};
use serde_json::{Value, json};

use super::{
    At, Config, Keycloak,
    config::Map,
    events::{Changed, Event, Lost, OVERLAP, Position, changed},
    mapping::{Group, Groups, User, facts},
};
use crate::Error;

fn user(value: Value) -> User {
    serde_json::from_value(value).unwrap()
}

#[test]
fn a_user_becomes_facts() {
    let ana = user(json!({
        "id": "u1", "username": "ana", "firstName": "Ana", "lastName": "Example", "email": "ana@example.com",
        "emailVerified": true, "enabled": false, "createdTimestamp": 1795242373547_i64, "notBefore": 0,
        "attributes": { "staff_id": ["1001"], "department": ["Finance"], "phone": ["1", "2"], "manager": [""] }
    }));
    let map = Map { employee_number: "staff_id".into(), ..Map::default() };
    let facts = facts(ana, BTreeSet::from(["staff".to_owned(), "admins".to_owned()]), &map);
    assert_eq!((facts.native_id.as_str(), facts.standing, facts.kind), ("u1", Standing::Inactive, None));
    let profile = json!({
        "userName": "ana", "email": "ana@example.com", "employeeNumber": "1001", "displayName": "Ana Example",
        "department": "Finance"
    });
    assert_eq!(json!(facts.profile), profile);
    let attributes = json!({
        "staff_id": "1001", "department": "Finance", "phone": ["1", "2"], "manager": "", "givenName": "Ana",
        "familyName": "Example"
    });
    assert_eq!(facts.attributes, attributes);
    assert_eq!(facts.groups, Some(vec!["admins".to_owned(), "staff".to_owned()]));
}

#[test]
fn what_is_not_stated_is_unknown_and_a_service_account_is_no_human() {
    let bare = facts(user(json!({ "id": "u1" })), BTreeSet::new(), &Map::default());
    assert_eq!((bare.standing, bare.profile.user_name, bare.groups), (Standing::Unknown, None, Some(Vec::new())));
    let robot = user(json!({ "id": "u2", "username": "service-account-ci", "enabled": true }));
    assert_eq!(facts(robot, BTreeSet::new(), &Map::default()).kind, Some(IdentityKind::Service));
}

#[test]
fn a_group_is_named_with_all_above_it_whatever_its_name_holds() {
    let mut groups = Groups::default();
    let add = |groups: &mut Groups, id: &str, name: &str, parent| {
        let attributes = BTreeMap::from([("tier".to_owned(), vec![id.to_owned()])]);
        groups.add(&Group { id: id.into(), name: name.into(), sub_group_count: 0, attributes }, parent);
    };
    add(&mut groups, "1", "a/b", None);
    add(&mut groups, "2", "c", Some("1"));
    add(&mut groups, "3", "d", Some("2"));
    assert_eq!(groups.names("3").collect::<Vec<_>>(), ["a/b/c/d", "a/b/c", "a/b"]);
    assert_eq!(groups.names("9").count(), 0);

    add(&mut groups, "4", "a", None);
    add(&mut groups, "5", "b", Some("4"));
    let said: Vec<(String, Value)> = groups.facts().into_iter().map(|of| (of.native_id, of.attributes)).collect();
    let of = |name: &str, tier: Value| (name.to_owned(), json!({ "tier": tier }));
    let both = of("a/b", json!(["1", "5"]));
    assert_eq!(said, [of("a", json!("4")), both, of("a/b/c", json!("2")), of("a/b/c/d", json!("3"))]);
}

fn event(id: &str, time: i64, kind: &str, operation: &str, path: &str) -> Event {
    let event = json!({
        "id": id, "time": time, "realmId": "r", "operationType": operation, "resourceType": kind, "resourcePath": path,
        "authDetails": { "realmId": "m", "clientId": "c", "userId": "admin", "ipAddress": "127.0.0.1" }
    });
    serde_json::from_value(event).unwrap()
}

fn told(users: &[&str], lost: Option<Lost>) -> Changed {
    Changed { users: users.iter().map(ToString::to_string).collect(), lost }
}

#[test]
fn events_name_those_who_changed_and_nobody_twice() {
    let mut ours = event("4", 4, "USER", "UPDATE", "users/u4");
    ours.auth_details.user_id = "leaver".into();
    let read = [
        event("1", 1, "USER", "UPDATE", "users/u1"),
        event("2", 2, "GROUP_MEMBERSHIP", "DELETE", "users/u2/groups/g1"),
        event("3", 3, "USER", "ACTION", "users/u2/reset-password"),
        ours,
        event("5", 5, "GROUP", "CREATE", "groups/g2/children"),
    ];
    assert_eq!(changed(&read, &Position::default(), "leaver"), told(&["u1", "u2"], None));
    let position = Position::default().after(&read[..2]);
    assert_eq!((position.at, position.last.as_deref()), (2, Some("2")));
    assert_eq!(changed(&read, &position, "leaver"), told(&["u2"], None));
    assert_eq!(changed(&read, &position.after(&read), "leaver"), told(&[], None));
}

#[test]
fn an_event_that_becomes_visible_late_is_read_and_what_is_long_past_is_forgotten() {
    let (early, newest) =
        (event("1", 1, "USER", "UPDATE", "users/u1"), event("3", OVERLAP + 1, "USER", "UPDATE", "users/u3"));
    let position = Position::default().after(&[early.clone(), newest.clone()]);
    assert_eq!(position.from(), 1);
    let late = event("2", OVERLAP, "USER", "UPDATE", "users/u2");
    let read = [early, late, newest];
    assert_eq!(changed(&read, &position, ""), told(&["u2"], None));
    let far = event("4", 3 * OVERLAP, "USER", "UPDATE", "users/u1");
    assert_eq!(position.after(&[far]).seen, BTreeSet::from(["4".to_owned()]));
    assert_eq!(position.after(&[]), position);
}

#[test]
fn everything_is_read_where_events_do_not_name_those_who_changed() {
    let known = event("1", 1, "USER", "UPDATE", "users/u1");
    let position = Position::default().after(std::slice::from_ref(&known));
    assert_eq!(changed(&[], &position, ""), told(&[], Some(Lost::Expired)));
    for (kind, operation, lost) in
        [("GROUP", "UPDATE", Lost::Group), ("GROUP", "DELETE", Lost::Group), ("REALM", "UPDATE", Lost::Realm)]
    {
        let read = [known.clone(), event("2", 2, kind, operation, ""), event("3", 3, "USER", "UPDATE", "users/u3")];
        assert_eq!(
            changed(&read, &position, ""),
            told(&["u3"], Some(lost)),
            "those who are named are told all the same"
        );
        assert_eq!(changed(&read, &position.after(&read), ""), told(&[], None), "once");
    }
}

#[test]
fn a_checkpoint_survives_being_stored() {
    let position = Position { at: 5, seen: BTreeSet::from(["1".to_owned()]), last: Some("1".to_owned()) };
    for at in [At::Page { snapshot: 1, first: 450 }, At::Events(None), At::Events(Some(position))] {
        assert_eq!(serde_json::from_value::<At>(at.checkpoint().0).unwrap(), at);
    }
}

#[test]
fn settings_that_can_never_work_are_refused_and_no_secret_is_repeated() {
    let config = |with: Value| {
        let mut config =
            json!({ "url": "https://sso.example.com", "realm": "corp", "client_id": "l", "client_secret": "s3cr3t" });
        config.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
        serde_json::from_value::<Config>(config)
    };
    let right = config(json!({})).unwrap();
    assert!(!format!("{right:?} {}", right.scope()).contains("s3cr3t"));
    assert!(config(json!({ "map": { "mail": "x" } })).is_err());
    assert!(Keycloak::new(right, None).is_ok());
    for (wrong, at) in [
        (json!({ "url": "sso.example.com" }), "`url` of the connector"),
        (json!({ "url": "https://leaver:s3cr3t@sso.example.com" }), "`url` of the connector"),
        (json!({ "realm": ".." }), "`realm` of the connector"),
    ] {
        let Err(error) = Keycloak::new(config(wrong).unwrap(), None) else { panic!("{at}") };
        assert!(matches!(&error, Error::Malformed { at: place, .. } if place == at), "{error:?}");
        assert!(!format!("{error:?}").contains("s3cr3t"), "{error:?}");
    }
}
