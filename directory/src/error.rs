//! What can go wrong between Leaver and its database, named by what the caller does next.

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Wait, then retry: the database is away, restarting or overloaded.
    #[error("the database could not be reached")]
    Unavailable(#[source] sqlx::Error),
    /// Retry at once: another writer was in the way.
    #[error("another transaction was in the way")]
    Conflict(#[source] sqlx::Error),
    /// A unique value is taken; tell whoever sent it.
    #[error("{what} is already taken in this source")]
    Taken { what: &'static str },
    /// A value cannot be stored as it was sent; tell whoever sent it.
    #[error("{why}")]
    Unstorable { why: &'static str },
    /// What was asked for takes longer than anybody waits; let the asker ask for less.
    #[error("the list takes too long")]
    TooCostly,
    /// Somebody else advanced the checkpoint since it was read; drop the run.
    #[error("the checkpoint of source {source_name} was advanced by somebody else")]
    CheckpointMoved { source_name: String },
    /// The request does not fit the state of what it names; ask a human.
    #[error("{0}")]
    Refused(String),
    /// A row says what it cannot say; ask a human.
    #[error("{table}.{column} of {row} holds a value that Leaver never writes")]
    Inconsistent { table: &'static str, column: &'static str, row: String },
    /// The database refused a statement for another reason; a defect.
    #[error("the database refused a statement")]
    Statement(#[source] sqlx::Error),
    /// Let the owner of the schema run `leaver migrate`.
    #[error("this login may not bring the schema up to date")]
    NotOwner(#[source] sqlx::migrate::MigrateError),
    #[error("the migrations could not be applied")]
    Migrate(#[source] sqlx::migrate::MigrateError),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        match &error {
            E::Io(_) | E::Tls(_) | E::WorkerCrashed | E::Protocol(_) => {
                crate::suspicion::arise();
                Error::Unavailable(error)
            }
            E::PoolTimedOut | E::PoolClosed => Error::Unavailable(error),
            E::Database(db) => {
                let code = db.code().unwrap_or_default();
                match code.as_ref() {
                    "40001" | "40P01" | "55P03" => Error::Conflict(error),
                    "23505" if db.constraint() == Some("accounts_source_unique_name_key") => {
                        Error::Taken { what: "userName" }
                    }
                    "22021" | "22P05" => {
                        Error::Unstorable { why: "a text holds the character U+0000, which cannot be stored" }
                    }
                    "54000" => Error::Unstorable { why: "a name or address is longer than can be looked up" },
                    // Two writers brought the same row; the second finds it on its retry.
                    "23505" => Error::Conflict(error),
                    c if c.starts_with("08") || c.starts_with("57P") => {
                        crate::suspicion::arise();
                        Error::Unavailable(error)
                    }
                    c if c.starts_with("53") => Error::Unavailable(error),
                    _ => Error::Statement(error),
                }
            }
            _ => Error::Statement(error),
        }
    }
}

impl Error {
    /// Whether doing the same again may succeed without anybody's help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Error::Unavailable(_) | Error::Conflict(_))
    }
}
