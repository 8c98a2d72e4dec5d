//! A PATCH of a group: attributes apart from members, and members as set operations, so that two providers changing one group at
//! once lose nobody and nothing reads a list in order to write it back.

use serde_json::Value;

use super::selection::Selection;
use super::{Op, Operation, Patch, apply_all};
use crate::error::{Error, Result, ScimType};
use crate::filter::{Filter, Literal};
use crate::group::{Group, MemberRef, is_members, stated_members};
use crate::path::{AttributePath, Path};
use crate::schema::{GROUP, ResourceType};

/// What a PATCH asks of a group.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupPatch {
    /// The new name, if one is stated. Okta states the old one with every change of members.
    pub display_name: Option<String>,
    /// `Some(None)`: it is removed.
    pub external_id: Option<Option<String>>,
    /// Everything that is not about members, `displayName` and `externalId` included, for [`GroupPatch::apply_to`].
    pub other: Vec<Operation>,
    /// In order. Neighbours of one kind are one.
    pub members: Vec<MembersOp>,
}

/// A change of the set of members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MembersOp {
    /// Those who are in it already stay.
    Add(Vec<MemberRef>),
    /// By id. Those who are not in it are passed over.
    Remove(Vec<String>),
    /// By what they are, or all but some.
    RemoveSelected(Selection),
    /// Everybody: a removal that names nobody.
    RemoveAll,
    /// These and nobody else; an empty list removes everybody.
    Replace(Vec<MemberRef>),
}

impl GroupPatch {
    pub(super) fn of(patch: &Patch) -> Result<Self> {
        let mut group = Self { display_name: None, external_id: None, other: Vec::new(), members: Vec::new() };
        for operation in &patch.operations {
            match (&operation.path, &operation.value) {
                (Some(Path::Attribute(path)), value) if is_members(path) => {
                    group.members_at(operation.op, path, value.as_ref())?;
                }
                (None | Some(Path::Schema(_)), Some(Value::Object(object))) => {
                    let core = operation.path.as_ref().is_none_or(|path| *path == Path::Schema(GROUP.to_owned()));
                    for (path, value) in if core { stated_members(object) } else { Vec::new() } {
                        group.members_at(operation.op, &path, Some(value))?;
                    }
                    group.other.push(operation.clone());
                }
                _ => group.other.push(operation.clone()),
            }
        }
        group.read_attributes()?;
        Ok(group)
    }

    /// What the patch makes of `current`, a canonical group without members; canonical again.
    ///
    /// # Errors
    /// As [`Patch::apply_to_user`].
    pub fn apply_to(&self, current: &Value) -> Result<Value> {
        let patched = apply_all(ResourceType::Group, &self.other, current)?;
        Ok(Group::parse(&Value::Object(patched))?.resource)
    }

    /// Reads what is stated of the two attributes off a group where both are known to be something else.
    fn read_attributes(&mut self) -> Result<()> {
        // No provider can mean this as a name.
        const UNTOUCHED: &str = "\u{0}";
        // A filter selects among stored values, which are not known here; neither of the two attributes has any.
        let selects =
            |operation: &&Operation| matches!(&operation.path, Some(Path::Attribute(path)) if path.filter.is_some());
        let plain: Vec<Operation> = self.other.iter().filter(|operation| !selects(operation)).cloned().collect();
        let before = serde_json::json!({ "displayName": UNTOUCHED, "externalId": UNTOUCHED });
        let after = Group::parse(&Value::Object(apply_all(ResourceType::Group, &plain, &before)?))?;
        self.display_name = Some(after.display_name).filter(|name| name != UNTOUCHED);
        self.external_id = Some(after.external_id).filter(|id| id.as_deref() != Some(UNTOUCHED));
        Ok(())
    }

    fn members_at(&mut self, op: Op, path: &AttributePath, value: Option<&Value>) -> Result<()> {
        if path.sub.is_some() {
            return Err(Error::mutability("members", "is changed by whole members; add or remove them"));
        }
        let change = match (op, &path.filter, value) {
            (Op::Remove, Some(filter), _) => removed(filter)?,
            (Op::Add | Op::Replace, Some(_), _) => {
                return Err(Error::invalid_path(
                    "`members` with a filter can only be removed; to add members, list them",
                ));
            }
            (Op::Remove, None, None) => MembersOp::RemoveAll,
            // A null could be a client's way to leave the value out or to say "nobody"; one of them empties the group.
            (_, None, None | Some(Value::Null)) => {
                return Err(Error::invalid_value(
                    "members",
                    "a list; leave `value` out of a removal to remove everybody",
                ));
            }
            (Op::Remove, None, Some(value)) => {
                MembersOp::Remove(MemberRef::list(value)?.into_iter().map(|member| member.value).collect())
            }
            (Op::Add, None, Some(value)) => MembersOp::Add(MemberRef::list(value)?),
            (Op::Replace, None, Some(value)) => MembersOp::Replace(MemberRef::list(value)?),
        };
        match (self.members.last_mut(), change) {
            (_, MembersOp::Add(none)) if none.is_empty() => {}
            (_, MembersOp::Remove(none)) if none.is_empty() => {}
            (Some(MembersOp::Add(last)), MembersOp::Add(more)) => last.extend(more),
            (Some(MembersOp::Remove(last)), MembersOp::Remove(more)) => last.extend(more),
            (_, change) => self.members.push(change),
        }
        Ok(())
    }
}

/// Whom a removal with a filter takes out. An id that is empty is nobody's, and more likely a mistake than meant.
fn removed(filter: &Filter<String>) -> Result<MembersOp> {
    if compares_with_nothing(filter) {
        return Err(Error::bad_request(ScimType::InvalidFilter, "a filter on members compares with an empty text"));
    }
    let selection = Selection::of(filter)?;
    Ok(selection.listed().map_or(MembersOp::RemoveSelected(selection), MembersOp::Remove))
}

fn compares_with_nothing(filter: &Filter<String>) -> bool {
    match filter {
        Filter::And(parts) | Filter::Or(parts) => parts.iter().any(compares_with_nothing),
        Filter::Not(inner) | Filter::Values { filter: inner, .. } => compares_with_nothing(inner),
        Filter::Compare { value: Literal::String(text), .. } => text.is_empty(),
        Filter::Compare { .. } | Filter::Present(_) => false,
    }
}
