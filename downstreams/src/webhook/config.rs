//! What an operator may set for a receiver of signals.

use std::time::Duration;

use lifecycle::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

/// Somebody who is told of events, by signed requests.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where signals are posted to: `https://HOST[:PORT]/PATH`. `http://` is for this machine only.
    pub url: Secret,

    /// What signals are signed with: `whsec_` and 24 to 64 random bytes in base64. With several, each signs, so that one can be
    /// replaced while the receiver still knows the other.
    pub secrets: Vec<Secret>,

    /// Plain `http://` to another machine as well.
    #[serde(default)]
    pub allow_http: bool,

    /// `subject` may say who somebody is: a name, an address.
    #[serde(default)]
    pub allow_personal_data: bool,

    /// The longest wait for any one answer, such as `5s`.
    #[serde(default = "default_timeout", with = "humantime_serde")]
    #[schemars(with = "String")]
    pub timeout: Duration,
}

fn default_timeout() -> Duration {
    Duration::from_secs(10)
}
