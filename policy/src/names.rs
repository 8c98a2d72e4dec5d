//! The names under which subscribers are told of a person: every expression of `publish.subjects`, with the key.

use std::collections::BTreeMap;
use std::fmt;

use lifecycle::{IdentityView, Secret};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::error::EvaluationError;
use crate::expression::{ROOT, Root};
use crate::keyed::{Key, KeyError};
use crate::naming;
use crate::publish::PublishExpression;

/// A name that could not be had for somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameError {
    /// The key in `publish.subjects`.
    pub name: String,
    pub error: EvaluationError,
}

/// What subscribers are told somebody is called. Its `Debug` shows the expressions and not the key.
pub struct Names {
    expressions: BTreeMap<String, PublishExpression>,
    keyed: Option<Keyed>,
    digest: String,
}

/// The functions of expressions that hide: the text as it is, and in lower case.
struct Keyed {
    as_it_is: Root,
    lower_case: Root,
}

impl Names {
    /// `expressions` by name, as in `publish.subjects`; `key` is `publish.hmac_key`.
    ///
    /// # Errors
    /// [`KeyError`] where an expression hides something and the key is absent or too short.
    pub fn new(expressions: BTreeMap<String, PublishExpression>, key: Option<&Secret>) -> Result<Self, KeyError> {
        let key = match expressions.iter().find(|(_, expression)| expression.uses_hmac()) {
            Some((name, _)) => Some(Key::new(key.ok_or_else(|| KeyError::Missing(name.clone()))?)?),
            None => None,
        };
        let digest = digest(&expressions, key.as_ref());
        let keyed = key.map(|key| Keyed { as_it_is: key.root(str::to_owned), lower_case: key.root(str::to_lowercase) });
        Ok(Self { expressions, keyed, digest })
    }

    /// Whether nobody has a name.
    pub fn is_empty(&self) -> bool {
        self.expressions.is_empty()
    }

    /// Says whether the names of a person may have changed: it differs where an expression does, or the key of one that hides.
    /// Neither the key nor a bare hash of it can be had from it.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The names of a person: `{name: [values]}`, each value once, without the names that have none.
    ///
    /// What holds capital letters is hidden twice, as it is and in lower case: a subscriber hides what its tokens say, and some
    /// issuers keep the case of an address and some do not.
    ///
    /// The errors are of the names that could not be had; the others are complete.
    pub fn of(&self, identity: &IdentityView) -> (BTreeMap<String, Vec<String>>, Vec<NameError>) {
        let (mut names, mut errors) = (BTreeMap::new(), Vec::new());
        for (name, expression) in &self.expressions {
            match self.values(expression, identity) {
                Ok(values) if values.is_empty() => {}
                Ok(values) => drop(names.insert(name.clone(), values)),
                Err(error) => errors.push(NameError { name: name.clone(), error }),
            }
        }
        (names, errors)
    }

    fn values(&self, expression: &PublishExpression, identity: &IdentityView) -> Result<Vec<String>, EvaluationError> {
        let Some(keyed) = self.keyed.as_ref().filter(|_| expression.uses_hmac()) else {
            return naming::values(expression.expression(), &ROOT, identity);
        };
        let mut values = naming::values(expression.expression(), &keyed.as_it_is, identity)?;
        for value in naming::values(expression.expression(), &keyed.lower_case, identity)? {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        Ok(values)
    }
}

impl Default for Names {
    fn default() -> Self {
        let expressions = BTreeMap::new();
        Self { digest: digest(&expressions, None), expressions, keyed: None }
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expressions = self.expressions.iter().map(|(name, expression)| (name, expression.text()));
        f.debug_map().entries(expressions).finish()
    }
}

fn digest(expressions: &BTreeMap<String, PublishExpression>, key: Option<&Key>) -> String {
    let written: BTreeMap<&str, &str> =
        expressions.iter().map(|(name, expression)| (name.as_str(), expression.text())).collect();
    let written = json!({ "subjects": written }).to_string();
    match key {
        Some(key) => key.hide(&written),
        None => hex::encode(Sha256::digest(&written)),
    }
}
