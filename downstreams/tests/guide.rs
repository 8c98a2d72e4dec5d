//! The table of docs/guides/downstreams.md says of every adapter and layout what the code says.

#![cfg_attr(test, allow(clippy::unwrap_used))]

use std::collections::BTreeSet;

use downstreams::{Config, Finds, Match};
use serde_json::{Value, json};

/// The rows of the table, as far as the code knows them: adapter, layout, and what follows up to the actions.
fn rows() -> Vec<Vec<String>> {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/guides/downstreams.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let rows = guide.lines().skip_while(|line| !line.starts_with("| adapter | layout |"));
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    // `+cluster|slots` stands outside the table.
    rows.take_while(|line| line.starts_with('|')).skip(2).map(cells).collect()
}

/// A configuration for each row.
fn configured() -> Vec<(&'static str, &'static str, Value)> {
    let redis = |layout: Value| merged(json!({ "type": "redis", "url": "redis://h" }), layout);
    let sql = |layout: Value| merged(json!({ "type": "sql", "url": "postgres://h/d" }), layout);
    let statements = json!({ "find": "select id from s where u = $1", "end": "delete from s where id = $2" });
    let credentials = json!({ "find": "select id from k where u = $1", "revoke": "delete from k where id = $2" });
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let keycloak =
        json!({ "type": "keycloak", "url": "https://h", "realm": "r", "client_id": "c", "client_secret": "s" });
    vec![
        ("`keycloak`", "–", keycloak),
        ("`redis`", "`connect-redis`", redis(json!({ "layout": "connect-redis", "path": "u" }))),
        ("`redis`", "`flask-session`", redis(json!({ "layout": "flask-session" }))),
        ("`redis`", "`spring-session`", redis(json!({ "layout": "spring-session" }))),
        (
            "`redis`",
            "`spring-session`, `indexed: false`",
            redis(json!({ "layout": "spring-session", "indexed": false })),
        ),
        ("`redis`", "`generic`", redis(json!({ "layout": "generic", "index": "u{subject}", "session": "{id}" }))),
        (
            "`redis`",
            "`generic`, `recheck`",
            redis(
                json!({ "layout": "generic", "index": "u{subject}", "session": "{id}", "recheck": { "key": "r{user}" } }),
            ),
        ),
        ("`sql`", "`django`", sql(json!({ "layout": "django" }))),
        ("`sql`", "`django`, `cache`", sql(json!({ "layout": "django", "cache": { "url": "redis://h" } }))),
        ("`sql`", "`spring-session-jdbc`", sql(json!({ "layout": "spring-session-jdbc" }))),
        ("`sql`", "`authjs`", sql(json!({ "layout": "authjs" }))),
        ("`sql`", "`laravel`", sql(json!({ "layout": "laravel" }))),
        ("`sql`", "`laravel`, `remember: none`", sql(json!({ "layout": "laravel", "remember": "none" }))),
        ("`sql`", "your statements", sql(statements.clone())),
        ("`sql`", "your statements, `auth_time`", sql(merged(statements.clone(), json!({ "auth_time": "at" })))),
        (
            "`sql`",
            "your statements, `recheck`",
            sql(merged(statements.clone(), json!({ "recheck": "call mark($1, $2)" }))),
        ),
        (
            "`sql`",
            "your statements, `credentials`",
            sql(merged(statements, json!({ "credentials": credentials.clone() }))),
        ),
        ("`sql`", "your statements, `credentials` alone", sql(json!({ "credentials": credentials }))),
        ("`webhook`", "–", json!({ "type": "webhook", "url": "https://h", "secrets": [secret] })),
    ]
}

fn merged(mut one: Value, other: Value) -> Value {
    one.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
    one
}

#[test]
fn the_table_of_the_guide_says_what_each_adapter_can_do() {
    let expected: Vec<Vec<String>> = configured()
        .into_iter()
        .map(|(adapter, layout, config)| {
            let built = serde_json::from_value::<Config>(config).unwrap().build(Match::Exact).unwrap();
            let can = built.capabilities();
            let finds = match can.finds {
                Finds::ByUserIndex => "index",
                Finds::ScanOnly => "scan",
                Finds::Opaque => "told",
            };
            let actions: Vec<String> = can.actions.iter().map(|action| format!("`{}`", action.as_str())).collect();
            [
                adapter,
                layout,
                finds,
                if can.resurrects { "yes" } else { "no" },
                if can.knows_auth_time { "known" } else { "unknown" },
                &actions.join(", "),
            ]
            .map(str::to_owned)
            .to_vec()
        })
        .collect();
    let written: Vec<Vec<String>> = rows().into_iter().map(|row| row[..6].to_vec()).collect();
    assert_eq!(written, expected);
    assert!(rows().iter().all(|row| row.len() == 8 && row.iter().all(|cell| !cell.is_empty())));
}

#[test]
fn no_adapter_and_no_layout_is_missing_from_the_table() {
    let schema = serde_json::to_value(schemars::schema_for!(Config)).unwrap();
    let mut known = BTreeSet::new();
    for adapter in schema["oneOf"].as_array().unwrap() {
        known.insert(adapter["properties"]["type"]["const"].as_str().unwrap().to_owned());
    }
    let named = |layouts: Value| -> Vec<String> {
        let names = layouts["oneOf"].as_array().unwrap();
        names.iter().map(|name| name["const"].as_str().unwrap().to_owned()).collect()
    };
    known.extend(named(schemars::schema_for!(downstreams::redis::Layout).into()));
    known.extend(named(schemars::schema_for!(downstreams::sql::Layout).into()));
    let written: BTreeSet<String> = rows()
        .iter()
        .flat_map(|row| row[..2].to_vec())
        .filter_map(|cell| Some(cell.strip_prefix('`')?.split('`').next()?.to_owned()))
        .collect();
    assert_eq!(written, known);
}
