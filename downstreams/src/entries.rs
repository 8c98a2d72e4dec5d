//! What a session index holds: hashes of users with the ids of their sessions, packed and bounded; and who is watched. Where the store has
//! a set of sessions for each user, the spellings under which the sets stand take the place of ids.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    time::SystemTime,
};

use uuid::Uuid;

use crate::{IndexState, Match, Subject};

/// Parts with a lock each, so that none is held for long when all are gone through.
const PARTS: usize = 256;

/// Sessions that are kept at most, at about 100 bytes each. What is beyond is found as if there were no index.
const MOST: u64 = 5_000_000;

pub(crate) struct Entries {
    matching: Match,
    /// Of a key of its own: whoever chooses a name cannot choose with whose hash it collides.
    hasher: RandomState,
    parts: Vec<Mutex<Part>>,
    watched: Mutex<Watched>,
    sessions: AtomicU64,
    /// The walk under way marks what it comes by.
    mark: AtomicU8,
    notified: AtomicBool,
    walked_at: Mutex<Option<SystemTime>>,
}

type Part = HashMap<u64, Ids>;

/// Ids one after the other, each behind its mark and its length: a list of strings would take three times the memory.
#[derive(Default)]
struct Ids(Box<[u8]>);

#[derive(Default)]
struct Watched {
    by_user: HashMap<u64, Vec<Uuid>>,
    by_person: HashMap<Uuid, Vec<u64>>,
}

impl Entries {
    pub(crate) fn new(matching: Match) -> Self {
        Self {
            matching,
            hasher: RandomState::new(),
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
            watched: Mutex::default(),
            sessions: AtomicU64::new(0),
            mark: AtomicU8::new(0),
            notified: AtomicBool::new(false),
            walked_at: Mutex::default(),
        }
    }

    /// A session of `user` lives. Returns who is watched of those who go by that name.
    pub(crate) fn insert(&self, user: &str, id: &str) -> Vec<Uuid> {
        // An empty value is nobody.
        if user.is_empty() {
            return Vec::new();
        }
        let user = self.hash(user);
        let is_full = self.sessions.load(Ordering::Relaxed) >= MOST;
        let mut part = self.part(user);
        let ids = part.entry(user).or_default();
        if ids.insert(id, self.mark.load(Ordering::Relaxed), is_full) {
            self.sessions.fetch_add(1, Ordering::Relaxed);
        } else if ids.0.is_empty() {
            part.remove(&user);
        }
        drop(part);
        lock(&self.watched).by_user.get(&user).cloned().unwrap_or_default()
    }

    /// Ids that may be of this subject.
    pub(crate) fn of(&self, subject: &Subject) -> Vec<String> {
        let mut users: Vec<u64> = subject.names().map(|name| self.hash(name)).collect();
        users.sort_unstable();
        users.dedup();
        let ids = |user: u64| self.part(user).get(&user).map(Ids::all).unwrap_or_default();
        users.into_iter().flat_map(ids).collect()
    }

    /// Watches for sessions of `who`, or no longer.
    pub(crate) fn watch(&self, who: Uuid, subject: Option<&Subject>) {
        let mut watched = lock(&self.watched);
        let Watched { by_user, by_person } = &mut *watched;
        for user in by_person.remove(&who).unwrap_or_default() {
            if let Some(people) = by_user.get_mut(&user) {
                people.retain(|other| *other != who);
                if people.is_empty() {
                    by_user.remove(&user);
                }
            }
        }
        let Some(subject) = subject else { return };
        let mut users: Vec<u64> = subject.names().map(|name| self.hash(name)).collect();
        users.sort_unstable();
        users.dedup();
        for user in &users {
            by_user.entry(*user).or_default().push(who);
        }
        by_person.insert(who, users);
    }

    pub(crate) fn begin_walk(&self) {
        self.mark.fetch_add(1, Ordering::Relaxed);
    }

    /// The walk came by everything that lives, the last time at `walked_at`: whatever it did not see, and nobody told of
    /// meanwhile, is gone.
    pub(crate) fn end_walk(&self, walked_at: SystemTime) {
        let (mark, mut left) = (self.mark.load(Ordering::Relaxed), 0);
        for part in &self.parts {
            lock(part).retain(|_, ids| {
                ids.keep(mark);
                let some = ids.iter().count() as u64;
                left += some;
                some > 0
            });
        }
        self.sessions.store(left, Ordering::Relaxed);
        *lock(&self.walked_at) = Some(walked_at);
    }

    /// Whether the store tells of what is written.
    pub(crate) fn notified(&self, notified: bool) {
        self.notified.store(notified, Ordering::Relaxed);
    }

    pub(crate) fn state(&self) -> IndexState {
        IndexState {
            sessions: self.sessions.load(Ordering::Relaxed),
            notified: self.notified.load(Ordering::Relaxed),
            walked_at: *lock(&self.walked_at),
        }
    }

    fn hash(&self, user: &str) -> u64 {
        self.hasher.hash_one(self.matching.fold(user).as_ref())
    }

    fn part(&self, user: u64) -> MutexGuard<'_, Part> {
        lock(&self.parts[user as usize % PARTS])
    }
}

impl Ids {
    /// Marks `id`, which is added unless it is there or there is no room. Whether it was added.
    fn insert(&mut self, id: &str, mark: u8, is_full: bool) -> bool {
        let mut at = 0;
        while let Some((_, other)) = record(&self.0[at..]) {
            if other == id.as_bytes() {
                self.0[at] = mark;
                return false;
            }
            at += HEAD + other.len();
        }
        let (Ok(length), false) = (u16::try_from(id.len()), is_full) else { return false };
        let mut ids = Vec::with_capacity(self.0.len() + HEAD + id.len());
        ids.extend_from_slice(&self.0);
        ids.push(mark);
        ids.extend_from_slice(&length.to_le_bytes());
        ids.extend_from_slice(id.as_bytes());
        self.0 = ids.into();
        true
    }

    /// Drops those without this mark.
    fn keep(&mut self, mark: u8) {
        if self.iter().all(|(other, _)| other == mark) {
            return;
        }
        let mut kept = Self::default();
        for (_, id) in self.iter().filter(|(other, _)| *other == mark) {
            kept.insert(&String::from_utf8_lossy(id), mark, false);
        }
        *self = kept;
    }

    fn iter(&self) -> impl Iterator<Item = (u8, &[u8])> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let (mark, id) = record(rest)?;
            rest = &rest[HEAD + id.len()..];
            Some((mark, id))
        })
    }

    fn all(&self) -> Vec<String> {
        self.iter().map(|(_, id)| String::from_utf8_lossy(id).into_owned()).collect()
    }
}

/// Mark and length.
const HEAD: usize = 3;

/// The first of packed ids, with its mark.
fn record(ids: &[u8]) -> Option<(u8, &[u8])> {
    let (head, rest) = ids.split_first_chunk::<HEAD>()?;
    Some((head[0], &rest[..u16::from_le_bytes([head[1], head[2]]).into()]))
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn of(entries: &Entries, user: &str) -> Vec<String> {
        let mut ids = entries.of(&Subject::new([user]));
        ids.sort();
        ids
    }

    #[test]
    fn a_user_leads_to_every_session_once_and_nobody_to_none() {
        let entries = Entries::new(Match::IgnoreCase);
        for (user, id) in [("Ana", "one"), ("ana", "two"), ("ana", "one"), ("bob", "three"), ("", "four")] {
            entries.insert(user, id);
        }
        assert_eq!(of(&entries, "ANA"), ["one", "two"]);
        assert_eq!(entries.of(&Subject::new(["ana", "Ana", "bob"])).len(), 3);
        assert_eq!((of(&entries, ""), of(&entries, "carol")), (vec![], vec![]));
        assert_eq!(entries.state().sessions, 3);
    }

    #[test]
    fn a_whole_walk_forgets_what_it_did_not_come_by() {
        let entries = Entries::new(Match::Exact);
        for (user, id) in [("ana", "gone"), ("ana", "stays"), ("bob", "gone too")] {
            entries.insert(user, id);
        }
        assert_eq!(entries.state().walked_at, None);
        entries.begin_walk();
        entries.insert("ana", "stays");
        entries.insert("ana", "told of meanwhile");
        let walked_at = SystemTime::UNIX_EPOCH + Duration::from_secs(7);
        entries.end_walk(walked_at);
        assert_eq!(of(&entries, "ana"), ["stays", "told of meanwhile"]);
        assert_eq!(of(&entries, "bob"), Vec::<String>::new());
        assert_eq!(entries.state().sessions, 2);
        assert_eq!(entries.state().walked_at, Some(walked_at), "when the walk says that it was");
    }

    #[test]
    fn whoever_is_watched_is_named_by_each_session_until_it_ends() {
        let entries = Entries::new(Match::Exact);
        let (ana, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        entries.watch(ana, Some(&Subject::new(["ana", "a.old"])));
        entries.watch(other, Some(&Subject::new(["a.old"])));
        assert_eq!((entries.insert("ana", "1"), entries.insert("bob", "2")), (vec![ana], vec![]));
        assert_eq!(entries.insert("a.old", "3"), [ana, other]);
        entries.watch(ana, Some(&Subject::new(["anna"])));
        assert_eq!((entries.insert("ana", "1"), entries.insert("anna", "1")), (vec![], vec![ana]));
        entries.watch(ana, None);
        assert_eq!((entries.insert("anna", "1"), entries.insert("a.old", "3")), (vec![], vec![other]));
    }
}
