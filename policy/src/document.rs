//! Reads a policy file to its end and reports every problem in it.

use std::time::Duration;

use lifecycle::{Action, EventType};

use crate::brake::Brake;
use crate::example;
use crate::expression::Expression;
use crate::naming::problem;
use crate::place::Place;
use crate::policy::{Mention, Policy, Rule};
use crate::problem::Problem;
use crate::trial::{self, Trial};
use crate::vocabulary::{Scope, Words};
use crate::yaml::{self, Content, Node};

const TOP: &[&str] = &["rules", "examples"];
const RULE: &[&str] = &["name", "on", "when", "do", "downstreams", "else", "lock_for", "shorten_to", "brake"];

/// Whoever must be out for longer is suspended at a source, and what may live for longer need not be shortened. In seconds.
const LONGEST: u64 = 365 * 86_400;

/// A number and a unit, in seconds.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let seconds = match unit.trim() {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(seconds)
}

pub(crate) fn read(source: &str) -> Result<Policy, Vec<Problem>> {
    let mut reader = Reader { source, problems: Vec::new() };
    let mut policy = Policy::default();
    match yaml::parse(source) {
        Ok(Some(root)) => reader.policy(&root, &mut policy),
        // An empty file would be a policy that ends nothing: whoever wants that writes `rules: []`.
        Ok(None) => reader.missing(Place::of(source, 0..0), "a policy", "rules"),
        Err(problem) => reader.problems.push(*problem),
    }
    let mut problems = reader.problems;
    problems.sort_by_key(|problem| (problem.line, problem.column));
    if problems.is_empty() { Ok(policy) } else { Err(problems) }
}

/// Walks the tree; every method reports what is wrong and returns what could be read.
pub(crate) struct Reader<'s> {
    source: &'s str,
    problems: Vec<Problem>,
}

/// The entries of a map by key.
pub(crate) struct Fields<'n>(Vec<(&'n str, &'n Node)>);

impl<'n> Fields<'n> {
    pub fn get(&self, key: &str) -> Option<&'n Node> {
        self.0.iter().find(|(name, _)| *name == key).map(|(_, node)| *node)
    }
}

impl Reader<'_> {
    fn policy(&mut self, root: &Node, policy: &mut Policy) {
        let Some(fields) = self.fields(root, "a policy", TOP) else { return };
        match fields.get("rules") {
            Some(rules) => self.rules(rules, policy),
            None => self.missing(root.place, "a policy", "rules"),
        }
        if let Some(examples) = fields.get("examples") {
            for node in self.items(examples, "examples") {
                policy.examples.extend(example::read(self, node));
            }
        }
    }

    fn rules(&mut self, node: &Node, policy: &mut Policy) {
        let mut names: Vec<(&str, usize)> = Vec::new();
        for (index, node) in self.items(node, "rules").iter().enumerate() {
            let Some(fields) = self.fields(node, "a rule", RULE) else { continue };
            let name = match fields.get("name") {
                Some(node) => self.text(node, "`name`").map(|name| (name, node.place)),
                None => {
                    self.missing(node.place, "a rule", "name");
                    None
                }
            };
            if let Some((name, place)) = name {
                match names.iter().find(|(used, _)| *used == name) {
                    Some((_, line)) => self.report(place, format!("another rule is named {name:?}, in line {line}")),
                    None => names.push((name, place.line)),
                }
            }
            let label = name.map_or_else(|| format!("rule {}", index + 1), |(name, _)| format!("rule {name:?}"));
            let name = name.map_or_else(String::new, |(name, _)| name.to_owned());
            self.rule(node, &fields, &label, name, policy);
        }
    }

    fn rule(&mut self, node: &Node, fields: &Fields<'_>, label: &str, name: String, policy: &mut Policy) {
        let on = self.required(node, fields, label, "on", |reader, node| reader.event_type(node));
        let actions = self.required(node, fields, label, "do", |reader, node| reader.action(node));
        let mut otherwise =
            fields.get("else").map(|node| self.one_or_many(node, "else", Self::action)).unwrap_or_default();
        otherwise.sort_unstable();
        let downstreams = fields.get("downstreams").map(|node| {
            let names = self.one_or_many(node, "downstreams", |reader, node| {
                Some((reader.text(node, "a downstream")?.to_owned(), node.place))
            });
            if names.is_empty() {
                self.report(node.place, format!("{label}: `downstreams` names none; leave it out to mean all"));
            }
            let mut sorted: Vec<String> = names.iter().map(|(name, _)| name.clone()).collect();
            sorted.sort_unstable();
            sorted.dedup();
            let mention = |(named, place)| Mention { rule: name.clone(), name: named, place };
            policy.downstreams.extend(names.into_iter().map(mention));
            sorted
        });
        let mut lasts = |key, action, stray| {
            let node = fields.get(key)?;
            if !actions.contains(&action) && !otherwise.contains(&action) {
                self.report(node.place, format!("{label}: {stray}, and there is no `{action}` in `do`"));
            }
            self.duration(node, label, key)
        };
        let lock_for = lasts("lock_for", Action::Lock, "`lock_for` says how long a lock lasts");
        let shorten_to = lasts("shorten_to", Action::ShortenTtl, "`shorten_to` says how long sessions may still live");
        let when = fields.get("when");
        let condition = when.and_then(|node| self.condition(node, label));
        if let (Some(condition), Some(node)) = (&condition, when) {
            let mention = |source: &String| {
                // The first time that it is named; it means the same every time.
                let place = condition.text().find(source.as_str()).map_or(node.place, |byte| {
                    let start = condition.text()[..byte].chars().count();
                    node.within(self.source, start..start + source.chars().count())
                });
                Mention { rule: name.clone(), name: source.clone(), place }
            };
            policy.sources.extend(condition.reads().sources.iter().map(mention));
        }
        let brake = fields.get("brake").and_then(|node| Brake::read(self, node, label, &on));
        let line = node.place.line;
        let rule = Rule { name, line, on, condition, actions, downstreams, otherwise, lock_for, shorten_to, brake };
        if let (Some(condition), Some(node)) = (&rule.condition, when) {
            match trial::run(condition, &rule.on) {
                Trial::Sound => {}
                Trial::Unsound { message, help } => {
                    self.problems.push(Problem { help, ..Problem::new(node.place, format!("{label}: {message}")) });
                }
                Trial::NeedsValues { message } => {
                    let then = if rule.fails_closed() { "it then counts as matched" } else { "it then does not match" };
                    policy.warnings.push(
                        Problem::new(node.place, format!("{label}: {message}; {then}"))
                            .help("ask first, as in `identity.email != null && …`"),
                    );
                }
            }
        }
        policy.rules.push(rule);
    }

    fn condition(&mut self, node: &Node, label: &str) -> Option<Expression> {
        let text = self.text(node, "`when`")?;
        match Expression::parse(text, Scope::Rule) {
            Ok(expression) => Some(expression),
            Err(faults) => {
                for mut fault in faults {
                    fault.message = format!("{label}: {}", fault.message);
                    self.problems.push(problem(node.within(self.source, fault.at.clone()), fault));
                }
                None
            }
        }
    }

    fn duration(&mut self, node: &Node, label: &str, key: &str) -> Option<Duration> {
        let text = self.text(node, &format!("`{key}`"))?;
        let found = seconds(text).filter(|lasts| (1..=LONGEST).contains(lasts)).map(Duration::from_secs);
        if found.is_none() {
            self.report(
                node.place,
                format!("{label}: `{key}` is a number and a unit, such as 30m, 8h or 2d, a year at most"),
            );
        }
        found
    }

    fn required<T: PartialEq>(
        &mut self,
        rule: &Node,
        fields: &Fields<'_>,
        label: &str,
        key: &str,
        read: impl FnMut(&mut Self, &Node) -> Option<T>,
    ) -> Vec<T> {
        let Some(node) = fields.get(key) else {
            self.missing(rule.place, label, key);
            return Vec::new();
        };
        let before = self.problems.len();
        let items = self.one_or_many(node, key, read);
        if items.is_empty() && self.problems.len() == before {
            self.report(node.place, format!("{label}: `{key}` is empty"));
        }
        items
    }

    pub fn event_type(&mut self, node: &Node) -> Option<EventType> {
        let word = self.text(node, "an event type")?;
        let found = EventType::parse(word);
        if found.is_none() {
            self.unknown(node, Words::EventTypes.noun(), word, &Words::EventTypes.all());
        }
        found
    }

    pub fn action(&mut self, node: &Node) -> Option<Action> {
        let word = self.text(node, "an action")?;
        let found = Action::ALL.into_iter().find(|action| action.as_str() == word);
        if found.is_none() {
            self.unknown(node, "action", word, &Action::ALL.map(Action::as_str));
        }
        found
    }

    /// A list, or a single item in place of a list of one; each item once.
    pub fn one_or_many<T: PartialEq>(
        &mut self,
        node: &Node,
        key: &str,
        mut read: impl FnMut(&mut Self, &Node) -> Option<T>,
    ) -> Vec<T> {
        let items = match &node.content {
            Content::List(items) => items.as_slice(),
            Content::Scalar { .. } if !node.is_null() => std::slice::from_ref(node),
            _ => self.items(node, key),
        };
        let mut read_items = Vec::new();
        for item in items {
            read_items.extend(read(self, item).filter(|item| !read_items.contains(item)));
        }
        read_items
    }

    pub fn items<'n>(&mut self, node: &'n Node, key: &str) -> &'n [Node] {
        match &node.content {
            Content::List(items) => items,
            _ => {
                self.report(node.place, format!("`{key}` is a list"));
                &[]
            }
        }
    }

    pub fn text<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        match node.text() {
            Some("") => self.report(node.place, format!("{what} is empty")),
            Some(text) => return Some(text),
            None => self.report(node.place, format!("{what} is text")),
        }
        None
    }

    /// The entries of a map; a key that is unknown or there twice is reported and left out.
    pub fn fields<'n>(&mut self, node: &'n Node, what: &str, known: &[&str]) -> Option<Fields<'n>> {
        let Content::Map(entries) = &node.content else {
            let mut problem = Problem::new(node.place, format!("{what} is a map"));
            problem.known = known.iter().map(|word| (*word).to_owned()).collect();
            self.problems.push(problem);
            return None;
        };
        let mut fields = Fields(Vec::new());
        for (key, value) in entries {
            let Some(name) = self.text(key, "a key") else { continue };
            if fields.get(name).is_some() {
                self.report(key.place, format!("`{name}` is there twice"));
            } else if known.contains(&name) {
                fields.0.push((name, value));
            } else {
                self.unknown(key, "key", name, known);
            }
        }
        Some(fields)
    }

    pub fn unknown(&mut self, node: &Node, what: &str, found: &str, known: &[&str]) {
        let message = format!("unknown {what} `{found}`");
        self.problems.push(Problem::new(node.place, message).known(what, found, known));
    }

    pub fn missing(&mut self, place: Place, what: &str, key: &str) {
        self.report(Place { length: 1, ..place }, format!("{what} needs `{key}`"));
    }

    pub fn report(&mut self, place: Place, message: String) {
        self.problems.push(Problem::new(place, message));
    }
}
