//! Admin events: who was changed since, and whether we can still tell; pure.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// How long an event may become visible after events that happened later: its time is taken when the request begins, and it
/// is written when the request ends. Milliseconds.
pub(super) const OVERLAP: i64 = 30_000;

/// What is asked for. Events of other types, such as ended sessions, change no facts.
pub(super) const TYPES: [&str; 4] = ["USER", "GROUP_MEMBERSHIP", "GROUP", "REALM"];

/// `AdminEventRepresentation`, as far as we read it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event {
    pub id: String,
    /// Milliseconds since 1970, by the server's clock.
    pub time: i64,
    #[serde(default)]
    pub auth_details: Who,
    pub operation_type: String,
    pub resource_type: String,
    #[serde(default)]
    pub resource_path: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Who {
    #[serde(default)]
    pub user_id: String,
}

/// Up to where events were read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// The time of the newest event that was read; 0 where there was none.
    pub at: i64,
    /// The events in the overlap before that, which are read again and have been dealt with.
    pub seen: BTreeSet<String>,
    /// The newest of them. That it is still there tells that none after it has expired.
    pub last: Option<String>,
}

impl Position {
    /// From when on to read, in milliseconds since 1970.
    pub fn from(&self) -> i64 {
        (self.at - OVERLAP).max(0)
    }

    /// The position after `read`, which is everything from [`Position::from`] on, oldest first.
    pub fn after(&self, read: &[Event]) -> Position {
        let Some(newest) = read.last() else { return self.clone() };
        let at = newest.time.max(self.at);
        let seen = read.iter().filter(|event| event.time >= at - OVERLAP).map(|event| event.id.clone()).collect();
        Position { at, seen, last: Some(newest.id.clone()) }
    }
}

/// Why the events do not tell what changed, so that everything has to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// The newest event that we knew is gone: expired, or cleared.
    Expired,
    /// A group was renamed, moved or deleted, or got other attributes, which may change every member without naming any.
    Group,
    /// The settings of the realm changed: events may not have been saved for a while.
    Realm,
}

impl Lost {
    pub fn as_str(self) -> &'static str {
        match self {
            Lost::Expired => "admin events since the last read have expired or were cleared",
            Lost::Group => "a group was changed or deleted",
            Lost::Realm => "the settings of the realm were changed",
        }
    }
}

/// What events tell.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changed {
    /// The ids of users whom they name.
    pub users: BTreeSet<String>,
    /// Why there may be others.
    pub lost: Option<Lost>,
}

/// What `read` tells, without events that were seen before or that `ourselves` caused.
pub(super) fn changed(read: &[Event], position: &Position, ourselves: &str) -> Changed {
    let known = |last: &String| read.iter().any(|event| event.id == *last);
    let mut lost = (!position.last.as_ref().is_none_or(known)).then_some(Lost::Expired);
    let mut users = BTreeSet::new();
    let new = |event: &&Event| !position.seen.contains(&event.id) && event.auth_details.user_id != ourselves;
    for event in read.iter().filter(new) {
        match (event.resource_type.as_str(), event.operation_type.as_str()) {
            ("USER" | "GROUP_MEMBERSHIP", _) => {
                let mut path = event.resource_path.split('/');
                if let (Some("users"), Some(id)) = (path.next(), path.next()) {
                    users.insert(id.to_owned());
                }
            }
            ("GROUP", "UPDATE" | "DELETE") => lost = lost.or(Some(Lost::Group)),
            ("REALM", "UPDATE" | "DELETE") => lost = lost.or(Some(Lost::Realm)),
            _ => {}
        }
    }
    Changed { users, lost }
}
