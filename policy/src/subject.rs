//! The expression that says what a downstream calls a person.

use std::collections::BTreeSet;

use cel::Value;
use cel::common::ast::{Expr, IdedExpr};
use lifecycle::IdentityView;

use crate::error::EvaluationError;
use crate::expression::{Expression, Fault, evaluate};
use crate::facts::Facts;
use crate::place::Place;
use crate::problem::Problem;
use crate::trial;
use crate::vocabulary::Scope;

/// What a downstream calls a person: `identity.userName`, `account("corp").id`, `[identity.email, account("crm").email]`.
#[derive(Debug)]
pub struct SubjectExpression(Expression);

impl SubjectExpression {
    /// Compiles `text`.
    ///
    /// # Errors
    /// Every problem in it, line and column counted in `text`.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let parsed = Expression::parse(text, Scope::Subject).map(Self).and_then(|subject| match subject.trial() {
            Some(error) => Err(vec![Fault::new(0..text.chars().count(), format!("this names nobody: {error}"))]),
            None => Ok(subject),
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
    fn trial(&self) -> Option<EvaluationError> {
        let somebody = trial::somebody(&self.0.reads().sources);
        self.evaluate(&somebody).err().filter(|error| error.is_of_types() && !self.0.reads().free)
    }

    /// The expression as it was written.
    pub fn text(&self) -> &str {
        self.0.text()
    }

    /// The sources that `account("…")` names, in alphabetical order: a configuration checks that they exist.
    pub fn sources(&self) -> Vec<String> {
        self.0.reads().sources.iter().cloned().collect()
    }

    /// The values that the person has at this downstream, each once, in order.
    ///
    /// Text is a value, a list is several, a number is its decimal text. Null, an empty text and an absent account are no value,
    /// and so is what would be made from null or from an absent key of the attributes; in a list that is written out each element
    /// is judged alone. An empty answer
    /// means that there is no mapping, which the caller must make loud.
    ///
    /// # Errors
    /// [`EvaluationError`] where the result is neither text nor a number nor a list of them, or there is none.
    pub fn evaluate(&self, identity: &IdentityView) -> Result<Vec<String>, EvaluationError> {
        let facts = Facts { identity: Some(identity), ..Facts::default() };
        let mut values = Vec::new();
        let tree = self.0.tree();
        match &tree.expr {
            Expr::List(list) => list.elements.iter().try_for_each(|element| collect(element, &facts, &mut values))?,
            _ => collect(tree, &facts, &mut values)?,
        }
        let mut seen = BTreeSet::new();
        values.retain(|value| seen.insert(value.clone()));
        Ok(values)
    }
}

fn collect(tree: &IdedExpr, facts: &Facts<'_>, values: &mut Vec<String>) -> Result<(), EvaluationError> {
    let read = evaluate(tree, facts, |value| {
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
    let text = match value {
        Value::Null => return Some(()),
        Value::String(text) => text.to_string(),
        Value::Int(number) => number.to_string(),
        Value::UInt(number) => number.to_string(),
        Value::Float(number) if number.is_finite() => number.to_string(),
        _ => return None,
    };
    if !text.is_empty() {
        values.push(text);
    }
    Some(())
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
