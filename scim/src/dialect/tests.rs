use serde_json::json;

use super::Quirk::*;
use super::*;
use crate::schema::{ENTERPRISE, GROUP, PATCH_OP, ResourceType, USER};

fn of_user(body: serde_json::Value) -> Vec<Quirk> {
    quirks(ResourceType::User, &body, &[]).into_iter().collect()
}

fn of_query(name: &str, value: &str) -> Vec<Quirk> {
    quirks(ResourceType::User, &json!(null), &[(name.to_owned(), value.to_owned())]).into_iter().collect()
}

fn patch(operation: serde_json::Value) -> serde_json::Value {
    json!({"schemas": [PATCH_OP], "Operations": [operation]})
}

#[test]
fn b1_37_what_is_by_the_standard_shows_nothing() {
    let user = json!({
        "schemas": [USER, ENTERPRISE, "urn:example:custom:2.0:User"],
        "userName": "ana", "active": true, "name": {"givenName": "Ana"}, "custom": [1],
        "emails": [{"value": "a", "type": "work", "primary": true}],
        ENTERPRISE: {"employeeNumber": "7", "manager": {"value": "1"}},
        "urn:example:custom:2.0:User": {"badge": [7]},
    });
    assert_eq!(of_user(user), []);
    for operation in [
        json!({"op": "replace", "path": "active", "value": false}),
        json!({"op": "remove", "path": "emails[type eq \"work\"]"}),
        json!({"op": "add", "path": "emails", "value": [{"value": "a"}]}),
        json!({"op": "replace", "value": {"active": false}}),
        json!({"op": "add", "path": format!("{ENTERPRISE}:manager"), "value": {"value": "1"}}),
        json!({"op": "add", "path": "no path [", "value": "1"}),
    ] {
        assert_eq!(of_user(patch(operation.clone())), [], "{operation}");
    }
    assert_eq!(of_query("filter", r#"userName eq "ana""#), []);
    assert_eq!(of_query("startIndex", "1"), []);
}

#[test]
fn b1_36_every_shape_has_a_name() {
    for (body, seen) in [
        (patch(json!({"op": "Replace", "path": "active", "value": "False"})), vec![OpCase, BooleanAsString]),
        (patch(json!({"Op": "replace", "path": "title", "value": "x"})), vec![KeyCase]),
        (patch(json!({"op": "add", "path": "TITLE", "value": "x"})), vec![KeyCase]),
        (patch(json!({"op": "remove", "path": "roles", "value": [{"value": "x"}]})), vec![RemovalByList]),
        (
            patch(json!({"op": "replace", "path": "roles[primary eq \"True\"].value", "value": "x"})),
            vec![BooleanAsString],
        ),
        (patch(json!({"op": "replace", "value": {"name.givenName": "Ana"}})), vec![DottedKey]),
        (patch(json!({"op": "replace", "value": {format!("{ENTERPRISE}:employeeNumber"): "7"}})), vec![UrnKey]),
        (patch(json!({"op": "replace", "value": {"emails[type eq \"work\"].value": "a"}})), vec![FilteredKey]),
        (patch(json!({"op": "replace", "value": {"id": "1", "title": "x"}})), vec![ReadOnlyInValue]),
        (
            patch(json!({"op": "add", "path": format!("{ENTERPRISE}.manager"), "value": "1"})),
            vec![DotBeforeExtension, ManagerAsString],
        ),
        (
            patch(json!({"op": "add", "path": format!("{ENTERPRISE}:manager"), "value": [{"value": "1"}]})),
            vec![ListOfOne],
        ),
        (patch(json!({"op": "replace", "path": "active", "value": {"value": false}})), vec![WrappedValue]),
        (json!({"schemas": [USER], "userName": "a", "emails": ["a"]}), vec![BareValue]),
        (json!({"schemas": [USER], "userName": "a", ENTERPRISE: {"employeeNumber": 7}}), vec![NumberAsString]),
        (json!({"schemas": [USER], "userName": "a", "groups": [], "password": "x"}), vec![Password, GroupsInUser]),
        (json!({"schemas": [USER, "urn:x:y"], "userName": "a"}), vec![UnknownSchema]),
        (json!({"UserName": "a"}), vec![KeyCase, MissingSchemas]),
        (json!({"schemas": [USER], USER: {"password": "x", "active": "true"}}), vec![BooleanAsString, Password]),
    ] {
        assert_eq!(of_user(body.clone()), seen, "{body}");
    }
    for (name, value, seen) in [
        ("startIndex", "0", vec![StartIndexZero]),
        ("startindex", "1", vec![ParameterCase]),
        ("filter", r#"emails[type eq "work"].value eq "a""#, vec![FilterBehindBrackets]),
        ("filter", r#"id eq "1" and manager eq "2""#, vec![UnprefixedExtension]),
        ("filter", r#"active eq "True""#, vec![BooleanAsString]),
    ] {
        assert_eq!(of_query(name, value), seen, "{name}={value}");
    }
    let group = json!({"schemas": [GROUP], "displayName": "g", "members": ["1"]});
    assert_eq!(quirks(ResourceType::Group, &group, &[]), Quirks::from([BareValue]));
}

#[test]
fn a_dialect_is_detected_where_only_one_is_known_for_all_that_was_seen() {
    for (seen, dialect) in [
        (vec![OpCase, BooleanAsString], Some(Dialect::Entra)),
        (vec![RemovalByList], Some(Dialect::Entra)),
        (vec![OpCase, DottedKey], Some(Dialect::Entra2062020)),
        (vec![Password, ReadOnlyInValue], Some(Dialect::OktaOin)),
        (vec![Password], None),
        (vec![OpCase], None),
        (vec![OpCase, Password], None),
        (vec![KeyCase], None),
        (vec![], None),
    ] {
        assert_eq!(Dialect::detect(&seen.iter().copied().collect()), dialect, "{seen:?}");
    }
    let seen = Quirks::from([OpCase, Password]);
    assert_eq!(Dialect::Entra.unexpected(&seen), Quirks::from([Password]));
    assert_eq!(Dialect::Generic.unexpected(&seen), seen);
}

#[test]
fn a_name_is_the_same_everywhere() {
    for dialect in Dialect::ALL {
        assert_eq!(dialect.as_str().parse(), Ok(*dialect));
        assert_eq!(serde_json::to_value(dialect).unwrap(), dialect.as_str());
    }
    for quirk in Quirk::ALL {
        assert_eq!(quirk.as_str().parse(), Ok(*quirk));
        assert_eq!(serde_json::to_value(quirk).unwrap(), quirk.as_str());
    }
    assert_eq!("okta".parse::<Dialect>(), Err(UnknownName));
}
