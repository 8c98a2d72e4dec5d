//! What can be wrong with a file, in words for the person who mends it. Places and counts only, never what a cell says.

use std::{io, path::PathBuf};

use crate::Error;

/// Something in the file that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("empty file: there is not even a header")]
    Empty,
    #[error("the file does not end in a newline: it may be cut")]
    NoFinalNewline,
    #[error("byte {offset} of the file is not UTF-8: export it as UTF-8")]
    NotUtf8 { offset: usize },
    #[error("byte {offset} of the file is NUL: it may be UTF-16, export it as UTF-8")]
    Nul { offset: usize },
    #[error("a quote is opened and never closed: the file may be cut, or a quote inside of a cell is not doubled")]
    UnclosedQuote,
    #[error("a row goes on for more than 16 MiB: a quote may be opened and never closed")]
    LongRow,
    #[error("text follows a closing quote: double the quotes inside of a quoted cell")]
    TextAfterQuote,
    #[error("a carriage return stands alone outside of quotes: end rows with a newline")]
    LoneCarriageReturn,
    #[error("this row has {found} fields where the header has {expected}")]
    FieldCount { found: usize, expected: usize },
    // The first row may be a person where a header is missing, so it is not repeated.
    #[error("the header has hardly any known column: is it one, is the delimiter right? `map` takes other names")]
    NoHeader,
    #[error("there is no column {wanted}; the header has {}", found.join(", "))]
    NoColumn { wanted: String, found: Vec<String> },
    #[error("columns {first} and {second} have the same header")]
    DuplicateHeader { first: usize, second: usize },
    #[error("the key is empty: without it nobody can be said to be missing")]
    EmptyKey,
    #[error("rows {first} and {second} have the same key")]
    DuplicateKey { first: u64, second: u64 },
    #[error("not a date: write YYYY-MM-DD, or an instant as in RFC 3339")]
    NotADate,
    #[error("not a time zone: write an IANA name such as Europe/Berlin, or nothing for the source's own")]
    NotAZone,
    #[error("none of active, suspended, left: read as unknown, which neither gives access nor ends it")]
    NotAStatus,
}

/// A [`Fault`] and where it is. Rows and columns count from 1 as a spreadsheet shows them: the header is row 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    pub row: u64,
    pub column: Option<usize>,
    pub fault: Fault,
}

impl Flaw {
    /// The place, with the header's name for the column where it has one.
    pub fn at(&self, header: &[String]) -> String {
        match self.column {
            None => format!("row {}", self.row),
            Some(column) => match header.get(column - 1) {
                Some(name) => format!("row {}, column {name}", self.row),
                None => format!("row {}, column {column}", self.row),
            },
        }
    }

    pub fn into_error(self, header: &[String]) -> Error {
        Error::Malformed { at: self.at(header), source: Box::new(self.fault) }
    }
}

/// Why the file may not be read now; the same file may be right at the next try.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unready {
    #[error("cannot read {}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} is not a regular file", path.display())]
    NotAFile { path: PathBuf },
    #[error("{} is still being written", path.display())]
    StillBeingWritten { path: PathBuf },
    #[error("the manifest {} is not JSON of the shape {{\"rows\": 1304, \"sha256\": \"…\"}}", path.display())]
    Manifest { path: PathBuf, source: serde_json::Error },
    #[error("the manifest states {stated} rows and the file has {found}: it may be cut, or one of the two is older")]
    Rows { stated: u64, found: u64 },
    #[error("the manifest states SHA-256 {stated} and the file has {found}: one of the two may be older")]
    Digest { stated: String, found: String },
    #[error("reading the file was interrupted")]
    Interrupted(#[source] tokio::task::JoinError),
}

impl From<Unready> for Error {
    fn from(unready: Unready) -> Self {
        Error::Unavailable(Box::new(unready))
    }
}
