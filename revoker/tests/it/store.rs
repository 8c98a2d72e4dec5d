//! A session store in memory that stands in for a third party's, and can misbehave as they do.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use downstreams::{
    BoxError, Capabilities, Downstream, Ending, Error, Finds, Probe, Result, Session, SessionId, SessionKind, Subject,
};
use lifecycle::Action;
use tokio::sync::watch;

/// How the store takes what it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Well,
    /// Does not answer until it is well again.
    Hangs,
    Away,
    /// Cannot take a request that names this user.
    Refuses(&'static str),
}

/// Session id → (user, login time).
type Sessions = BTreeMap<String, (String, Option<DateTime<Utc>>)>;

pub struct Store {
    capabilities: Capabilities,
    mood: watch::Sender<Mood>,
    sessions: Mutex<Sessions>,
    /// How often somebody has looked since a session was last ended; the re-read is part of ending.
    looks: AtomicU32,
    /// What requests in flight write once the first re-read is over.
    in_flight: Mutex<Vec<(String, String)>>,
}

impl Store {
    pub fn new() -> Arc<Self> {
        Self::of(false, &[Action::RevokeSessions])
    }

    pub fn of(knows_auth_time: bool, actions: &'static [Action]) -> Arc<Self> {
        let capabilities = Capabilities { finds: Finds::ByUserIndex, resurrects: true, knows_auth_time, actions };
        Arc::new(Self {
            capabilities,
            mood: watch::Sender::new(Mood::Well),
            sessions: Mutex::default(),
            looks: AtomicU32::new(0),
            in_flight: Mutex::default(),
        })
    }

    pub fn becomes(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    pub fn sign_in(&self, user: &str, id: &str) {
        self.locked().insert(id.to_owned(), (user.to_owned(), None));
    }

    pub fn signed_in_at(&self, user: &str, id: &str, auth_time: DateTime<Utc>) {
        self.locked().insert(id.to_owned(), (user.to_owned(), Some(auth_time)));
    }

    /// A request that has begun and will write this session when the first re-read is over.
    pub fn writes_later(&self, user: &str, id: &str) {
        self.in_flight.lock().unwrap().push((user.to_owned(), id.to_owned()));
    }

    /// The ids of a user's sessions.
    pub fn of_user(&self, user: &str) -> Vec<String> {
        self.locked().iter().filter(|(_, (u, _))| u == user).map(|(id, _)| id.clone()).collect()
    }

    pub fn looks_since_last_end(&self) -> u32 {
        self.looks.load(Ordering::SeqCst)
    }

    fn locked(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap()
    }

    async fn listens(&self, asked: &[&Subject]) -> Result<()> {
        let mood = *self.mood.subscribe().wait_for(|m| *m != Mood::Hangs).await.unwrap();
        match mood {
            Mood::Away => Err(Error::Unavailable(cause("connection refused"))),
            Mood::Refuses(user) if asked.iter().any(|s| s.values.iter().any(|v| v == user)) => {
                Err(Error::Rejected(cause("a value is too long for its column")))
            }
            Mood::Well | Mood::Hangs | Mood::Refuses(_) => Ok(()),
        }
    }

    fn sessions_of(&self, subject: &Subject) -> Vec<Session> {
        let sessions = self.locked();
        let theirs = sessions.iter().filter(|(_, (user, _))| subject.values.contains(user));
        theirs
            .map(|(id, (_, at))| Session {
                id: SessionId::new(id.clone()),
                kind: SessionKind::Session,
                auth_time: at.filter(|_| self.capabilities.knows_auth_time),
            })
            .collect()
    }
}

fn cause(text: &str) -> BoxError {
    text.into()
}

#[async_trait]
impl Downstream for Store {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    async fn find(&self, subjects: &[Subject]) -> Result<Vec<Vec<Session>>> {
        self.listens(&subjects.iter().collect::<Vec<_>>()).await?;
        self.looks.fetch_add(1, Ordering::SeqCst);
        Ok(subjects.iter().map(|s| self.sessions_of(s)).collect())
    }

    async fn end(&self, endings: &[Ending<'_>]) -> Result<Vec<u64>> {
        self.listens(&endings.iter().map(|e| e.subject).collect::<Vec<_>>()).await?;
        self.looks.store(0, Ordering::SeqCst);
        let mut sessions = self.locked();
        let gone = |id: &SessionId, sessions: &mut Sessions| u64::from(sessions.remove(id.expose()).is_some());
        Ok(endings.iter().map(|e| e.sessions.iter().map(|id| gone(id, &mut sessions)).sum()).collect())
    }

    async fn verify(&self, subjects: &[Subject]) -> Result<Vec<Vec<Session>>> {
        self.listens(&subjects.iter().collect::<Vec<_>>()).await?;
        let seen = subjects.iter().map(|s| self.sessions_of(s)).collect();
        for (user, id) in std::mem::take(&mut *self.in_flight.lock().unwrap()) {
            self.sign_in(&user, &id);
        }
        Ok(seen)
    }

    async fn probe(&self) -> Result<Probe> {
        Ok(Probe { store: "memory".to_owned(), notes: Vec::new() })
    }
}
