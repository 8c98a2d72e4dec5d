#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod brake;
mod calls;
mod check;
mod decide;
mod document;
mod error;
mod example;
mod exposure;
mod expression;
mod facts;
mod judge;
mod keyed;
mod names;
mod naming;
mod place;
mod policy;
mod problem;
mod publish;
mod subject;
#[cfg(test)]
mod tests;
mod tokens;
mod trial;
mod vocabulary;
mod yaml;

pub use brake::{Brake, Braked, Braking};
pub use decide::{Decision, Ordered, RuleError};
pub use error::EvaluationError;
pub use example::ExampleResult;
pub use judge::{Difference, Effect, Judge, Ruling, concerns};
pub use keyed::KeyError;
pub use names::{NameError, Names};
pub use policy::{LOCK, Policy, Rule, SHORTENED};
pub use problem::Problem;
pub use publish::PublishExpression;
pub use subject::SubjectExpression;
