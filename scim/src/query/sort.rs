//! `sortBy` and `sortOrder` (RFC 7644 §3.4.2.3).

use std::cmp::Ordering;

use serde_json::Value;

use crate::canonical;
use crate::error::{Error, Result, ScimType, shown};
use crate::filter::{Attribute, folded};
use crate::schema::{Kind, ResourceType};

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    /// A multi-valued one counts by the `value` of its primary value, or else of its first.
    pub by: Attribute,
    pub descending: bool,
}

impl Sort {
    /// `None` without `sortBy`: then `sortOrder` orders nothing.
    pub(super) fn parse(resource: ResourceType, by: Option<&str>, order: Option<&str>) -> Result<Option<Self>> {
        let descending = match order {
            None => false,
            Some(order) if order.eq_ignore_ascii_case("ascending") => false,
            Some(order) if order.eq_ignore_ascii_case("descending") => true,
            Some(_) => return Err(Error::invalid_value("sortOrder", "ascending or descending")),
        };
        let Some(by) = by.map(str::trim).filter(|by| !by.is_empty()) else { return Ok(None) };
        let refused = || {
            let detail = format!("`sortBy` takes the name of an attribute with values, not `{}`", shown(by));
            Error::bad_request(ScimType::InvalidValue, detail)
        };
        let by = Attribute::sortable(resource, by).ok_or_else(refused)?;
        Ok(Some(Self { by, descending }))
    }

    /// How two resources, complete as they are sent, follow each other: the reference for whoever sorts in a database. Strings
    /// compare by their characters, in lower case unless the attribute is `caseExact`, times by time, false before true. What
    /// has no value comes last, and first in descending order.
    pub fn compare(&self, one: &Value, other: &Value) -> Ordering {
        let ordering = match (self.key(one), self.key(other)) {
            (Some(one), Some(other)) => one.cmp(&other),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        if self.descending { ordering.reverse() } else { ordering }
    }

    fn key(&self, resource: &Value) -> Option<String> {
        let Attribute { extension, name, sub, case_exact, multi_valued, .. } = self.by;
        let of = extension.map_or(Some(resource), |urn| resource.get(urn))?;
        let root = canonical::get(of.as_object()?, name)?;
        let value = match (root, sub) {
            (Value::Array(list), _) if multi_valued => {
                let primary = |one: &&Value| one.get("primary") == Some(&Value::Bool(true));
                list.iter().find(primary).or(list.first())?.get("value")?
            }
            (Value::Object(object), Some(sub)) => canonical::get(object, sub)?,
            (scalar, _) => scalar,
        };
        match value {
            Value::String(text) if text.is_empty() => None,
            // Times are sent in one form, in which they sort as text.
            Value::String(text) if case_exact || self.by.kind == Kind::DateTime => Some(text.clone()),
            Value::String(text) => Some(folded(text)),
            Value::Bool(truth) => Some(truth.to_string()),
            _ => None,
        }
    }
}
