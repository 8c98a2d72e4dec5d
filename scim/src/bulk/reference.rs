//! References to resources that are created by the same request (RFC 7644 §3.7.2): `bulkId:qwerty` for the id that is not known
//! yet, as a whole string anywhere in the data, or in quotes in the filter of a PATCH path.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::schema;

const PREFIX: &str = "bulkId:";
const QUOTED: &str = "\"bulkId:";

/// What a reference stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning<'a> {
    Id(&'a str),
    /// The resource is still to be created.
    Later,
    /// Its creation failed.
    Failed,
    /// No operation has this `bulkId`.
    Unknown,
}

/// The `bulkId` that `text` refers to.
pub(super) fn of(text: &str) -> Option<&str> {
    text.strip_prefix(PREFIX).filter(|id| !id.is_empty())
}

/// Every `bulkId` that `data` refers to.
pub(super) fn all<'a>(data: &'a Value, found: &mut BTreeSet<&'a str>) {
    match data {
        Value::String(text) => found.extend(of(text)),
        Value::Array(list) => list.iter().for_each(|one| all(one, found)),
        Value::Object(object) => {
            for (key, value) in object {
                match value {
                    Value::String(path) if key.eq_ignore_ascii_case("path") => found.extend(quoted(path)),
                    value => all(value, found),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn quoted(path: &str) -> impl Iterator<Item = &str> {
    path.split(QUOTED).skip(1).filter_map(|rest| rest.split_once('"').map(|(id, _)| id))
}

/// `text` with the id for which it stands, if it is a reference.
///
/// # Errors
/// 409 where the resource is not there, `invalidValue` where it never will be.
pub(super) fn resolved<'a>(text: &str, meaning: &impl Fn(&str) -> Meaning<'a>) -> Result<Option<String>> {
    of(text).map(|id| known(meaning(id))).transpose()
}

/// The id, if it is known.
///
/// # Errors
/// As [`resolved`].
pub(super) fn known(meaning: Meaning<'_>) -> Result<String> {
    match meaning {
        Meaning::Id(id) => Ok(id.to_owned()),
        Meaning::Unknown => {
            Err(Error::invalid_value("bulkId", "the bulkId of a POST in the same request; there is none"))
        }
        Meaning::Failed => Err(Error::status(409, "it refers by bulkId to an operation that failed")),
        Meaning::Later => {
            Err(Error::status(409, "it refers by bulkId to a resource that cannot be created before this one"))
        }
    }
}

/// `data` with ids in the place of references.
///
/// # Errors
/// As [`resolved`].
pub(super) fn resolve<'a>(data: &Value, meaning: &impl Fn(&str) -> Meaning<'a>) -> Result<Value> {
    Ok(match data {
        Value::String(text) => Value::String(resolved(text, meaning)?.unwrap_or_else(|| text.clone())),
        Value::Array(list) => list.iter().map(|one| resolve(one, meaning)).collect::<Result<_>>()?,
        Value::Object(object) => {
            let entry = |(key, value): (&String, &Value)| {
                let value = match value {
                    Value::String(path) if key.eq_ignore_ascii_case("path") => Value::String(in_path(path, meaning)?),
                    value => resolve(value, meaning)?,
                };
                Ok((key.clone(), value))
            };
            Value::Object(object.iter().map(entry).collect::<Result<_>>()?)
        }
        scalar => scalar.clone(),
    })
}

fn in_path<'a>(path: &str, meaning: &impl Fn(&str) -> Meaning<'a>) -> Result<String> {
    let mut text = path.to_owned();
    for id in quoted(path) {
        text = text.replace(&format!("{QUOTED}{id}\""), &format!("\"{}\"", known(meaning(id))?));
    }
    Ok(text)
}

/// Splits the body of a POST into what can be stated now, and a PATCH that adds what refers to resources created later: whole
/// attributes, and of lists single values.
pub(super) fn deferred<'a>(data: &Value, meaning: &impl Fn(&str) -> Meaning<'a>) -> (Value, Option<Value>) {
    let Value::Object(object) = data else { return (data.clone(), None) };
    let later = |value: &Value| {
        let mut found = BTreeSet::new();
        all(value, &mut found);
        found.into_iter().any(|id| meaning(id) == Meaning::Later)
    };
    let (mut now, mut operations) = (Map::new(), Vec::new());
    for (key, value) in object {
        let (kept, put_off) = match value {
            Value::Array(list) if later(value) => {
                let (put_off, kept): (Vec<_>, Vec<_>) = list.iter().cloned().partition(|one| later(one));
                (Some(Value::Array(kept)), Some(Value::Array(put_off)))
            }
            value if later(value) => (None, Some(value.clone())),
            value => (Some(value.clone()), None),
        };
        now.extend(kept.map(|kept| (key.clone(), kept)));
        operations.extend(put_off.map(|value| json!({ "op": "add", "path": key, "value": value })));
    }
    let patch = (!operations.is_empty()).then(|| json!({ "schemas": [schema::PATCH_OP], "Operations": operations }));
    (Value::Object(now), patch)
}
