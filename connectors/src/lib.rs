#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod budget;
pub mod csv;
mod error;
pub mod keycloak;
mod pull;
pub mod scim;

use std::sync::Arc;

use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256};

pub use budget::{Budget, Rate};
pub use error::{BoxError, Error, Result};
pub use pull::{Batch, Checkpoint, Coverage, Parked, Pull};
pub use scim::Push;

/// What an operator may set under `connector:`; `type` names the folder.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Config {
    /// A file that HR exports.
    Csv(csv::Config),
    /// A realm of Keycloak, by its Admin API.
    Keycloak(keycloak::Config),
    /// An identity provider that pushes.
    Scim(scim::Config),
}

/// A source that is asked, or one that calls us.
pub enum Connector {
    Pull(Box<dyn Pull>),
    Push(Push),
}

impl Config {
    /// Makes the connector without touching the source.
    ///
    /// `zone` is the source's: it holds for dates that come without a zone of their own; absent, they are UTC.
    ///
    /// # Errors
    /// [`Error::Malformed`] for what a connector's client refuses about its settings.
    pub fn build(&self, zone: Option<Tz>) -> Result<Connector> {
        self.build_within(zone, None)
    }

    /// The same, for a connector that asks no more than the budget allows.
    ///
    /// # Errors
    /// As of [`Config::build`].
    pub fn build_within(&self, zone: Option<Tz>, budget: Option<Arc<dyn Budget>>) -> Result<Connector> {
        Ok(match self {
            Config::Csv(config) => Connector::Pull(Box::new(csv::Csv::new(config.clone(), zone.unwrap_or(Tz::UTC)))),
            Config::Keycloak(config) => Connector::Pull(Box::new(keycloak::Keycloak::new(config.clone(), budget)?)),
            Config::Scim(config) => Connector::Push(Push::new(config)),
        })
    }

    /// The budget of requests that the operator sets, with what it is a budget of: other sources may ask the same server.
    pub fn budget(&self) -> Option<(String, Rate)> {
        match self {
            Config::Keycloak(config) => config.budget(),
            Config::Csv(_) | Config::Scim(_) => None,
        }
    }

    /// The word after `type:`.
    pub fn kind(&self) -> &'static str {
        match self {
            Config::Csv(_) => "csv",
            Config::Keycloak(_) => "keycloak",
            Config::Scim(_) => "scim",
        }
    }

    /// A digest (SHA-256, hex) of what selects the people in scope; never of a secret.
    ///
    /// Another fingerprint than that of the last run means that people may be missing because the question changed, not
    /// because they left.
    pub fn fingerprint(&self) -> String {
        let scope = match self {
            Config::Csv(config) => config.scope(),
            Config::Keycloak(config) => config.scope(),
            Config::Scim(config) => config.scope(),
        };
        let canonical = serde_json::to_vec(&(self.kind(), scope)).expect("a scope is plain data with string keys");
        hex::encode(Sha256::digest(canonical))
    }
}

impl Connector {
    /// Tries the source without any effect and says in one sentence what was found.
    ///
    /// # Errors
    /// The same as [`Pull::pull`].
    pub async fn probe(&self) -> Result<String> {
        match self {
            Connector::Pull(connector) => connector.probe().await,
            Connector::Push(push) => Ok(push.describe()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(value: serde_json::Value) -> Config {
        serde_json::from_value(value).unwrap()
    }

    fn csv_with(name: &str, value: serde_json::Value) -> Config {
        let mut fields = json!({ "type": "csv", "path": "people.csv", "key": "employeeNumber" });
        fields[name] = value;
        config(fields)
    }

    #[test]
    fn the_fingerprint_changes_with_the_scope_and_with_nothing_else() {
        let plain = csv_with("type", json!("csv")).fingerprint();
        assert_eq!(csv_with("settle", json!("10s")).fingerprint(), plain);
        for (name, value) in [
            ("path", json!("staff.csv")),
            ("key", json!("userName")),
            ("manifest", json!("people.json")),
            ("map", json!({ "email": "Mail" })),
            ("delimiter", json!(";")),
        ] {
            assert_ne!(csv_with(name, value).fingerprint(), plain, "{name}");
        }
    }

    #[test]
    fn the_fingerprint_of_a_pushed_source_does_not_depend_on_its_tokens() {
        let none = config(json!({ "type": "scim" }));
        let some = config(json!({ "type": "scim", "tokens": ["correct horse"] }));
        assert_eq!(none.fingerprint(), some.fingerprint());
        assert!(!format!("{some:?}").contains("horse"));
    }

    #[test]
    fn an_unknown_setting_is_refused_and_the_known_ones_are_named() {
        for wrong in [
            json!({ "type": "csv", "path": "people.csv", "key": "email", "pth": "x" }),
            json!({ "type": "scim", "token": "x" }),
            json!({ "type": "csv", "path": "people.csv", "key": "email", "map": { "mail": "Mail" } }),
        ] {
            let refusal = serde_json::from_value::<Config>(wrong).unwrap_err().to_string();
            assert!(refusal.contains("expected"), "{refusal}");
        }
    }

    #[test]
    fn the_schema_names_our_columns_and_statuses() {
        let schema = schemars::schema_for!(Config);
        let names = schema.pointer("/oneOf/0/properties/map/propertyNames/enum").unwrap();
        assert_eq!(*names, json!(csv::Map::names()));
    }

    #[test]
    fn a_delimiter_that_could_not_be_told_from_the_text_is_refused() {
        for wrong in ["\"", "\n", "\r", "", ",,"] {
            let fields = json!({ "type": "csv", "path": "people.csv", "key": "email", "delimiter": wrong });
            assert!(serde_json::from_value::<Config>(fields).is_err(), "{wrong:?}");
        }
    }
}
