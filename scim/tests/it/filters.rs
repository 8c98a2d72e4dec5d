//! Filters against a second, slower understanding of them: the text is parsed here again, by another method, and what it selects is
//! found through all the values that a path leads to.

use chrono::{DateTime, FixedOffset};
use proptest::prelude::*;
use proptest::sample::select;
use scim::{Filter, ResourceType};
use serde_json::{Value, json};

use crate::ENTERPRISE;

/// Cuts `text` at the first or last `separator` that is outside of quotes, parentheses and brackets.
fn cut<'a>(text: &'a str, separator: &str) -> Option<(&'a str, &'a str)> {
    let (mut level, mut quoted, mut escaped) = (0_i32, false, false);
    for (at, c) in text.char_indices() {
        if level == 0 && !quoted && text[at..].to_lowercase().starts_with(separator) {
            return Some((&text[..at], &text[at + separator.len()..]));
        }
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            '(' | '[' if !quoted => level += 1,
            ')' | ']' if !quoted => level -= 1,
            _ => {}
        }
    }
    None
}

/// By recursive cutting: `or` first, as it binds least. `of` is a resource, or one value of `list`.
pub(crate) fn selects(text: &str, of: &Value, list: &str) -> bool {
    let text = text.trim();
    if let Some((one, rest)) = cut(text, " or ") {
        return selects(one, of, list) || selects(rest, of, list);
    }
    if let Some((one, rest)) = cut(text, " and ") {
        return selects(one, of, list) && selects(rest, of, list);
    }
    if let Some(negated) = text.strip_prefix("not ") {
        return !selects(negated, of, list);
    }
    if let Some(inner) = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) {
        return selects(inner, of, list);
    }
    if let Some((list, inner)) = text.strip_suffix(']').and_then(|text| text.split_once('[')) {
        return step(of, list).iter().any(|value| selects(inner, value, list));
    }
    compares(text, of, list)
}

fn compares(text: &str, of: &Value, list: &str) -> bool {
    if let Some(path) = text.strip_suffix(" pr") {
        return at(of, path).iter().any(|value| !nothing(value));
    }
    let mut words = text.splitn(3, ' ');
    let (path, op, literal) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
    let wanted: Value = serde_json::from_str(literal).unwrap();
    let found = values(of, path);
    if wanted.is_null() {
        return found.iter().all(nothing) == (op == "eq");
    }
    let last = path.rsplit(['.', ':']).next().unwrap();
    let exact = ["id", "externalId", "resourceType", "version", "location"].contains(&last)
        || ["schemas", "groups"].contains(&path)
        || path.ends_with("manager.value")
        || (list == "groups" && path == "value");
    // A list that has no values has none that differs; a single attribute without a value differs from everything.
    let several = ["emails", "groups", "schemas", "roles"].iter().any(|list| path.starts_with(list));
    let of_each = |value: &Value| relation(value, op, &wanted, exact);
    if found.is_empty() { !several && absent(last, op, &wanted) } else { found.iter().any(of_each) }
}

fn absent(last: &str, op: &str, wanted: &Value) -> bool {
    let of_primary = last == "primary" && wanted == &json!(false);
    match op {
        "eq" => of_primary,
        "ne" => !of_primary,
        _ => false,
    }
}

fn relation(held: &Value, op: &str, wanted: &Value, exact: bool) -> bool {
    let moment = |value: &Value| -> Option<i64> {
        let time: DateTime<FixedOffset> = value.as_str()?.parse().ok()?;
        Some(time.timestamp_millis())
    };
    if let (Some(held), Some(wanted)) = (moment(held), moment(wanted)) {
        return ordered(op, &held, &wanted);
    }
    match (held, wanted) {
        (Value::String(held), Value::String(wanted)) => {
            let lower =
                |text: &str| if exact { text.to_owned() } else { text.chars().flat_map(char::to_lowercase).collect() };
            let (held, wanted) = (lower(held), lower(wanted));
            match op {
                "co" => {
                    (0..=held.len()).filter(|at| held.is_char_boundary(*at)).any(|at| held[at..].starts_with(&wanted))
                }
                "sw" => held.strip_prefix(wanted.as_str()).is_some(),
                "ew" => held.strip_suffix(wanted.as_str()).is_some(),
                op => ordered(op, &held.chars().collect::<Vec<_>>(), &wanted.chars().collect::<Vec<_>>()),
            }
        }
        (held, wanted) => (held == wanted) == (op == "eq"),
    }
}

fn ordered<T: PartialOrd>(op: &str, held: &T, wanted: &T) -> bool {
    match op {
        "eq" => held == wanted,
        "ne" => held != wanted,
        "gt" => held > wanted,
        "ge" => held >= wanted,
        "lt" => held < wanted,
        "le" => held <= wanted,
        _ => false,
    }
}

fn nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.iter().all(nothing),
        Value::Object(object) => object.values().all(nothing),
        _ => false,
    }
}

/// What a path is compared by: of a list as a whole, its `value`s.
fn values(of: &Value, path: &str) -> Vec<Value> {
    let found = at(of, path);
    let whole = ["emails", "groups", "roles"].contains(&path);
    if whole { found.iter().flat_map(|one| step(one, "value")).collect() } else { found }
}

/// All the values at the end of a path.
fn at(of: &Value, path: &str) -> Vec<Value> {
    let (mut found, rest) = match path.strip_prefix(&format!("{ENTERPRISE}:")) {
        Some(rest) => (step(of, ENTERPRISE), rest),
        None => (vec![of.clone()], path),
    };
    for name in rest.split('.') {
        found = found.iter().flat_map(|one| step(one, name)).collect();
    }
    found
}

fn step(of: &Value, name: &str) -> Vec<Value> {
    match of.get(name) {
        None => Vec::new(),
        Some(Value::Array(list)) => list.clone(),
        Some(one) => vec![one.clone()],
    }
}

fn words() -> impl Strategy<Value = String> {
    select(vec!["", "a", "A", "ana", "Ana@example.com", "work", "Work", "b \"c\"", "ß", "É", "2", " or ", "(", "]"])
        .prop_map(str::to_owned)
}

fn users() -> impl Strategy<Value = Value> {
    let word = || proptest::option::of(words());
    let value = (word(), word(), proptest::option::of(any::<bool>()))
        .prop_map(|(value, kind, primary)| without_nulls(json!({"value": value, "type": kind, "primary": primary})));
    let value = value.boxed();
    let single = (words(), word(), word(), word(), proptest::option::of(any::<bool>()), 0..4_i64);
    (single, proptest::collection::vec(value.clone(), 0..3), proptest::collection::vec(value, 0..2), word()).prop_map(
        |((name, external, title, family, active, second), emails, groups, manager)| {
            let created = DateTime::from_timestamp_millis(second * 500).unwrap().to_rfc3339();
            without_nulls(json!({
                "id": "2", "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": name,
                "externalId": external, "title": title, "name": {"familyName": family}, "active": active,
                "emails": emails, "groups": groups, "meta": {"created": created},
                ENTERPRISE: {"department": title, "manager": {"value": manager}},
            }))
        },
    )
}

/// As canonical resources are: what is unassigned is absent.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(object) => object
            .into_iter()
            .map(|(key, inner)| (key, without_nulls(inner)))
            .filter(|(_, inner)| !matches!(inner, Value::Null) && inner != &json!({}) && inner != &json!([]))
            .collect(),
        other => other,
    }
}

fn condition(path: String) -> BoxedStrategy<String> {
    let (ops, literals): (Vec<&str>, BoxedStrategy<String>) = match path.rsplit('.').next().unwrap() {
        "active" | "primary" => (vec!["eq", "ne"], any::<bool>().prop_map(|truth| truth.to_string()).boxed()),
        "created" => (
            vec!["eq", "ne", "gt", "ge", "lt", "le"],
            (0..2000_i64)
                .prop_map(|milli| json!(DateTime::from_timestamp_millis(milli).unwrap().to_rfc3339()).to_string())
                .boxed(),
        ),
        _ => (
            vec!["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"],
            words().prop_map(|word| json!(word).to_string()).boxed(),
        ),
    };
    let (present, null) = (format!("{path} pr"), path.clone());
    prop_oneof![
        8 => (select(ops), literals).prop_map(move |(op, literal)| format!("{path} {op} {literal}")),
        1 => Just(present),
        1 => select(vec!["eq", "ne"]).prop_map(move |op| format!("{null} {op} null")),
    ]
    .boxed()
}

fn joined(leaf: BoxedStrategy<String>) -> BoxedStrategy<String> {
    leaf.prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 2..4).prop_map(|all| all.join(" and ")),
            proptest::collection::vec(inner.clone(), 2..4).prop_map(|any| any.join(" or ")),
            inner.clone().prop_map(|inner| format!("not ({inner})")),
            inner.prop_map(|inner| format!("({inner})")),
        ]
    })
    .boxed()
}

fn filters() -> impl Strategy<Value = String> {
    let department = format!("{ENTERPRISE}:department");
    let manager = format!("{ENTERPRISE}:manager.value");
    let single =
        ["userName", "externalId", "title", "name.familyName", "active", "meta.created", &department, &manager];
    let single = select(single.map(str::to_owned).to_vec()).prop_flat_map(condition);
    let inner = select(vec!["value", "type"]).prop_map(str::to_owned).prop_flat_map(condition);
    let primary = Just("primary".to_owned()).prop_flat_map(condition);
    let of_values =
        (select(vec!["emails", "groups"]), joined(inner.boxed())).prop_map(|(list, inner)| format!("{list}[{inner}]"));
    let of_primary = primary.prop_map(|inner| format!("emails[{inner}]"));
    let dotted =
        (select(vec!["emails", "groups"]), words()).prop_map(|(list, word)| format!("{list} co {}", json!(word)));
    let whole = select(vec!["emails pr", "groups pr", "name pr", "schemas eq \"urn:x\""]).prop_map(str::to_owned);
    joined(prop_oneof![4 => single, 2 => of_values, 1 => of_primary, 1 => dotted, 1 => whole].boxed())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn two_ways_to_understand_a_filter_select_the_same_users(text in filters(), user in users()) {
        prop_assume!(text.len() < scim::limits::FILTER_LENGTH);
        let Ok(filter) = Filter::parse(ResourceType::User, &text) else {
            return Err(TestCaseError::fail(format!("{text} is not understood")));
        };
        prop_assert_eq!(filter.matches(&user), selects(&text, &user, ""), "{} of {}", text, user);
        let again = Filter::parse(ResourceType::User, &filter.to_string());
        prop_assert_eq!(again, Ok(filter));
    }
}

#[test]
fn b1_15_and_16_a_user_name_is_found_in_any_case_and_an_id_in_its_own() {
    let user = json!({"id": "Ab", "externalId": "Xy", "userName": "Ana.Lee@Example.com"});
    for (text, found) in [
        (r#"userName eq "ANA.LEE@example.com""#, true),
        (r#"userName sw "ana""#, true),
        (r#"id eq "Ab""#, true),
        (r#"id eq "ab""#, false),
        (r#"externalId eq "xy""#, false),
        (r#"externalId ne "xy""#, true),
    ] {
        assert_eq!(Filter::parse(ResourceType::User, text).unwrap().matches(&user), found, "{text}");
    }
}

#[test]
fn b1_19_an_inactive_user_is_found_like_any_other() {
    let gone = json!({"userName": "ana", "active": false});
    let silent = json!({"userName": "ana"});
    for (text, of_gone, of_silent) in [
        (r#"userName eq "ana""#, true, true),
        ("active eq false", true, false),
        ("active eq true", false, false),
        ("active ne true", true, true),
        ("active pr", true, false),
    ] {
        let filter = Filter::parse(ResourceType::User, text).unwrap();
        assert_eq!((filter.matches(&gone), filter.matches(&silent)), (of_gone, of_silent), "{text}");
    }
}

#[test]
fn the_conditions_in_brackets_are_met_by_one_value() {
    let user = json!({"emails": [{"type": "work", "value": "a@x"}, {"type": "home", "value": "b@y", "primary": true}]});
    for (text, found) in [
        (r#"emails[type eq "work" and value co "@x"]"#, true),
        (r#"emails[type eq "work" and value co "@y"]"#, false),
        (r#"emails.type eq "work" and emails.value co "@y""#, true),
        (r#"emails[type eq "work"].value co "@y""#, false),
        (r#"emails[not (type eq "work") and primary eq true]"#, true),
        (r#"emails[type eq "work" and primary eq false]"#, true),
        (r#"not (emails[type eq "other"])"#, true),
        (r#"emails.value ne "a@x""#, true),
        (r#"ims.value ne "a@x""#, false),
    ] {
        assert_eq!(Filter::parse(ResourceType::User, text).unwrap().matches(&user), found, "{text}");
    }
}
