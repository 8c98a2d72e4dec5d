//! Their sessions into ours; pure.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::{Session, SessionId, SessionKind};

/// `UserSessionRepresentation`, as far as we read it.
#[derive(Debug, Deserialize)]
pub(super) struct UserSession {
    pub id: String,
    /// Milliseconds since 1970, of a whole second that has begun: never later than the real start.
    pub start: i64,
}

/// One client that the user has granted something, as `/users/{id}/consents` lists them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Consent {
    #[serde(default)]
    pub additional_grants: Vec<Grant>,
}

/// An offline token of a client; Keycloak knows no other grant of this form.
#[derive(Debug, Deserialize)]
pub(super) struct Grant {
    /// The client's UUID.
    pub client: String,
}

/// The clients for which there are offline sessions.
pub(super) fn offline_clients(consents: Vec<Consent>) -> impl Iterator<Item = String> {
    consents.into_iter().flat_map(|consent| consent.additional_grants).map(|grant| grant.client)
}

/// The session as the revoker sees it.
pub(super) fn session(theirs: &UserSession, kind: SessionKind) -> Session {
    Session { id: id(&theirs.id, kind), kind, auth_time: DateTime::<Utc>::from_timestamp_millis(theirs.start) }
}

/// An offline session begins as a copy of an online one and has the same id, so the kind is part of ours.
pub(super) fn id(theirs: &str, kind: SessionKind) -> SessionId {
    SessionId::new(format!("{}{theirs}", prefix(kind)))
}

/// Their id, and which of the two it names.
pub(super) fn parse(id: &SessionId) -> Option<(&str, SessionKind)> {
    [SessionKind::Session, SessionKind::Refresh]
        .into_iter()
        .find_map(|kind| Some((id.expose().strip_prefix(prefix(kind))?, kind)))
}

fn prefix(kind: SessionKind) -> &'static str {
    match kind {
        SessionKind::Session => "online:",
        SessionKind::Refresh => "offline:",
    }
}
