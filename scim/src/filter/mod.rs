//! Filters (RFC 7644 §3.4.2.2): the typed form and its printer. Text is read by `parser`, names are given their meaning by
//! `resolve`, and `matches` is what the tree means.

mod attribute;
mod lexer;
mod matches;
mod parser;
mod resolve;
mod shapes;

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Number;

pub use attribute::Attribute;
pub(crate) use matches::{Held, folded};
pub(crate) use parser::Written;
use resolve::Fault;
pub(crate) use resolve::{Misfit, fits, parse_path};
pub(crate) use shapes::{shapes, truth_in_quotes};

use crate::error::Result;
use crate::schema::ResourceType;

/// A condition on resources or, within [`Filter::Values`], on one value of a multi-valued attribute; with `A = String` on values
/// of an attribute that only the place of its use knows.
///
/// Parsed filters have one form: what is nested needlessly is flat, `eq null` is "not present", and a comparison with a sub-attribute
/// of a multi-valued attribute stands in [`Filter::Values`], whether it was written `emails.value eq "x"` or
/// `emails[value eq "x"]`. Callers match exhaustively, so that a variant added here is an error there until it is handled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Filter<A = Attribute> {
    /// Of an attribute that has one value at most.
    Compare {
        attribute: A,
        op: Comparison,
        value: Literal,
    },
    /// It holds something: neither null, nor an empty string, list or object.
    Present(A),
    /// At least one value of a multi-valued attribute meets the condition. Its attributes are sub-attributes of `attribute`, by
    /// their own names; a value that is no object is its own `value`.
    Values {
        attribute: A,
        filter: Box<Filter<A>>,
    },
    /// All of them. Never holds an `And` itself and never fewer than two.
    And(Vec<Filter<A>>),
    /// At least one of them. Never holds an `Or` itself and never fewer than two.
    Or(Vec<Filter<A>>),
    Not(Box<Filter<A>>),
}

/// The comparisons of RFC 7644 §3.4.2.2, table 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    Eq,
    /// The negation of `Eq`: also true where the attribute has no value.
    Ne,
    /// Contains.
    Co,
    /// Starts with.
    Sw,
    /// Ends with.
    Ew,
    Gt,
    Ge,
    Lt,
    Le,
}

impl Comparison {
    const ALL: [Comparison; 9] = [
        Comparison::Eq,
        Comparison::Ne,
        Comparison::Co,
        Comparison::Sw,
        Comparison::Ew,
        Comparison::Gt,
        Comparison::Ge,
        Comparison::Lt,
        Comparison::Le,
    ];

    /// The operator as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Comparison::Eq => "eq",
            Comparison::Ne => "ne",
            Comparison::Co => "co",
            Comparison::Sw => "sw",
            Comparison::Ew => "ew",
            Comparison::Gt => "gt",
            Comparison::Ge => "ge",
            Comparison::Lt => "lt",
            Comparison::Le => "le",
        }
    }

    /// The operator of this name, in any case.
    fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str().eq_ignore_ascii_case(word))
    }
}

/// What an attribute is compared with; of the attribute's own type where that is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Literal {
    String(String),
    Boolean(bool),
    /// In whole milliseconds, as times are sent: what is compared with it must be cut off there, too.
    DateTime(DateTime<Utc>),
    /// Only in value paths of attributes that no schema knows.
    Number(Number),
}

impl Filter {
    /// Parses the `filter` parameter of a list of `resource`.
    ///
    /// # Errors
    /// `invalidFilter` with the position of the first thing not understood: the grammar, an attribute that the schemas do not know,
    /// a comparison that its type does not have, or a limit of [`crate::limits`]. A filter is understood in full or not at all.
    pub fn parse(resource: ResourceType, text: &str) -> Result<Self> {
        parser::filter(text)
            .and_then(|expression| resolve::of_resource(resource, expression))
            .map_err(Fault::into_filter_error)
    }
}

impl<A> Filter<A> {
    /// The conjunction of `all`, flattened; a single filter is itself.
    pub fn and(all: Vec<Filter<A>>) -> Self {
        Self::joined(all, Filter::And, |one| match one {
            Filter::And(inner) => Ok(inner),
            other => Err(other),
        })
    }

    /// The disjunction of `any`, flattened; a single filter is itself.
    pub fn or(any: Vec<Filter<A>>) -> Self {
        Self::joined(any, Filter::Or, |one| match one {
            Filter::Or(inner) => Ok(inner),
            other => Err(other),
        })
    }

    fn joined(
        parts: Vec<Filter<A>>,
        join: impl Fn(Vec<Filter<A>>) -> Self,
        same: impl Fn(Filter<A>) -> Result<Vec<Filter<A>>, Filter<A>>,
    ) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match same(part) {
                Ok(inner) => flat.extend(inner),
                Err(other) => flat.push(other),
            }
        }
        if flat.len() == 1 { flat.remove(0) } else { join(flat) }
    }
}

/// In the syntax of the standard, such that parsing it gives the same filter again.
impl<A: fmt::Display> fmt::Display for Filter<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Filter::Compare { attribute, op, value } => write!(f, "{attribute} {} {value}", op.as_str()),
            Filter::Present(attribute) => write!(f, "{attribute} pr"),
            Filter::Values { attribute, filter } => write!(f, "{attribute}[{filter}]"),
            Filter::Not(inner) => write!(f, "not ({inner})"),
            Filter::And(all) => all.iter().enumerate().try_for_each(|(at, one)| {
                let and = if at == 0 { "" } else { " and " };
                match one {
                    Filter::Or(_) => write!(f, "{and}({one})"),
                    _ => write!(f, "{and}{one}"),
                }
            }),
            Filter::Or(any) => any.iter().enumerate().try_for_each(|(at, one)| {
                let or = if at == 0 { "" } else { " or " };
                write!(f, "{or}{one}")
            }),
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // A JSON string, with its escapes.
            Literal::String(text) => write!(f, "{}", serde_json::Value::from(text.as_str())),
            Literal::Boolean(truth) => write!(f, "{truth}"),
            Literal::DateTime(time) => write!(f, "\"{}\"", time.to_rfc3339_opts(SecondsFormat::Millis, true)),
            Literal::Number(number) => write!(f, "{number}"),
        }
    }
}

#[cfg(test)]
mod tests;
