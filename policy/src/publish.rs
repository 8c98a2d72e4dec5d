//! The expression that says under which name subscribers are told of a person.

use crate::exposure::{Exposure, Read};
use crate::expression::Expression;
use crate::problem::Problem;
use crate::vocabulary::Scope;
use crate::{keyed, naming};

/// What a subscriber calls a person: `account("corp").id`, `hmac(identity.email)`, `[account("corp").id, identity.id]`.
///
/// The values leave Leaver, so by default they must be opaque: [`PublishExpression::personal_reads`] is empty. They are evaluated
/// by [`crate::Names`].
#[derive(Debug)]
pub struct PublishExpression {
    expression: Expression,
    exposure: Exposure,
}

impl PublishExpression {
    /// Compiles `text`, in which `hmac(text)` may be used besides all that a [`crate::SubjectExpression`] may.
    ///
    /// # Errors
    /// Every problem in it, line and column counted in `text`; among them that it would name everybody alike.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let expression = naming::parse(text, Scope::Publish, &keyed::TRIAL, |expression| {
            let Exposure { shown, hidden, .. } = Exposure::of(expression.tree());
            let of_many = shown.iter().chain(&hidden).all(Read::is_of_many);
            of_many.then(|| "this is no name: many people would have the same".to_owned())
        })?;
        let exposure = Exposure::of(expression.tree());
        Ok(Self { expression, exposure })
    }

    /// The expression as it was written.
    pub fn text(&self) -> &str {
        self.expression.text()
    }

    /// The sources that `account("…")` names, in alphabetical order: a configuration checks that they exist.
    pub fn sources(&self) -> Vec<String> {
        self.expression.reads().sources.iter().cloned().collect()
    }

    /// Whether it needs `publish.hmac_key`.
    pub fn uses_hmac(&self) -> bool {
        self.exposure.hmac
    }

    /// The personal values that it would show, such as `identity.email` and `account("corp").attributes.uid`, in alphabetical
    /// order; empty where it is opaque.
    ///
    /// Opaque are `identity.id`, `account("…").id`, what many people share (`identity.kind`, `state`, `generation`), literals, and
    /// whatever stands inside `hmac(…)`. `personal_id` says of which sources the native id itself is personal, such as a file keyed
    /// by `userName`.
    pub fn personal_reads(&self, personal_id: impl Fn(&str) -> bool) -> Vec<String> {
        let personal = self.exposure.shown.iter().filter(|read| !read.is_opaque(&personal_id));
        personal.map(Read::to_string).collect()
    }

    pub(crate) fn expression(&self) -> &Expression {
        &self.expression
    }
}
