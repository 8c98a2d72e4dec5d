#![doc = include_str!("README.md")]

mod client;
mod config;
mod mapping;
mod refusal;
#[cfg(test)]
mod tests;

use std::{collections::HashSet, time::Instant};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, future::try_join, stream};

use crate::{
    Capabilities, ConfigError, Downstream, Ending, Finds, Match, Probe, Result, Session, SessionId, SessionKind,
    Subject, recent::Recent,
};
use client::Client;
pub use config::Config;
use mapping::{Consent, UserSession};

/// Requests that are on the wire at once: enough to keep a few servers busy, and few for one.
const IN_FLIGHT: usize = 16;

/// How often one session is ended at most until Keycloak knows it no more. Whoever asks for it while it is deleted may have read
/// the database just before, and brings it back into Keycloak's cache: there it is listed nowhere and refreshes its tokens.
const ENDINGS: usize = 5;

/// Reading sessions takes `view-users`, which `manage-users` includes; so one role is enough, and it is named everywhere.
const ROLE: &str = "manage-users";

/// The sessions of a realm.
pub struct Keycloak {
    client: Client,
    /// What may be in Keycloak's cache again without being in any list.
    recent: Recent,
}

impl Keycloak {
    /// The adapter, not yet connected.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        if config.timeout.is_zero() {
            return Err(ConfigError::NoTimeout);
        }
        Ok(Self { client: Client::new(config)?, recent: Recent::new(Match::Exact) })
    }

    /// Both kinds of sessions of one user. Somebody whom Keycloak does not know has none.
    async fn sessions(&self, user: &str) -> Result<Vec<Session>> {
        // Steps in a path rather than names in it.
        if [".", ".."].contains(&user) {
            return Ok(Vec::new());
        }
        let online = async {
            let sessions: Option<Vec<UserSession>> = self.client.get(&["users", user, "sessions"], ROLE).await?;
            Ok(of_kind(sessions, SessionKind::Session))
        };
        let (mut sessions, offline) = try_join(online, self.offline(user)).await?;
        sessions.extend(offline);
        Ok(sessions)
    }

    /// Keycloak lists offline sessions only for one client at a time; which clients have some is among the consents,
    /// whether or not the client asks for consent.
    async fn offline(&self, user: &str) -> Result<Vec<Session>> {
        let consents: Option<Vec<Consent>> = self.client.get(&["users", user, "consents"], ROLE).await?;
        let (mut sessions, mut seen) = (Vec::new(), HashSet::new());
        for client in mapping::offline_clients(consents.unwrap_or_default()) {
            let found = self.client.get(&["users", user, "offline-sessions", &client], ROLE).await?;
            // One offline session may serve several clients.
            sessions.extend(
                of_kind(found, SessionKind::Refresh).into_iter().filter(|session| seen.insert(session.id.clone())),
            );
        }
        Ok(sessions)
    }

    async fn sessions_of(&self, subject: &Subject) -> Result<Vec<Session>> {
        let mut found = Vec::new();
        let mut users = HashSet::new();
        for user in subject.names().filter(|user| users.insert(*user)) {
            found.extend(self.sessions(user).await?);
        }
        let back = self.returned(subject, &found).await?;
        found.extend(back);
        Ok(found)
    }

    /// Sessions that were ended for this subject and that were there again, although no list shows them. Only ending one tells whether
    /// it is there, so none is now. Nothing new is decided by that: an id is never given to another session.
    async fn returned(&self, subject: &Subject, listed: &[Session]) -> Result<Vec<Session>> {
        let mut ended = self.recent.of(subject);
        ended.retain(|id| listed.iter().all(|session| session.id != *id));
        let there = self.end_all(&ended.iter().collect::<Vec<_>>()).await?;
        let back = ended.into_iter().zip(there).filter(|(_, there)| *there);
        Ok(back.filter_map(|(id, _)| Some(Session { kind: mapping::parse(&id)?.1, id, auth_time: None })).collect())
    }

    /// Ends these, and says of each whether it was there.
    async fn end_all(&self, sessions: &[&SessionId]) -> Result<Vec<bool>> {
        stream::iter(0..sessions.len()).map(|at| self.end_one(sessions[at])).buffered(IN_FLIGHT).try_collect().await
    }

    async fn end_one(&self, id: &SessionId) -> Result<bool> {
        // Whatever else it is, it is no session of Keycloak.
        let Some((theirs, kind)) = mapping::parse(id) else { return Ok(false) };
        let offline = if kind == SessionKind::Refresh { "true" } else { "false" };
        let mut was_there = false;
        for _ in 0..ENDINGS {
            if !self.client.delete(&["sessions", theirs], ("isOffline", offline), ROLE).await? {
                break;
            }
            was_there = true;
        }
        Ok(was_there)
    }
}

fn of_kind(sessions: Option<Vec<UserSession>>, kind: SessionKind) -> Vec<Session> {
    sessions.unwrap_or_default().iter().map(|theirs| mapping::session(theirs, kind)).collect()
}

#[async_trait]
impl Downstream for Keycloak {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            finds: Finds::ByUserIndex,
            resurrects: true,
            knows_auth_time: true,
            actions: crate::actions(true, false),
        }
    }

    async fn find(&self, subjects: &[Subject]) -> Result<Vec<Vec<Session>>> {
        stream::iter(0..subjects.len())
            .map(|at| self.sessions_of(&subjects[at]))
            .buffered(IN_FLIGHT)
            .try_collect()
            .await
    }

    async fn end(&self, endings: &[Ending<'_>]) -> Result<Vec<u64>> {
        let mut seen = HashSet::new();
        let (mut online, mut offline) = (Vec::new(), Vec::new());
        for (index, ending) in endings.iter().enumerate() {
            self.recent.remember(ending.subject, ending.sessions, Instant::now());
            // A session of two subjects counts for the first.
            for id in ending.sessions.iter().filter(|id| seen.insert(*id)) {
                match mapping::parse(id) {
                    Some((_, SessionKind::Refresh)) => offline.push((index, id)),
                    _ => online.push((index, id)),
                }
            }
        }
        let mut ended = vec![0; endings.len()];
        // Ending an offline session ends the online one that it began as, too; in this order both are counted.
        for kind in [online, offline] {
            let (owners, ids): (Vec<usize>, Vec<&SessionId>) = kind.into_iter().unzip();
            for (owner, there) in owners.into_iter().zip(self.end_all(&ids).await?) {
                ended[owner] += u64::from(there);
            }
        }
        Ok(ended)
    }

    async fn probe(&self) -> Result<Probe> {
        // A session that nobody has: ending it takes the role that `end` takes, and changes nothing.
        self.client.delete(&["sessions", "leaver-probe"], ("isOffline", "true"), ROLE).await?;
        let exposed = self.client.is_exposed();
        let note =
            "`url` begins with http:// and leads to another machine, so the client's secret can be read on the way.";
        // Keycloak tells its version only to administrators of the whole server.
        Ok(Probe { store: "Keycloak".into(), notes: exposed.then(|| note.to_owned()).into_iter().collect() })
    }
}
