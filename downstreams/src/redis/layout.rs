//! The two ways in which an index by user is laid out.

use ::redis::RedisError;

use super::{ears::Written, java, mapping::Template, spring};

/// By what event a session comes into an index.
pub(super) const WRITTEN: Written = Written { event: "sadd", letter: 's' };

pub(super) enum Layout {
    Generic { index: Template, session: Template },
    Spring(spring::Keys),
}

impl Layout {
    /// The key of a user's index.
    pub(super) fn index(&self) -> &Template {
        match self {
            Layout::Generic { index, .. } | Layout::Spring(spring::Keys { index, .. }) => index,
        }
    }

    /// The key of a session.
    pub(super) fn session(&self, id: &str) -> String {
        match self {
            Layout::Generic { session, .. } | Layout::Spring(spring::Keys { session, .. }) => session.with(id),
        }
    }

    /// The session id that a member of the index stands for.
    pub(super) fn id(&self, member: &[u8]) -> Result<String, RedisError> {
        match self {
            Layout::Generic { .. } => String::from_utf8(member.to_vec())
                .map_err(|_| super::rejected("the index has members that are not UTF-8")),
            Layout::Spring(_) => spring::id(member),
        }
    }

    /// How the index names a session.
    pub(super) fn member(&self, id: &str) -> Vec<u8> {
        match self {
            Layout::Generic { .. } => id.as_bytes().to_vec(),
            Layout::Spring(_) => java::of_text(id).unwrap_or_default(),
        }
    }
}
