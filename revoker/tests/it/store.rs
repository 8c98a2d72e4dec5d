//! A session store in memory that stands in for a third party's, and can misbehave as they do.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use downstreams::{
    Appeared, BoxError, Capabilities, Downstream, Ending, Error, Finds, IndexState, Mark, Probe, Result, Revoked,
    Session, SessionId, SessionIndex, SessionKind, Signal, Subject,
};
use lifecycle::Action;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use uuid::Uuid;

/// How the store takes what it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Well,
    /// Does not answer until it is well again.
    Hangs,
    Away,
    /// Cannot take a request that names this user.
    Refuses(&'static str),
    /// Does not come to an end of reading all sessions until it is well again.
    ReadsOn,
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
    /// By user.
    marks: Mutex<HashMap<String, DateTime<Utc>>>,
    /// The ids of what it was told, each as often as it was.
    signals: Mutex<Vec<(Uuid, Value)>>,
    /// Keys that are good, by id: whose, and since when.
    keys: Mutex<Sessions>,
    /// Keys that are there again once the others were revoked.
    keys_later: Mutex<Vec<(String, String)>>,
    index: Option<Index>,
}

/// What is kept beside the store: as much as a test says.
#[derive(Default)]
struct Index {
    knows: Mutex<BTreeSet<String>>,
    watched: Mutex<HashMap<Uuid, Subject>>,
    told: Mutex<Option<UnboundedSender<Appeared>>>,
}

impl Store {
    pub fn new() -> Arc<Self> {
        Self::of(false, &[Action::RevokeSessions])
    }

    pub fn of(knows_auth_time: bool, actions: &'static [Action]) -> Arc<Self> {
        Arc::new(Self::with(knows_auth_time, actions, None))
    }

    /// One that is beside an index.
    pub fn indexed() -> Arc<Self> {
        Arc::new(Self::with(false, &[Action::RevokeSessions], Some(Index::default())))
    }

    fn with(knows_auth_time: bool, actions: &'static [Action], index: Option<Index>) -> Self {
        let capabilities = Capabilities { finds: Finds::ByUserIndex, resurrects: true, knows_auth_time, actions };
        Self {
            capabilities,
            mood: watch::Sender::new(Mood::Well),
            sessions: Mutex::default(),
            looks: AtomicU32::new(0),
            in_flight: Mutex::default(),
            marks: Mutex::default(),
            signals: Mutex::default(),
            keys: Mutex::default(),
            keys_later: Mutex::default(),
            index,
        }
    }

    /// The index has this session.
    pub fn is_known(&self, id: &str) {
        self.index.as_ref().unwrap().knows.lock().unwrap().insert(id.to_owned());
    }

    /// Whether somebody follows it.
    pub fn is_followed(&self) -> bool {
        self.index.as_ref().unwrap().told.lock().unwrap().is_some()
    }

    pub fn becomes(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    pub fn sign_in(&self, user: &str, id: &str) {
        self.locked().insert(id.to_owned(), (user.to_owned(), None));
        let Some(index) = &self.index else { return };
        for (who, subject) in index.watched.lock().unwrap().iter() {
            if let (true, Some(told)) = (subject.values.iter().any(|value| value == user), &*index.told.lock().unwrap())
            {
                let session = Session { id: SessionId::new(id), kind: SessionKind::Session, auth_time: None };
                told.send(Appeared { who: *who, session }).unwrap();
            }
        }
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

    /// Before when a user must have signed in to be asked again.
    pub fn mark_of(&self, user: &str) -> Option<DateTime<Utc>> {
        self.marks.lock().unwrap().get(user).copied()
    }

    pub fn loses_marks(&self) {
        self.marks.lock().unwrap().clear();
    }

    /// What it was told: under which id, and the event with the names of whom it is about.
    pub fn signals(&self) -> Vec<(Uuid, Value)> {
        self.signals.lock().unwrap().clone()
    }

    pub fn issue_key(&self, user: &str, id: &str, at: DateTime<Utc>) {
        self.keys.lock().unwrap().insert(id.to_owned(), (user.to_owned(), Some(at)));
    }

    /// Somebody makes this key just when the others are revoked.
    pub fn issues_key_later(&self, user: &str, id: &str) {
        self.keys_later.lock().unwrap().push((user.to_owned(), id.to_owned()));
    }

    /// The ids of keys that are good.
    pub fn keys(&self) -> Vec<String> {
        self.keys.lock().unwrap().keys().cloned().collect()
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
            Mood::Well | Mood::Hangs | Mood::ReadsOn | Mood::Refuses(_) => Ok(()),
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
        self.mood.subscribe().wait_for(|mood| *mood != Mood::ReadsOn).await.unwrap();
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

    async fn mark(&self, marks: &[Mark<'_>]) -> Result<()> {
        self.listens(&marks.iter().map(|mark| mark.subject).collect::<Vec<_>>()).await?;
        for mark in marks {
            for name in &mark.subject.values {
                self.marks.lock().unwrap().insert(name.clone(), mark.before);
            }
        }
        Ok(())
    }

    async fn notify(&self, signal: &Signal<'_>) -> Result<()> {
        let mut told: Value = serde_json::from_str(signal.event).unwrap();
        told["subjects"] = serde_json::json!(signal.subject.values);
        // Whoever hangs has taken it already.
        self.signals.lock().unwrap().push((signal.id, told));
        self.listens(&[signal.subject]).await
    }

    async fn revoke_credentials(&self, subject: &Subject, until: DateTime<Utc>) -> Result<Revoked> {
        self.listens(&[subject]).await?;
        let due = |(user, at): &(String, Option<DateTime<Utc>>)| subject.values.contains(user) && *at <= Some(until);
        let mut keys = self.keys.lock().unwrap();
        let before = keys.len();
        keys.retain(|_, key| !due(key));
        let ended = (before - keys.len()) as u64;
        for (user, id) in std::mem::take(&mut *self.keys_later.lock().unwrap()) {
            keys.insert(id, (user, None));
        }
        Ok(Revoked { found: ended, ended, left: keys.values().filter(|key| due(key)).count() as u64 })
    }

    async fn probe(&self) -> Result<Probe> {
        Ok(Probe { store: "memory".to_owned(), notes: Vec::new() })
    }

    fn index(&self) -> Option<&dyn SessionIndex> {
        self.index.as_ref().map(|_| self as &dyn SessionIndex)
    }
}

#[async_trait]
impl SessionIndex for Store {
    async fn known(&self, subjects: &[Subject]) -> Result<Vec<Vec<Session>>> {
        let knows = self.index.as_ref().unwrap().knows.lock().unwrap();
        let known = |subject| {
            self.sessions_of(subject).into_iter().filter(|session| knows.contains(session.id.expose())).collect()
        };
        Ok(subjects.iter().map(known).collect())
    }

    async fn follow(&self, appeared: &UnboundedSender<Appeared>) -> Result<Infallible> {
        *self.index.as_ref().unwrap().told.lock().unwrap() = Some(appeared.clone());
        std::future::pending().await
    }

    fn watch(&self, who: Uuid, subject: Option<&Subject>) {
        let mut watched = self.index.as_ref().unwrap().watched.lock().unwrap();
        match subject {
            Some(subject) => drop(watched.insert(who, subject.clone())),
            None => drop(watched.remove(&who)),
        }
    }

    fn state(&self) -> IndexState {
        IndexState { sessions: 0, notified: true, walked_at: None }
    }
}
