//! The tree of a configuration: every value knows where it was written.

use serde_json::{Map, Number, Value as Json};

use super::problem::Place;
use super::quote::Extent;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    Text(Extent),
    Variable(String),
    /// Written nowhere: takes the place of a required value that was wrong, so that its neighbours can still be read.
    StandIn,
}

impl Origin {
    pub fn place(&self) -> Place {
        match self {
            Origin::Text(Extent { from, to }) => {
                let length = if from.0 == to.0 { to.1.saturating_sub(from.1).max(1) } else { 1 };
                Place::Text { line: from.0, column: from.1, length }
            }
            Origin::Variable(variable) => Place::Variable { variable: variable.clone() },
            Origin::StandIn => Place::File {},
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A value and where it stands. A list or mapping stands where its key does.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub value: Value,
    pub origin: Origin,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub key: String,
    pub key_origin: Origin,
    pub node: Node,
}

/// One step down a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

impl Node {
    pub fn entries(&self) -> &[Entry] {
        if let Value::Map(entries) = &self.value { entries } else { &[] }
    }

    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The value below, by keys.
    pub fn at(&self, keys: &[&str]) -> Option<&Node> {
        keys.iter().try_fold(self, |node, key| node.entry(key).map(|entry| &entry.node))
    }

    pub fn items(&self) -> &[Node] {
        if let Value::List(items) = &self.value { items } else { &[] }
    }

    pub fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    /// Walks down as far as the path leads.
    pub fn follow(&self, path: &[Step]) -> &Node {
        let Some((step, rest)) = path.split_first() else { return self };
        let below = match step {
            Step::Key(key) => self.entry(key).map(|entry| &entry.node),
            Step::Index(index) => self.items().get(*index),
        };
        below.map_or(self, |node| node.follow(rest))
    }

    /// Takes out what the path leads to; false if it leads nowhere.
    pub fn remove(&mut self, path: &[Step]) -> bool {
        match (path, &mut self.value) {
            ([Step::Key(key)], Value::Map(entries)) => {
                let before = entries.len();
                entries.retain(|entry| entry.key != *key);
                entries.len() < before
            }
            ([Step::Index(index)], Value::List(items)) if *index < items.len() => {
                items.remove(*index);
                true
            }
            ([Step::Key(key), rest @ ..], Value::Map(entries)) => {
                entries.iter_mut().find(|entry| entry.key == *key).is_some_and(|entry| entry.node.remove(rest))
            }
            ([Step::Index(index), rest @ ..], Value::List(items)) => {
                items.get_mut(*index).is_some_and(|node| node.remove(rest))
            }
            _ => false,
        }
    }

    pub fn json(&self) -> Json {
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(bool) => Json::Bool(*bool),
            Value::Number(number) => Json::Number(number.clone()),
            Value::Text(text) => Json::String(text.clone()),
            Value::List(items) => Json::Array(items.iter().map(Node::json).collect()),
            Value::Map(entries) => {
                Json::Object(entries.iter().map(|e| (e.key.clone(), e.node.json())).collect::<Map<_, _>>())
            }
        }
    }

    /// What it is, for people.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}
