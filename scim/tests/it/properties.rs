//! What holds for every body and every patch.

use proptest::prelude::*;
use proptest::sample::select;
use scim::{Group, Patch, User};
use serde_json::{Map, Value, json};

use crate::{ENTERPRISE, ana, patched};

fn keys() -> impl Strategy<Value = String> {
    let known = [
        "userName",
        "USERNAME",
        "active",
        "name",
        "name.givenName",
        "emails",
        "emails[type eq \"work\"].value",
        "emails.value",
        "roles",
        "addresses",
        "displayName",
        "externalId",
        "members",
        "password",
        "groups",
        "id",
        "schemas",
        "custom",
        "custom.sub",
        ENTERPRISE,
        "urn:ietf:params:scim:schemas:core:2.0:User",
        "urn:ietf:params:scim:schemas:core:2.0:Group",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager",
        "urn:example:a:b",
        "urn:example:a:b:c",
        "urn:",
        "manager",
        "department",
        "value",
        "type",
        "primary",
        "$ref",
        "givenName",
    ];
    prop_oneof![8 => select(known.to_vec()).prop_map(str::to_owned), 1 => "(?s).{0,12}"]
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        select(vec!["True", "false", "work", "", "a@example.com"]).prop_map(Value::from),
        "(?s).{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((keys(), inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn bodies(required: &'static str) -> impl Strategy<Value = Value> {
    proptest::collection::vec((keys(), values()), 0..6).prop_map(move |entries| {
        let mut body: Map<String, Value> = entries.into_iter().collect();
        body.insert(required.to_owned(), "x".into());
        Value::Object(body)
    })
}

fn operations() -> impl Strategy<Value = Value> {
    (select(vec!["add", "Replace", "remove"]), proptest::option::of(keys()), proptest::option::of(values())).prop_map(
        |(op, path, value)| {
            let mut operation = Map::from_iter([("op".to_owned(), Value::from(op))]);
            operation.extend(path.map(|path| ("path".to_owned(), path.into())));
            operation.extend(value.map(|value| ("value".to_owned(), value)));
            Value::Object(operation)
        },
    )
}

proptest! {
    #[test]
    fn the_canonical_form_of_a_canonical_user_is_itself(body in bodies("userName")) {
        if let Ok(user) = User::parse(&body) {
            prop_assert_eq!(User::parse(&user.resource), Ok(user));
        }
    }

    #[test]
    fn the_canonical_form_of_a_canonical_group_is_itself(body in bodies("displayName")) {
        if let Ok(group) = Group::parse(&body) {
            let again = Group::parse(&group.resource).map(|again| Group { members: group.members.clone(), ..again });
            prop_assert_eq!(again, Ok(group));
        }
    }

    #[test]
    fn any_body_is_read_or_refused(body in values()) {
        let _ = (User::parse(&body), Group::parse(&body), Patch::parse(&body));
    }

    #[test]
    fn a_patched_user_is_canonical_and_the_source_of_truth_about_active_is_a_boolean(operation in operations()) {
        if let Ok(after) = patched(&ana(), operation) {
            prop_assert_eq!(User::parse(&after).map(|user| user.resource), Ok(after.clone()));
            prop_assert!(after.get("active").is_none_or(Value::is_boolean));
        }
    }

    #[test]
    fn replacing_twice_is_replacing_once(path in keys(), value in values()) {
        let operation = json!({"op": "replace", "path": path, "value": value});
        if let Ok(once) = patched(&ana(), operation.clone()) {
            prop_assert_eq!(patched(&once, operation), Ok(once));
        }
    }

    #[test]
    fn any_patch_of_a_group_is_read_or_refused(operation in operations()) {
        let patch = Patch::parse(&json!({"Operations": [operation]})).and_then(|patch| patch.for_group());
        if let Ok(patch) = patch {
            let _ = patch.apply_to(&json!({"displayName": "g"}));
        }
    }
}
