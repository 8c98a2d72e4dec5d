//! Lists as SCIM clients ask for them: what a filter finds by SQL is what it means in memory, on every page and in every order.

use directory::{AccountRow, From, ListQuery};
use lifecycle::AccountFacts;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use scim::render::Meta;
use scim::{Filter, ResourceType, Sort};
use serde_json::{Value, json};

use crate::world::{World, person};

const LOCATION: &str = "https://scim.example.com/scim/v2/okta/Users";

fn everything(filter: Option<&Filter>) -> ListQuery<'_> {
    ListQuery { source: "okta", filter, sort: None, from: From::Offset(0), count: 1_000, location: LOCATION }
}

/// As it is sent.
fn rendered(row: &AccountRow) -> Value {
    let location = format!("{LOCATION}/{}", row.native_id);
    let version = row.version.to_string();
    let meta = Meta {
        id: &row.native_id,
        version: &version,
        created: row.created_at,
        last_modified: row.changed_at,
        location: &location,
    };
    scim::render::user(&row.attributes, &meta)
}

/// A user of whom as much is said as the numbers tell.
async fn somebody(world: &World, n: usize) -> AccountRow {
    const NAMES: [&str; 6] = ["Ana", "ana-maria", "BEN%", "b_n", "o'neil", "zoë"];
    let some = |every: usize, value: Value| if n.is_multiple_of(every) { value } else { Value::Null };
    let name = format!("{}{n}@Example.com", NAMES[n % NAMES.len()]);
    let sent = json!({
        "userName": name,
        "externalId": some(2, json!(format!("X-{n}"))),
        "displayName": some(3, json!(NAMES[(n / 2) % NAMES.len()])),
        "title": if n.is_multiple_of(4) { json!("") } else { some(5, json!("Vice \"President\"")) },
        "active": some(2, json!(n.is_multiple_of(4))),
        "name": some(2, json!({"familyName": NAMES[n % 5], "givenName": some(3, json!("Ana"))})),
        "emails": match n % 4 {
            0 => Value::Null,
            1 => json!([{"value": name, "type": "work", "primary": true}]),
            2 => json!([{"value": "A@example.com", "type": "home"}, {"value": name, "type": "Work", "display": "D"}]),
            _ => json!([{"value": "b@example.org"}]),
        },
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": some(3, json!({
            "department": "R&D", "manager": some(2, json!({"value": "Boss"})),
        })),
    });
    let user = scim::User::parse(&sent).unwrap();
    let facts = AccountFacts {
        external_id: user.external_id,
        profile: lifecycle::account::Profile {
            user_name: Some(user.user_name),
            email: user.email,
            display_name: user.display_name,
            department: user.department,
            manager: user.manager,
            employee_number: user.employee_number,
        },
        attributes: user.resource,
        ..person("")
    };
    world.create("okta", facts).await
}

fn conditions() -> impl Strategy<Value = String> {
    let text = prop::sample::select(vec![
        "ana",
        "A",
        "",
        "work",
        "example.com",
        "b_n",
        "%",
        "o'neil",
        "X-2",
        "x-2",
        "Vice \\\"",
        "zoë",
        "R&D",
        "boss",
        "D",
        "User",
        "urn:ietf:params:scim:schemas:core:2.0:User",
        "W/\\\"1\\\"",
        "https://",
    ]);
    let op = prop::sample::select(vec!["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"]);
    let texts = prop::sample::select(vec![
        "userName",
        "displayName",
        "externalId",
        "id",
        "title",
        "name.familyName",
        "name.givenName",
        "emails.value",
        "emails",
        "emails.type",
        "emails.display",
        "phoneNumbers.value",
        "department",
        "manager",
        "schemas",
        "meta.resourceType",
        "meta.version",
        "meta.location",
        "nickName",
    ]);
    let sub = prop::sample::select(vec!["value", "type", "display"]);
    let within = (sub, op.clone(), text.clone(), any::<bool>(), prop::sample::select(vec!["and", "or"]), 0..3)
        .prop_map(|(sub, op, text, truth, word, shape)| match shape {
            0 => format!("emails[{sub} {op} \"{text}\"]"),
            1 => format!("emails[{sub} {op} \"{text}\" {word} primary eq {truth}]"),
            _ => format!("emails[not ({sub} {op} \"{text}\") {word} display pr]"),
        });
    let truths = (prop::sample::select(vec!["active", "emails.primary"]), any::<bool>(), any::<bool>())
        .prop_map(|(name, truth, eq)| format!("{name} {} {truth}", if eq { "eq" } else { "ne" }));
    let present = prop::sample::select(vec![
        "userName",
        "displayName",
        "externalId",
        "title",
        "name",
        "name.givenName",
        "emails",
        "emails.display",
        "emails.primary",
        "department",
        "manager",
        "id",
        "schemas",
        "meta",
        "meta.created",
        "active",
        "phoneNumbers",
    ])
    .prop_map(|name| format!("{name} pr"));
    let one = prop_oneof![
        4 => (texts, op, text).prop_map(|(name, op, text)| format!("{name} {op} \"{text}\"")),
        2 => within,
        1 => truths,
        2 => present,
    ];
    one.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} and {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} or {b})")),
            inner.prop_map(|a| format!("not ({a})")),
        ]
    })
}

#[tokio::test]
async fn b1_13_a_filter_finds_by_sql_exactly_whom_it_means() {
    let world = World::new().await;
    let mut everybody = Vec::new();
    for n in 0..24 {
        everybody.push(somebody(&world, n).await);
    }
    let (mut runner, strategy) = (TestRunner::deterministic(), conditions());
    let (mut some, mut parsed) = (0, 0);
    for _ in 0..1_500 {
        let text = strategy.new_tree(&mut runner).unwrap().current();
        // Not every comparison is one that the type of its attribute has.
        let Ok(filter) = Filter::parse(ResourceType::User, &text) else { continue };
        parsed += 1;
        let meant: Vec<&str> =
            everybody.iter().filter(|row| filter.matches(&rendered(row))).map(|row| row.native_id.as_str()).collect();
        let list = world.sync.users(&everything(Some(&filter))).await.unwrap().unwrap();
        let found: Vec<&str> = list.rows.iter().map(|row| row.native_id.as_str()).collect();
        assert_eq!(found, meant, "{text}");
        assert_eq!(usize::try_from(list.total), Ok(meant.len()), "{text}");
        some += usize::from(!meant.is_empty() && meant.len() < everybody.len());
    }
    assert!(parsed > 1_000 && some > 300, "{parsed} filters, {some} of which tell people apart");
}

#[tokio::test]
async fn times_are_compared_as_they_are_sent() {
    let world = World::new().await;
    let row = somebody(&world, 1).await;
    let sent = rendered(&row)["meta"]["created"].as_str().unwrap().to_owned();
    for (op, found) in [("eq", 1), ("ne", 0), ("ge", 1), ("le", 1), ("gt", 0), ("lt", 0)] {
        let filter = Filter::parse(ResourceType::User, &format!("meta.created {op} \"{sent}\"")).unwrap();
        assert_eq!(world.sync.users(&everything(Some(&filter))).await.unwrap().unwrap().total, found, "{op}");
    }
}

#[tokio::test]
async fn b1_33_pages_by_cursor_show_everybody_once_in_the_order_that_was_asked_for() {
    let world = World::new().await;
    let mut everybody = Vec::new();
    for n in 0..24 {
        everybody.push(somebody(&world, n).await);
    }
    let sorts =
        ["", "userName", "displayName", "name.familyName", "active", "emails", "meta.lastModified", "department"];
    for (by, descending) in sorts.into_iter().flat_map(|by| [(by, false), (by, true)]) {
        let order = if descending { "descending" } else { "ascending" };
        let pairs = [("sortBy", by), ("sortOrder", order)].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let sort: Option<Sort> = scim::Query::parse(ResourceType::User, pairs).unwrap().sort;
        let mut meant = everybody.clone();
        if let Some(sort) = &sort {
            meant.sort_by(|one, other| sort.compare(&rendered(one), &rendered(other)));
        }
        let (mut found, mut from) = (Vec::new(), From::Offset(0));
        loop {
            let query = ListQuery { sort, from, count: 5, ..everything(None) };
            let page = world.sync.users(&query).await.unwrap().unwrap();
            assert_eq!(page.total, 24);
            found.extend(page.rows.into_iter().map(|row| row.native_id));
            match page.next {
                Some(last) => from = From::After(last),
                None => break,
            }
        }
        let meant: Vec<String> = meant.into_iter().map(|row| row.native_id).collect();
        assert_eq!(found, meant, "{by} {order}");
    }
    let elsewhere = ListQuery { from: From::After(uuid::Uuid::nil()), ..everything(None) };
    assert!(world.sync.users(&elsewhere).await.unwrap().is_none());
}

#[tokio::test]
async fn nothing_of_a_filter_is_taken_for_sql() {
    let world = World::new().await;
    somebody(&world, 1).await;
    for text in ["'; DROP TABLE directory.accounts; --", "$1", "' OR 'a' = 'a", "\\u0000"] {
        for condition in ["userName eq", "title co", "emails.value sw", "schemas eq", "meta.location ge"] {
            let filter = Filter::parse(ResourceType::User, &format!("{condition} \"{text}\"")).unwrap();
            match world.sync.users(&everything(Some(&filter))).await {
                Ok(list) => assert_eq!(list.unwrap().total, i64::from(condition.ends_with("ge")), "{condition} {text}"),
                Err(error) => assert!(matches!(error, directory::Error::Unstorable { .. }), "{error:?}"),
            }
        }
    }
    assert_eq!(world.ask::<i64>("SELECT count(*) FROM directory.accounts").await, 1);
}
