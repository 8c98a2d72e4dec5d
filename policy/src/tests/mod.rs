//! The policy as its callers see it: decisions, problems with their places, subjects, examples.

mod deciding;
mod examples;
mod judging;
mod problems;
mod publishing;
mod robustness;
mod subjects;

use std::collections::BTreeMap;

use lifecycle::account::{IdentityKind, Profile};
use lifecycle::{AccountView, Context, GroupView, IdentityView, State};
use serde_json::json;
use uuid::Uuid;

use crate::{Decision, Policy, Problem};

fn parse(text: &str) -> Policy {
    Policy::parse(text).unwrap_or_else(|problems| panic!("{}", render(&problems)))
}

fn ana() -> IdentityView {
    IdentityView {
        id: Uuid::from_u128(7),
        kind: IdentityKind::Human,
        state: State::Active,
        generation: 2,
        profile: Profile {
            user_name: Some("ana".to_owned()),
            email: Some("ana@example.com".to_owned()),
            department: Some("Finance".to_owned()),
            ..Profile::default()
        },
        accounts: BTreeMap::from([(
            "corp".to_owned(),
            AccountView {
                id: "c-1".to_owned(),
                user_name: Some("ana".to_owned()),
                external_id: None,
                email: None,
                attributes: json!({ "uid": 1042, "big": u64::MAX, "half": 0.5, "aliases": ["a", "an", 3], "on": true }),
            },
        )]),
    }
}

fn of_ana() -> Context {
    Context { identity: Some(ana()), ..Context::default() }
}

fn group(privileged: bool) -> GroupView {
    GroupView { id: Uuid::from_u128(8), name: "admins".to_owned(), privileged }
}

/// One line per order, then one per error.
fn show(decision: &Decision) -> String {
    let mut lines: Vec<String> = Vec::new();
    for order in &decision.actions {
        let mut line = format!("{}: {}", order.rule, order.action);
        if let Some(downstreams) = &order.downstreams {
            line += &format!(" at {}", downstreams.join(", "));
        }
        if !order.otherwise.is_empty() {
            line += &format!(" else {}", order.otherwise.iter().map(|a| a.as_str()).collect::<Vec<_>>().join(", "));
        }
        lines.push(line);
    }
    for error in &decision.errors {
        lines.push(format!(
            "{} {}: {}",
            error.rule,
            if error.matched { "matched" } else { "did not match" },
            error.error
        ));
    }
    lines.join("\n")
}

fn render(problems: &[Problem]) -> String {
    let one = |problem: &Problem| {
        let mut text = format!("{}:{}+{} {}", problem.line, problem.column, problem.length, problem.message);
        if !problem.known.is_empty() {
            text += &format!("\n  known: {}", problem.known.join(", "));
        }
        if let Some(help) = &problem.help {
            text += &format!("\n  help: {help}");
        }
        text
    };
    problems.iter().map(one).collect::<Vec<_>>().join("\n")
}
