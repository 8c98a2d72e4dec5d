//! The records of the receipts topic about locks: set, ended by a person, or over by the clock.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::receipt::{Concerning, render};

/// What a record tells. The text form is the CloudEvents `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LockType {
    #[serde(rename = "lock.set")]
    Set,
    #[serde(rename = "lock.cleared")]
    Cleared,
    #[serde(rename = "lock.expired")]
    Expired,
}

impl LockType {
    pub const ALL: [LockType; 3] = [LockType::Set, LockType::Cleared, LockType::Expired];

    pub fn as_str(self) -> &'static str {
        match self {
            LockType::Set => "lock.set",
            LockType::Cleared => "lock.cleared",
            LockType::Expired => "lock.expired",
        }
    }
}

/// The record of a lock's beginning or end: CloudEvents 1.0 in structured JSON. `until` is what the lock was set to, in whole
/// milliseconds, rounded down; what a subscriber acts on is the record of revocations. `scopes`: `*`, or names of downstreams.
pub fn record(concerning: &Concerning<'_>, what: LockType, until: DateTime<Utc>, scopes: &[String]) -> String {
    let data = json!({
        "revocation": concerning.revocation,
        "until": until.to_rfc3339_opts(SecondsFormat::Millis, true),
        "scopes": scopes,
    });
    render(concerning, what.as_str(), &data)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::event::SubjectKind;

    #[test]
    fn the_wire_form_of_a_lock_stays_as_published() {
        let (id, revocation, at) = (Uuid::nil(), Uuid::max(), DateTime::UNIX_EPOCH);
        let concerning = Concerning { id, kind: SubjectKind::Identity, subject: id, revocation, at, trace: None };
        let until = at + chrono::Duration::hours(1);
        insta::assert_snapshot!(record(&concerning, LockType::Set, until, &["*".to_owned()]), @r#"{"data":{"revocation":"ffffffff-ffff-ffff-ffff-ffffffffffff","scopes":["*"],"until":"1970-01-01T01:00:00.000Z"},"datacontenttype":"application/json","id":"00000000-0000-0000-0000-000000000000","kind":"identity","source":"leaver","specversion":"1.0","subject":"00000000-0000-0000-0000-000000000000","time":"1970-01-01T00:00:00.000Z","type":"lock.set"}"#);
        for what in LockType::ALL {
            assert_eq!(json!(what), what.as_str());
        }
    }
}
