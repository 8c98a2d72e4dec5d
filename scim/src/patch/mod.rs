//! PATCH (RFC 7644 §3.5.2): the typed form of a request, and what it makes of a user.

mod group;
mod selection;

use serde_json::{Map, Value};

pub use group::{GroupPatch, MembersOp};
pub use selection::{Ids, Selection};

pub use crate::edit::Op;

use crate::canonical;
use crate::edit;
use crate::error::{Error, Result, ScimType, shown};
use crate::limits;
use crate::path::{AttributePath, Path};
use crate::schema::ResourceType;
use crate::user::User;

/// The operations of one request, in order. All apply, or none does.
#[derive(Debug, Clone, PartialEq)]
pub struct Patch {
    /// Never empty.
    pub operations: Vec<Operation>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    pub op: Op,
    /// Absent: the keys of `value` are the paths. Never absent with [`Op::Remove`].
    pub path: Option<Path>,
    /// `Some(Null)` is a null that was sent. Never absent but with [`Op::Remove`], an object if `path` is absent.
    pub value: Option<Value>,
}

impl Patch {
    /// Reads a PatchOp body. Names and operations are taken in any case (Entra sends `Add`, `Replace`, `Remove`), and a missing
    /// `schemas` is tolerated: what is meant is not in doubt.
    ///
    /// # Errors
    /// `invalidSyntax` for another structure, `invalidPath`, `invalidValue` for a missing value, `noTarget` for a removal without
    /// a path, and 413 above [`limits::OPERATIONS`].
    pub fn parse(body: &Value) -> Result<Self> {
        let operations = body.as_object().and_then(|body| canonical::get(body, "Operations"));
        let Some(Value::Array(operations)) = operations else {
            return Err(Error::invalid_syntax("the body must be an object with a list `Operations`"));
        };
        if operations.is_empty() {
            return Err(Error::invalid_syntax("`Operations` is empty; send at least one operation"));
        }
        if operations.len() > limits::OPERATIONS {
            let detail = format!("`Operations` has more than {} operations; send fewer at once", limits::OPERATIONS);
            return Err(Error::status(413, detail));
        }
        let operations = operations.iter().enumerate().map(|(at, one)| {
            Operation::parse(one)
                .map_err(|error| Error { detail: format!("operation {}: {}", at + 1, error.detail), ..error })
        });
        Ok(Self { operations: operations.collect::<Result<_>>()? })
    }

    /// What the patch makes of `current`, a canonical user; canonical again. Pure: equal results mean that nothing changed.
    ///
    /// # Errors
    /// `mutability` for `id`, `meta` and the removal of `userName`; `noTarget` if a filter by content selects nothing;
    /// `invalidPath` and `invalidValue` as for a body.
    pub fn apply_to_user(&self, current: &Value) -> Result<Value> {
        let patched = apply_all(ResourceType::User, &self.operations, current)?;
        Ok(User::parse(&Value::Object(patched))?.resource)
    }

    /// The patch as an order about a group, in which members are set operations.
    ///
    /// # Errors
    /// As [`Patch::apply_to_user`]; also `invalidValue` for members without an id.
    pub fn for_group(&self) -> Result<GroupPatch> {
        GroupPatch::of(self)
    }
}

impl Operation {
    fn parse(operation: &Value) -> Result<Self> {
        let Value::Object(operation) = operation else { return Err(Error::invalid_syntax("it must be an object")) };
        let op = match canonical::get(operation, "op").and_then(Value::as_str) {
            Some(op) if op.eq_ignore_ascii_case("add") => Op::Add,
            Some(op) if op.eq_ignore_ascii_case("remove") => Op::Remove,
            Some(op) if op.eq_ignore_ascii_case("replace") => Op::Replace,
            _ => return Err(Error::invalid_syntax("`op` must be add, remove or replace")),
        };
        let path = match canonical::get(operation, "path") {
            None | Some(Value::Null) => None,
            Some(Value::String(path)) if path.is_empty() => None,
            Some(Value::String(path)) => Some(Path::parse(path)?),
            Some(_) => return Err(Error::invalid_path("`path` must be a string")),
        };
        let value = canonical::get(operation, "value").cloned();
        match (op, &path, &value) {
            (Op::Remove, None, _) => {
                let detail = "`path` is missing; a removal must say what to remove";
                return Err(Error::bad_request(ScimType::NoTarget, detail));
            }
            (Op::Add | Op::Replace, Some(_), None) => {
                return Err(Error::bad_request(ScimType::InvalidValue, "`value` is missing; send null to unassign"));
            }
            (Op::Add | Op::Replace, None, value) if !value.as_ref().is_some_and(Value::is_object) => {
                let detail = "without a `path`, `value` must be an object of attributes";
                return Err(Error::bad_request(ScimType::InvalidValue, detail));
            }
            _ => {}
        }
        Ok(Self { op, path, value })
    }

    fn apply(&self, kind: ResourceType, resource: &mut Map<String, Value>) -> Result<()> {
        match (&self.path, &self.value) {
            (Some(path), value) => {
                refuse_read_only(kind, path)?;
                edit::apply(resource, kind, self.op, path, value.as_ref())
            }
            (None, Some(Value::Object(object))) => edit::merge(resource, kind, self.op, object),
            (None, _) => Ok(()),
        }
    }
}

/// Applies `operations` to a copy of `current`.
fn apply_all(kind: ResourceType, operations: &[Operation], current: &Value) -> Result<Map<String, Value>> {
    let mut resource = current.as_object().cloned().unwrap_or_default();
    operations.iter().try_for_each(|operation| operation.apply(kind, &mut resource))?;
    Ok(resource)
}

/// A path that aims at `id`, `meta` or `schemas` is a mistake worth an answer. As keys beside others (Okta repeats the `id` of a
/// group) they are passed over, and so are `password` and `groups` in any form.
fn refuse_read_only(kind: ResourceType, path: &Path) -> Result<()> {
    match path {
        Path::Attribute(AttributePath { urn, name, .. }) if urn.as_deref().is_none_or(|urn| urn == kind.schema()) => {
            match kind.ignored(name) {
                Some(fixed @ ("id" | "meta" | "schemas")) => {
                    Err(Error::mutability(shown(fixed), "is set by the service provider and cannot be changed"))
                }
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}
