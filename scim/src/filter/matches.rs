//! What a filter means, on JSON in memory: for value paths of PATCH, and as the reference for whoever compiles filters to something
//! faster.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::{Attribute, Comparison, Filter, Literal, resolve};
use crate::canonical;

/// What an object holds for an attribute, and how it compares.
pub(crate) struct Held<'a> {
    pub(crate) value: Option<&'a Value>,
    pub(crate) case_exact: bool,
    /// Whether its absence states that it is false (RFC 7643 §2.4 says so of `primary`, and of nothing else).
    pub(crate) false_if_absent: bool,
}

impl Filter {
    /// Whether `resource`, complete as it is sent (see [`crate::render`]), meets the condition.
    ///
    /// Strings compare by their characters, in lower case unless the attribute is `caseExact`. What has no value meets no
    /// comparison but `ne`, and no value of a list meets any.
    pub fn matches(&self, resource: &Value) -> bool {
        self.holds(resource, &|of, attribute: &Attribute| {
            let of = match attribute.extension {
                None => Some(of),
                Some(urn) => member(of, urn),
            };
            let root = of.and_then(|of| member(of, attribute.name));
            Held {
                value: match attribute.sub {
                    None => root,
                    Some(sub) => root.and_then(|root| member(root, sub)),
                },
                case_exact: attribute.case_exact,
                false_if_absent: attribute.extension.is_none() && attribute.name == "primary",
            }
        })
    }
}

impl<A> Filter<A> {
    /// `look` finds what the resource, or one value of a list, holds for an attribute.
    pub(crate) fn holds<'v>(&self, of: &'v Value, look: &impl Fn(&'v Value, &A) -> Held<'v>) -> bool {
        match self {
            Filter::And(all) => all.iter().all(|one| one.holds(of, look)),
            Filter::Or(any) => any.iter().any(|one| one.holds(of, look)),
            Filter::Not(inner) => !inner.holds(of, look),
            Filter::Present(attribute) => look(of, attribute).value.is_some_and(is_present),
            Filter::Values { attribute, filter } => match look(of, attribute).value {
                Some(Value::Array(values)) => values.iter().any(|value| filter.holds(value, look)),
                Some(Value::Null) | None => false,
                Some(one) => filter.holds(one, look),
            },
            Filter::Compare { attribute, op, value } => {
                let held = look(of, attribute);
                match op {
                    Comparison::Ne => !held.compares(Comparison::Eq, value),
                    op => held.compares(*op, value),
                }
            }
        }
    }
}

impl Held<'_> {
    fn compares(&self, op: Comparison, wanted: &Literal) -> bool {
        match (self.value, wanted) {
            (Some(Value::String(held)), Literal::String(wanted)) if self.case_exact => texts(held, op, wanted),
            (Some(Value::String(held)), Literal::String(wanted)) => texts(&folded(held), op, &folded(wanted)),
            (Some(Value::Bool(held)), Literal::Boolean(wanted)) => op == Comparison::Eq && held == wanted,
            (None, Literal::Boolean(wanted)) => op == Comparison::Eq && self.false_if_absent && !wanted,
            (Some(Value::String(held)), Literal::DateTime(wanted)) => {
                resolve::time(held).is_some_and(|held| ordered(held.cmp(wanted), op))
            }
            (Some(Value::Number(held)), Literal::Number(wanted)) => {
                numbers(held, wanted).is_some_and(|ordering| ordered(ordering, op))
            }
            _ => false,
        }
    }
}

/// What stands under `name`; a value that is no object is its own `value`.
fn member<'a>(of: &'a Value, name: &str) -> Option<&'a Value> {
    match of {
        Value::Object(object) => canonical::get(object, name),
        Value::Array(_) => None,
        scalar => name.eq_ignore_ascii_case("value").then_some(scalar),
    }
}

/// "Non-empty or non-null" of RFC 7644 §3.4.2.2; an object is empty if nothing in it is present.
pub(crate) fn is_present(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => list.iter().any(is_present),
        Value::Object(object) => object.values().any(is_present),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

/// `text` as it compares where case does not count.
pub(crate) fn folded(text: &str) -> String {
    text.to_lowercase()
}

fn texts(held: &str, op: Comparison, wanted: &str) -> bool {
    match op {
        Comparison::Co => held.contains(wanted),
        Comparison::Sw => held.starts_with(wanted),
        Comparison::Ew => held.ends_with(wanted),
        op => ordered(held.cmp(wanted), op),
    }
}

fn numbers(held: &Number, wanted: &Number) -> Option<Ordering> {
    match (held.as_i64(), wanted.as_i64()) {
        (Some(held), Some(wanted)) => Some(held.cmp(&wanted)),
        _ => held.as_f64()?.partial_cmp(&wanted.as_f64()?),
    }
}

fn ordered(ordering: Ordering, op: Comparison) -> bool {
    match op {
        Comparison::Eq => ordering.is_eq(),
        Comparison::Ne => ordering.is_ne(),
        Comparison::Gt => ordering.is_gt(),
        Comparison::Ge => ordering.is_ge(),
        Comparison::Lt => ordering.is_lt(),
        Comparison::Le => ordering.is_le(),
        Comparison::Co | Comparison::Sw | Comparison::Ew => false,
    }
}
