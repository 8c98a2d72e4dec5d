//! What the errors of PostgreSQL mean for the revoker.

use sqlx::postgres::PgDatabaseError;

use crate::Error;

/// The message and code of the server. Its detail and its hint may quote rows, so they are left out.
#[derive(Debug, thiserror::Error)]
#[error("PostgreSQL said {code}: {message}")]
struct Refusal {
    code: String,
    message: String,
}

/// What the revoker should do about an error of the library, by SQLSTATE (PostgreSQL, appendix A).
pub(super) fn classify(error: sqlx::Error) -> Error {
    let server = match &error {
        sqlx::Error::Database(server) => server.downcast_ref::<PgDatabaseError>(),
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
            return Error::Unavailable(Box::new(error));
        }
        _ => return Error::Rejected(Box::new(error)),
    };
    // A table changed under a statement that this connection had prepared; a new connection prepares it anew.
    let outdated = server.routine() == Some("RevalidateCachedQuery");
    let refusal = Box::new(Refusal { code: server.code().to_owned(), message: server.message().to_owned() });
    match refusal.code.as_str() {
        // invalid authorization, insufficient privilege
        code if code.starts_with("28") || code == "42501" => Error::Unauthorized(refusal),
        // connection, resources, serialization and deadlock, lock, operator intervention and timeouts, system; a
        // standby
        code if ["08", "40", "53", "55", "57", "58"].iter().any(|class| code.starts_with(class)) || code == "25006" => {
            Error::Unavailable(refusal)
        }
        _ if outdated => Error::Unavailable(refusal),
        _ => Error::Rejected(refusal),
    }
}
