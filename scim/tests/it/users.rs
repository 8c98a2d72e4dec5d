//! Bodies of POST and PUT /Users.

use scim::{User, limits};
use serde_json::{Value, json};

use crate::{ENTERPRISE, keyword, patched, payload, user};

#[test]
fn the_user_that_entra_creates_is_read() {
    let user = user(&payload!("entra_create_user"));
    assert_eq!(user.user_name, "Test_User_00aa00aa-bb11-cc22-dd33-44ee44ee44ee");
    assert_eq!(user.external_id.as_deref(), Some("0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef"));
    assert_eq!(user.active, Some(true));
    assert_eq!(user.email.as_deref(), Some("Test_User_11bb11bb-cc22-dd33-ee44-55ff55ff55ff@testuser.com"));
    let mut kept: Vec<_> = user.resource.as_object().unwrap().keys().cloned().collect();
    kept.sort_unstable();
    assert_eq!(kept, ["active", "emails", "externalId", "name", "userName"]);
}

#[test]
fn b1_29_the_password_that_okta_sends_is_dropped_in_every_spelling() {
    let sent = payload!("okta_create_user");
    assert!(!user(&sent).resource.to_string().contains("1mz050nq"));
    for key in ["password", "PassWord", "urn:ietf:params:scim:schemas:core:2.0:User:password"] {
        let user = user(&json!({"userName": "ana", key: "hunter2"}));
        assert_eq!(user.resource, json!({"userName": "ana"}), "{key}");
    }
    let wrapped = json!({"urn:ietf:params:scim:schemas:core:2.0:User": {"userName": "ana", "password": "hunter2"}});
    assert_eq!(user(&wrapped).resource, json!({"userName": "ana"}));
}

#[test]
fn b1_02_every_shape_of_active_in_a_body_is_understood() {
    for (sent, active) in [
        (json!(false), Some(false)),
        (json!("False"), Some(false)),
        (json!("false"), Some(false)),
        (json!({"value": false}), Some(false)),
        (json!([{"value": "False"}]), Some(false)),
        (json!(true), Some(true)),
        (json!("TRUE"), Some(true)),
        (json!(null), None),
    ] {
        for key in ["active", "Active", "urn:ietf:params:scim:schemas:core:2.0:User:active"] {
            let user = user(&json!({"userName": "ana", key: sent}));
            assert_eq!(user.active, active, "{key}: {sent}");
            assert_eq!(user.resource.get("active").cloned(), active.map(Value::Bool), "{key}: {sent}");
        }
    }
    assert_eq!(user(&json!({"userName": "ana"})).active, None);
    for sent in [json!(0), json!("inactive"), json!(""), json!([]), json!({"status": false})] {
        let error = User::parse(&json!({"userName": "ana", "active": sent})).unwrap_err();
        assert_eq!((error.status, keyword(&error)), (400, "invalidValue"), "{sent}");
        assert!(error.detail.contains("`active`"), "{sent}");
    }
}

#[test]
fn b1_02_a_put_by_okta_deactivates() {
    let mut sent = payload!("okta_put_user");
    assert_eq!(user(&sent).active, Some(true));
    sent["active"] = json!(false);
    let read = user(&sent);
    assert_eq!(read.active, Some(false));
    assert_eq!((read.resource.get("id"), read.resource.get("groups")), (None, None));
    assert_eq!(read.resource["name"]["middleName"], "Excited");
}

#[test]
fn an_attribute_stated_twice_is_refused_rather_than_guessed() {
    for twin in ["ACTIVE", "urn:ietf:params:scim:schemas:core:2.0:User:active"] {
        let error = User::parse(&json!({"userName": "ana", "active": true, twin: false})).unwrap_err();
        assert_eq!(keyword(&error), "invalidSyntax", "{twin}");
    }
}

#[test]
fn a_user_without_a_name_is_refused() {
    for body in [
        json!({}),
        json!({"userName": ""}),
        json!({"userName": "  "}),
        json!({"userName": null}),
        json!({"userName": []}),
    ] {
        let error = User::parse(&body).unwrap_err();
        assert_eq!((error.status, keyword(&error)), (400, "invalidValue"), "{body}");
        assert!(error.detail.contains("`userName`"));
    }
    for body in [json!([]), json!("ana"), json!(null)] {
        assert_eq!(keyword(&User::parse(&body).unwrap_err()), "invalidSyntax", "{body}");
    }
}

#[test]
fn b1_05_dotted_and_urn_prefixed_keys_are_the_attributes_they_name() {
    let flat = json!({
        "USERNAME": "ana",
        "name.givenName": "Ana",
        "Name.FamilyName": "Lee",
        "emails[type eq \"work\"].value": "ana@example.com",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber": 701984,
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User.department": "R&D",
        "urn:ietf:params:scim:schemas:core:2.0:User:title": "CTO",
    });
    let nested = json!({
        "userName": "ana",
        "name": {"givenName": "Ana", "familyName": "Lee"},
        "emails": [{"value": "ana@example.com", "type": "work"}],
        "title": "CTO",
        ENTERPRISE: {"employeeNumber": "701984", "department": "R&D"},
    });
    let read = user(&flat);
    assert_eq!(read.resource, nested);
    assert_eq!(read.employee_number.as_deref(), Some("701984"));
    assert_eq!(read.department.as_deref(), Some("R&D"));
}

#[test]
fn b1_07_the_manager_is_one_id_in_every_shape() {
    for sent in [
        json!("123456"),
        json!(123_456),
        json!({"value": "123456"}),
        json!({"Value": "123456", "$ref": "../Users/123456", "displayName": "Bo"}),
        json!([{"$ref": null, "value": "123456"}]),
        json!(["123456"]),
    ] {
        let keys = [
            json!({"userName": "ana", ENTERPRISE: {"Manager": sent}}),
            json!({"userName": "ana", format!("{ENTERPRISE}:manager"): sent}),
            json!({"userName": "ana", format!("{ENTERPRISE}.manager"): sent}),
            json!({"userName": "ana", ENTERPRISE.to_uppercase(): {"manager": sent}}),
        ];
        for body in keys {
            let read = user(&body);
            assert_eq!(read.manager.as_deref(), Some("123456"), "{body}");
            assert_eq!(read.resource[ENTERPRISE], json!({"manager": {"value": "123456"}}), "{body}");
        }
    }
    for none in [json!(null), json!(""), json!([]), json!({})] {
        let read = user(&json!({"userName": "ana", ENTERPRISE: {"manager": none}}));
        assert_eq!(read.resource, json!({"userName": "ana"}), "{none}");
    }
    let two = json!({"userName": "ana", ENTERPRISE: {"manager": ["1", "2"]}});
    assert_eq!(keyword(&User::parse(&two).unwrap_err()), "invalidValue");
}

#[test]
fn b1_10_groups_in_a_user_are_accepted_and_not_applied() {
    let read =
        user(&json!({"userName": "ana", "id": "1", "groups": [{"value": "g"}], "schemas": ["urn:x"], "meta": {}}));
    assert_eq!(read.resource, json!({"userName": "ana"}));
}

#[test]
fn b1_16_the_case_of_a_user_name_is_kept() {
    assert_eq!(user(&json!({"userName": "Ana.LEE@Example.com"})).resource["userName"], "Ana.LEE@Example.com");
}

#[test]
fn the_e_mail_is_the_primary_or_the_one_for_work_or_the_first() {
    for (emails, email) in [
        (json!([{"value": "a"}, {"value": "b", "type": "work"}, {"value": "c", "primary": "True"}]), Some("c")),
        (json!([{"value": "a"}, {"value": "b", "type": "Work"}]), Some("b")),
        (json!(["a", "b"]), Some("a")),
        (json!([{"value": "", "primary": true}, {"value": "b"}]), Some("b")),
        (json!([]), None),
    ] {
        assert_eq!(user(&json!({"userName": "ana", "emails": emails})).email.as_deref(), email, "{emails}");
    }
}

#[test]
fn what_is_stated_to_be_nothing_is_absent() {
    for (key, nothing) in [
        ("emails", json!([])),
        ("emails", json!([null, {}])),
        ("emails.value", json!([])),
        ("emails[type eq \"work\"].value", json!(null)),
        ("name", json!({"givenName": null})),
        ("name.givenName", json!([])),
        ("title", json!(null)),
        (ENTERPRISE, json!({"department": null})),
        ("unknown", json!(null)),
    ] {
        assert_eq!(
            user(&json!({"userName": "ana", key: nothing})).resource,
            json!({"userName": "ana"}),
            "{key}: {nothing}"
        );
    }
}

#[test]
fn unknown_attributes_and_extensions_are_kept_as_sent() {
    let sent = json!({
        "userName": "ana",
        "favouriteColour": {"name": null},
        "custom.key": "x",
        "urn:example:custom:2.0:User": {"badge": 9},
        "urn:example:other:1.0": "y",
    });
    assert_eq!(user(&sent).resource, sent);
    let flat = user(&json!({"userName": "ana", "urn:example:custom:2.0:User:badge": 9}));
    assert_eq!(flat.resource, json!({"userName": "ana", "urn:example:custom:2.0:User": {"badge": 9}}));
}

#[test]
fn no_refusal_repeats_a_value() {
    for body in [
        json!({"userName": ["hunter2", "x"]}),
        json!({"userName": "ana", "active": "hunter2"}),
        json!({"userName": "ana", "emails": [["hunter2"]]}),
        json!({"userName": "ana", "name": "hunter2"}),
        json!({"userName": "ana", "emails": [{"value": "a", "primary": "hunter2"}]}),
        json!({"userName": "ana", "hunter2@example.com": 1, "HUNTER2@example.com": 2}),
        json!({"userName": "ana", ENTERPRISE: "hunter2"}),
    ] {
        assert!(!User::parse(&body).unwrap_err().detail.to_lowercase().contains("hunter2"), "{body}");
    }
}

#[test]
fn the_number_of_attributes_and_of_values_is_bounded() {
    let keys = |count: usize| {
        let mut body: serde_json::Map<_, _> = (1..count).map(|at| (format!("k{at}"), json!(at))).collect();
        body.insert("userName".to_owned(), "ana".into());
        User::parse(&Value::Object(body))
    };
    assert!(keys(limits::ATTRIBUTES).is_ok());
    assert_eq!(keyword(&keys(limits::ATTRIBUTES + 1).unwrap_err()), "invalidValue");
    let emails = |count: usize| {
        let emails: Vec<_> = (0..count).map(|at| format!("{at}@example.com")).collect();
        User::parse(&json!({"userName": "ana", "emails": emails}))
    };
    assert!(emails(limits::VALUES).is_ok());
    assert_eq!(keyword(&emails(limits::VALUES + 1).unwrap_err()), "invalidValue");
    let full = emails(limits::VALUES).unwrap().resource;
    let one_more = patched(&full, json!({"op": "add", "path": "emails", "value": "one@example.com"}));
    assert_eq!(keyword(&one_more.unwrap_err()), "invalidValue");
}
