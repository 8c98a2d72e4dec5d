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
