//! Adds, replaces and removes at a path of a canonical resource. Bodies of POST and PUT go the same way, as additions to an
//! empty resource, so there is one understanding of every key and every shape.

mod attribute;
mod values;

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::canonical;
use crate::error::{Error, Result, shown};
use crate::limits;
use crate::path::{AttributePath, Path};
use crate::schema::{self, ENTERPRISE, ResourceType};

/// The operations of RFC 7644 §3.5.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Add,
    Remove,
    Replace,
}

/// Applies one operation with a path. A failed operation may leave `resource` half changed: work on a copy.
///
/// Attributes that are never stored ([`ResourceType::ignored`]) are passed over.
pub(crate) fn apply(
    resource: &mut Map<String, Value>,
    kind: ResourceType,
    op: Op,
    path: &Path,
    value: Option<&Value>,
) -> Result<()> {
    match path {
        Path::Schema(urn) => extension(resource, kind, op, urn, value),
        Path::Attribute(path) => match as_extension(resource, path, value) {
            Some(urn) => extension(resource, kind, op, &urn, value),
            None => at_attribute(resource, kind, op, path, value),
        },
    }
}

/// Applies every key of `object` as an operation of its own: the path-less form of PATCH, and the whole of a body.
///
/// # Errors
/// `invalidSyntax` if two keys name the same attribute: which of two values counts would be a guess.
pub(crate) fn merge(
    resource: &mut Map<String, Value>,
    kind: ResourceType,
    op: Op,
    object: &Map<String, Value>,
) -> Result<()> {
    bounded(object)?;
    let mut entries = Vec::with_capacity(object.len());
    let mut seen = HashSet::with_capacity(object.len());
    for (key, value) in object {
        let path = of_key(kind, key);
        if !seen.insert(folded(kind, &path)) {
            return Err(Error::invalid_syntax(format!("`{}` is stated twice; send it once", shown(key))));
        }
        entries.push((path, value));
    }
    // `name` before `name.givenName`, so that the more precise statement lands in the one that is there.
    entries.sort_by_key(|(path, _)| matches!(path, Path::Attribute(path) if !path.is_whole()));
    entries.into_iter().try_for_each(|(path, value)| apply(resource, kind, op, &path, Some(value)))
}

fn bounded(object: &Map<String, Value>) -> Result<()> {
    if object.len() > limits::ATTRIBUTES { Err(attribute::too_many_attributes()) } else { Ok(()) }
}

/// What a key of an object points at. Keys are attribute names, and with some providers paths (`name.givenName`,
/// `urn:…:User:employeeNumber`, `emails[type eq "work"].value`); a key that is neither is an unknown attribute, kept as sent.
pub(crate) fn of_key(kind: ResourceType, key: &str) -> Path {
    match Path::parse(key) {
        Ok(Path::Attribute(path))
            if path.urn.is_none()
                && !path.is_whole()
                && kind.attribute(&path.name).is_none()
                && kind.ignored(&path.name).is_none() =>
        {
            Path::Attribute(AttributePath::plain(key))
        }
        Ok(path) => path,
        Err(_) => Path::Attribute(AttributePath::plain(key)),
    }
}

/// `path` such that two ways to write the same target are equal.
fn folded(kind: ResourceType, path: &Path) -> Path {
    match path {
        Path::Schema(urn) => Path::Schema(urn.to_ascii_lowercase()),
        Path::Attribute(path) => Path::Attribute(AttributePath {
            urn: path.urn.as_ref().filter(|urn| *urn != kind.schema()).map(|urn| urn.to_ascii_lowercase()),
            name: path.name.to_ascii_lowercase(),
            filter: path.filter.clone(),
            sub: path.sub.as_ref().map(|sub| sub.to_ascii_lowercase()),
        }),
    }
}

/// `urn:a:b:c` of an unknown schema may be the extension `urn:a:b:c` or the attribute `c` of `urn:a:b`; what is sent for it, or
/// already there, tells. A dot may be part of the URN, too: no sub-attribute takes an object (RFC 7643 §2.3.8).
fn as_extension(resource: &Map<String, Value>, path: &AttributePath, value: Option<&Value>) -> Option<String> {
    path.urn.as_ref().filter(|urn| path.filter.is_none() && !is_known(urn))?;
    let whole = path.to_string();
    let there = canonical::get(resource, &whole).is_some();
    (there || value.is_some_and(Value::is_object)).then_some(whole)
}

fn is_known(urn: &str) -> bool {
    [schema::USER, schema::GROUP, ENTERPRISE].contains(&urn)
}

fn extension(
    resource: &mut Map<String, Value>,
    kind: ResourceType,
    op: Op,
    urn: &str,
    value: Option<&Value>,
) -> Result<()> {
    let core = is_core(kind, urn)?;
    let object = match value {
        _ if op == Op::Remove && core => {
            return Err(Error::invalid_path("a path must name an attribute; to remove the resource, delete it"));
        }
        _ if op == Op::Remove => None,
        Some(Value::Null) if core || op == Op::Add => return Ok(()),
        Some(Value::Null) => None,
        Some(Value::Object(object)) => Some(object),
        _ => return Err(Error::invalid_value(urn, "an object")),
    };
    match object {
        Some(object) if core => merge(resource, kind, op, object),
        Some(object) => {
            bounded(object)?;
            object.iter().try_for_each(|(name, value)| {
                let path = AttributePath { urn: Some(urn.to_owned()), ..AttributePath::plain(name) };
                at_attribute(resource, kind, op, &path, Some(value))
            })
        }
        None => {
            resource.remove(&canonical::key(resource, urn));
            Ok(())
        }
    }
}

fn at_attribute(
    resource: &mut Map<String, Value>,
    kind: ResourceType,
    op: Op,
    path: &AttributePath,
    value: Option<&Value>,
) -> Result<()> {
    let urn = match &path.urn {
        Some(urn) if !is_core(kind, urn)? => urn,
        _ if kind.ignored(&path.name).is_some() => return Ok(()),
        _ => return attribute::edit(resource, kind.attribute(&path.name), op, path, value),
    };
    let known = match kind {
        ResourceType::User if urn == ENTERPRISE => schema::find(schema::ENTERPRISE_USER, &path.name),
        ResourceType::User | ResourceType::Group => None,
    };
    let key = canonical::key(resource, urn);
    let held = resource.entry(key.clone()).or_insert_with(|| Value::Object(Map::new()));
    let Value::Object(held) = held else { return Err(Error::invalid_value(urn, "an object")) };
    attribute::edit(held, known, op, path, value)?;
    if held.is_empty() {
        resource.remove(&key);
    }
    Ok(())
}

/// Whether `urn` is the core schema of this resource; that of the other resource is an error.
fn is_core(kind: ResourceType, urn: &str) -> Result<bool> {
    match urn {
        schema::USER | schema::GROUP if urn != kind.schema() => {
            Err(Error::invalid_path(format!("`{urn}` does not describe a {}", kind.as_str())))
        }
        _ => Ok(urn == kind.schema()),
    }
}
