//! Compares the tree with the schema: unknown and missing keys, wrong kinds and choices, all of them at once.
//!
//! What is wrong is reported and taken out, or replaced where it is required, so that the rest can still be read and checked.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::Problem;
use super::problem::{Place, Report, similar};
use super::quote::{Extent, holds_secrets};
use super::secrets::{Missing, Secrets, is_reference};
use super::shape::Shape;
use super::tree::{Entry, Node, Origin, Value};

/// Walks a tree along its schema.
#[derive(Debug)]
pub(super) struct Walk<'a, 'f> {
    pub report: &'a mut Report<'f>,
    pub secrets: Secrets<'a>,
    /// Where the text has secrets; grows by those that only the schema tells.
    pub masked: &'a mut Vec<Extent>,
}

impl Walk<'_, '_> {
    /// Reports what is wrong in `node`, resolves its secrets, and says whether what is left of it can be used.
    /// `name` is the key that it stands under.
    pub fn check(&mut self, node: &mut Node, schema: &Json, name: &str) -> bool {
        let shape = Shape::of(schema);
        let fits = match &node.value {
            Value::Null => return shape.nullable,
            Value::Bool(_) => shape.allows("boolean"),
            Value::Number(n) => shape.allows("number") || (shape.allows("integer") && !n.is_f64()),
            Value::Text(_) => shape.allows("string"),
            Value::List(_) => shape.allows("array"),
            Value::Map(_) => shape.allows("object"),
        };
        if !fits {
            if matches!(node.value, Value::List(_) | Value::Map(_)) {
                self.mask(node);
            }
            self.wrong_kind(node, shape, name);
            return false;
        }
        match &mut node.value {
            Value::Map(_) => self.mapping(node, shape, name),
            Value::List(items) => {
                let (of, mut kept) = (shape.items().unwrap_or(&Json::Null), Vec::new());
                for mut item in std::mem::take(items) {
                    if item.value == Value::Null {
                        self.report
                            .push(self.report.problem(item.origin.place(), format!("an empty item in `{name}`")));
                    } else if self.check(&mut item, of, name) {
                        kept.push(item);
                    }
                }
                *items = kept;
                true
            }
            Value::Text(text) if shape.is_secret() => {
                if let Origin::Text(extent) = node.origin
                    && !is_reference(text)
                {
                    self.masked.push(extent);
                }
                let resolved = self.secrets.resolve(text);
                if let Err(missing) = &resolved {
                    self.report.push(unresolved(self.report, node.origin.place(), missing));
                }
                resolved.map(|secret| *text = secret).is_ok()
            }
            Value::Text(text) => {
                let choices = shape.choices();
                let chosen = choices.is_empty() || choices.contains(&text.as_str());
                if !chosen {
                    let message = format!("unknown {name} `{text}`");
                    let problem = self.report.problem(node.origin.place(), message);
                    self.report.push(problem.known(name, text, choices));
                }
                chosen
            }
            Value::Number(number) => {
                let (least, most) = shape.bounds();
                let number = number.as_f64().unwrap_or_default();
                let bound = match (least, most) {
                    (Some(least), _) if number < least => format!("`{name}` must be at least {least}"),
                    (_, Some(most)) if number > most => format!("`{name}` must be at most {most}"),
                    _ => return true,
                };
                self.report.push(self.report.problem(node.origin.place(), bound));
                false
            }
            Value::Null | Value::Bool(_) => true,
        }
    }

    fn mapping(&mut self, node: &mut Node, shape: Shape<'_>, name: &str) -> bool {
        let keys = shape.keys(node);
        let origin = node.origin.clone();
        let Value::Map(entries) = &mut node.value else { return false };
        let (mut kept, mut meant) = (Vec::new(), Vec::new());
        let mut missing: BTreeSet<&str> = keys.required.clone();
        for mut entry in std::mem::take(entries) {
            let Some(schema) = keys.known.get(entry.key.as_str()).copied().or(keys.free) else {
                meant.extend(self.unknown(&entry, keys.known.keys().copied()));
                continue;
            };
            let expected = Shape::of(schema);
            if entry.node.value == Value::Null && !expected.nullable {
                if keys.known.contains_key(entry.key.as_str()) {
                    // A key with nothing behind it is as if it were not there: often all of it is commented out.
                    continue;
                }
                // A name that somebody gave is there.
                if !expected.allows("object") {
                    self.wrong_kind(&entry.node, expected, &entry.key);
                    continue;
                }
                entry.node = Node { value: Value::Map(Vec::new()), origin: entry.key_origin.clone() };
            }
            missing.remove(entry.key.as_str());
            let undecided = keys.undecided.as_ref().filter(|(tag, _)| *tag == entry.key);
            if let Some((_, choices)) = undecided {
                let written = entry.node.text().unwrap_or_default();
                let message = format!("unknown {} `{written}`", entry.key);
                let problem = self.report.problem(entry.node.origin.place(), message);
                self.report.push(problem.known(&entry.key, written, choices.iter().copied()));
            } else if self.check(&mut entry.node, schema, &entry.key) {
                kept.push(entry);
            } else if keys.required.contains(entry.key.as_str()) {
                kept.push(Entry { node: expected.stand_in(), ..entry });
            }
        }
        for key in missing {
            kept.extend(keys.known.get(key).map(|schema| Entry {
                key: key.to_owned(),
                key_origin: Origin::StandIn,
                node: Shape::of(schema).stand_in(),
            }));
            if meant.iter().any(|meant| meant == key) {
                continue;
            }
            let owner = if name.is_empty() { "the file".to_owned() } else { format!("`{name}`") };
            let problem = self.report.problem(origin.place(), format!("{owner} lacks the key `{key}`"));
            self.report.push(match &keys.undecided {
                Some((_, choices)) => problem.known(key, "", choices.iter().copied()),
                None => problem.help(format!("add `{key}: …`")),
            });
        }
        *entries = kept;
        // Which mapping it is was not decided: the rest was compared with all of them, and any one of them will do.
        keys.undecided.is_none()
    }

    /// Reports an unknown key; returns the key that was probably meant.
    fn unknown<'k>(&mut self, entry: &Entry, known: impl Iterator<Item = &'k str>) -> Option<String> {
        let message = format!("unknown key `{}`", entry.key);
        let problem = self.report.problem(entry.key_origin.place(), message).known("key", &entry.key, known);
        let meant = similar(&entry.key, problem.known.iter().map(String::as_str)).map(str::to_owned);
        if meant.as_deref().is_none_or(holds_secrets) {
            self.mask(&entry.node);
        }
        self.report.push(problem);
        meant
    }

    /// A misspelt `password` holds one all the same, and so may what was not meant to be a key at all.
    fn mask(&mut self, node: &Node) {
        match (&node.value, &node.origin) {
            (Value::List(items), _) => items.iter().for_each(|item| self.mask(item)),
            (Value::Map(entries), _) => entries.iter().for_each(|entry| self.mask(&entry.node)),
            (Value::Text(text), _) if is_reference(text) => {}
            (_, Origin::Text(extent)) => self.masked.push(*extent),
            (_, Origin::Variable(_) | Origin::StandIn) => {}
        }
    }

    fn wrong_kind(&mut self, node: &Node, shape: Shape<'_>, name: &str) {
        let kinds = [
            ("object", "a mapping"),
            ("array", "a list"),
            ("string", "text"),
            ("integer", "a whole number"),
            ("number", "a number"),
            ("boolean", "true or false"),
        ];
        let wanted =
            kinds.into_iter().find(|(kind, _)| shape.allows(kind)).map_or("something else", |(_, words)| words);
        let message = match name {
            "" => format!("a configuration is {wanted}, not {}", node.kind()),
            name => format!("`{name}` must be {wanted}, not {}", node.kind()),
        };
        let mut problem = self.report.problem(node.origin.place(), message);
        problem.help = match (wanted, shape.example(), &node.value) {
            ("text", Some(example), _) => Some(format!("write it as in `{name}: \"{example}\"`")),
            ("text", None, Value::Bool(_) | Value::Number(_)) if !holds_secrets(name) => {
                Some(format!("put it in quotes: `{name}: \"{}\"`", node.json()))
            }
            ("text", None, Value::Bool(_) | Value::Number(_)) => Some("put it in quotes".to_owned()),
            ("a list", ..) => Some(format!("write a list: `{name}: [ … ]`")),
            _ => None,
        };
        self.report.push(problem);
    }
}

fn unresolved(report: &Report<'_>, place: Place, missing: &Missing) -> Problem {
    let mut problem = report.problem(place, missing.to_string());
    if let Some(cause) = std::error::Error::source(missing) {
        problem = problem.caused_by(cause);
    }
    problem.help(missing.edit())
}
