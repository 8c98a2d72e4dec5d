//! A group as it was sent. Its members stand apart from it: a list of 100,000 is never part of a stored document.

use serde_json::{Map, Value};

use crate::canonical;
use crate::edit::{self, Op};
use crate::error::{Error, Result};
use crate::path::{AttributePath, Path};
use crate::schema::{GROUP, ResourceType};

/// A Group (RFC 7643 §4.2).
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Never empty. Not unique.
    pub display_name: String,
    pub external_id: Option<String>,
    /// `None`: not stated (absent or null). An empty list states that there are none.
    pub members: Option<Vec<MemberRef>>,
    /// The canonical resource, without `schemas`, `id`, `meta` and `members`.
    pub resource: Value,
}

/// A member, by reference.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MemberRef {
    /// The `id` that the service provider issued. It may be of a resource that is not there yet.
    pub value: String,
    /// Whether it is stated to be a group; a group must never be taken for a user that is yet to come.
    pub nested: bool,
}

impl Group {
    /// Reads the body of a POST or PUT, or a stored canonical resource (which stays as it is).
    ///
    /// # Errors
    /// As for [`crate::User::parse`], with `displayName` in the place of `userName`.
    pub fn parse(body: &Value) -> Result<Self> {
        let Value::Object(body) = body else { return Err(Error::invalid_syntax("the body must be a JSON object")) };
        let mut resource = Map::new();
        edit::merge(&mut resource, ResourceType::Group, Op::Add, body)?;
        let text = |name: &str| {
            resource.get(name).and_then(Value::as_str).filter(|text| !text.trim().is_empty()).map(str::to_owned)
        };
        Ok(Self {
            display_name: text("displayName")
                .ok_or_else(|| Error::invalid_value("displayName", "a string that is not empty; it is required"))?,
            external_id: text("externalId"),
            members: match stated_members(body).as_slice() {
                [] => None,
                [(path, members)] if path.is_whole() => Some(MemberRef::list(members)?),
                [_] => return Err(Error::invalid_value("members", "a list of whole members")),
                _ => return Err(Error::invalid_syntax("`members` is stated twice; send it once")),
            },
            resource: Value::Object(resource),
        })
    }
}

/// Where `object` states members, with the path and what it states. Null states nothing.
pub(crate) fn stated_members(object: &Map<String, Value>) -> Vec<(AttributePath, &Value)> {
    let mut stated = Vec::new();
    for (key, value) in object {
        match (edit::of_key(ResourceType::Group, key), value) {
            (_, Value::Null) => {}
            (Path::Schema(urn), Value::Object(inner)) if urn == GROUP => stated.extend(stated_members(inner)),
            (Path::Attribute(path), value) if is_members(&path) => stated.push((path, value)),
            _ => {}
        }
    }
    stated
}

pub(crate) fn is_members(path: &AttributePath) -> bool {
    path.name.eq_ignore_ascii_case("members") && path.urn.as_deref().is_none_or(|urn| urn == GROUP)
}

impl MemberRef {
    /// Reads a list of members, or a single one. Each is stated once in the result, at its first place.
    ///
    /// # Errors
    /// `invalidValue` if one has no `value`: which member is meant would be a guess.
    pub(crate) fn list(members: &Value) -> Result<Vec<Self>> {
        let members = match members {
            Value::Array(members) => members.as_slice(),
            one => std::slice::from_ref(one),
        };
        let mut seen = std::collections::HashSet::with_capacity(members.len());
        let mut list = Vec::with_capacity(members.len());
        for member in members {
            let member = Self::parse(member)?;
            if seen.insert(member.value.clone()) {
                list.push(member);
            }
        }
        Ok(list)
    }

    fn parse(member: &Value) -> Result<Self> {
        let (value, nested) = match member {
            Value::String(value) => (Some(value), false),
            Value::Object(member) => {
                let text = |name| canonical::get(member, name).and_then(Value::as_str);
                let by_type = text("type").map(|kind| kind.eq_ignore_ascii_case("Group"));
                let by_reference = || text("$ref").is_some_and(|reference| reference.contains("/Groups/"));
                let value = canonical::get(member, "value");
                let value = match value {
                    Some(Value::String(value)) => Some(value),
                    _ => None,
                };
                (value, by_type.unwrap_or_else(by_reference))
            }
            _ => (None, false),
        };
        match value.map(|value| value.trim()) {
            Some(value) if !value.is_empty() => Ok(Self { value: value.to_owned(), nested }),
            _ => Err(Error::invalid_value("members.value", "the id of a member, as a string")),
        }
    }
}
