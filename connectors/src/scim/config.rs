//! What an operator may set for a source that pushes by SCIM.

use lifecycle::Secret;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Bearer tokens, usually `env:NAME` or `file:PATH`. Absent: only those made with `token create`.
    #[serde(default)]
    pub tokens: Vec<Secret>,
}

impl Config {
    /// The caller selects the scope, so nothing here does.
    pub(crate) fn scope(&self) -> Value {
        Value::Null
    }
}
