use serde_json::json;

use super::*;
use crate::filter::{Attribute, Comparison, Literal};
use crate::schema::GROUP;

fn query(pairs: &[(&str, &str)]) -> Result<Query> {
    let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Query::parse(ResourceType::User, pairs)
}

fn refusal(pairs: &[(&str, &str)]) -> &'static str {
    query(pairs).unwrap_err().scim_type.unwrap().as_str()
}

#[test]
fn b1_23_paging_is_one_based_and_bounded_whatever_the_case_of_the_names() {
    for (pairs, start_index, count) in [
        (&[][..], 1, 100),
        (&[("startindex", "0")], 1, 100),
        (&[("startIndex", "-3"), ("count", "-1")], 1, 0),
        (&[("STARTINDEX", "101"), ("Count", "100")], 101, 100),
        (&[("count", "0")], 1, 0),
        (&[("count", "50000")], 1, 1_000),
    ] {
        let query = query(pairs).unwrap();
        assert_eq!((query.page, query.count), (Page::Index(start_index), count), "{pairs:?}");
    }
    for (pairs, keyword) in [
        (&[("count", "ten")][..], "invalidCount"),
        (&[("startIndex", "")], "invalidValue"),
        (&[("count", "1"), ("COUNT", "2")], "invalidValue"),
    ] {
        assert_eq!(refusal(pairs), keyword, "{pairs:?}");
    }
}

#[test]
fn b1_33_pages_by_cursor_begin_with_an_empty_one() {
    let first = query(&[("cursor", ""), ("count", "10")]).unwrap();
    assert_eq!((first.page, first.count), (Page::First, 10));
    let next = query(&[("CURSOR", "VZUTiyhEQJ94IR")]).unwrap();
    assert_eq!((next.page, next.count), (Page::Cursor("VZUTiyhEQJ94IR".to_owned()), 100));
    for (pairs, keyword) in [
        (&[("cursor", "a b")][..], "invalidCursor"),
        (&[("cursor", "é")], "invalidCursor"),
        (&[("cursor", ""), ("count", "0")], "invalidCount"),
        (&[("cursor", "a"), ("count", "-1")], "invalidCount"),
        (&[("cursor", ""), ("startIndex", "1")], "invalidValue"),
    ] {
        assert_eq!(refusal(pairs), keyword, "{pairs:?}");
    }
    assert_eq!(refusal(&[("cursor", &"a".repeat(limits::CURSOR_LENGTH + 1))]), "invalidCursor");
}

#[test]
fn b1_13_the_query_of_okta_is_read() {
    let query = query(&[("filter", "userName eq \"test.user@okta.local\""), ("startIndex", "1"), ("count", "100")]);
    let value = Literal::String("test.user@okta.local".to_owned());
    let attribute = Attribute::parse(ResourceType::User, "userName").unwrap();
    let filter = Some(Filter::Compare { attribute, op: Comparison::Eq, value });
    assert_eq!(query, Ok(Query { filter, ..Query::default() }));
}

#[test]
fn an_empty_filter_is_refused_rather_than_answered_with_everybody() {
    assert_eq!(refusal(&[("filter", "")]), "invalidFilter");
}

#[test]
fn b1_11_excluded_members_are_neither_needed_nor_returned() {
    let query = query(&[("excludedattributes", "members")]).unwrap();
    assert!(!query.returns("members"));
    assert!(query.returns("displayName"));
    let group = json!({"schemas": [GROUP], "id": "1", "displayName": "g", "members": [{"value": "2"}]});
    assert_eq!(query.project(group), json!({"schemas": [GROUP], "id": "1", "displayName": "g"}));
}

#[test]
fn attributes_are_named_or_excluded_but_not_both() {
    assert_eq!(refusal(&[("attributes", "userName"), ("excludedAttributes", "emails")]), "invalidValue");
    assert!(query(&[("attributes", "userName"), ("excludedAttributes", "")]).is_ok());
    assert!(query(&[("attributes", &["id"; limits::SELECTED].join(","))]).is_ok());
    assert_eq!(refusal(&[("attributes", &["id"; limits::SELECTED + 1].join(","))]), "invalidValue");
}

#[test]
fn a_search_says_what_a_get_says() {
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
        "attributes": ["displayName", "userName"],
        "filter": "displayName sw \"smith\"",
        "sortBy": "name.familyName",
        "SORTORDER": "Descending",
        "startIndex": 11,
        "count": 10,
        "excludedAttributes": null,
    });
    let asked = query(&[
        ("attributes", "displayName,userName"),
        ("filter", "displayName sw \"smith\""),
        ("sortBy", "name.familyName"),
        ("sortOrder", "descending"),
        ("startIndex", "11"),
        ("count", "10"),
    ]);
    assert_eq!(Query::parse_search(ResourceType::User, &body), asked);
    assert_eq!(Query::parse_search(ResourceType::User, &json!({})), Ok(Query::default()));
    for (body, keyword) in [
        (json!([]), "invalidSyntax"),
        (json!({"count": true}), "invalidValue"),
        (json!({"count": 1.5}), "invalidCount"),
        (json!({"filter": ""}), "invalidFilter"),
        (json!({"cursor": "", "startIndex": 1}), "invalidValue"),
        (json!({"filter": "id pr", "Filter": "id pr"}), "invalidValue"),
    ] {
        let refused = Query::parse_search(ResourceType::User, &body).unwrap_err();
        assert_eq!(refused.scim_type.unwrap().as_str(), keyword, "{body}");
    }
}

#[test]
fn a_list_is_sorted_by_an_attribute_with_values() {
    let by = |name: &str| query(&[("sortBy", name)]).unwrap().sort.unwrap().by.to_string();
    for (sent, named) in [
        ("USERNAME", "userName"),
        ("name.familyName", "name.familyName"),
        ("meta.lastModified", "meta.lastModified"),
        ("emails", "emails"),
        ("emails.value", "emails"),
        (
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
        ),
    ] {
        assert_eq!(by(sent), named, "{sent}");
    }
    for name in ["name", "meta", "emails.type", "addresses", "schemas", "nothing", "userName.first", "hunter2@x", "a["]
    {
        let refused = query(&[("sortBy", name)]).unwrap_err();
        assert_eq!(refused.scim_type, Some(ScimType::InvalidValue), "{name}");
        assert!(!refused.detail.contains('@'), "{}", refused.detail);
    }
    assert_eq!(refusal(&[("sortBy", "id"), ("sortOrder", "up")]), "invalidValue");
    assert_eq!(query(&[("sortOrder", "descending")]).unwrap().sort, None);
}

#[test]
fn case_counts_only_where_the_schema_says_so_and_what_has_no_value_comes_last() {
    let users = [
        json!({"id": "b", "userName": "ana", "emails": [{"value": "Z"}, {"value": "a", "primary": true}]}),
        json!({"id": "B", "userName": "Bob", "emails": [{"value": "b"}]}),
        json!({"id": "a", "userName": "Cid", "active": true}),
    ];
    let sorted = |by: &str, order: &str| {
        let sort = query(&[("sortBy", by), ("sortOrder", order)]).unwrap().sort.unwrap();
        let mut users = users.to_vec();
        users.sort_by(|one, other| sort.compare(one, other));
        users.iter().map(|user| user["userName"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(sorted("userName", "ascending"), ["ana", "Bob", "Cid"]);
    assert_eq!(sorted("userName", "descending"), ["Cid", "Bob", "ana"]);
    assert_eq!(sorted("id", "ascending"), ["Bob", "Cid", "ana"]);
    assert_eq!(sorted("emails", "ascending"), ["ana", "Bob", "Cid"]);
    assert_eq!(sorted("emails", "descending"), ["Cid", "Bob", "ana"]);
    assert_eq!(sorted("active", "ascending"), ["Cid", "ana", "Bob"]);
}
