//! A policy: rules read from YAML, checked as a whole when it loads.

use std::time::Duration;

use lifecycle::{Action, EventType};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::brake::Brake;
use crate::document;
use crate::example::{Example, ExampleResult};
use crate::expression::Expression;
use crate::place::Place;
use crate::problem::Problem;

/// One rule: on these events, when this holds, do that.
#[derive(Debug)]
pub struct Rule {
    /// Unique in its policy.
    pub name: String,
    /// The line of the file that it starts in.
    pub line: usize,
    /// At least one.
    pub on: Vec<EventType>,
    pub(crate) condition: Option<Expression>,
    /// At least one, in the order of the file.
    pub actions: Vec<Action>,
    /// Where, in alphabetical order; `None` is everywhere.
    pub downstreams: Option<Vec<String>>,
    /// What to do where an action is unsupported, weakest first; empty is nothing.
    pub otherwise: Vec<Action>,
    /// How long a `lock` of this rule lasts; `None`: [`LOCK`].
    pub lock_for: Option<Duration>,
    /// How long sessions may still live that a `shorten_ttl` of this rule is about; `None`: [`SHORTENED`].
    pub shorten_to: Option<Duration>,
    /// How much it may order; `None` is whatever it matches.
    pub brake: Option<Brake>,
}

/// How long a lock lasts that does not say so.
pub const LOCK: Duration = Duration::from_secs(3_600);

/// How long sessions may still live that are shortened without saying so.
pub const SHORTENED: Duration = Duration::from_secs(900);

impl Rule {
    /// The expression after `when`, as it was written; `None` always holds.
    pub fn when(&self) -> Option<&str> {
        self.condition.as_ref().map(Expression::text)
    }
}

/// Something of the configuration that a rule names, and where.
#[derive(Debug)]
pub(crate) struct Mention {
    pub rule: String,
    pub name: String,
    pub place: Place,
}

/// Rules, and examples of what they should do.
#[derive(Debug, Default)]
pub struct Policy {
    pub(crate) rules: Vec<Rule>,
    pub(crate) examples: Vec<Example>,
    pub(crate) downstreams: Vec<Mention>,
    /// Named by `account("…")`.
    pub(crate) sources: Vec<Mention>,
    pub(crate) warnings: Vec<Problem>,
}

const BUILTIN: &str = include_str!("builtin.yaml");

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// Every problem in it, in the order of the file.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        document::read(text)
    }

    /// [`Policy::parse`], and whether the configuration has the downstreams and sources that the rules name.
    ///
    /// # Errors
    /// As [`Policy::parse`].
    pub fn parse_for(text: &str, downstreams: &[String], sources: &[String]) -> Result<Self, Vec<Problem>> {
        let policy = Self::parse(text)?;
        let mut problems = unknown(&policy.downstreams, "downstream", downstreams);
        problems.extend(unknown(&policy.sources, "source", sources));
        problems.sort_by_key(|problem| (problem.line, problem.column));
        if problems.is_empty() { Ok(policy) } else { Err(problems) }
    }

    /// The policy of a deployment that has no file: whoever is suspended or departed loses sessions and refresh tokens, whoever
    /// loses a privileged group loses sessions.
    pub fn builtin() -> Self {
        Self::parse(BUILTIN).expect("the built-in policy is part of the program and a test reads it")
    }

    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether any rule listens to `event`: if not, [`Policy::decide`] decides nothing whatever the facts are.
    pub fn listens(&self, event: EventType) -> bool {
        self.rules.iter().any(|rule| rule.on.contains(&event))
    }

    /// SHA-256 in hex of what the rules say: comments, spelling of the YAML and examples do not change it.
    pub fn digest(&self) -> String {
        let rules: Vec<_> = self
            .rules
            .iter()
            .map(|rule| {
                let mut said = json!({
                    "name": rule.name,
                    "on": rule.on,
                    "when": rule.when(),
                    "do": rule.actions,
                    "downstreams": rule.downstreams,
                    "else": rule.otherwise,
                });
                // Rules that say nothing of it keep the digest that they had before it could be said.
                if let Some(lasts) = rule.lock_for {
                    said["lock_for_ms"] = json!(lasts.as_millis() as u64);
                }
                if let Some(left) = rule.shorten_to {
                    said["shorten_to_ms"] = json!(left.as_millis() as u64);
                }
                if let Some(brake) = rule.brake {
                    said["brake"] = json!({"count": brake.count, "window_ms": brake.window.as_millis() as u64});
                }
                said
            })
            .collect();
        hex::encode(Sha256::digest(json!({ "rules": rules }).to_string()))
    }

    /// What is legal and probably not meant: a `when` that has no result for somebody without an e-mail address, say.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Decides every example of the file, in its order.
    pub fn run_examples(&self) -> Vec<ExampleResult> {
        self.examples.iter().enumerate().map(|(index, example)| example.run(index, self)).collect()
    }
}

fn unknown(mentions: &[Mention], what: &str, known: &[String]) -> Vec<Problem> {
    let mut known: Vec<&str> = known.iter().map(String::as_str).collect();
    known.sort_unstable();
    let unknown = mentions.iter().filter(|mention| !known.contains(&mention.name.as_str()));
    unknown
        .map(|Mention { rule, name, place }| {
            Problem::new(*place, format!("rule {rule:?}: there is no {what} `{name}`")).known(what, name, &known)
        })
        .collect()
}
