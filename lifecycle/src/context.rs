//! What a policy and a subject expression may read of the people and groups behind an event. Personal data: kept beside the
//! event in an erasable row, never in a topic.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::account::{IdentityKind, Profile};
use crate::effective::State;

/// One account, as `account("source")` shows it in expressions. `id` is the source's native id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountView {
    pub id: String,
    pub user_name: Option<String>,
    pub external_id: Option<String>,
    pub email: Option<String>,
    pub attributes: Value,
}

/// `identity` in expressions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IdentityView {
    pub id: Uuid,
    pub kind: IdentityKind,
    pub state: State,
    pub generation: i64,
    #[serde(flatten)]
    pub profile: Profile,
    /// By source name; where one source has several accounts of a person, the one linked first.
    #[serde(default)]
    pub accounts: BTreeMap<String, AccountView>,
}

/// `group` in expressions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupView {
    pub id: Uuid,
    pub name: String,
    pub privileged: bool,
}

/// All that a policy reads, as it was when the event was recorded; so a decision can be replayed exactly.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Context {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentityView>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<IdentityView>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupView>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Value>,
}
