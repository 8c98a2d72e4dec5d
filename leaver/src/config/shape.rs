//! What the JSON schema says about one value: its keys, its choices, its kind.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::tree::{Entry, Node, Origin, Value};

/// One schema, its "or nothing" taken apart. All references are inlined, so it is complete in itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape<'s> {
    schema: &'s Json,
    pub nullable: bool,
}

/// The keys of a mapping.
#[derive(Debug, Default)]
pub(super) struct Keys<'s> {
    pub known: BTreeMap<&'s str, &'s Json>,
    pub required: BTreeSet<&'s str>,
    /// What stands under keys of the operator's own choosing.
    pub free: Option<&'s Json>,
    /// A key whose value decides about the other keys, and the values it may have; only while it is undecided.
    pub undecided: Option<(&'s str, Vec<&'s str>)>,
}

impl<'s> Shape<'s> {
    pub fn of(schema: &'s Json) -> Self {
        let is_null = |schema: &Json| schema["type"] == "null";
        let mut nullable = schema["type"].as_array().is_some_and(|types| types.iter().any(|t| t == "null"));
        let branches: Vec<&Json> = branches(schema).collect();
        nullable |= branches.iter().any(|branch| is_null(branch));
        match branches.into_iter().filter(|branch| !is_null(branch)).collect::<Vec<_>>()[..] {
            [only] if nullable => Self { schema: only, nullable },
            _ => Self { schema, nullable },
        }
    }

    /// Whether a value of this type is allowed: `object`, `array`, `string`, `integer`, `number`, `boolean`.
    pub fn allows(&self, kind: &str) -> bool {
        let mut types = types(self.schema).chain(branches(self.schema).flat_map(types)).peekable();
        types.peek().is_none() || types.any(|t| t == kind)
    }

    /// The only texts allowed; empty if any is.
    pub fn choices(&self) -> Vec<&'s str> {
        std::iter::once(self.schema).chain(branches(self.schema)).flat_map(constants).collect()
    }

    pub fn is_secret(&self) -> bool {
        self.schema["format"] == "password"
    }

    pub fn items(&self) -> Option<&'s Json> {
        self.schema.get("items")
    }

    pub fn bounds(&self) -> (Option<f64>, Option<f64>) {
        (self.schema["minimum"].as_f64(), self.schema["maximum"].as_f64())
    }

    /// What applies when nothing is written, as an example of how it is written.
    pub fn example(&self) -> Option<&'s str> {
        self.schema["default"].as_str().filter(|text| !text.is_empty())
    }

    /// A value that has the kind that is asked for, nothing more.
    pub fn stand_in(&self) -> Node {
        let value = if let Some(choice) = self.choices().first() {
            Value::Text((*choice).to_owned())
        } else if self.allows("object") {
            let first = branches(self.schema).find(|branch| branch.get("properties").is_some());
            let mut keys = Keys::default();
            std::iter::once(self.schema).chain(first).for_each(|schema| keys.add(schema));
            let entry = |key: &&str| {
                let node = Shape::of(keys.known.get(key)?).stand_in();
                Some(Entry { key: (*key).to_owned(), key_origin: Origin::StandIn, node })
            };
            Value::Map(keys.required.iter().filter_map(entry).collect())
        } else if self.allows("string") {
            Value::Text(String::new())
        } else if self.allows("array") {
            Value::List(Vec::new())
        } else if self.allows("boolean") {
            Value::Bool(false)
        } else {
            Value::Number(self.schema["minimum"].as_u64().unwrap_or_default().into())
        };
        Node { value, origin: Origin::StandIn }
    }

    /// The keys that `node` may have. Where a key such as `type` chooses among several mappings, it has chosen; while it has
    /// not, all their keys are known and none of them is required.
    pub fn keys(&self, node: &Node) -> Keys<'s> {
        let mut keys =
            Keys { free: self.schema.get("additionalProperties").filter(|free| **free != false), ..Keys::default() };
        keys.add(self.schema);
        let objects: Vec<&Json> = branches(self.schema).filter(|branch| branch.get("properties").is_some()).collect();
        let Some(tag) = objects.first().and_then(|first| tag(first)) else { return keys };
        let value = |branch: &'s Json| constants(&branch["properties"][tag]).next();
        let chosen = node.entry(tag).and_then(|entry| entry.node.text());
        match objects.iter().find(|branch| value(branch).is_some() && value(branch) == chosen) {
            Some(branch) => keys.add(branch),
            None => {
                objects.iter().for_each(|branch| keys.add(branch));
                keys.required = BTreeSet::from([tag]);
                keys.undecided = Some((tag, objects.iter().copied().filter_map(value).collect()));
            }
        }
        keys
    }
}

impl<'s> Keys<'s> {
    fn add(&mut self, schema: &'s Json) {
        if let Some(properties) = schema["properties"].as_object() {
            self.known.extend(properties.iter().map(|(key, schema)| (key.as_str(), schema)));
        }
        self.required.extend(schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str));
    }
}

fn branches(schema: &Json) -> impl Iterator<Item = &Json> {
    ["oneOf", "anyOf"].into_iter().filter_map(|key| schema[key].as_array()).flatten()
}

fn types(schema: &Json) -> impl Iterator<Item = &str> {
    let several = schema["type"].as_array().into_iter().flatten().filter_map(Json::as_str);
    schema["type"].as_str().into_iter().chain(several)
}

fn constants(schema: &Json) -> impl Iterator<Item = &str> {
    let several = schema["enum"].as_array().into_iter().flatten().filter_map(Json::as_str);
    schema["const"].as_str().into_iter().chain(several)
}

/// The key whose value is fixed in this mapping.
fn tag(schema: &Json) -> Option<&str> {
    schema["properties"].as_object()?.iter().find(|(_, of)| of.get("const").is_some()).map(|(key, _)| key.as_str())
}
