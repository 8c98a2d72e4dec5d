//! Why an expression has no result for certain facts.

use cel::ExecutionError;
use serde::{Deserialize, Serialize};

/// An expression could not be evaluated.
///
/// It names types and operators, never values: the interpreter's own error quotes the values at hand, which are personal data,
/// and this error is logged and stored with the decision. So it replaces its cause instead of carrying it as a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EvaluationError {
    /// A key that `has()` would have said is not there.
    #[error("a key that the expression reads is absent")]
    AbsentKey,
    /// An operator or a function met types that it is not made for, most often null.
    #[error("{operation} does not take ({arguments})")]
    NoSuchOverload { operation: String, arguments: String },
    /// The result, or an element of it, is of the wrong type.
    #[error("the result is {got}, not {wanted}")]
    WrongResult { got: String, wanted: String },
    /// The types were right and the values were not: an overflow, an index beyond the end, a text that is no number.
    #[error("an operation refused the values that it was given")]
    Refused,
}

impl EvaluationError {
    pub(crate) fn wrong_result(got: &cel::common::types::Type, wanted: &str) -> Self {
        Self::WrongResult { got: with_article(&type_name(got.name())), wanted: wanted.to_owned() }
    }

    /// Whether no facts of the same types would have made a difference.
    pub(crate) fn is_of_types(&self) -> bool {
        matches!(self, Self::NoSuchOverload { .. } | Self::WrongResult { .. })
    }

    /// Whether something that it needs is not there: a key, or a value where null is.
    pub(crate) fn is_of_absence(&self) -> bool {
        match self {
            Self::AbsentKey => true,
            Self::NoSuchOverload { arguments, .. } => arguments.split(", ").any(|name| name == NULL),
            _ => false,
        }
    }
}

impl From<ExecutionError> for EvaluationError {
    fn from(error: ExecutionError) -> Self {
        match error {
            ExecutionError::NoSuchKey(_) => Self::AbsentKey,
            ExecutionError::NoSuchOverload(overload) => Self::NoSuchOverload {
                operation: operation(overload.function()),
                arguments: overload.argument_types().iter().map(|t| type_name(t)).collect::<Vec<_>>().join(", "),
            },
            ExecutionError::UnsupportedBinaryOperator(name, left, right) => Self::NoSuchOverload {
                operation: operation(name),
                arguments: format!("{}, {}", left.type_of(), right.type_of()),
            },
            ExecutionError::ValuesNotComparable(left, right) => Self::NoSuchOverload {
                operation: "a comparison".to_owned(),
                arguments: format!("{}, {}", left.type_of(), right.type_of()),
            },
            _ => Self::Refused,
        }
    }
}

/// `_>_` is the interpreter's name of `>`, and `_._` of selecting a field.
fn operation(name: &str) -> String {
    match name {
        "_._" => "selecting a field".to_owned(),
        "_[_]" => "selecting by index".to_owned(),
        "add" => "`+`".to_owned(),
        "sub" => "`-`".to_owned(),
        "mul" => "`*`".to_owned(),
        "div" => "`/`".to_owned(),
        "rem" => "`%`".to_owned(),
        "@in" => "`in`".to_owned(),
        _ => format!("`{}`", name.trim_matches('_')),
    }
}

const NULL: &str = "null";

fn type_name(name: &str) -> String {
    if name == "null_type" { NULL } else { name }.to_owned()
}

fn with_article(name: &str) -> String {
    match name {
        NULL => name.to_owned(),
        _ if name.starts_with(['a', 'i', 'o']) => format!("an {name}"),
        _ => format!("a {name}"),
    }
}
