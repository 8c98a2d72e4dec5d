//! What a policy may ask for. A downstream that cannot do one says `unsupported`; it never does something stronger instead.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An answer to a lifecycle event (DESIGN §6), weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Notify,
    Recheck,
    ShortenTtl,
    RevokeCredentials,
    RevokeRefresh,
    RevokeSessions,
    Lock,
}

impl Action {
    pub const ALL: [Action; 7] = [
        Action::Notify,
        Action::Recheck,
        Action::ShortenTtl,
        Action::RevokeCredentials,
        Action::RevokeRefresh,
        Action::RevokeSessions,
        Action::Lock,
    ];

    /// The word used in policies, JSON and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Notify => "notify",
            Action::Recheck => "recheck",
            Action::ShortenTtl => "shorten_ttl",
            Action::RevokeCredentials => "revoke_credentials",
            Action::RevokeRefresh => "revoke_refresh",
            Action::RevokeSessions => "revoke_sessions",
            Action::Lock => "lock",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == text)
    }

    /// Whether it comes to an instant that sessions, or what refreshes them, are measured by, and so joins what was ordered before.
    /// What does not is owed for each decision alone.
    pub fn is_cutoff(self) -> bool {
        match self {
            Action::RevokeSessions | Action::RevokeRefresh | Action::Recheck | Action::ShortenTtl | Action::Lock => {
                true
            }
            Action::Notify | Action::RevokeCredentials => false,
        }
    }
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
