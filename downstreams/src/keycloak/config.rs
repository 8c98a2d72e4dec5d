//! What an operator may set for the sessions of a Keycloak realm.

use std::time::Duration;

use lifecycle::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

/// User sessions and offline sessions of one realm of Keycloak.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where Keycloak answers: `https://HOST[:PORT][/PATH]`, without `/realms` or `/admin`.
    pub url: String,

    /// The realm whose sessions are ended. The client is one of this realm too.
    pub realm: String,

    /// A confidential client with a service account that has the role `manage-users` of `realm-management`.
    pub client_id: String,

    pub client_secret: Secret,

    /// The longest wait for any one answer, such as `5s`.
    #[serde(default = "default_timeout", with = "humantime_serde")]
    #[schemars(with = "String")]
    pub timeout: Duration,
}

fn default_timeout() -> Duration {
    Duration::from_secs(5)
}
