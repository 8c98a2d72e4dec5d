use proptest::prelude::*;

use super::*;
use crate::limits;
use crate::schema::ResourceType::{Group, User};

fn eq(attribute: Attribute, value: &str) -> Filter {
    Filter::Eq { attribute, value: FilterValue::String(value.to_owned()) }
}

fn work(value: &str) -> Filter {
    eq(Attribute::EmailValue { kind: Some("work".to_owned()) }, value)
}

#[test]
fn b1_13_the_queries_of_entra_and_okta_are_understood() {
    for (resource, text, filter) in [
        (User, r#"userName eq "test.user@okta.local""#, eq(Attribute::UserName, "test.user@okta.local")),
        (User, r#"USERNAME EQ "x""#, eq(Attribute::UserName, "x")),
        (User, r#"externalId eq "jyoung""#, eq(Attribute::ExternalId, "jyoung")),
        (User, r#"id eq "2819""#, eq(Attribute::Id, "2819")),
        (User, r#"emails[type eq "work"].value eq "a@example.com""#, work("a@example.com")),
        (User, r#"Emails[Type Eq "work"].Value eq "a""#, work("a")),
        (User, r#"emails.value eq "a""#, eq(Attribute::EmailValue { kind: None }, "a")),
        (User, r#"emails eq "a""#, eq(Attribute::EmailValue { kind: None }, "a")),
        (User, r#"urn:ietf:params:scim:schemas:core:2.0:User:userName eq "x""#, eq(Attribute::UserName, "x")),
        (Group, r#"displayName eq "Sales and \"Marketing\"""#, eq(Attribute::DisplayName, "Sales and \"Marketing\"")),
        (Group, r#"  displayName   eq"x"  "#, eq(Attribute::DisplayName, "x")),
        (
            User,
            r#"userName eq "a" AND (externalId eq "b" and id eq "c")"#,
            Filter::And(vec![eq(Attribute::UserName, "a"), eq(Attribute::ExternalId, "b"), eq(Attribute::Id, "c")]),
        ),
    ] {
        assert_eq!(Filter::parse(resource, text), Ok(filter), "{text}");
    }
}

#[test]
fn what_is_not_supported_is_refused_where_it_stands() {
    for (resource, text, at) in [
        (User, "", 1),
        (User, "userName", 9),
        (User, "userName eq", 12),
        (User, "userName eq jyoung", 13),
        (User, r#"userName eq "x"#, 13),
        (User, r#"userName eq "\q""#, 13),
        (User, r#"userName co "x""#, 10),
        (User, "userName pr", 10),
        (User, r#"userName eq "x" or id eq "y""#, 17),
        (User, r#"not (userName eq "x")"#, 5),
        (User, r#"userName eq "x" and"#, 20),
        (User, r#"(userName eq "x""#, 17),
        (User, r#"userName eq "x")"#, 16),
        (User, r#"title eq "x""#, 1),
        (User, r#"userName eq "x" and title eq "x""#, 21),
        (User, "active eq true", 1),
        (User, r#"emails[type eq "work"] eq "x""#, 1),
        (User, r#"emails[type eq "work"].display eq "x""#, 1),
        (User, r#"emails[display eq "work"].value eq "x""#, 1),
        (User, r#"emails[type eq "work".value eq "x""#, 22),
        (User, r#"urn:ietf:params:scim:schemas:core:2.0:Group:displayName eq "x""#, 1),
        (User, r#"urn:ietf:params:scim:schemas:core:2.0:User eq "x""#, 1),
        (Group, r#"userName eq "x""#, 1),
        (Group, r#"members.value eq "x""#, 1),
        (User, r#"ünï eq "x""#, 1),
    ] {
        let error = Filter::parse(resource, text).unwrap_err();
        assert_eq!(error.scim_type, Some(ScimType::InvalidFilter), "{text}");
        assert!(error.detail.starts_with(&format!("filter, character {at}: ")), "{text}: {}", error.detail);
        assert!(error.detail.contains("supported are `eq` and `and`"), "{}", error.detail);
    }
}

#[test]
fn a_value_in_a_filter_is_never_repeated_in_the_refusal() {
    for text in
        [r#"title eq "hunter2""#, r#"userName co "hunter2""#, r#"userName eq "hunter2" or"#, "userName eq hunter2"]
    {
        assert!(!Filter::parse(User, text).unwrap_err().detail.contains("hunter2"), "{text}");
    }
}

#[test]
fn length_and_depth_are_bounded() {
    let nested = |levels| format!(r#"{}userName eq "x"{}"#, "(".repeat(levels), ")".repeat(levels));
    assert!(Filter::parse(User, &nested(limits::FILTER_DEPTH)).is_ok());
    assert!(Filter::parse(User, &nested(limits::FILTER_DEPTH + 1)).is_err());
    let long = |length| format!(r#"userName eq "{}""#, "x".repeat(length));
    assert!(Filter::parse(User, &long(1_000)).is_ok());
    assert!(Filter::parse(User, &long(limits::FILTER_LENGTH)).is_err());
}

fn attributes() -> impl Strategy<Value = Attribute> {
    prop_oneof![
        Just(Attribute::Id),
        Just(Attribute::UserName),
        Just(Attribute::ExternalId),
        Just(Attribute::DisplayName),
        proptest::option::of(".{0,8}").prop_map(|kind| Attribute::EmailValue { kind }),
    ]
}

fn filters() -> impl Strategy<Value = Filter> {
    let eq = (attributes(), "(?s).{0,20}")
        .prop_map(|(attribute, value)| Filter::Eq { attribute, value: FilterValue::String(value) });
    proptest::collection::vec(eq, 1..6).prop_map(Filter::and)
}

/// Strings made of what the grammar is made of get further into the parser than arbitrary ones.
fn nearly_filters() -> impl Strategy<Value = String> {
    let pieces = [
        "userName",
        "emails",
        "[",
        "]",
        "(",
        ")",
        "type",
        " eq ",
        " and ",
        "\"a\"",
        "\"",
        "\\",
        ".value",
        ".",
        "true",
        "urn:",
        "urn:ietf:params:scim:schemas:core:2.0:User",
        ":",
        "é",
        "\u{2028}",
    ];
    proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn printing_then_parsing_gives_the_same_filter(filter in filters()) {
        prop_assert_eq!(Filter::parse(User, &filter.to_string()), Ok(filter));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "(?s).{0,200}") {
        let _ = (Filter::parse(User, &text), Filter::parse(Group, &text), parse_path(&text));
    }

    #[test]
    fn no_sequence_of_grammar_pieces_makes_the_parser_panic(text in nearly_filters()) {
        let _ = (Filter::parse(User, &text), Filter::parse(Group, &text), parse_path(&text));
    }
}
