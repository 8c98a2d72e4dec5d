use chrono::DateTime;
use proptest::prelude::*;

use super::*;
use crate::error::ScimType;
use crate::limits;
use crate::schema::Kind;
use crate::schema::ResourceType::{Group, User};

fn attribute(name: &str) -> Attribute {
    Attribute::parse(User, name).or_else(|_| Attribute::parse(Group, name)).unwrap()
}

fn compare(name: &str, op: Comparison, value: Literal) -> Filter {
    Filter::Compare { attribute: attribute(name), op, value }
}

fn eq(name: &str, value: &str) -> Filter {
    compare(name, Comparison::Eq, Literal::String(value.to_owned()))
}

/// A condition on one value of `list`.
fn within(list: &str, sub: &str, op: Comparison, value: Literal) -> Filter {
    let root = User.returned(list).or_else(|| Group.returned(list)).unwrap();
    Filter::Compare { attribute: Attribute::within(root.sub(sub).unwrap()), op, value }
}

fn values(list: &str, all: Vec<Filter>) -> Filter {
    Filter::Values { attribute: attribute(list), filter: Box::new(Filter::and(all)) }
}

fn text(text: &str) -> Literal {
    Literal::String(text.to_owned())
}

fn work(value: &str) -> Filter {
    let kind = within("emails", "type", Comparison::Eq, text("work"));
    values("emails", vec![kind, within("emails", "value", Comparison::Eq, text(value))])
}

#[test]
fn b1_13_the_queries_of_entra_and_okta_are_understood() {
    let address = |value: &str| values("emails", vec![within("emails", "value", Comparison::Eq, text(value))]);
    for (resource, written, filter) in [
        (User, r#"userName eq "test.user@okta.local""#, eq("userName", "test.user@okta.local")),
        (User, r#"USERNAME EQ "x""#, eq("userName", "x")),
        (User, r#"externalId eq "jyoung""#, eq("externalId", "jyoung")),
        (User, r#"id eq "2819""#, eq("id", "2819")),
        (User, r#"emails[type eq "work"].value eq "a@example.com""#, work("a@example.com")),
        (User, r#"emails[type eq "work" and value eq "a@example.com"]"#, work("a@example.com")),
        (User, r#"Emails[Type Eq "work"].Value eq "a""#, work("a")),
        (User, r#"emails.value eq "a""#, address("a")),
        (User, r#"emails eq "a""#, address("a")),
        (User, r#"urn:ietf:params:scim:schemas:core:2.0:User:userName eq "x""#, eq("userName", "x")),
        (User, r#"id eq "1" and manager eq "2""#, Filter::and(vec![eq("id", "1"), eq("manager.value", "2")])),
        (Group, r#"displayName eq "Sales and \"Marketing\"""#, eq("displayName", "Sales and \"Marketing\"")),
        (Group, r#"  displayName   eq"x"  "#, eq("displayName", "x")),
        (
            Group,
            r#"id eq "1" and members[value eq "2"]"#,
            Filter::and(vec![
                eq("id", "1"),
                values("members", vec![within("members", "value", Comparison::Eq, text("2"))]),
            ]),
        ),
        (
            User,
            r#"userName eq "a" AND (externalId eq "b" and id eq "c")"#,
            Filter::And(vec![eq("userName", "a"), eq("externalId", "b"), eq("id", "c")]),
        ),
    ] {
        assert_eq!(Filter::parse(resource, written), Ok(filter), "{written}");
    }
}

#[test]
fn the_examples_of_rfc_7644_are_understood() {
    let enterprise = r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"#;
    let changed = |op, at: &str| compare("meta.lastModified", op, Literal::DateTime(at.parse().unwrap()));
    let at = "2011-05-13T04:42:34Z";
    for (written, filter) in [
        (r#"userName eq "bjensen""#.to_owned(), eq("userName", "bjensen")),
        (r#"name.familyName co "O'Malley""#.to_owned(), compare("name.familyName", Comparison::Co, text("O'Malley"))),
        (r#"userName sw "J""#.to_owned(), compare("userName", Comparison::Sw, text("J"))),
        ("title pr".to_owned(), Filter::Present(attribute("title"))),
        (format!(r#"meta.lastModified gt "{at}""#), changed(Comparison::Gt, at)),
        (format!(r#"meta.lastModified ge "{at}""#), changed(Comparison::Ge, at)),
        (format!(r#"meta.lastModified lt "{at}""#), changed(Comparison::Lt, at)),
        (r#"meta.lastModified le "2011-05-13T06:42:34.0009+02:00""#.to_owned(), changed(Comparison::Le, at)),
        (
            r#"title pr and userType eq "Employee""#.to_owned(),
            Filter::And(vec![Filter::Present(attribute("title")), eq("userType", "Employee")]),
        ),
        (
            r#"title pr or userType eq "Intern""#.to_owned(),
            Filter::Or(vec![Filter::Present(attribute("title")), eq("userType", "Intern")]),
        ),
        (
            format!(r#"schemas eq "{enterprise}""#),
            Filter::Values {
                attribute: attribute("schemas"),
                filter: Box::new(Filter::Compare {
                    attribute: Attribute { name: "value", multi_valued: false, ..attribute("schemas") },
                    op: Comparison::Eq,
                    value: text(enterprise),
                }),
            },
        ),
        (
            r#"userType eq "Employee" and (emails co "example.com" or emails.value co "example.org")"#.to_owned(),
            Filter::And(vec![
                eq("userType", "Employee"),
                Filter::Or(
                    ["example.com", "example.org"]
                        .map(|part| values("emails", vec![within("emails", "value", Comparison::Co, text(part))]))
                        .to_vec(),
                ),
            ]),
        ),
        (
            r#"userType ne "Employee" and not (emails co "example.com")"#.to_owned(),
            Filter::And(vec![
                compare("userType", Comparison::Ne, text("Employee")),
                Filter::Not(Box::new(values(
                    "emails",
                    vec![within("emails", "value", Comparison::Co, text("example.com"))],
                ))),
            ]),
        ),
        (
            r#"emails[type eq "work" and value co "@example.com"] or ims[type eq "xmpp" and value co "@foo.com"]"#
                .to_owned(),
            Filter::Or(
                [("emails", "work", "@example.com"), ("ims", "xmpp", "@foo.com")]
                    .map(|(list, kind, part)| {
                        let kind = within(list, "type", Comparison::Eq, text(kind));
                        values(list, vec![kind, within(list, "value", Comparison::Co, text(part))])
                    })
                    .to_vec(),
            ),
        ),
    ] {
        assert_eq!(Filter::parse(User, &written), Ok(filter), "{written}");
    }
}

#[test]
fn and_binds_closer_than_or_and_not_closer_than_both() {
    let [a, b, c] = ["a", "b", "c"].map(|value| eq("id", value));
    let not = |inner: &Filter| Filter::Not(Box::new(inner.clone()));
    let or = |any: &[&Filter]| Filter::or(any.iter().map(|one| (*one).clone()).collect());
    let and = |all: &[&Filter]| Filter::and(all.iter().map(|one| (*one).clone()).collect());
    for (written, filter) in [
        ("A or B and C", or(&[&a, &and(&[&b, &c])])),
        ("A and B or C", or(&[&and(&[&a, &b]), &c])),
        ("(A or B) and C", and(&[&or(&[&a, &b]), &c])),
        ("not (A) and B", and(&[&not(&a), &b])),
        ("not(A or B) and C", and(&[&not(&or(&[&a, &b])), &c])),
        ("NOT (not (A))", not(&not(&a))),
        ("A or (B or C)", Filter::Or(vec![a.clone(), b.clone(), c.clone()])),
        ("((A))", a.clone()),
    ] {
        let text = ["A", "B", "C"].iter().fold(written.to_owned(), |text, name| {
            let condition = format!("id eq \"{}\"", name.to_lowercase());
            text.split(' ').map(|word| word.replace(name, &condition)).collect::<Vec<_>>().join(" ")
        });
        let text = if written.starts_with("NOT") { "NOT (not (id eq \"a\"))".to_owned() } else { text };
        assert_eq!(Filter::parse(User, &text), Ok(filter), "{text}");
    }
}

#[test]
fn null_is_unassigned() {
    let title = Filter::Present(attribute("title"));
    assert_eq!(Filter::parse(User, "title ne null"), Ok(title.clone()));
    assert_eq!(Filter::parse(User, "title eq Null"), Ok(Filter::Not(Box::new(title))));
    let emails = Filter::Present(attribute("emails"));
    assert_eq!(Filter::parse(User, "emails pr"), Ok(emails));
}

#[test]
fn a_truth_value_may_stand_in_quotes() {
    let active = Ok(compare("active", Comparison::Eq, Literal::Boolean(false)));
    for written in ["active eq false", r#"active eq "False""#, "active eq FALSE"] {
        assert_eq!(Filter::parse(User, written), active, "{written}");
    }
}

#[test]
fn what_is_not_understood_is_refused_where_it_stands() {
    for (resource, text, at) in [
        (User, "", 1),
        (User, "userName", 9),
        (User, "userName eq", 12),
        (User, "userName eq jyoung", 13),
        (User, r#"userName eq "x"#, 13),
        (User, r#"userName eq "\q""#, 13),
        (User, r#"userName regex "x""#, 10),
        (User, r#"userName eq "x" xor id eq "y""#, 17),
        (User, r#"not userName eq "x""#, 1),
        (User, r#"userName eq "x" and"#, 20),
        (User, r#"(userName eq "x""#, 17),
        (User, r#"userName eq "x")"#, 16),
        (User, r#"badge eq "x""#, 1),
        (User, r#"userName eq "x" and badge eq "x""#, 21),
        (User, r#"password eq "x""#, 1),
        (User, r#"userName.first eq "x""#, 1),
        (User, r#"name eq "x""#, 1),
        (User, r#"addresses eq "x""#, 1),
        (User, r#"emails.size eq "x""#, 1),
        (User, r#"emails[type eq "work"] eq "x""#, 24),
        (User, r#"emails[type eq "work"].size eq "x""#, 23),
        (User, r#"emails[size eq "work"].value eq "x""#, 8),
        (User, r#"emails[type eq "work".value eq "x""#, 22),
        (User, r#"emails[emails[type pr]]"#, 8),
        (User, r#"name[givenName eq "x"]"#, 1),
        (User, "active gt true", 8),
        (User, "active eq 1", 11),
        (User, r#"active eq "yes""#, 11),
        (User, "userName eq true", 13),
        (User, "userName eq 7", 13),
        (User, "title gt null", 7),
        (User, r#"x509Certificates.value lt "x""#, 24),
        (User, r#"meta.created co "2011""#, 14),
        (User, r#"meta.created gt "yesterday""#, 17),
        (User, "meta.created gt 7", 17),
        (User, r#"members.value eq "x""#, 1),
        (User, r#"urn:ietf:params:scim:schemas:core:2.0:Group:displayName eq "x""#, 1),
        (User, r#"urn:ietf:params:scim:schemas:core:2.0:User eq "x""#, 1),
        (User, r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:badge eq "x""#, 1),
        (User, r#"urn:example:2.0:User:badge eq "x""#, 1),
        (Group, r#"userName eq "x""#, 1),
        (Group, r#"groups.value eq "x""#, 1),
        (Group, r#"department eq "x""#, 1),
        (User, r#"ünï eq "x""#, 1),
    ] {
        let error = Filter::parse(resource, text).unwrap_err();
        assert_eq!((error.status, error.scim_type), (400, Some(ScimType::InvalidFilter)), "{text}");
        assert!(error.detail.starts_with(&format!("filter, character {at}: ")), "{text}: {}", error.detail);
    }
}

#[test]
fn a_value_in_a_filter_is_never_repeated_in_the_refusal() {
    for text in [
        r#"badge eq "hunter2""#,
        r#"userName hunter2 "x""#,
        r#"userName eq "hunter2" or"#,
        "userName eq hunter2",
        r#"meta.created gt "hunter2""#,
        r#"active eq "hunter2""#,
    ] {
        assert!(!Filter::parse(User, text).unwrap_err().detail.contains("hunter2"), "{text}");
    }
}

#[test]
fn length_depth_and_comparisons_are_bounded() {
    let nested = |levels| format!(r#"{}userName eq "x"{}"#, "(".repeat(levels), ")".repeat(levels));
    assert!(Filter::parse(User, &nested(limits::FILTER_DEPTH)).is_ok());
    assert!(Filter::parse(User, &nested(limits::FILTER_DEPTH + 1)).is_err());
    let long = |length| format!(r#"userName eq "{}""#, "x".repeat(length));
    assert!(Filter::parse(User, &long(1_000)).is_ok());
    assert!(Filter::parse(User, &long(limits::FILTER_LENGTH)).is_err());
    let many = |comparisons| vec!["id pr"; comparisons].join(" or ");
    assert!(Filter::parse(User, &many(limits::FILTER_COMPARISONS)).is_ok());
    let refused = Filter::parse(User, &many(limits::FILTER_COMPARISONS + 1)).unwrap_err();
    assert!(refused.detail.contains("100 comparisons"), "{}", refused.detail);
}

fn comparisons() -> impl Strategy<Value = Comparison> {
    proptest::sample::select(Comparison::ALL.to_vec())
}

/// A comparison that the attribute has.
fn condition(attribute: Attribute) -> impl Strategy<Value = Filter> {
    (comparisons(), "(?s).{0,12}", any::<bool>(), 0..4_102_444_800_000_i64, any::<bool>()).prop_map(
        move |(op, text, truth, millis, present)| {
            let ordered = matches!(op, Comparison::Gt | Comparison::Ge | Comparison::Lt | Comparison::Le);
            let whole = matches!(op, Comparison::Eq | Comparison::Ne);
            let value = match attribute.kind {
                Kind::Boolean if whole => Literal::Boolean(truth),
                Kind::DateTime if whole || ordered => {
                    Literal::DateTime(DateTime::from_timestamp_millis(millis).unwrap())
                }
                Kind::String | Kind::Reference => Literal::String(text),
                Kind::Binary if !ordered => Literal::String(text),
                _ => return Filter::Present(attribute),
            };
            if present { Filter::Present(attribute) } else { Filter::Compare { attribute, op, value } }
        },
    )
}

fn filters() -> impl Strategy<Value = Filter> {
    let single = [
        "id",
        "userName",
        "externalId",
        "active",
        "name.familyName",
        "meta.created",
        "meta.version",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value",
    ];
    let lists = ["emails", "photos", "x509Certificates", "groups", "addresses"];
    let of_list = proptest::sample::select(lists.to_vec()).prop_flat_map(|list| {
        let subs = User.returned(list).unwrap().sub_attributes.iter().map(Attribute::within).collect::<Vec<_>>();
        let inner = joined(proptest::sample::select(subs).prop_flat_map(condition).boxed());
        inner.prop_map(move |inner| values(list, vec![inner]))
    });
    let of_single = proptest::sample::select(single.to_vec()).prop_flat_map(|name| condition(attribute(name)));
    let whole = proptest::sample::select(lists.to_vec()).prop_map(|list| Filter::Present(attribute(list)));
    joined(prop_oneof![3 => of_single, 2 => of_list, 1 => whole].boxed())
}

fn joined(leaf: BoxedStrategy<Filter>) -> BoxedStrategy<Filter> {
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 2..4).prop_map(Filter::and),
            proptest::collection::vec(inner.clone(), 2..4).prop_map(Filter::or),
            inner.prop_map(|inner| Filter::Not(Box::new(inner))),
        ]
    })
    .boxed()
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
        " or ",
        "not ",
        " pr",
        " gt ",
        "active",
        "meta.created",
        "null",
        "1e9",
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
