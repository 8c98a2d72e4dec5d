//! What the errors of Redis mean for the revoker.

use ::redis::{ErrorKind, RedisError};

use crate::Error;

/// What the server said instead of doing it.
#[derive(Debug, thiserror::Error)]
#[error("Redis said {code}: {message}")]
struct Refusal {
    code: String,
    message: String,
}

/// The answer made no sense. It may hold anything, so it is not repeated here.
#[derive(Debug, thiserror::Error)]
#[error("the answer is not one that Redis gives")]
struct Garbled;

/// Of a server that was not said to be part of a cluster.
#[derive(Debug, thiserror::Error)]
#[error("the server is part of a cluster: set `cluster`")]
struct IsCluster;

/// Slots were moved to other nodes, or are on their way.
#[derive(Debug, thiserror::Error)]
#[error("the keys are on another node of the cluster by now")]
struct Elsewhere;

/// Whether another node of the cluster has the key.
pub(super) fn is_elsewhere(error: &RedisError) -> bool {
    matches!(error.code(), Some("MOVED" | "ASK"))
}

/// Like [`classify`], where what nodes of a cluster say has to be understood: it names where the keys are, which is looked up anew.
pub(super) fn of_cluster(error: RedisError, expected: bool) -> Error {
    match error.code() {
        Some("MOVED" | "ASK") if expected => Error::Unavailable(Box::new(Elsewhere)),
        Some("MOVED" | "ASK" | "CROSSSLOT") if !expected => Error::Rejected(Box::new(IsCluster)),
        _ => classify(error),
    }
}

/// What the revoker should do about an error of the library.
pub(super) fn classify(error: RedisError) -> Error {
    match error.kind() {
        ErrorKind::Server(_) | ErrorKind::Extension => {}
        ErrorKind::AuthenticationFailed => return Error::Unauthorized(Box::new(error)),
        ErrorKind::InvalidClientConfig => return Error::Rejected(Box::new(error)),
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => return Error::Unavailable(Box::new(Garbled)),
        _ => return Error::Unavailable(Box::new(error)),
    }
    let code = error.code().unwrap_or("ERR").to_owned();
    // "unknown command" repeats the arguments, and ours are session ids.
    let message = error.detail().unwrap_or_default().split(", with args").next().unwrap_or_default().to_owned();
    let full = message.starts_with("max number of clients");
    // How Redis says NOPERM of what a script does.
    let script = message.starts_with("The user executing the script can't");
    let refusal = Box::new(Refusal { code, message });
    match refusal.code.as_str() {
        "NOAUTH" | "WRONGPASS" | "NOPERM" | "DENIED" => Error::Unauthorized(refusal),
        "LOADING" | "BUSY" | "READONLY" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "MISCONF" | "NOREPLICAS" => {
            Error::Unavailable(refusal)
        }
        "ERR" if full => Error::Unavailable(refusal),
        "ERR" if script => Error::Unauthorized(refusal),
        _ => Error::Rejected(refusal),
    }
}
