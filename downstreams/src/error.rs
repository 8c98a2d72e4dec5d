//! What can go wrong, named by what the caller does next.

use std::time::Duration;

use lifecycle::Action;

/// A cause from below; free of session ids, subjects' values and passwords.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a downstream did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Back off and try again; everything stays owed.
    #[error("the downstream could not be reached")]
    Unavailable(#[source] BoxError),

    /// Wait that long, then try again.
    #[error("the downstream asked us to slow down")]
    Throttled { retry_after: Option<Duration> },

    /// Trying again will not help: someone has to mend the configuration or the downstream.
    #[error("the downstream refused the request")]
    Rejected(#[source] BoxError),

    /// Pause this downstream: its credentials or their rights do not suffice.
    #[error("the downstream does not let us in")]
    Unauthorized(#[source] BoxError),
}

impl Error {
    /// Nobody asks for what is not among the capabilities.
    pub(crate) fn cannot(action: Action) -> Self {
        Error::Rejected(format!("{action} is not what this adapter does, or it is not configured").into())
    }
}

/// Why an adapter cannot be built from its configuration, before any connection.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("`url` cannot be read as an address")]
    Url(#[source] BoxError),

    #[error("`url` has to begin with {expected}")]
    Scheme { expected: &'static str },

    #[error("`realm` cannot be the name of a realm")]
    Realm,

    #[error("`path` has an empty part; it is names with dots between them, such as passport.user")]
    EmptyPathPart,

    #[error("each of `secrets`, of which there has to be one, is `whsec_` and 24 to 64 bytes in base64")]
    Secrets,

    #[error("`timeout` has to be longer than nothing")]
    NoTimeout,

    #[error("an address in `{key}` is not HOST:PORT")]
    Address { key: &'static str },

    #[error("`{one}` and `{other}` exclude each other: remove one")]
    Both { one: &'static str, other: &'static str },

    #[error("`{key}` says nothing without `{other}`")]
    Needs { key: &'static str, other: &'static str },

    #[error("layout {layout} needs `{key}`")]
    Missing { key: &'static str, layout: &'static str },

    /// It would be passed over in silence.
    #[error("layout {layout} has no use for `{key}`: remove it")]
    Stray { key: &'static str, layout: &'static str },

    #[error("`{key}` has to have {gap} in it, once")]
    Gap { key: &'static str, gap: &'static str },

    #[error("the file that `{key}` names cannot be used")]
    File {
        key: &'static str,
        #[source]
        source: BoxError,
    },

    #[error("`layout` brings statements of its own: remove `layout` or `{key}`")]
    LayoutAndStatement { key: &'static str },

    #[error("`{key}` is needed, unless there is a `layout`")]
    NoStatement { key: &'static str },

    #[error("`{key}` belongs to a `layout`, and there is none")]
    NoLayout { key: &'static str },

    #[error("`{key}` can be letters, digits and underscores, with a dot between schema and table")]
    Table { key: &'static str },

    #[error("`{key}` is not there on {server}: remove it, or say `find` and `end` yourself")]
    NotThere { key: &'static str, server: &'static str },

    #[error("`{key}` is for {server} only: remove it")]
    OnlyThere { key: &'static str, server: &'static str },

    /// Without it, the statement would act on nobody, or on everybody.
    #[error("`{statement}` has to use {placeholder}")]
    MissingPlaceholder { statement: &'static str, placeholder: &'static str },
}

/// The other side stayed silent.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {0:?}")]
pub(crate) struct NoAnswer(pub Duration);

impl NoAnswer {
    pub(crate) fn after(timeout: Duration) -> Error {
        Error::Unavailable(Box::new(NoAnswer(timeout)))
    }
}
