//! Lists as SCIM clients ask for them: what a filter finds by SQL is what it means in memory, on every page and in every order.

use std::time::Duration;

use directory::{AccountRow, Error, From, GroupBrake, GroupOf, LIST_WITHIN, ListQuery, MemberChange};
use lifecycle::AccountFacts;
use lifecycle::brake::Limits;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use scim::render::{Membership, Meta};
use scim::{Filter, ResourceType, Sort};
use serde_json::{Value, json};

use crate::groups::{group, unchanged};
use crate::world::{World, cause, person};

const LOCATION: &str = "https://scim.example.com/scim/v2/okta/Users";

fn everything(filter: Option<&Filter>) -> ListQuery<'_> {
    let (from, within) = (From::Offset(0), LIST_WITHIN);
    ListQuery { source: "okta", filter, sort: None, from, count: 1_000, location: LOCATION, within }
}

/// As it is sent, with the groups that are known of.
fn rendered(row: &AccountRow, groups: &[GroupOf]) -> Value {
    let shown = |group: &GroupOf| Membership {
        value: group.native_id.clone(),
        display: group.display_name.clone(),
        location: format!("https://scim.example.com/scim/v2/okta/Groups/{}", group.native_id),
    };
    let groups: Vec<Membership> = groups.iter().filter(|group| group.account == row.id).map(shown).collect();
    let location = format!("{LOCATION}/{}", row.native_id);
    let version = row.version.to_string();
    let meta = Meta {
        id: &row.native_id,
        version: &version,
        created: row.created_at,
        last_modified: row.changed_at,
        location: &location,
    };
    scim::render::user(&row.attributes, &meta, &groups)
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

/// Puts some of them into groups. Returns who is in which.
async fn in_groups(world: &World, everybody: &[AccountRow]) -> Vec<GroupOf> {
    for (name, every) in [("staff", 2), ("admins", 5), ("Zoë's", 7)] {
        let some: Vec<_> = everybody.iter().step_by(every).map(|row| (row.native_id.clone(), false)).collect();
        world.sync.create_group(&cause("okta"), &group(name), &some).await.unwrap();
    }
    let ids: Vec<uuid::Uuid> = everybody.iter().map(|row| row.id).collect();
    world.sync.groups_of(&ids).await.unwrap()
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
        "direct",
        "staff",
        "Admins",
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
        "groups.value",
        "groups.display",
        "groups.type",
        "groups.$ref",
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
        "groups",
        "groups.$ref",
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
    let groups = in_groups(&world, &everybody).await;
    assert_eq!(groups.len(), 12 + 5 + 4);
    let (mut runner, strategy) = (TestRunner::deterministic(), conditions());
    let (mut some, mut parsed) = (0, 0);
    for _ in 0..1_500 {
        let text = strategy.new_tree(&mut runner).unwrap().current();
        // Not every comparison is one that the type of its attribute has.
        let Ok(filter) = Filter::parse(ResourceType::User, &text) else { continue };
        parsed += 1;
        let meant: Vec<&str> = everybody
            .iter()
            .filter(|row| filter.matches(&rendered(row, &groups)))
            .map(|row| row.native_id.as_str())
            .collect();
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
    let sent = rendered(&row, &[])["meta"]["created"].as_str().unwrap().to_owned();
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
    let groups = in_groups(&world, &everybody).await;
    let sorts = [
        "",
        "userName",
        "displayName",
        "name.familyName",
        "active",
        "emails",
        "meta.lastModified",
        "department",
        "groups",
    ];
    for (by, descending) in sorts.into_iter().flat_map(|by| [(by, false), (by, true)]) {
        let order = if descending { "descending" } else { "ascending" };
        let pairs = [("sortBy", by), ("sortOrder", order)].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let sort: Option<Sort> = scim::Query::parse(ResourceType::User, pairs).unwrap().sort;
        let mut meant = everybody.clone();
        if let Some(sort) = &sort {
            meant.sort_by(|one, other| sort.compare(&rendered(one, &groups), &rendered(other, &groups)));
        }
        let (mut pages, mut from) = (Vec::new(), From::Offset(0));
        let read = async |from| {
            let query = ListQuery { sort, from, count: 5, ..everything(None) };
            let page = world.sync.users(&query).await.unwrap().unwrap();
            assert_eq!(page.total, 24);
            let ids: Vec<String> = page.rows.into_iter().map(|row| row.native_id).collect();
            (ids, page.previous, page.next)
        };
        loop {
            let (ids, previous, next) = read(from).await;
            assert_eq!(previous.is_some(), !pages.is_empty(), "{by} {order}: {previous:?}");
            pages.push((ids, previous));
            match next {
                Some(last) => from = From::After(last),
                None => break,
            }
        }
        // The same pages, from the last to the first.
        for at in (1..pages.len()).rev() {
            let (ids, previous, next) = read(From::Before(pages[at].1.unwrap())).await;
            assert_eq!((&ids, previous.is_some()), (&pages[at - 1].0, at > 1), "{by} {order}");
            let (after, ..) = read(From::After(next.unwrap())).await;
            assert_eq!(after, pages[at].0, "{by} {order}");
        }
        let found: Vec<String> = pages.into_iter().flat_map(|(ids, _)| ids).collect();
        let meant: Vec<String> = meant.into_iter().map(|row| row.native_id).collect();
        assert_eq!(found, meant, "{by} {order}");
    }
    for from in [From::After(uuid::Uuid::nil()), From::Before(uuid::Uuid::nil())] {
        assert!(world.sync.users(&ListQuery { from, ..everything(None) }).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn b1_16_user_names_compare_without_case_in_every_script() {
    let world = World::new().await;
    let row = world.create("okta", person("ZOË.Ångström@Пример.example")).await;
    for name in ["zoë.ångström@пример.example", "Zoë.ångströM@ПРИМЕР.example"] {
        assert_eq!(world.found("okta", &format!("userName eq \"{name}\"")).await, 1, "{name}");
        assert_eq!(world.found("okta", &format!("userName ne \"{name}\"")).await, 0, "{name}");
    }
    assert_eq!(world.found("okta", "userName eq \"zoe.ångström@пример.example\"").await, 0);
    world.set("okta", &row.native_id, lifecycle::Standing::Inactive).await;
    let back = world.create("okta", person("zoë.ÅNGSTRÖM@пример.example")).await;
    assert_eq!(back.native_id, row.native_id, "whoever returns is known by the name in any case");
}

#[tokio::test]
async fn a_list_that_takes_too_long_is_given_up_and_leaves_its_connection_as_it_was() {
    let world = World::new().await;
    somebody(&world, 1).await;
    let mut in_the_way = world.owner.begin().await.unwrap();
    sqlx::query("LOCK TABLE directory.accounts IN ACCESS EXCLUSIVE MODE").execute(&mut *in_the_way).await.unwrap();
    let soon = ListQuery { within: Duration::from_millis(20), ..everything(None) };
    let refused = world.sync.users(&soon).await.unwrap_err();
    assert!(matches!(refused, Error::TooCostly), "{refused:?}");
    in_the_way.rollback().await.unwrap();
    assert_eq!(world.sync.users(&everything(None)).await.unwrap().unwrap().total, 1);
}

#[tokio::test]
async fn the_groups_of_a_user_are_what_its_source_states() {
    let world = World::new().await;
    let (ana, ben) = (somebody(&world, 1).await, somebody(&world, 2).await);
    let both = [(ana.native_id.clone(), false), (ben.native_id.clone(), false)];
    let staff = world.sync.create_group(&cause("okta"), &group("staff"), &both).await.unwrap();
    let admins = world.sync.create_group(&cause("okta"), &group("admins"), &both[..1]).await.unwrap();
    let names = async |row: &AccountRow| -> Vec<String> {
        world.sync.groups_of(&[row.id]).await.unwrap().into_iter().map(|group| group.display_name).collect()
    };
    assert_eq!((names(&ana).await, names(&ben).await), (vec!["admins".into(), "staff".into()], vec!["staff".into()]));
    // A plan holds it, and the source reads back what it stated.
    let tight = GroupBrake { limits: Limits { max_disable: 0.0, min: 0 }, burst: 0 };
    let all = [MemberChange::RemoveAll];
    let done = world.sync.change_group(&cause("okta"), tight, &staff.native_id, unchanged, &all).await.unwrap();
    assert!(done.unwrap().unwrap().held.is_some());
    let any = |_: &directory::GroupRow| Ok::<_, std::convert::Infallible>(());
    assert_eq!((names(&ana).await, names(&ben).await), (vec!["admins".to_owned()], vec![]));
    world.sync.delete_group(&cause("okta"), tight, &admins.native_id, any).await.unwrap().unwrap().unwrap();
    assert_eq!(names(&ana).await, Vec::<String>::new());
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
