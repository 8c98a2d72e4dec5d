//! Filters (RFC 7644 §3.4.2.2): the typed form, its parser and its printer.
//!
//! Identity providers send `eq` and `and` and nothing else; everything else is refused with `invalidFilter`, never ignored,
//! because a filter that is half understood answers with other people.

mod lexer;
mod parser;

use std::fmt;

pub(crate) use parser::{Written, path as parse_path};

use crate::error::{Error, Result, ScimType, shown};
use crate::schema::ResourceType;

/// A condition on resources, or, with `A = String`, on the values of one attribute.
///
/// Callers match exhaustively, so that an operator added here is an error there until it is handled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Filter<A = Attribute> {
    Eq {
        attribute: A,
        value: FilterValue,
    },
    /// All of them. Never holds an `And` itself and never fewer than two.
    And(Vec<Filter<A>>),
}

/// What an attribute is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FilterValue {
    String(String),
    /// Only in value paths; the attributes of [`Attribute`] are all strings.
    Boolean(bool),
}

impl FilterValue {
    pub fn as_str(&self) -> Option<&str> {
        match self {
            FilterValue::String(text) => Some(text),
            FilterValue::Boolean(_) => None,
        }
    }
}

/// The attributes that lists can be filtered by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Attribute {
    /// Compared exactly.
    Id,
    /// Compared without regard to case (RFC 7643 §8.7.1: `caseExact` is false).
    UserName,
    /// Compared exactly.
    ExternalId,
    /// Compared without regard to case.
    DisplayName,
    /// Any e-mail address, without regard to case; with `kind` only addresses of this `type`, also without regard to case.
    EmailValue { kind: Option<String> },
}

impl Filter {
    /// Parses the `filter` parameter of a list of `resource`.
    ///
    /// # Errors
    /// `invalidFilter` with the position of the first thing not understood, and what is supported.
    pub fn parse(resource: ResourceType, text: &str) -> Result<Self> {
        parser::filter(text)
            .and_then(|filter| {
                let supported = filter.try_map(&mut |written| Attribute::known(resource, written))?;
                supported.check_values()?;
                Ok(supported)
            })
            .map_err(|fault| fault.into_filter_error(resource))
    }

    fn check_values(&self) -> Result<(), Fault> {
        match self {
            Filter::Eq { value: FilterValue::String(_), .. } => Ok(()),
            Filter::Eq { attribute, value: FilterValue::Boolean(_) } => {
                Err(Fault::new(1, format!("{attribute} compared with a string in double quotes")))
            }
            Filter::And(all) => all.iter().try_for_each(Filter::check_values),
        }
    }
}

impl<A> Filter<A> {
    /// The conjunction of `all`, flattened; a single filter is itself.
    pub(crate) fn and(all: Vec<Filter<A>>) -> Self {
        let mut flat = Vec::with_capacity(all.len());
        for one in all {
            match one {
                Filter::And(inner) => flat.extend(inner),
                eq @ Filter::Eq { .. } => flat.push(eq),
            }
        }
        if flat.len() == 1 { flat.remove(0) } else { Filter::And(flat) }
    }

    /// The same condition on other attributes.
    pub(crate) fn try_map<B, E>(self, map: &mut impl FnMut(A) -> Result<B, E>) -> Result<Filter<B>, E> {
        Ok(match self {
            Filter::Eq { attribute, value } => Filter::Eq { attribute: map(attribute)?, value },
            Filter::And(all) => Filter::And(all.into_iter().map(|one| one.try_map(map)).collect::<Result<_, E>>()?),
        })
    }

    /// Every comparison, from left to right.
    pub fn comparisons(&self) -> Vec<(&A, &FilterValue)> {
        match self {
            Filter::Eq { attribute, value } => vec![(attribute, value)],
            Filter::And(all) => all.iter().flat_map(Filter::comparisons).collect(),
        }
    }
}

impl Attribute {
    fn known(resource: ResourceType, written: Written) -> Result<Self, Fault> {
        let at = written.at;
        let unknown = |name: &str| Fault::new(at, format!("a supported attribute, not `{}`", shown(name)));
        let Written { urn, name: Some(name), filter, sub, .. } = written else { return Err(unknown("")) };
        if urn.is_some_and(|urn| urn != resource.schema()) {
            return Err(unknown(&name));
        }
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        let value = sub.as_deref().is_none_or(|sub| sub.eq_ignore_ascii_case("value"));
        match (resource, filter, sub.as_deref()) {
            (_, None, None) if is("id") => Ok(Attribute::Id),
            (_, None, None) if is("externalId") => Ok(Attribute::ExternalId),
            (_, None, None) if is("displayName") => Ok(Attribute::DisplayName),
            (ResourceType::User, None, None) if is("userName") => Ok(Attribute::UserName),
            // A multi-valued attribute without a sub-attribute means its `value`.
            (ResourceType::User, None, _) if is("emails") && value => Ok(Attribute::EmailValue { kind: None }),
            (ResourceType::User, Some(Filter::Eq { attribute, value: FilterValue::String(kind) }), Some(_))
                if is("emails") && value && attribute.eq_ignore_ascii_case("type") =>
            {
                Ok(Attribute::EmailValue { kind: Some(kind) })
            }
            _ => Err(unknown(&name)),
        }
    }
}

impl<A: fmt::Display> fmt::Display for Filter<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Filter::Eq { attribute, value } => write!(f, "{attribute} eq {value}"),
            Filter::And(all) => all.iter().enumerate().try_for_each(|(at, one)| {
                let and = if at == 0 { "" } else { " and " };
                write!(f, "{and}{one}")
            }),
        }
    }
}

impl fmt::Display for FilterValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // A JSON string, with its escapes.
            FilterValue::String(text) => write!(f, "{}", serde_json::Value::from(text.as_str())),
            FilterValue::Boolean(truth) => write!(f, "{truth}"),
        }
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Attribute::Id => f.write_str("id"),
            Attribute::UserName => f.write_str("userName"),
            Attribute::ExternalId => f.write_str("externalId"),
            Attribute::DisplayName => f.write_str("displayName"),
            Attribute::EmailValue { kind: None } => f.write_str("emails.value"),
            Attribute::EmailValue { kind: Some(kind) } => {
                write!(f, "emails[type eq {}].value", FilterValue::String(kind.clone()))
            }
        }
    }
}

/// Where reading stopped, and what would have been understood there. Becomes `invalidFilter` or `invalidPath`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// In characters from 1.
    at: usize,
    expected: String,
}

impl Fault {
    fn new(at: usize, expected: impl Into<String>) -> Self {
        Self { at, expected: expected.into() }
    }

    fn into_filter_error(self, resource: ResourceType) -> Error {
        let attributes = match resource {
            ResourceType::User => {
                "id, userName, externalId, displayName, emails.value and emails[type eq \"…\"].value of users"
            }
            ResourceType::Group => "id, externalId and displayName of groups",
        };
        let Self { at, expected } = self;
        let detail =
            format!("filter, character {at}: expected {expected}; supported are `eq` and `and` on {attributes}");
        Error::bad_request(ScimType::InvalidFilter, detail)
    }

    pub(crate) fn into_path_error(self) -> Error {
        let Self { at, expected } = self;
        Error::invalid_path(format!(
            "path, character {at}: expected {expected}; paths look like name.givenName or emails[type eq \"work\"].value"
        ))
    }
}

#[cfg(test)]
mod tests;
