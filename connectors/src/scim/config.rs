//! What an operator may set for a source that pushes by SCIM.

use std::num::NonZeroU32;

use lifecycle::Secret;
use schemars::JsonSchema;
use scim::dialect::Dialect;
use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Bearer tokens, usually `env:NAME` or `file:PATH`. Absent: only those made with `token create`.
    #[serde(default)]
    pub tokens: Vec<Secret>,
    /// How often one token may call. What comes more often is answered 429 and, by every identity provider, sent again.
    #[serde(default)]
    pub rate: Rate,
    /// Who it is, such as `entra`. Absent: told from what it sends. Nothing is understood otherwise; what does not fit is counted.
    #[serde(default)]
    pub dialect: Option<Dialect>,
}

/// How often one token may call, at each process.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rate {
    /// On the long run.
    pub per_second: NonZeroU32,
    /// At once, after a time without calls.
    pub burst: NonZeroU32,
}

impl Default for Rate {
    fn default() -> Self {
        let [per_second, burst] = [1_000, 5_000].map(|n| NonZeroU32::new(n).expect("it is not zero"));
        Self { per_second, burst }
    }
}

impl Config {
    /// The caller selects the scope, so nothing here does.
    pub(crate) fn scope(&self) -> Value {
        Value::Null
    }
}
