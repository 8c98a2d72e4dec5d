//! What an operator may set for the users of a Keycloak realm.

use std::time::Duration;

use lifecycle::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use crate::Rate;

/// The users of one realm of Keycloak, by its Admin API.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where Keycloak answers: `https://HOST[:PORT][/PATH]`, without `/realms` or `/admin`.
    pub url: String,
    /// The realm that is read. The client is one of this realm too.
    pub realm: String,
    /// A confidential client with a service account that has the roles `view-users`, `view-events` and, for service
    /// accounts, `view-clients` of `realm-management`.
    pub client_id: String,
    pub client_secret: Secret,
    /// The user attributes that hold what Keycloak has no field for.
    #[serde(default)]
    pub map: Map,
    /// Whether the service accounts of clients are read as well.
    #[serde(default = "yes")]
    pub service_accounts: bool,
    /// How many requests the server is asked, such as `20/s`, by all workers and all sources of this host together. Absent: as
    /// many as it answers.
    #[serde(default)]
    pub rate: Option<Rate>,
    /// The longest wait for any one answer, such as `30s`.
    #[serde(default = "default_timeout", with = "humantime_serde")]
    #[schemars(with = "String")]
    pub timeout: Duration,
}

/// The name of the attribute for each of our fields.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Map {
    pub employee_number: String,
    pub department: String,
    pub manager: String,
}

impl Default for Map {
    fn default() -> Self {
        Self { employee_number: "employeeNumber".into(), department: "department".into(), manager: "manager".into() }
    }
}

impl Config {
    /// What decides who is in scope: another client may see other people.
    pub(crate) fn scope(&self) -> Value {
        json!([self.url, self.realm, self.client_id, self.map, self.service_accounts])
    }

    /// Named by the server: its realms share what it bears.
    pub(crate) fn budget(&self) -> Option<(String, Rate)> {
        let url = Url::parse(&self.url).ok()?;
        let (host, port) = (url.host_str()?.to_owned(), url.port_or_known_default()?);
        self.rate.map(|rate| (format!("keycloak/{host}:{port}"), rate))
    }
}

fn yes() -> bool {
    true
}

/// A page of a thousand users takes a busy server seconds.
fn default_timeout() -> Duration {
    Duration::from_secs(30)
}
