//! Lifecycle events: their names, lanes and the record that goes to the bus.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

macro_rules! event_types {
    ($($name:ident = $text:literal),+ $(,)?) => {
        /// Everything that can happen to a subject. The text form is the CloudEvents `type`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum EventType { $(#[serde(rename = $text)] $name),+ }

        impl EventType {
            pub const ALL: &'static [EventType] = &[$(EventType::$name),+];

            pub fn as_str(self) -> &'static str {
                match self { $(EventType::$name => $text),+ }
            }
        }
    };
}

event_types! {
    IdentityCreated = "identity.created",
    IdentityUpdated = "identity.updated",
    IdentityActivated = "identity.activated",
    IdentitySuspended = "identity.suspended",
    IdentityDeparted = "identity.departed",
    IdentityReinstated = "identity.reinstated",
    IdentityMerged = "identity.merged",
    IdentityErased = "identity.erased",
    GroupCreated = "group.created",
    GroupUpdated = "group.updated",
    GroupDeleted = "group.deleted",
    GroupVanished = "group.vanished",
    MembershipAdded = "membership.added",
    MembershipRemoved = "membership.removed",
    CredentialIssued = "credential.issued",
    CredentialRotated = "credential.rotated",
    CredentialExpiring = "credential.expiring",
    CredentialOrphaned = "credential.orphaned",
    CredentialRevoked = "credential.revoked",
    SourceBaselined = "source.baselined",
    SourceHeld = "source.held",
    SourceReleased = "source.released",
    SourceBackedOff = "source.backed_off",
    SourceRecovered = "source.recovered",
}

impl EventType {
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|t| t.as_str() == text)
    }

    /// Whether this event ends the subject's right to have sessions until a reinstatement.
    pub fn ends_access(self) -> bool {
        matches!(self, EventType::IdentitySuspended | EventType::IdentityDeparted | EventType::IdentityErased)
    }
}

impl std::fmt::Display for EventType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Two ways to the bus, so that a million-person import does not stand in front of one termination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    Urgent,
    Bulk,
}

impl Lane {
    pub const ALL: [Lane; 2] = [Lane::Urgent, Lane::Bulk];

    pub fn as_str(self) -> &'static str {
        match self {
            Lane::Urgent => "urgent",
            Lane::Bulk => "bulk",
        }
    }

    /// As stored: 0 urgent, 1 bulk.
    pub fn number(self) -> i16 {
        match self {
            Lane::Urgent => 0,
            Lane::Bulk => 1,
        }
    }

    pub fn from_number(number: i16) -> Option<Self> {
        Lane::ALL.into_iter().find(|l| l.number() == number)
    }
}

/// How soon a delivery is worked off; set by the writer, kept on the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Somebody asked for it by hand.
    Hand,
    /// One push, or a plan of at most [`Class::PROMPT_LIMIT`] dangerous changes.
    Prompt,
    /// A larger plan or a fan-out.
    Mass,
}

impl Class {
    pub const PROMPT_LIMIT: usize = 100;

    /// The class of a plan with so many dangerous changes.
    pub fn of_plan(dangerous: usize) -> Self {
        if dangerous <= Self::PROMPT_LIMIT { Class::Prompt } else { Class::Mass }
    }

    pub fn number(self) -> i16 {
        match self {
            Class::Hand => 0,
            Class::Prompt => 1,
            Class::Mass => 2,
        }
    }

    pub fn from_number(number: i16) -> Option<Self> {
        [Class::Hand, Class::Prompt, Class::Mass].into_iter().find(|c| c.number() == number)
    }
}

/// The lane of an event. `privileged` is whether a lost group was privileged; a reinstatement is always urgent.
pub fn lane(event: EventType, class: Class, privileged: bool) -> Lane {
    let matters = match event {
        EventType::IdentityReinstated => return Lane::Urgent,
        EventType::IdentitySuspended | EventType::IdentityDeparted | EventType::IdentityErased => true,
        EventType::MembershipRemoved => privileged,
        _ => false,
    };
    if matters && class != Class::Mass { Lane::Urgent } else { Lane::Bulk }
}

/// What an event can be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SubjectKind {
    Identity,
    Group,
    Source,
    Credential,
    /// Somebody whom no source knows, named by hand.
    Stranger,
}

impl SubjectKind {
    pub fn as_str(self) -> &'static str {
        match self {
            SubjectKind::Identity => "identity",
            SubjectKind::Group => "group",
            SubjectKind::Source => "source",
            SubjectKind::Credential => "credential",
            SubjectKind::Stranger => "stranger",
        }
    }
}

/// One step in a subject's history. `version` is dense per subject; `prev` is the version of the subject's previous event in
/// the same lane (0 for the first), so that a reader of one lane notices a hole.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub id: Uuid,
    pub kind: SubjectKind,
    pub subject: Uuid,
    pub event_type: EventType,
    pub version: i64,
    pub prev: i64,
    pub lane: Lane,
    pub class: Class,
    pub recorded_at: DateTime<Utc>,
    /// Ids, states and names of changed fields; never personal data.
    pub data: Value,
}

impl Event {
    /// The CloudEvents 1.0 record in structured JSON, rendered once and stored as text. `trace` is the W3C `traceparent` of what
    /// caused it, kept as CloudEvents' extension for distributed tracing.
    pub fn render(&self, trace: Option<&str>) -> String {
        let mut record = json!({
            "specversion": "1.0",
            "id": self.id,
            "source": "leaver",
            "type": self.event_type,
            "subject": self.subject,
            "time": self.recorded_at.to_rfc3339_opts(SecondsFormat::Millis, true),
            "datacontenttype": "application/json",
            "kind": self.kind,
            "version": self.version,
            "prev": self.prev,
            "lane": self.lane,
            "data": self.data,
        });
        if let Some(trace) = trace {
            record["traceparent"] = json!(trace);
        }
        record.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_form_of_an_event_stays_as_published() {
        let event = Event {
            id: Uuid::nil(),
            kind: SubjectKind::Identity,
            subject: Uuid::nil(),
            event_type: EventType::IdentitySuspended,
            version: 7,
            prev: 6,
            lane: Lane::Urgent,
            class: Class::Prompt,
            recorded_at: DateTime::UNIX_EPOCH,
            data: json!({"state": "suspended"}),
        };
        insta::assert_snapshot!(event.render(None), @r#"{"data":{"state":"suspended"},"datacontenttype":"application/json","id":"00000000-0000-0000-0000-000000000000","kind":"identity","lane":"urgent","prev":6,"source":"leaver","specversion":"1.0","subject":"00000000-0000-0000-0000-000000000000","time":"1970-01-01T00:00:00.000Z","type":"identity.suspended","version":7}"#);
    }

    #[test]
    fn only_what_ends_or_returns_access_soon_is_urgent() {
        use EventType::*;
        for (event, class, privileged, expected) in [
            (IdentitySuspended, Class::Prompt, false, Lane::Urgent),
            (IdentityDeparted, Class::Hand, false, Lane::Urgent),
            (IdentitySuspended, Class::Mass, false, Lane::Bulk),
            (IdentityReinstated, Class::Mass, false, Lane::Urgent),
            (MembershipRemoved, Class::Prompt, true, Lane::Urgent),
            (MembershipRemoved, Class::Prompt, false, Lane::Bulk),
            (IdentityCreated, Class::Prompt, false, Lane::Bulk),
        ] {
            assert_eq!(lane(event, class, privileged), expected, "{event} {class:?} privileged={privileged}");
        }
    }
}
