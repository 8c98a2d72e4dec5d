//! What is no end of sessions: an event that a downstream is told of, and credentials that it takes back.

use uuid::Uuid;

use crate::Subject;

/// What a downstream is told.
#[derive(Debug, Clone, Copy)]
pub struct Signal<'a> {
    /// The same at each try, so that whoever was told already knows it by that.
    pub id: Uuid,
    /// The lifecycle event in the words in which the bus has it: CloudEvents 1.0 in JSON, without personal data.
    pub event: &'a str,
    /// What the downstream calls whom it is about.
    pub subject: &'a Subject,
}

/// What became of the credentials of a subject.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Revoked {
    pub found: u64,
    /// How many of them were there to be revoked.
    pub ended: u64,
    /// What the second look found.
    pub left: u64,
}
