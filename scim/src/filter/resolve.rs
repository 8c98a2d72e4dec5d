//! Gives a parsed filter its meaning: attributes of the schemas, literals of their types, one form for one condition. Also says what
//! is wrong where this fails.

use chrono::{DateTime, Timelike, Utc};

use super::attribute::{Found, sub_attribute};
use super::parser::{self, Expression, Test, Written};
use super::{Attribute, Comparison, Filter, Literal};
use crate::error::{Error, ScimType};
use crate::schema::{self, Kind, ResourceType};

/// A filter on resources of this type.
pub(super) fn of_resource(resource: ResourceType, expression: Expression) -> Result<Filter, Fault> {
    match expression {
        Expression::Test { attribute, test } => {
            let found = Found::of_resource(resource, &attribute)?;
            match (found.sub, &test) {
                (None, Test::Present) => Ok(Filter::Present(found.root())),
                // The attribute as a whole means its `value` (RFC 7644 §3.4.2.2): `emails co "@example.com"`.
                (None, Test::Compare { .. }) if found.root.kind == Kind::Complex => {
                    let value = sub_attribute(found.root, "value", attribute.at)?;
                    compare(Found { sub: Some(value), ..found }, test)
                }
                _ => compare(found, test),
            }
        }
        Expression::Values { attribute, inner, behind } => {
            let found = Found::of_resource(resource, &attribute)?;
            if !found.root.multi_valued {
                return Err(Fault::new(attribute.at, format!("no brackets: `{}` has one value", found.root.name)));
            }
            let mut all = vec![of_value(found.root, *inner)?];
            if let Some((sub, test)) = behind {
                all.push(of_value(found.root, Expression::Test { attribute: sub, test })?);
            }
            Ok(Filter::Values { attribute: found.root(), filter: Box::new(Filter::and(all)) })
        }
        joined => map(joined, &|inner| of_resource(resource, inner)),
    }
}

fn compare(found: Found, test: Test) -> Result<Filter, Fault> {
    if !found.root.multi_valued {
        let attribute = found.attribute();
        return condition(attribute, attribute.kind, test);
    }
    let inner = found.sub.map_or_else(|| of_scalar(found.root), Attribute::within);
    let filter = Box::new(condition(inner, inner.kind, test)?);
    Ok(Filter::Values { attribute: found.root(), filter })
}

/// One value of a list whose values are no objects, such as `schemas`.
fn of_scalar(root: &'static schema::Attribute) -> Attribute {
    Attribute { name: "value", multi_valued: false, ..Attribute::within(root) }
}

/// A filter on one value of `root`.
fn of_value(root: &'static schema::Attribute, expression: Expression) -> Result<Filter, Fault> {
    match expression {
        Expression::Test { attribute, test } => {
            let name = plain(&attribute)?;
            let sub = match root.kind {
                Kind::Complex => Attribute::within(sub_attribute(root, &name, attribute.at)?),
                _ if name.eq_ignore_ascii_case("value") => of_scalar(root),
                _ => return Err(Fault::new(attribute.at, "`value`")),
            };
            condition(sub, sub.kind, test)
        }
        Expression::Values { attribute, .. } => Err(Fault::new(attribute.at, "no brackets within brackets")),
        joined => map(joined, &|inner| of_value(root, inner)),
    }
}

/// A filter in a PATCH path, of which the attribute before the brackets is not known here.
fn of_names(expression: Expression) -> Result<Filter<String>, Fault> {
    match expression {
        Expression::Test { attribute, test } => {
            let name = plain(&attribute)?;
            // The one truth value that values have; elsewhere a string is what it looks like.
            let kind = if name.eq_ignore_ascii_case("primary") { Some(Kind::Boolean) } else { None };
            match (kind, test) {
                (Some(kind), test) => condition(name, kind, test),
                (None, Test::Compare { op, value: Some(value), .. }) => {
                    Ok(Filter::Compare { attribute: name, op, value })
                }
                (None, test) => condition(name, Kind::String, test),
            }
        }
        Expression::Values { attribute, .. } => Err(Fault::new(attribute.at, "no brackets within brackets")),
        joined => map(joined, &of_names),
    }
}

/// Inside brackets only sub-attributes of the bracketed attribute can stand.
fn plain(written: &Written) -> Result<String, Fault> {
    match written {
        Written { urn: None, name: Some(name), sub: None, .. } => Ok(name.clone()),
        Written { at, .. } => Err(Fault::new(*at, "a sub-attribute")),
    }
}

fn map<A>(
    expression: Expression,
    resolve: &impl Fn(Expression) -> Result<Filter<A>, Fault>,
) -> Result<Filter<A>, Fault> {
    let each = |parts: Vec<Expression>| parts.into_iter().map(resolve).collect::<Result<Vec<_>, Fault>>();
    Ok(match expression {
        Expression::And(all) => Filter::and(each(all)?),
        Expression::Or(any) => Filter::or(each(any)?),
        Expression::Not(inner) => Filter::Not(Box::new(resolve(*inner)?)),
        leaf => resolve(leaf)?,
    })
}

fn condition<A>(attribute: A, kind: Kind, test: Test) -> Result<Filter<A>, Fault> {
    match test {
        Test::Present => Ok(Filter::Present(attribute)),
        // Null is "unassigned" (RFC 7643 §2.5).
        Test::Compare { op: Comparison::Eq, value: None, .. } => Ok(Filter::Not(Box::new(Filter::Present(attribute)))),
        Test::Compare { op: Comparison::Ne, value: None, .. } => Ok(Filter::Present(attribute)),
        Test::Compare { value: None, op_at, .. } => Err(Fault::new(op_at, "eq or ne before null")),
        Test::Compare { op, op_at, value: Some(value), value_at } => match fits(kind, op, value) {
            Ok(value) => Ok(Filter::Compare { attribute, op, value }),
            Err(Misfit::Operator(expected)) => Err(Fault::new(op_at, expected)),
            Err(Misfit::Value(expected)) => Err(Fault::new(value_at, expected)),
        },
    }
}

/// What would have been understood in the place of an operator or a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misfit {
    Operator(&'static str),
    Value(&'static str),
}

/// `value` as a value of the type, if the type has the comparison: truth values and certificates have no order (RFC 7644 §3.4.2.2).
pub(crate) fn fits(kind: Kind, op: Comparison, value: Literal) -> Result<Literal, Misfit> {
    use Comparison::{Co, Eq, Ew, Ge, Gt, Le, Lt, Ne, Sw};
    match (kind, op, value) {
        (Kind::Complex, ..) => {
            Err(Misfit::Operator("pr: the attribute has sub-attributes, and only those have values"))
        }
        (Kind::Boolean, Co | Sw | Ew | Gt | Ge | Lt | Le, _) => {
            Err(Misfit::Operator("eq, ne or pr: it is true or false"))
        }
        (Kind::Boolean, Eq | Ne, Literal::Boolean(truth)) => Ok(Literal::Boolean(truth)),
        // Entra writes `roles[primary eq "True"]`.
        (Kind::Boolean, Eq | Ne, Literal::String(word)) if word.eq_ignore_ascii_case("true") => {
            Ok(Literal::Boolean(true))
        }
        (Kind::Boolean, Eq | Ne, Literal::String(word)) if word.eq_ignore_ascii_case("false") => {
            Ok(Literal::Boolean(false))
        }
        (Kind::Boolean, ..) => Err(Misfit::Value("true or false")),
        (Kind::DateTime, Co | Sw | Ew, _) => Err(Misfit::Operator("eq, ne, gt, ge, lt, le or pr: it is a time")),
        (Kind::DateTime, _, Literal::DateTime(time)) => Ok(Literal::DateTime(time)),
        (Kind::DateTime, _, Literal::String(text)) => match time(&text) {
            Some(time) => Ok(Literal::DateTime(time)),
            None => Err(Misfit::Value("a time such as \"2026-01-31T09:00:00Z\"")),
        },
        (Kind::DateTime, ..) => Err(Misfit::Value("a time such as \"2026-01-31T09:00:00Z\"")),
        (Kind::Binary, Gt | Ge | Lt | Le, _) => Err(Misfit::Operator("eq, ne, co, sw, ew or pr: it has no order")),
        (Kind::String | Kind::Reference | Kind::Binary, _, Literal::String(text)) => Ok(Literal::String(text)),
        (Kind::String | Kind::Reference | Kind::Binary, ..) => Err(Misfit::Value("a string in double quotes")),
    }
}

/// A dateTime of RFC 7643 §2.3.5, in whole milliseconds.
pub(super) fn time(text: &str) -> Option<DateTime<Utc>> {
    const MILLI: u32 = 1_000_000;
    let time = DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc);
    time.with_nanosecond(time.nanosecond() / MILLI * MILLI)
}

/// Reads a PATCH path (RFC 7644 §3.5.2): an attribute, and the filter in its brackets.
pub(crate) fn parse_path(text: &str) -> Result<(Written, Option<Filter<String>>), Fault> {
    let (written, expression) = parser::path(text)?;
    let filter = expression.map(of_names).transpose().map_err(Fault::within_brackets)?;
    Ok((written, filter))
}

/// Where reading stopped, and what would have been understood there. Becomes `invalidFilter` or `invalidPath`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// In characters from 1.
    at: usize,
    expected: String,
    /// Whether it is in the filter of a path.
    in_filter: bool,
}

impl Fault {
    pub(super) fn new(at: usize, expected: impl Into<String>) -> Self {
        Self { at, expected: expected.into(), in_filter: false }
    }

    pub(super) fn within_brackets(self) -> Self {
        Self { in_filter: true, ..self }
    }

    pub(super) fn into_filter_error(self) -> Error {
        let Self { at, expected, .. } = self;
        let detail = format!(
            "filter, character {at}: expected {expected}; filters look like userName eq \"ana\" or emails[type eq \"work\" and value co \"@example.com\"]"
        );
        Error::bad_request(ScimType::InvalidFilter, detail)
    }

    pub(crate) fn into_path_error(self) -> Error {
        let Self { at, expected, in_filter } = self;
        let detail = format!(
            "path, character {at}: expected {expected}; paths look like name.givenName or emails[type eq \"work\"].value"
        );
        Error::bad_request(if in_filter { ScimType::InvalidFilter } else { ScimType::InvalidPath }, detail)
    }
}
