//! A session as a downstream shows it, and its id, which is a credential.

use std::fmt;

use chrono::{DateTime, Utc};
use lifecycle::must_end::SessionKind;
use sha2::{Digest, Sha256};

use crate::Subject;

/// One live session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub id: SessionId,
    pub kind: SessionKind,
    /// When its person signed in, where the store knows it.
    pub auth_time: Option<DateTime<Utc>>,
}

/// A raw session id. Whoever has it has the session, so it is neither printed nor stored; [`hash`](Self::hash) is what
/// may be kept.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SessionId(String);

impl SessionId {
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The id itself; call it only where it is handed to the system it came from.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// SHA-256 of the id. Session ids are long and random, so no salt is needed to keep the hash from being reversed.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Sessions of one subject that have to end.
#[derive(Debug, Clone, Copy)]
pub struct Ending<'a> {
    pub subject: &'a Subject,
    /// Ids that `find` or `verify` returned for this subject.
    pub sessions: &'a [SessionId],
}

/// Whose sessions from before an instant are to be asked again who they are.
#[derive(Debug, Clone, Copy)]
pub struct Mark<'a> {
    pub subject: &'a Subject,
    pub before: DateTime<Utc>,
    /// From then on no session from before that instant is alive, and the mark is of no use.
    pub until: DateTime<Utc>,
}

impl Mark<'_> {
    /// The first whole millisecond that is not before the instant, as subscribers are told it.
    pub(crate) fn milliseconds(&self) -> i64 {
        let micros = self.before.timestamp_micros();
        micros.div_euclid(1_000) + i64::from(micros.rem_euclid(1_000) > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_id_does_not_print_itself() {
        let session = Session { id: SessionId::new("s3cr3t"), kind: SessionKind::Session, auth_time: None };
        assert_eq!(format!("{session:?}"), "Session { id: ***, kind: Session, auth_time: None }");
    }

    #[test]
    fn the_hash_of_a_session_id_is_its_sha256() {
        let hash = SessionId::new("abc").hash();
        assert_eq!(hash[..4], [0xba, 0x78, 0x16, 0xbf]);
    }
}
