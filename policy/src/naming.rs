//! Compiles and evaluates an expression whose result is what somebody is called.

use std::collections::BTreeSet;

use cel::Value;
use cel::common::ast::{Expr, IdedExpr};
use lifecycle::IdentityView;

use crate::error::EvaluationError;
use crate::expression::{Expression, Fault, Root, evaluate_with};
use crate::facts::Facts;
use crate::place::Place;
use crate::problem::Problem;
use crate::trial;
use crate::vocabulary::Scope;

/// Compiles `text` and tries it; `judge` may refuse what compiles.
pub(crate) fn parse(
    text: &str,
    scope: Scope,
    root: &Root,
    judge: impl FnOnce(&Expression) -> Option<String>,
) -> Result<Expression, Vec<Problem>> {
    let whole = 0..text.chars().count();
    let parsed = Expression::parse(text, scope).and_then(|expression| {
        let refused = trial(&expression, root).map(|error| format!("this names nobody: {error}"));
        match refused.or_else(|| judge(&expression)) {
            Some(message) => Err(vec![Fault::new(whole, message)]),
            None => Ok(expression),
        }
    });
    parsed.map_err(|faults| {
        let bytes = |character: usize| text.char_indices().nth(character).map_or(text.len(), |(byte, _)| byte);
        faults
            .into_iter()
            .map(|fault| problem(Place::of(text, bytes(fault.at.start)..bytes(fault.at.end)), fault))
            .collect()
    })
}

/// The error that everybody would get, found on somebody made up who has a value in every field and an account everywhere.
fn trial(expression: &Expression, root: &Root) -> Option<EvaluationError> {
    let somebody = trial::somebody(&expression.reads().sources);
    values(expression, root, &somebody).err().filter(|error| error.is_of_types() && !expression.reads().free)
}

/// The values of an expression for this person, each once, in order.
pub(crate) fn values(
    expression: &Expression,
    root: &Root,
    identity: &IdentityView,
) -> Result<Vec<String>, EvaluationError> {
    let facts = Facts { identity: Some(identity), ..Facts::default() };
    let mut values = Vec::new();
    let tree = expression.tree();
    match &tree.expr {
        Expr::List(list) => list.elements.iter().try_for_each(|element| collect(root, element, &facts, &mut values))?,
        _ => collect(root, tree, &facts, &mut values)?,
    }
    let mut seen = BTreeSet::new();
    values.retain(|value| seen.insert(value.clone()));
    Ok(values)
}

fn collect(root: &Root, tree: &IdedExpr, facts: &Facts<'_>, values: &mut Vec<String>) -> Result<(), EvaluationError> {
    let read = evaluate_with(root, tree, facts, |value| {
        let wrong = || EvaluationError::wrong_result(value.get_type(), "text or a list of texts");
        match Value::try_from(value.as_ref()).map_err(|_| wrong())? {
            Value::List(items) => items.iter().try_for_each(|item| push(item, values)).ok_or_else(wrong_element),
            other => push(&other, values).ok_or_else(wrong),
        }
    });
    match read {
        Err(error) if error.is_of_absence() => Ok(()),
        other => other,
    }
}

fn wrong_element() -> EvaluationError {
    EvaluationError::WrongResult { got: "a list of something else".to_owned(), wanted: "a list of texts".to_owned() }
}

/// `None` for a value that cannot be anybody's name.
fn push(value: &Value, values: &mut Vec<String>) -> Option<()> {
    let text = text(value)?;
    values.extend(Some(text).filter(|text| !text.is_empty()));
    Some(())
}

/// A value as a name: empty where there is none, `None` where it cannot be one.
pub(crate) fn text(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => String::new(),
        Value::String(text) => text.to_string(),
        Value::Int(number) => number.to_string(),
        Value::UInt(number) => number.to_string(),
        Value::Float(number) if number.is_finite() => number.to_string(),
        _ => return None,
    })
}

/// A fault at the place where its file has it.
pub(crate) fn problem(place: Place, fault: Fault) -> Problem {
    let problem = Problem::new(place, fault.message);
    let problem = match fault.known {
        Some((noun, found, words)) => problem.known(noun, &found, &words),
        None => problem,
    };
    match fault.help {
        Some(help) => problem.help(help),
        None => problem,
    }
}
