//! `LEAVER__SECTION__KEY=value`: what the environment sets instead of the file.

use serde_json::Value as Json;

use super::Environment;
use super::document;
use super::problem::{Place, Problem, Report};
use super::shape::Shape;
use super::tree::{Entry, Node, Origin, Value};

/// One variable; its name without the prefix is a path, level by level.
struct Override<'a> {
    variable: &'a str,
    value: &'a str,
}

const PREFIX: &str = "LEAVER__";

/// Applies every override of the environment to the tree, in the order of their names.
pub(super) fn apply(root: &mut Node, schema: &Json, environment: &Environment, report: &mut Report<'_>) {
    for (variable, value) in environment.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
        let words: Vec<String> = variable[PREFIX.len()..].split("__").map(plain).collect();
        if let Err(problem) = (Override { variable, value }).set(root, schema, &words, report) {
            report.push(*problem);
        }
    }
}

/// A variable's name has no capitals of its own and no dashes: keys are compared without either.
fn plain(key: &str) -> String {
    key.to_lowercase().replace('-', "_")
}

impl Override<'_> {
    fn origin(&self) -> Origin {
        Origin::Variable(self.variable.to_owned())
    }

    fn set(&self, node: &mut Node, schema: &Json, words: &[String], report: &Report<'_>) -> Result<(), Box<Problem>> {
        let Some((word, rest)) = words.split_first() else { return Ok(()) };
        if !matches!(node.value, Value::Map(_)) {
            *node = Node { value: Value::Map(Vec::new()), origin: self.origin() };
        }
        let keys = Shape::of(schema).keys(node);
        let Value::Map(entries) = &mut node.value else { return Ok(()) };
        let written = entries.iter().map(|entry| entry.key.as_str());
        let found = written.chain(keys.known.keys().copied()).find(|key| plain(key) == *word).map(str::to_owned);
        // Names of the operator's own, such as those of sources, have dashes and no underscores.
        let key = found.or_else(|| keys.free.map(|_| word.replace('_', "-")));
        let below = key.as_deref().and_then(|key| keys.known.get(key).copied().or(keys.free));
        let (Some(key), Some(below)) = (key, below) else {
            let place = Place::Variable { variable: self.variable.to_owned() };
            let problem = report.problem(place, format!("unknown key `{word}`"));
            return Err(Box::new(problem.known("key", word, keys.known.keys().copied())));
        };
        let at = match entries.iter().position(|entry| entry.key == key) {
            Some(at) => at,
            None => {
                let node = Node { value: Value::Null, origin: self.origin() };
                entries.push(Entry { key, key_origin: self.origin(), node });
                entries.len() - 1
            }
        };
        let entry = &mut entries[at];
        if !rest.is_empty() {
            return self.set(&mut entry.node, below, rest, report);
        }
        entry.key_origin = self.origin();
        entry.node = self.node(Shape::of(below));
        Ok(())
    }

    /// The value: YAML, but the text as it stands where text is wanted and where it is no YAML.
    fn node(&self, shape: Shape<'_>) -> Node {
        let verbatim = Node { value: Value::Text(self.value.to_owned()), origin: self.origin() };
        let mut report = Report::new(std::path::Path::new(""));
        let (Some(mut node), _) = document::parse(self.value, &mut report) else { return verbatim };
        let only_text = ["object", "array", "integer", "number", "boolean"].iter().all(|kind| !shape.allows(kind));
        if !report.problems.is_empty() || self.value.trim().is_empty() || (only_text && node.text().is_none()) {
            return verbatim;
        }
        self.stamp(&mut node);
        node
    }

    fn stamp(&self, node: &mut Node) {
        node.origin = self.origin();
        match &mut node.value {
            Value::List(items) => items.iter_mut().for_each(|item| self.stamp(item)),
            Value::Map(entries) => entries.iter_mut().for_each(|entry| {
                entry.key_origin = self.origin();
                self.stamp(&mut entry.node);
            }),
            _ => {}
        }
    }
}
