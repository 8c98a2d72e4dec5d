//! What can go wrong with a source, each variant named for what the worker does next.

use std::time::Duration;

/// The cause of an [`Error`]; it holds no personal data and no secret.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Forget the checkpoint and take a snapshot.
    #[error("the source no longer accepts our checkpoint")]
    CheckpointExpired,
    /// Wait (as long as the source asked for, where it said so), then retry.
    #[error("the source asked us to slow down")]
    Throttled { retry_after: Option<Duration> },
    /// Back off, then retry: out of reach, or not yet finished writing.
    #[error("the source is not available")]
    Unavailable(#[source] BoxError),
    /// Stop this connector and alert: retrying can lock the account out.
    #[error("the source does not let us in")]
    Unauthorized(#[source] BoxError),
    /// Nothing of this pull may be used, and nobody is missing because of it: alert and back off until the source is
    /// mended. A single bad record is not this but [`crate::Parked`].
    #[error("what the source sent cannot be read, at {at}")]
    Malformed {
        /// A place, such as `row 17, column startDate`; never what stands there.
        at: String,
        #[source]
        source: BoxError,
    },
}
