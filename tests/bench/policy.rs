//! How many events a second the policy decides, beside the bare evaluation of the same conditions in the same run.
//!
//! The bare evaluation is the interpreter alone, with variables that were bound beforehand: it reads no facts, joins no orders and
//! knows no downstream. The difference is what a decision costs beyond its conditions.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cel::{Context as Scope, Program};
use lifecycle::{Action, Context, EventType, GroupView};
use policy::{Judge, Policy};
use serde_json::{Value, json};
use uuid::Uuid;

/// How long each is measured.
const FOR: Duration = Duration::from_secs(2);

const CONDITIONS: [(&str, &str, &[&str]); 3] = [
    ("one field", "identity.updated", &["identity.kind == 'human'"]),
    (
        "ten rules",
        "identity.updated",
        &[
            "identity.kind == 'human' && 'department' in event.changed",
            "identity.department == 'Finance' || identity.department == 'Legal'",
            "identity.email != null && identity.email.endsWith('@example.com')",
            "identity.kind in ['service', 'workload', 'agent']",
            "identity.manager == null && 'manager' in event.changed",
            "event.changed.exists(name, name == 'email' || name == 'userName')",
            "identity.userName != null && identity.userName.startsWith('adm-')",
            "identity.generation > 1",
            "identity.state != 'active'",
            "size(event.changed) > 3",
        ],
    ),
    ("a lost group", "membership.removed", &["group.privileged && group.name.startsWith('prod-')"]),
];

pub fn measure() {
    println!("## Decisions per second, one thread\n");
    println!("| conditions | `Judge::rule` | `Policy::decide` | conditions alone |\n|---|---|---|---|");
    for (name, event, conditions) in CONDITIONS {
        let event = EventType::parse(event).expect("an event type");
        let rules: Vec<Value> = conditions
            .iter()
            .enumerate()
            .map(|(n, when)| json!({"name": format!("r{n}"), "on": [event], "when": when, "do": ["revoke_sessions"]}))
            .collect();
        // JSON is YAML.
        let policy = Policy::parse(&json!({ "rules": rules }).to_string()).expect("the conditions compile");
        let abilities = ["web", "portal", "sso"].map(|name| (name.to_owned(), vec![Action::RevokeSessions]));
        let judge = Judge::new(Arc::new(policy), BTreeMap::from(abilities), &["root@example.com".to_owned()]);
        let (data, context) = (json!({"changed": ["department", "manager"]}), context());
        let changed = ["department", "manager"].map(str::to_owned);
        let ruled = per_second(|| drop(black_box(judge.rule(event, black_box(&data), &context))));
        let decided = per_second(|| {
            drop(black_box(judge.policy().decide(event, &changed, black_box(&data), &context)));
        });
        let programs: Vec<Program> =
            conditions.iter().map(|text| Program::compile(text).expect("the conditions compile")).collect();
        let mut scope = Scope::default();
        let variables = [
            ("event", json!({"type": event, "changed": changed, "data": data})),
            ("identity", serde_json::to_value(&context.identity).expect("plain data")),
            ("group", serde_json::to_value(&context.group).expect("plain data")),
        ];
        for (name, value) in variables {
            scope.add_variable(name, value).expect("JSON is a value of CEL");
        }
        let bare = per_second(|| {
            for program in &programs {
                black_box(program.execute(&scope)).expect("the conditions have results");
            }
        });
        println!("| {name} | {ruled:.0} | {decided:.0} | {bare:.0} |");
    }
    println!();
}

fn per_second(mut work: impl FnMut()) -> f64 {
    const ROUND: u32 = 100;
    let (start, mut done) = (Instant::now(), 0_u32);
    while start.elapsed() < FOR {
        (0..ROUND).for_each(|_| work());
        done += ROUND;
    }
    f64::from(done) / start.elapsed().as_secs_f64()
}

fn context() -> Context {
    let identity = json!({
        "id": Uuid::nil(), "kind": "human", "state": "active", "generation": 1, "userName": "ana",
        "email": "ana@example.com", "employeeNumber": "1001", "department": "Finance", "manager": "jo",
        "displayName": "Ana", "accounts": {},
    });
    Context {
        identity: serde_json::from_value(identity).expect("an identity"),
        group: Some(GroupView { id: Uuid::nil(), name: "prod-db".to_owned(), privileged: true }),
        ..Context::default()
    }
}
