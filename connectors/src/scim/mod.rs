//! A source that pushes by SCIM 2.0 (RFC 7644): there is nothing to pull, only callers to let in.

mod config;

use lifecycle::Secret;
use scim::dialect::Dialect;

pub use config::{Config, Rate};

/// What the receiving routes need to know of a pushing source.
#[derive(Debug, Clone)]
pub struct Push {
    /// Bearer tokens that are accepted beside those made with `token create`.
    pub tokens: Vec<Secret>,
    pub rate: Rate,
    pub dialect: Option<Dialect>,
}

impl Push {
    pub(crate) fn new(config: &Config) -> Self {
        Self { tokens: config.tokens.clone(), rate: config.rate, dialect: config.dialect }
    }

    pub(crate) fn describe(&self) -> String {
        match self.tokens.len() {
            0 => "waits for SCIM requests, with tokens made by `token create` only".to_owned(),
            1 => "waits for SCIM requests, 1 token in the configuration".to_owned(),
            many => format!("waits for SCIM requests, {many} tokens in the configuration"),
        }
    }
}
