//! Bodies of POST and PUT /Groups, and PATCH /Groups.

use scim::{Group, MemberRef, MembersOp, Selection};
use serde_json::{Value, json};

use crate::{group_patch, keyword, member, payload};

fn members(operation: Value) -> scim::Result<Vec<MembersOp>> {
    group_patch(&json!({"Operations": [operation]})).map(|patch| patch.members)
}

#[test]
fn b1_24_an_unknown_schema_of_a_group_is_passed_over() {
    let group = Group::parse(&payload!("entra_create_group")).unwrap();
    assert_eq!(group.display_name, "displayName");
    assert_eq!(group.external_id.as_deref(), Some("8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159"));
    assert_eq!(group.members, None);
    let resource = json!({"displayName": "displayName", "externalId": "8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159"});
    assert_eq!(group.resource, resource);
}

#[test]
fn b1_10_and_26_members_stand_apart_from_the_group_and_nested_groups_are_marked() {
    let list = json!([
        {"value": "1", "type": "User", "display": "Ana"},
        {"Value": "2", "Type": "group"},
        {"value": "3", "$ref": "https://scim.example.com/v2/Groups/3"},
        {"value": "4", "$ref": null},
        "5",
        {"value": "1"},
    ]);
    let nested = |value: &str| MemberRef { nested: true, ..member(value) };
    let expected = vec![member("1"), nested("2"), nested("3"), member("4"), member("5")];
    for key in ["members", "Members", "urn:ietf:params:scim:schemas:core:2.0:Group:members"] {
        let group = Group::parse(&json!({"displayName": "g", key: list})).unwrap();
        assert_eq!(group.members.as_ref(), Some(&expected), "{key}");
        assert_eq!(group.resource, json!({"displayName": "g"}), "{key}");
    }
    for (stated, read) in [(json!([]), Some(vec![])), (json!(null), None)] {
        assert_eq!(Group::parse(&json!({"displayName": "g", "members": stated})).unwrap().members, read);
    }
}

#[test]
fn a_group_without_a_name_or_a_member_without_an_id_is_refused() {
    for body in [
        json!({}),
        json!({"displayName": ""}),
        json!({"displayName": "g", "members": [{"display": "Ana"}]}),
        json!({"displayName": "g", "members": [{"value": ""}]}),
        json!({"displayName": "g", "members": [7]}),
        json!({"displayName": "g", "members": [null]}),
        json!({"displayName": "g", "members.value": "1"}),
        json!({"displayName": "g", "members[value eq \"1\"]": {"value": "1"}}),
    ] {
        assert_eq!(keyword(&Group::parse(&body).unwrap_err()), "invalidValue", "{body}");
    }
}

#[test]
fn b1_03_both_shapes_of_a_removal_are_the_same_removal() {
    for (body, id) in [
        (payload!("entra_remove_members"), "f648f8d5ea4e4cd38e9c"),
        (payload!("entra_remove_members_2020"), "7f4bc1a3-285e-48ae-8202-5accb43efb0e"),
    ] {
        let patch = group_patch(&body).unwrap();
        assert_eq!(patch.members, [MembersOp::Remove(vec![id.to_owned()])]);
        assert_eq!((patch.display_name, patch.external_id, patch.other), (None, None, vec![]));
    }
}

#[test]
fn b1_04_only_a_removal_without_a_value_removes_everybody() {
    let everybody = Ok(vec![MembersOp::RemoveAll]);
    assert_eq!(members(json!({"op": "Remove", "path": "members"})), everybody);
    assert_eq!(
        members(json!({"op": "remove", "path": "urn:ietf:params:scim:schemas:core:2.0:Group:MEMBERS"})),
        everybody
    );
    assert_eq!(members(json!({"op": "Remove", "path": "members", "value": []})), Ok(vec![]));
    for unclear in [
        json!({"op": "Remove", "path": "members", "value": null}),
        json!({"op": "Remove", "path": "members", "value": [{"display": "Ana"}]}),
        json!({"op": "Remove", "path": "members", "value": {}}),
        json!({"op": "Remove", "path": "members", "value": ""}),
        json!({"op": "replace", "path": "members", "value": null}),
    ] {
        assert_eq!(keyword(&members(unclear.clone()).unwrap_err()), "invalidValue", "{unclear}");
    }
}

#[test]
fn b1_09_a_full_push_is_a_replacement_and_an_empty_one_is_still_one() {
    let pushed = group_patch(&payload!("okta_push_members")).unwrap();
    let both = ["23a35c27-23d3-4c03-b4c5-6443c09e7173", "89bb1940-b905-4575-9e7f-6f887cfb368e"].map(member);
    assert_eq!(pushed.members, [MembersOp::Replace(both.to_vec())]);
    let empty = json!({"op": "replace", "path": "members", "value": []});
    assert_eq!(members(empty), Ok(vec![MembersOp::Replace(vec![])]));
}

#[test]
fn b1_27_members_are_set_operations_in_the_order_of_the_request() {
    let patch = group_patch(&payload!("okta_change_members")).unwrap();
    let expected = [
        MembersOp::Remove(vec!["89bb1940-b905-4575-9e7f-6f887cfb368e".to_owned()]),
        MembersOp::Add(vec![member("23a35c27-23d3-4c03-b4c5-6443c09e7173")]),
    ];
    assert_eq!(patch.members, expected);
    let added = group_patch(&payload!("entra_add_members")).unwrap();
    assert_eq!(added.members, [MembersOp::Add(vec![member("f648f8d5ea4e4cd38e9c")])]);
    let one_by_one = json!({"Operations": [
        {"op": "add", "path": "members", "value": {"value": "1"}},
        {"op": "add", "path": "members", "value": [{"value": "2"}]},
        {"op": "remove", "path": "members[value eq \"1\"]"},
        {"op": "remove", "path": "members[value eq \"3\"]"},
        {"op": "add", "path": "members", "value": [{"value": "3"}]},
    ]});
    let expected = [
        MembersOp::Add(vec![member("1"), member("2")]),
        MembersOp::Remove(vec!["1".to_owned(), "3".to_owned()]),
        MembersOp::Add(vec![member("3")]),
    ];
    assert_eq!(group_patch(&one_by_one).unwrap().members, expected);
}

#[test]
fn members_are_found_wherever_a_request_states_them() {
    let core = "urn:ietf:params:scim:schemas:core:2.0:Group";
    let added = Ok(vec![MembersOp::Add(vec![member("1")])]);
    for operation in [
        json!({"op": "add", "value": {"members": [{"value": "1"}]}}),
        json!({"op": "add", "value": {"MEMBERS": {"value": "1"}}}),
        json!({"op": "add", "value": {format!("{core}:members"): ["1"]}}),
        json!({"op": "add", "value": {core: {"members": ["1"]}}}),
        json!({"op": "add", "path": core, "value": {"members": ["1"]}}),
        json!({"op": "add", "path": format!("{core}:members"), "value": "1"}),
    ] {
        assert_eq!(members(operation.clone()), added, "{operation}");
    }
    assert_eq!(members(json!({"op": "replace", "value": {"displayName": "g", "members": null}})), Ok(vec![]));
}

#[test]
fn b1_28_the_name_that_okta_repeats_with_every_change_is_no_change() {
    let patch = group_patch(&payload!("okta_rename_group")).unwrap();
    assert_eq!(patch.display_name.as_deref(), Some("Test SCIMv2"));
    assert_eq!(patch.members, []);
    let current = json!({"displayName": "Test SCIMv2", "externalId": "x"});
    assert_eq!(patch.apply_to(&current), Ok(current));
}

#[test]
fn the_attributes_of_a_group_are_patched_apart_from_its_members() {
    let renamed = group_patch(&payload!("entra_rename_group")).unwrap();
    let name = "1879db59-3bdf-4490-ad68-ab880a269474updatedDisplayName";
    assert_eq!(renamed.display_name.as_deref(), Some(name));
    assert_eq!(renamed.apply_to(&json!({"displayName": "old"})), Ok(json!({"displayName": name})));
    let body = json!({"Operations": [
        {"op": "remove", "path": "externalId"},
        {"op": "add", "value": {"costCentre": "7", "members": ["1"]}},
        {"op": "replace", "path": "labels[value eq \"a\"].text", "value": "b"},
    ]});
    let patch = group_patch(&body).unwrap();
    assert_eq!((patch.display_name.as_deref(), patch.external_id.as_ref()), (None, Some(&None)));
    let current = json!({"displayName": "g", "externalId": "x", "labels": [{"value": "a"}]});
    let after = json!({"displayName": "g", "costCentre": "7", "labels": [{"value": "a", "text": "b"}]});
    assert_eq!(patch.apply_to(&current), Ok(after));
    let moved = group_patch(&json!({"Operations": [{"op": "Replace", "path": "externalId", "value": "y"}]})).unwrap();
    assert_eq!(moved.external_id, Some(Some("y".to_owned())));
}

#[test]
fn b1_03_members_are_removed_by_one_filter_or_by_several() {
    let removed = |ids: &[&str]| Ok(vec![MembersOp::Remove(ids.iter().map(|id| (*id).to_owned()).collect())]);
    for (filter, ids) in
        [(r#"value eq "1""#, &["1"][..]), (r#"VALUE EQ "1" OR (value eq "2" or value eq "3")"#, &["1", "2", "3"])]
    {
        assert_eq!(members(json!({"op": "remove", "path": format!("members[{filter}]")})), removed(ids), "{filter}");
    }
    // Anything else would have to read the members; a removal that is half understood could take everybody.
    for filter in [
        r#"display eq "Ana""#,
        r#"not (display eq "Ana")"#,
        r#"value eq "1" or display pr"#,
        r#"type eq "User" and value sw "1""#,
        r#"value gt "1""#,
        "value eq 1",
        "primary eq true",
        r#"not (value eq "")"#,
    ] {
        let refused = members(json!({"op": "remove", "path": format!("members[{filter}]")})).unwrap_err();
        assert_eq!(keyword(&refused), "invalidFilter", "{filter}");
    }
}

#[test]
fn members_are_removed_by_what_they_are_and_by_whom_a_filter_leaves_out() {
    let (ana, ben, group) = (("1", "User"), ("2", "User"), ("1", "Group"));
    for (filter, meant) in [
        (r#"type eq "user""#, &[ana, ben][..]),
        (r#"type ne "User""#, &[group]),
        (r#"type eq "Printer""#, &[]),
        (r#"not (type eq "Printer")"#, &[ana, ben, group]),
        (r#"value ne "1""#, &[ben]),
        (r#"not (value eq "1" or value eq "2")"#, &[]),
        (r#"value eq "1" and type eq "Group""#, &[group]),
        (r#"value ne "1" or type eq "Group""#, &[ben, group]),
        (r#"value ne "1" and value ne "2""#, &[]),
        (r#"value ne "1" or value ne "2""#, &[ana, ben, group]),
        (r#"value pr and not (value eq "1" and type eq "User")"#, &[ben, group]),
        ("value eq null", &[]),
    ] {
        let removal = json!({"op": "remove", "path": format!("members[{filter}]")});
        let removes = |(id, kind): (&str, &str)| {
            members(removal.clone()).unwrap().iter().any(|change| match change {
                MembersOp::RemoveSelected(Selection { users, groups }) => {
                    if kind == "User" {
                        users.contains(id)
                    } else {
                        groups.contains(id)
                    }
                }
                MembersOp::Remove(ids) => ids.iter().any(|one| one == id),
                MembersOp::Add(_) | MembersOp::RemoveAll | MembersOp::Replace(_) => panic!("{filter}"),
            })
        };
        let found: Vec<_> = [ana, ben, group].into_iter().filter(|one| removes(*one)).collect();
        assert_eq!(found, meant, "{filter}");
    }
}

#[test]
fn what_cannot_be_done_to_a_group_says_why() {
    for (operation, word) in [
        (json!({"op": "replace", "path": "id", "value": "2"}), "mutability"),
        (json!({"op": "remove", "path": "displayName"}), "mutability"),
        (json!({"op": "replace", "path": "members[value eq \"1\"].display", "value": "x"}), "mutability"),
        (json!({"op": "replace", "path": "members.value", "value": "x"}), "mutability"),
        (json!({"op": "add", "path": "members[value eq \"1\"]", "value": "x"}), "invalidPath"),
        (json!({"op": "remove", "path": "members[display eq \"Ana\"]"}), "invalidFilter"),
        (json!({"op": "remove", "path": "members[display eq \"Ana\" and type eq \"User\"]"}), "invalidFilter"),
        (json!({"op": "remove", "path": "members[value eq \"\"]"}), "invalidFilter"),
        (json!({"op": "replace", "path": "displayName", "value": " "}), "invalidValue"),
        (json!({"op": "remove"}), "noTarget"),
    ] {
        assert_eq!(keyword(&members(operation.clone()).unwrap_err()), word, "{operation}");
    }
}

#[test]
fn b1_09_a_push_of_a_hundred_thousand_members_is_read() {
    let list: Vec<_> = (0..100_000).map(|at| json!({"value": at.to_string()})).collect();
    let pushed = members(json!({"op": "replace", "path": "members", "value": list})).unwrap();
    assert!(matches!(pushed.as_slice(), [MembersOp::Replace(all)] if all.len() == 100_000));
    let body = json!({"displayName": "everybody", "members": list});
    assert_eq!(Group::parse(&body).unwrap().members.map(|all| all.len()), Some(100_000));
}
