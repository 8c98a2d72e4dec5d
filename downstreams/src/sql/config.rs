//! What an operator may set for sessions in a table of PostgreSQL.

use std::time::Duration;

use lifecycle::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

/// Sessions in a PostgreSQL database, by the operator's own statements.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `postgres://[USER[:PASSWORD]@]HOST[:PORT]/DATABASE[?sslmode=verify-full]`.
    pub url: Secret,

    /// Selects the sessions of the user `$1`. The first column is the session id: text, varchar, uuid, int4 or int8.
    pub find: String,

    /// Ends the session `$2`; may also use `$1`, the user it was found for.
    pub end: String,

    /// Selects what is still there after `end`, in the columns of `find`. Absent: `find`.
    #[serde(default)]
    pub verify: Option<String>,

    /// The column of `find`, a timestamptz, that says when the session's user signed in. Absent: the store does not
    /// know.
    #[serde(default)]
    pub auth_time: Option<String>,

    /// The longest wait for any one answer, such as `5s`.
    #[serde(default = "default_timeout", with = "humantime_serde")]
    #[schemars(with = "String")]
    pub timeout: Duration,
}

fn default_timeout() -> Duration {
    Duration::from_secs(5)
}
