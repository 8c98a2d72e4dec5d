//! PATCH /Users.

use scim::{Patch, limits};
use serde_json::{Value, json};

use crate::{ENTERPRISE, ana, keyword, patched, payload, user, with};

#[test]
fn b1_01_operations_and_keys_are_taken_in_any_case() {
    for body in [
        json!({"Operations": [{"op": "Replace", "path": "title", "value": "CTO"}]}),
        json!({"operations": [{"OP": "REPLACE", "Path": "TITLE", "Value": "CTO"}]}),
        json!({"schemas": [], "OPERATIONS": [{"op": "Add", "path": "title", "value": [{"value": "CTO"}]}]}),
    ] {
        let after = Patch::parse(&body).unwrap().apply_to_user(&ana());
        assert_eq!(after, Ok(with(ana(), "/title", json!("CTO"))), "{body}");
    }
}

#[test]
fn b1_02_every_shape_of_a_deactivation_is_understood() {
    for body in [payload!("entra_disable_user"), payload!("entra_disable_user_2020"), payload!("okta_deactivate_user")]
    {
        let after = Patch::parse(&body).unwrap().apply_to_user(&ana()).unwrap();
        assert_eq!(after, with(ana(), "/active", json!(false)), "{body}");
        assert_eq!(user(&after).active, Some(false));
    }
    let core = "urn:ietf:params:scim:schemas:core:2.0:User";
    for value in [json!(false), json!("False"), json!("false"), json!({"value": false}), json!([{"value": "False"}])] {
        for operation in [
            json!({"op": "Replace", "path": "active", "value": value}),
            json!({"op": "add", "path": "Active", "value": value}),
            json!({"op": "replace", "path": format!("{core}:active"), "value": value}),
            json!({"op": "replace", "value": {"active": value}}),
            json!({"op": "replace", "path": null, "value": {"ACTIVE": value}}),
            json!({"op": "add", "path": "", "value": {"active": value}}),
            json!({"op": "replace", "value": {format!("{core}:active"): value}}),
            json!({"op": "replace", "value": {core: {"active": value}}}),
            json!({"op": "replace", "path": core, "value": {"active": value}}),
        ] {
            assert_eq!(patched(&ana(), operation.clone()), Ok(with(ana(), "/active", json!(false))), "{operation}");
        }
    }
}

#[test]
fn a_null_active_changes_nothing_and_any_other_word_is_refused() {
    let gone = with(ana(), "/active", json!(false));
    for operation in [
        json!({"op": "replace", "path": "active", "value": null}),
        json!({"op": "replace", "value": {"active": null}}),
        json!({"op": "replace", "path": "active", "value": {"value": null}}),
    ] {
        assert_eq!(patched(&gone, operation.clone()), Ok(gone.clone()), "{operation}");
    }
    for value in [json!("no"), json!(0), json!([]), json!({})] {
        let error = patched(&ana(), json!({"op": "replace", "path": "active", "value": value})).unwrap_err();
        assert_eq!(keyword(&error), "invalidValue", "{value}");
    }
}

#[test]
fn b1_05_a_path_less_value_may_hold_dotted_urn_and_filtered_keys() {
    let after = Patch::parse(&payload!("entra_update_user_2020")).unwrap().apply_to_user(&ana()).unwrap();
    let expected = json!({
        "userName": "Ana.Lee@example.com",
        "active": true,
        "displayName": "Bjfe",
        "name": {"givenName": "Kkom", "familyName": "Unua"},
        "emails": [
            {"value": "TestMhvaes@test.microsoft.com", "type": "work", "primary": true},
            {"value": "ana@example.org", "type": "home"},
        ],
        ENTERPRISE: {"employeeNumber": "Aklq"},
    });
    assert_eq!(after, expected);
    let phone = json!({"op": "Add", "value": {"phoneNumbers[type eq \"mobile\"].value": "+1 555"}});
    let expected = with(ana(), "/phoneNumbers", json!([{"type": "mobile", "value": "+1 555"}]));
    assert_eq!(patched(&ana(), phone), Ok(expected));
}

#[test]
fn the_updates_that_entra_documents_are_applied() {
    let after = Patch::parse(&payload!("entra_update_user")).unwrap().apply_to_user(&ana()).unwrap();
    let read = user(&after);
    assert_eq!(read.external_id.as_deref(), Some("Eqpj"));
    assert_eq!(read.email.as_deref(), Some("TestBcwqnm@test.microsoft.com"));
    assert_eq!(read.employee_number.as_deref(), Some("Eqpj"));
    assert_eq!(after["name"], json!({"givenName": "Gtfd", "familyName": "Pkqf"}));
    let after = Patch::parse(&payload!("entra_add_nick_name")).unwrap().apply_to_user(&ana());
    assert_eq!(after, Ok(with(ana(), "/nickName", json!("Babs"))));
}

#[test]
fn b1_06_and_07_the_manager_is_set_changed_and_cleared() {
    let path = |separator| format!("{ENTERPRISE}{separator}manager");
    let led = with(ana(), &format!("/{ENTERPRISE}"), json!({"manager": {"value": "9"}}));
    for operation in [
        json!({"op": "Add", "path": path(":"), "value": "9"}),
        json!({"op": "Replace", "path": path("."), "value": {"value": "9", "displayName": "Bo"}}),
        json!({"op": "Replace", "path": path(":"), "value": [{"$ref": null, "value": "9"}]}),
        json!({"op": "Replace", "path": format!("{}.value", path(":")), "value": "9"}),
        json!({"op": "add", "path": ENTERPRISE, "value": {"manager": "9"}}),
        json!({"op": "replace", "value": {path(":"): {"value": "9"}}}),
        json!({"op": "replace", "value": {ENTERPRISE: {"manager": {"value": "9"}}}}),
    ] {
        assert_eq!(patched(&ana(), operation.clone()).as_ref(), Ok(&led), "{operation}");
        let other = with(led.clone(), &format!("/{ENTERPRISE}/manager/value"), json!("8"));
        assert_eq!(patched(&other, operation.clone()).as_ref(), Ok(&led), "{operation}");
    }
    for operation in [
        json!({"op": "Remove", "path": path(":")}),
        json!({"op": "remove", "path": format!("{}.value", path(":"))}),
        json!({"op": "Replace", "path": path(":"), "value": ""}),
        json!({"op": "Replace", "path": path(":"), "value": null}),
        json!({"op": "Replace", "path": path(":"), "value": {"value": null}}),
        json!({"op": "remove", "path": ENTERPRISE}),
    ] {
        assert_eq!(patched(&led, operation.clone()), Ok(ana()), "{operation}");
    }
}

#[test]
fn b1_08_a_value_that_is_selected_by_kind_is_created_where_it_is_missing() {
    let bare = json!({"userName": "ana"});
    for op in ["Add", "Replace"] {
        for (path, value, created) in [
            ("emails[type eq \"work\"].value", json!("a"), json!({"type": "work", "value": "a"})),
            ("emails[Type Eq \"work\"]", json!({"value": "a"}), json!({"type": "work", "value": "a"})),
            ("emails[type eq \"work\"]", json!("a"), json!({"type": "work", "value": "a"})),
            ("emails[primary eq \"True\"].value", json!("a"), json!({"primary": true, "value": "a"})),
            (
                "emails[type eq \"work\" and primary eq true].value",
                json!("a"),
                json!({"type": "work", "primary": true, "value": "a"}),
            ),
            ("emails.value", json!("a"), json!({"value": "a"})),
        ] {
            let after = patched(&bare, json!({"op": op, "path": path, "value": value}));
            assert_eq!(after, Ok(json!({"userName": "ana", "emails": [created]})), "{op} {path}");
        }
    }
    let home = patched(&ana(), json!({"op": "replace", "path": "addresses[type eq \"work\"].country", "value": "SE"}));
    assert_eq!(home, Ok(with(ana(), "/addresses", json!([{"type": "work", "country": "SE"}]))));
}

#[test]
fn b1_08_a_new_primary_clears_the_others() {
    let emails = |work: bool, home: bool| {
        let list = json!([
            {"value": "ana@example.com", "type": "work", "primary": work},
            {"value": "ana@example.org", "type": "home", "primary": home},
        ]);
        Ok(with(ana(), "/emails", list))
    };
    let by_path = json!({"op": "replace", "path": "emails[type eq \"home\"].primary", "value": "True"});
    assert_eq!(patched(&ana(), by_path), emails(false, true));
    let by_value =
        json!({"op": "add", "path": "emails", "value": {"value": "ana@example.org", "type": "home", "primary": true}});
    assert_eq!(patched(&ana(), by_value), emails(false, true));
}

#[test]
fn adding_to_a_list_appends_what_is_new_and_nothing_else() {
    let add = |value: Value| patched(&ana(), json!({"op": "add", "path": "emails", "value": value}));
    let mut more = ana();
    more["emails"].as_array_mut().unwrap().push(json!({"value": "new@example.com"}));
    assert_eq!(add(json!([{"value": "new@example.com"}])).as_ref(), Ok(&more));
    assert_eq!(add(json!("new@example.com")).as_ref(), Ok(&more));
    assert_eq!(add(json!([{"value": "ana@example.org", "type": "home"}])), Ok(ana()));
    let replaced = patched(&ana(), json!({"op": "replace", "path": "emails", "value": [{"value": "x"}]}));
    assert_eq!(replaced, Ok(with(ana(), "/emails", json!([{"value": "x"}]))));
}

#[test]
fn replacing_a_complex_attribute_leaves_what_is_not_stated() {
    let after =
        patched(&ana(), json!({"op": "replace", "path": "name", "value": {"GIVENNAME": "Anna", "middleName": null}}));
    assert_eq!(after, Ok(with(ana(), "/name/givenName", json!("Anna"))));
    let cleared = patched(&ana(), json!({"op": "replace", "path": "name", "value": {"familyName": null}}));
    assert_eq!(cleared, Ok(with(ana(), "/name", json!({"givenName": "Ana"}))));
}

#[test]
fn removal_takes_attributes_sub_attributes_and_selected_values() {
    let work_only = with(ana(), "/emails", json!([{"value": "ana@example.com", "type": "work", "primary": true}]));
    for (path, after) in [
        ("emails", with(ana(), "/emails", Value::Null)),
        ("NAME", with(ana(), "/name", Value::Null)),
        ("name.givenName", with(ana(), "/name", json!({"familyName": "Lee"}))),
        ("emails[type eq \"home\"]", work_only.clone()),
        ("emails[value eq \"ANA@example.org\"]", work_only.clone()),
        // Without its value an address is only a label.
        ("emails[type eq \"home\"].value", work_only.clone()),
        ("emails.value", with(ana(), "/emails", Value::Null)),
        // Already so: a repeated request must not fail.
        ("emails[type eq \"other\"]", ana()),
        ("title", ana()),
        ("name.middleName", ana()),
    ] {
        assert_eq!(patched(&ana(), json!({"op": "remove", "path": path})), Ok(after), "{path}");
    }
    let listed = json!({"op": "Remove", "path": "emails", "value": [{"$ref": null, "value": "ana@example.org"}]});
    assert_eq!(patched(&ana(), listed), Ok(work_only));
    assert_eq!(patched(&ana(), json!({"op": "Remove", "path": "emails", "value": []})), Ok(ana()));
}

#[test]
fn b1_10_groups_and_passwords_in_a_patch_change_nothing() {
    for operation in [
        json!({"op": "replace", "value": {"password": "hunter2"}}),
        json!({"op": "Replace", "path": "password", "value": "hunter2"}),
        json!({"op": "add", "path": "groups", "value": [{"value": "g"}]}),
        json!({"op": "replace", "value": {"id": "2", "meta": {}, "schemas": []}}),
    ] {
        assert_eq!(patched(&ana(), operation.clone()), Ok(ana()), "{operation}");
    }
}

#[test]
fn what_cannot_be_done_says_why_in_the_words_of_the_standard() {
    let card = format!("{ENTERPRISE}:manager[value eq \"1\"]");
    for (operation, word) in [
        (json!({"op": "replace", "path": "id", "value": "2"}), "mutability"),
        (json!({"op": "replace", "path": "meta.created", "value": "2"}), "mutability"),
        (json!({"op": "remove", "path": "userName"}), "mutability"),
        (json!({"op": "remove"}), "noTarget"),
        (json!({"op": "replace", "path": "emails[value eq \"x\"].display", "value": "X"}), "noTarget"),
        (json!({"op": "replace", "path": "emails.value", "value": "x"}), "invalidPath"),
        (json!({"op": "replace", "path": "userName.first", "value": "x"}), "invalidPath"),
        (json!({"op": "replace", "path": "name[type eq \"x\"].givenName", "value": "x"}), "invalidPath"),
        (json!({"op": "replace", "path": card, "value": "x"}), "invalidPath"),
        (json!({"op": "replace", "path": "emails[type gt true].value", "value": "x"}), "invalidFilter"),
        (json!({"op": "replace", "path": 7, "value": "x"}), "invalidPath"),
        (
            json!({"op": "replace", "path": "urn:ietf:params:scim:schemas:core:2.0:Group:displayName", "value": "x"}),
            "invalidPath",
        ),
        (json!({"op": "replace", "path": "userName", "value": ""}), "invalidValue"),
        (json!({"op": "replace", "path": "title"}), "invalidValue"),
        (json!({"op": "replace", "value": "x"}), "invalidValue"),
        (json!({"op": "replace"}), "invalidValue"),
        (json!({"op": "move", "path": "title", "value": "x"}), "invalidSyntax"),
        (json!("replace"), "invalidSyntax"),
    ] {
        let error = patched(&ana(), operation.clone()).unwrap_err();
        assert_eq!((error.status, keyword(&error)), (400, word), "{operation}: {error}");
    }
    for body in [json!({}), json!([]), json!({"Operations": {}}), json!({"Operations": []})] {
        assert_eq!(keyword(&Patch::parse(&body).unwrap_err()), "invalidSyntax", "{body}");
    }
}

#[test]
fn a_failing_operation_leaves_nothing_of_the_others() {
    let before = ana();
    let body = json!({"Operations": [
        {"op": "replace", "path": "title", "value": "CTO"},
        {"op": "replace", "path": "id", "value": "2"},
    ]});
    assert!(Patch::parse(&body).unwrap().apply_to_user(&before).is_err());
    assert_eq!(before, ana());
}

#[test]
fn the_number_of_operations_is_bounded() {
    let body = |count| json!({"Operations": vec![json!({"op": "add", "path": "title", "value": "x"}); count]});
    assert!(Patch::parse(&body(limits::OPERATIONS)).is_ok());
    assert_eq!(Patch::parse(&body(limits::OPERATIONS + 1)).unwrap_err().status, 413);
}

#[test]
fn b1_28_a_patch_that_changes_nothing_gives_an_equal_user() {
    let again = json!({"op": "Replace", "value": {
        "active": "True", "name.givenName": "Ana", "emails[type eq \"work\"].value": "ana@example.com", "roles": [],
    }});
    assert_eq!(patched(&ana(), again), Ok(ana()));
}

#[test]
fn unknown_attributes_are_patched_too() {
    let operations = json!({"Operations": [
        {"op": "add", "path": "favourites", "value": ["red"]},
        {"op": "add", "path": "Favourites", "value": ["red", "blue"]},
        {"op": "replace", "path": "locker.number", "value": 7},
        {"op": "add", "path": "urn:example:custom:2.0:User:badge", "value": "9"},
        {"op": "replace", "path": "urn:example:custom:2.0:User", "value": {"level": 2}},
        {"op": "remove", "path": "urn:example:custom:2.0:User:badge"},
    ]});
    let after = Patch::parse(&operations).unwrap().apply_to_user(&json!({"userName": "ana"}));
    let expected = json!({
        "userName": "ana",
        "favourites": ["red", "blue"],
        "locker": {"number": 7},
        "urn:example:custom:2.0:User": {"level": 2},
    });
    assert_eq!(after, Ok(expected));
}

#[test]
fn b1_17_and_18_the_names_that_providers_know_a_user_by_can_change() {
    let renamed =
        patched(&ana(), json!({"op": "Replace", "path": "userName", "value": "Ana.Lee-Kim@example.com"})).unwrap();
    assert_eq!(user(&renamed).user_name, "Ana.Lee-Kim@example.com");
    let known = with(ana(), "/externalId", json!("alee"));
    let moved = patched(&known, json!({"op": "Replace", "path": "externalId", "value": "alee-kim"})).unwrap();
    assert_eq!(user(&moved).external_id.as_deref(), Some("alee-kim"));
    assert_eq!(user(&moved).user_name, user(&ana()).user_name);
}

#[test]
fn values_are_selected_by_any_filter() {
    let work = "/emails/0/display";
    let home = "/emails/1/display";
    for (filter, touched) in [
        (r#"value co "@EXAMPLE.COM""#, &[work][..]),
        (r#"value ew ".org" or type eq "work""#, &[work, home]),
        (r#"not (primary eq true)"#, &[home]),
        (r#"type eq "home" and value pr"#, &[home]),
        (r#"primary eq "False""#, &[home]),
        (r#"display eq null"#, &[work, home]),
    ] {
        let operation = json!({"op": "replace", "path": format!("emails[{filter}].display"), "value": "x"});
        let expected = touched.iter().fold(ana(), |user, pointer| with(user, pointer, json!("x")));
        assert_eq!(patched(&ana(), operation), Ok(expected), "{filter}");
    }
    let removed = patched(&ana(), json!({"op": "remove", "path": "emails[not (type eq \"work\")]"})).unwrap();
    assert_eq!(removed["emails"].as_array().map(Vec::len), Some(1));
}
