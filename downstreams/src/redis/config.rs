//! What an operator may set for a session store in Redis.

use std::time::Duration;

use lifecycle::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

/// A session store in Redis, Valkey, or what speaks their protocol.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `redis://[USER][:PASSWORD@]HOST[:PORT][/DB]`; `rediss://` with TLS, `unix://PATH` for a socket.
    pub url: Secret,

    /// Which library writes the sessions.
    pub layout: Layout,

    /// What the store's keys begin with.
    #[serde(default = "default_prefix")]
    pub prefix: String,

    /// Where in a session's JSON the user stands: names with dots between them, such as `passport.user`. A string or a
    /// number.
    pub path: String,

    /// The longest wait for any one answer, such as `5s`. A scan is many answers.
    #[serde(default = "default_timeout", with = "humantime_serde")]
    #[schemars(with = "String")]
    pub timeout: Duration,
}

/// How sessions are laid out in the keys of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// express-session with connect-redis: one string per session, `<prefix><session id>`, JSON.
    ConnectRedis,
}

fn default_prefix() -> String {
    "sess:".into()
}

fn default_timeout() -> Duration {
    Duration::from_secs(5)
}
