//! What a source says about one user or group: facts, never commands.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// How an account stands at its source. The *fact* and the *counted* value (what a plan let through) are both of this type;
/// a hold is their difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// The source did not say. Never activates, never ends access.
    Unknown,
    /// Known, but its first day has not come.
    Staged,
    Active,
    /// `active:false`, disabled, locked out, or missing from a complete snapshot with `absence: disable`.
    Inactive,
    /// SCIM DELETE, HR status left, last day passed, or missing with `absence: delete`.
    Gone,
}

impl Standing {
    pub fn as_str(self) -> &'static str {
        match self {
            Standing::Unknown => "unknown",
            Standing::Staged => "staged",
            Standing::Active => "active",
            Standing::Inactive => "inactive",
            Standing::Gone => "gone",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "unknown" => Standing::Unknown,
            "staged" => Standing::Staged,
            "active" => Standing::Active,
            "inactive" => Standing::Inactive,
            "gone" => Standing::Gone,
            _ => return None,
        })
    }

    /// Whether this standing denies access whoever says so.
    pub fn denies(self) -> bool {
        matches!(self, Standing::Inactive | Standing::Gone)
    }

    /// Whether going from `counted` to this fact may end somebody's access, so that the brake has a say.
    pub fn is_dangerous_after(self, counted: Standing) -> bool {
        self.denies() && self != counted && !(counted == Standing::Gone)
    }
}

impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an account is no longer there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tombstone {
    /// Deleted at the source, restorable there.
    Soft,
    /// Deleted at the source for good (SCIM DELETE).
    Hard,
    /// Missing from a complete snapshot.
    OutOfScope,
    /// Taken off its identity by a person.
    Unlinked,
}

impl Tombstone {
    pub fn as_str(self) -> &'static str {
        match self {
            Tombstone::Soft => "soft",
            Tombstone::Hard => "hard",
            Tombstone::OutOfScope => "out_of_scope",
            Tombstone::Unlinked => "unlinked",
        }
    }
}

/// The attributes that Leaver itself reads; everything else a source sends stays in `attributes`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub employee_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub department: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manager: Option<String>,
}

impl Profile {
    /// The names used in correlation rules, `authority` and `event.changed`, each with its value here.
    pub fn fields(&self) -> [(&'static str, &Option<String>); 6] {
        [
            ("userName", &self.user_name),
            ("email", &self.email),
            ("employeeNumber", &self.employee_number),
            ("displayName", &self.display_name),
            ("department", &self.department),
            ("manager", &self.manager),
        ]
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields().into_iter().find(|(n, _)| *n == name).and_then(|(_, v)| v.as_deref())
    }

    pub fn field_mut(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name {
            "userName" => &mut self.user_name,
            "email" => &mut self.email,
            "employeeNumber" => &mut self.employee_number,
            "displayName" => &mut self.display_name,
            "department" => &mut self.department,
            "manager" => &mut self.manager,
            _ => return None,
        })
    }

    /// Names of the fields that differ, in a fixed order.
    pub fn changed(&self, other: &Profile) -> Vec<&'static str> {
        self.fields().into_iter().zip(other.fields()).filter(|((_, a), (_, b))| a != b).map(|((n, _), _)| n).collect()
    }
}

/// A user as one source sees it at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccountFacts {
    /// The source's own immutable id. For SCIM it is the UUID that Leaver issued.
    pub native_id: String,
    pub external_id: Option<String>,
    pub profile: Profile,
    pub standing: Standing,
    /// First instant of membership, where the source states one.
    pub starts_at: Option<DateTime<Utc>>,
    /// The instant after the last day (24:00 in the worker's zone), where the source states one.
    pub ends_at: Option<DateTime<Utc>>,
    pub kind: Option<IdentityKind>,
    /// What the source sent, in its own words.
    pub attributes: Value,
    /// Display names (csv) or native ids of the groups that this account is in; `None` where the source speaks of members by group.
    pub groups: Option<Vec<String>>,
}

impl AccountFacts {
    /// A digest of everything the source said: equal digests mean that nothing is to be written.
    pub fn content_hash(&self) -> [u8; 32] {
        let canonical = serde_json::to_vec(self).expect("facts are plain data, so they always serialize");
        Sha256::digest(canonical).into()
    }

    /// The standing once `starts_at` and `ends_at` are taken into account. Dates never soften a denial.
    pub fn standing_at(&self, now: DateTime<Utc>) -> Standing {
        standing_at(self.standing, self.starts_at, self.ends_at, now)
    }
}

/// See [`AccountFacts::standing_at`]; also used on stored rows whose dates pass without a new fact.
pub fn standing_at(
    stated: Standing,
    starts_at: Option<DateTime<Utc>>,
    ends_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Standing {
    match stated {
        Standing::Inactive | Standing::Gone => stated,
        _ if ends_at.is_some_and(|end| end <= now) => Standing::Gone,
        Standing::Active | Standing::Staged if starts_at.is_some_and(|start| start > now) => Standing::Staged,
        Standing::Staged if starts_at.is_some() => Standing::Active,
        other => other,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdentityKind {
    #[default]
    Human,
    Service,
    Workload,
    Agent,
}

impl IdentityKind {
    pub fn as_str(self) -> &'static str {
        match self {
            IdentityKind::Human => "human",
            IdentityKind::Service => "service",
            IdentityKind::Workload => "workload",
            IdentityKind::Agent => "agent",
        }
    }
}

/// A group as one source sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupFacts {
    pub native_id: String,
    pub external_id: Option<String>,
    pub display_name: String,
    pub attributes: Value,
}

/// One observation of a pull connector.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly every change is an account, and boxing each would cost more")]
pub enum Change {
    Account(AccountFacts),
    /// The account of this native id was deleted at the source. Nothing else is known of it any more.
    Deleted {
        native_id: String,
    },
}
