//! The expression that says what a downstream calls a person.

use lifecycle::IdentityView;

use crate::error::EvaluationError;
use crate::expression::{self, Expression};
use crate::naming;
use crate::problem::Problem;
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
        naming::parse(text, Scope::Subject, &expression::ROOT, |_| None).map(Self)
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
    /// is judged alone. An empty answer means that there is no mapping, which the caller must make loud.
    ///
    /// # Errors
    /// [`EvaluationError`] where the result is neither text nor a number nor a list of them, or there is none.
    pub fn evaluate(&self, identity: &IdentityView) -> Result<Vec<String>, EvaluationError> {
        naming::values(&self.0, &expression::ROOT, identity)
    }
}
