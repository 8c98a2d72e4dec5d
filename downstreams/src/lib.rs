#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod entries;
mod error;
mod index;
pub mod keycloak;
mod recent;
pub mod redis;
mod session;
mod signal;
pub mod sql;
mod subject;
pub mod webhook;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use lifecycle::Action;
use schemars::JsonSchema;
use serde::Deserialize;

pub use error::{BoxError, ConfigError, Error, Result};
pub use index::{Appeared, IndexState, SessionIndex};
pub use lifecycle::must_end::SessionKind;
pub use session::{Ending, Mark, Session, SessionId};
pub use signal::{Revoked, Signal};
pub use subject::{Match, Subject};

/// One system in which sessions live.
///
/// Every wait for an answer is bounded by the adapter's `timeout`. An error is about the whole call: nothing is known
/// then of any subject in it, and repeating the call is always safe.
#[async_trait]
pub trait Downstream: Send + Sync {
    /// What this adapter can do; known without a connection.
    fn capabilities(&self) -> Capabilities;

    /// The live sessions of each subject: `result[i]` belongs to `subjects[i]`. One pass serves every subject that
    /// waits.
    async fn find(&self, subjects: &[Subject]) -> Result<Vec<Vec<Session>>>;

    /// Ends exactly these sessions; one that is already gone is a success. `result[i]` says how many of `endings[i]`
    /// were there. It is a lower bound: where a connection breaks between order and answer, what was ended before is
    /// not counted.
    async fn end(&self, endings: &[Ending<'_>]) -> Result<Vec<u64>>;

    /// Reads again after [`end`](Self::end): what is still there, or there again. Shaped like [`find`](Self::find).
    async fn verify(&self, subjects: &[Subject]) -> Result<Vec<Vec<Session>>> {
        self.find(subjects).await
    }

    /// Leaves a mark for each subject: who signed in before its instant is to be asked again who it is. A mark is only ever
    /// moved to a later instant. Only where [`Action::Recheck`] is among the actions; it is done once this has returned.
    async fn mark(&self, _marks: &[Mark<'_>]) -> Result<()> {
        Err(Error::cannot(Action::Recheck))
    }

    /// Tells of an event: it is handed over once this has returned. Whoever repeats it does so under the same id. Only where
    /// [`Action::Notify`] is among the actions.
    async fn notify(&self, _signal: &Signal<'_>) -> Result<()> {
        Err(Error::cannot(Action::Notify))
    }

    /// Revokes what a subject comes in with and without a session, such as keys and tokens, as far as it was issued by `until`, and
    /// looks again. Only where [`Action::RevokeCredentials`] is among the actions.
    async fn revoke_credentials(&self, _subject: &Subject, _until: DateTime<Utc>) -> Result<Revoked> {
        Err(Error::cannot(Action::RevokeCredentials))
    }

    /// Connects, tries the rights that the other calls need, changes nothing.
    async fn probe(&self) -> Result<Probe>;

    /// The index that we keep beside a store that has none by user, if it is asked for.
    fn index(&self) -> Option<&dyn SessionIndex> {
        None
    }
}

/// What a downstream can do, as the revoker and `leaver check` need to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    pub finds: Finds,
    /// A request in flight may write an ended session back, so that one look afterwards proves nothing.
    pub resurrects: bool,
    /// `Session::auth_time` is filled, so that sessions begun after a cutoff can be spared.
    pub knows_auth_time: bool,
    /// The actions it can carry out. Any other is `unsupported`, never replaced by a stronger one.
    pub actions: &'static [Action],
}

/// What an adapter can carry out, by what its store keeps: also what refreshes, and also marks.
pub(crate) fn actions(refreshes: bool, marks: bool) -> &'static [Action] {
    use Action::{Lock, Recheck, RevokeRefresh, RevokeSessions, ShortenTtl};
    match (refreshes, marks) {
        (false, false) => &[RevokeSessions, ShortenTtl, Lock],
        (true, false) => &[RevokeSessions, RevokeRefresh, ShortenTtl, Lock],
        (false, true) => &[RevokeSessions, ShortenTtl, Lock, Recheck],
        (true, true) => &[RevokeSessions, RevokeRefresh, ShortenTtl, Lock, Recheck],
    }
}

/// The same where credentials are kept, with sessions or alone.
pub(crate) fn actions_on_credentials(sessions: bool, marks: bool) -> &'static [Action] {
    use Action::{Lock, Recheck, RevokeCredentials, RevokeSessions, ShortenTtl};
    match (sessions, marks) {
        (false, _) => &[RevokeCredentials],
        (true, false) => &[RevokeSessions, RevokeCredentials, ShortenTtl, Lock],
        (true, true) => &[RevokeSessions, RevokeCredentials, ShortenTtl, Lock, Recheck],
    }
}

/// How the sessions of one subject are found, which is what a pass costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finds {
    /// By an index over the user: the cost of one subject is its own sessions.
    ByUserIndex,
    /// Only by reading every session: subjects that wait should share a pass.
    ScanOnly,
    /// Not at all from the store; the downstream is told and does it itself.
    Opaque,
}

/// What a look at a downstream showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The product and its version, such as `Redis 7.0.15`.
    pub store: String,
    /// What an operator should know although nothing failed; whole sentences without personal data.
    pub notes: Vec<String>,
}

/// The `adapter` of a downstream, chosen by its `type`. References such as `env:NAME` have been resolved before.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Config {
    Keycloak(keycloak::Config),
    Redis(redis::Config),
    Sql(sql::Config),
    Webhook(webhook::Config),
}

impl Config {
    /// The adapter, not yet connected: a server that is down is found out by the first call.
    pub fn build(&self, matching: Match) -> Result<Arc<dyn Downstream>, ConfigError> {
        Ok(match self {
            // It is Keycloak that compares.
            Config::Keycloak(config) => Arc::new(keycloak::Keycloak::new(config)?),
            Config::Redis(config) => redis::build(config, matching)?,
            Config::Sql(config) => sql::build(config, matching)?,
            // Nothing is compared there.
            Config::Webhook(config) => Arc::new(webhook::Webhook::new(config)?),
        })
    }

    /// Whether the keys go together, which takes neither secrets nor files.
    pub fn check(&self, matching: Match) -> Result<(), ConfigError> {
        match self {
            Config::Keycloak(_) | Config::Webhook(_) => Ok(()),
            Config::Redis(config) => config.check(matching),
            Config::Sql(config) => config.check(),
        }
    }

    /// The file that the configuration names, if it does: it may be relative to a folder that only its reader knows.
    pub fn file_mut(&mut self) -> Option<&mut std::path::PathBuf> {
        let tls = match self {
            Config::Keycloak(_) | Config::Webhook(_) => None,
            Config::Redis(config) => config.tls.as_mut(),
            Config::Sql(config) => config.cache.as_mut().and_then(|cache| cache.tls.as_mut()),
        };
        tls.map(|tls| &mut tls.ca)
    }

    /// The word that stands as `type` in the configuration.
    pub fn kind(&self) -> &'static str {
        match self {
            Config::Keycloak(_) => "keycloak",
            Config::Redis(_) => "redis",
            Config::Sql(_) => "sql",
            Config::Webhook(_) => "webhook",
        }
    }

    /// Whether what `subject` says of people goes out to somebody who may know them by nothing that is personal.
    pub fn hides_people(&self) -> bool {
        matches!(self, Config::Webhook(config) if !config.allow_personal_data)
    }
}
