//! Stores without an index by user: every session is read, once for all subjects that wait.

use std::{borrow::Cow, collections::HashSet};

use ::redis::{Pipeline, RedisError, Value};
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, future::try_join, stream};

use super::{
    client::Client,
    commands::{self, Cursor, PAGE, Redis},
    ears::{Ears, Written},
    java,
    mapping::{Path, Template},
    marks::{self, Marks},
    spring,
};
use crate::{
    Capabilities, Downstream, Ending, Finds, Mark, Match, Probe, Result, Session, SessionId, SessionIndex, SessionKind,
    Subject, entries::Entries, subject::Wanted,
};

/// Orders to delete that are on the wire at once.
const IN_FLIGHT: usize = 64;

pub(super) struct Scan {
    pub(super) client: Client,
    /// The key of a session.
    pub(super) key: Template,
    pub(super) format: Format,
    pub(super) matching: Match,
    /// Kept beside the store where the configuration says so.
    pub(super) entries: Option<Entries>,
    pub(super) marks: Option<Marks>,
}

/// What the value of a session's key is.
pub(super) enum Format {
    Json(Path),
    MessagePack(Path),
    /// A hash of attributes serialized by Java.
    Spring,
}

/// What a look at one value showed.
pub(super) enum Seen<'a> {
    /// Not a session, or nobody's.
    Nobody,
    Somebody(Cow<'a, str>),
    /// Somebody's, but we cannot tell whose.
    Unreadable,
}

impl Format {
    /// The values of `keys`, in their order, as [`look`](Self::look) wants them.
    pub(super) async fn read(&self, redis: &Redis, keys: &[Vec<u8>]) -> Result<Vec<Value>, RedisError> {
        match self {
            Format::Json(_) | Format::MessagePack(_) => commands::read(redis, keys).await,
            Format::Spring => {
                let mut commands = Pipeline::with_capacity(keys.len());
                for key in keys {
                    commands.cmd("HMGET").arg(key).arg(&spring::FIELDS);
                }
                commands::ask(redis, commands).await
            }
        }
    }

    /// By what event a session is written.
    pub(super) fn written(&self) -> Written {
        match self {
            Format::Json(_) | Format::MessagePack(_) => Written { event: "set", letter: '$' },
            Format::Spring => Written { event: "hset", letter: 'h' },
        }
    }

    /// The type of the keys in question, where a store has others under the same prefix.
    pub(super) fn kind(&self) -> Option<&'static str> {
        matches!(self, Format::Spring).then_some("hash")
    }

    pub(super) fn look<'a>(&self, value: &'a Value) -> Seen<'a> {
        let user = match (self, value) {
            (Format::Json(path), Value::BulkString(session)) => path.user_in_json(session),
            (Format::MessagePack(path), Value::BulkString(session)) => path.user_in_msgpack(session),
            (Format::Spring, Value::Array(fields)) => match &fields[..] {
                // Without a time of creation the application, too, takes it for no session.
                [Value::BulkString(_), _, Value::BulkString(name)] => {
                    return java::text(name).map_or(Seen::Unreadable, |name| Seen::Somebody(name.into()));
                }
                [Value::BulkString(_), Value::BulkString(context), _] => {
                    return java::principal(context).map_or(Seen::Unreadable, |name| Seen::Somebody(name.into()));
                }
                _ => None,
            },
            _ => None,
        };
        user.map_or(Seen::Nobody, Seen::Somebody)
    }

    /// Of `sessions` that were looked at, so many are somebody's, and of so many we cannot tell whose.
    fn note(&self, sessions: usize, users: usize, unreadable: usize) -> Option<String> {
        match self {
            Format::Spring if unreadable > 0 => Some(format!(
                "In {unreadable} of {sessions} sessions looked at, the principal is of a class that cannot be read."
            )),
            Format::Json(_) | Format::MessagePack(_) if sessions > 0 && users == 0 => {
                Some(format!("None of {sessions} sessions looked at has a user at `path`."))
            }
            _ => None,
        }
    }
}

/// The sessions of each subject, so far.
pub(super) struct Finding {
    pub(super) sessions: Vec<Vec<Session>>,
    /// Ids that are among them: a walk may come by a key twice.
    seen: HashSet<String>,
}

impl Finding {
    pub(super) fn of(subjects: usize) -> Self {
        Self { sessions: vec![Vec::new(); subjects], seen: HashSet::new() }
    }
}

pub(super) fn session(id: &str) -> Session {
    Session { id: SessionId::new(id), kind: SessionKind::Session, auth_time: None }
}

impl Scan {
    /// The sessions of the wanted subjects among all of the store. While one page is read, the next is already asked
    /// for.
    async fn pass(&self, redis: &Redis, wanted: &Wanted, subjects: usize) -> Result<Vec<Vec<Session>>, RedisError> {
        let mut found = Finding::of(subjects);
        let pattern = &self.key.pattern();
        let page = |cursor| commands::scan(redis, pattern, self.format.kind(), cursor);
        let (mut cursor, mut keys) = page(Cursor::START).await?;
        loop {
            let next = async {
                match cursor {
                    None => Ok(None),
                    Some(cursor) => page(cursor).await.map(Some),
                }
            };
            let (values, next) = try_join(self.format.read(redis, &keys), next).await?;
            self.pick(&keys, &values, wanted, &mut found);
            match next {
                Some(page) => (cursor, keys) = page,
                None => return Ok(found.sessions),
            }
        }
    }

    /// Those of `keys` whose values are sessions of the wanted subjects.
    pub(super) fn pick(&self, keys: &[Vec<u8>], values: &[Value], wanted: &Wanted, found: &mut Finding) {
        for (key, value) in keys.iter().zip(values) {
            let Seen::Somebody(user) = self.format.look(value) else { continue };
            let owners = wanted.who(&user);
            if let Some(id) = self.key.gap(key)
                && !owners.is_empty()
                && found.seen.insert(id.to_owned())
            {
                for &owner in owners {
                    found.sessions[owner].push(session(id));
                }
            }
        }
    }

    fn keys<'a>(&'a self, sessions: &'a [SessionId]) -> impl Iterator<Item = String> + 'a {
        sessions.iter().map(|session| self.key.with(session.expose()))
    }
}

#[async_trait]
impl Downstream for Scan {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            finds: Finds::ScanOnly,
            // connect-redis and Flask-Session write with an unconditional SET at the end of a request. Spring Session
            // looks whether the hash is there; what it writes in spite of a deletion in that very moment is a hash
            // without a time of creation, which is no session.
            resurrects: !matches!(self.format, Format::Spring),
            knows_auth_time: false,
            actions: crate::actions(false, self.marks.is_some()),
        }
    }

    async fn find(&self, subjects: &[Subject]) -> Result<Vec<Vec<Session>>> {
        let wanted = &Wanted::new(subjects, self.matching);
        if wanted.is_empty() {
            return Ok(vec![Vec::new(); subjects.len()]);
        }
        self.client.run(|redis| async move { self.pass(&redis, wanted, subjects.len()).await }).await
    }

    async fn end(&self, endings: &[Ending<'_>]) -> Result<Vec<u64>> {
        let mut orders = Vec::new();
        for (index, ending) in endings.iter().enumerate() {
            orders.extend(ending.sessions.chunks(PAGE).map(|sessions| (index, sessions)));
        }
        let orders = &orders;
        if orders.is_empty() {
            return Ok(vec![0; endings.len()]);
        }
        let answers: Vec<u64> = self
            .client
            .run(|redis| async move {
                let order = |at: usize| commands::unlink(&redis, self.keys(orders[at].1));
                stream::iter(0..orders.len()).map(order).buffered(IN_FLIGHT).try_collect().await
            })
            .await?;
        let mut ended = vec![0; endings.len()];
        for ((index, _), count) in orders.iter().zip(answers) {
            ended[*index] += count;
        }
        Ok(ended)
    }

    async fn mark(&self, marks: &[Mark<'_>]) -> Result<()> {
        marks::leave(&self.client, self.marks.as_ref(), marks).await
    }

    async fn probe(&self) -> Result<Probe> {
        let no_session = &self.key.with(super::NO_SESSION);
        let mut notes = self
            .client
            .run(|redis| async move {
                let mut keys = commands::sample(&redis, &self.key.pattern(), self.format.kind()).await?;
                // Where there is no session yet, the right to read one has to be tried all the same.
                keys.push(no_session.clone().into_bytes());
                let values = self.format.read(&redis, &keys).await?;
                let (mut users, mut unreadable) = (0, 0);
                for value in &values {
                    match self.format.look(value) {
                        Seen::Nobody => {}
                        Seen::Somebody(_) => users += 1,
                        Seen::Unreadable => unreadable += 1,
                    }
                }
                // Deleting a key that no session has takes the right and the primary that `end` takes, and changes
                // nothing.
                commands::unlink(&redis, std::iter::once(no_session.clone())).await?;
                let mut notes: Vec<String> = self.format.note(keys.len() - 1, users, unreadable).into_iter().collect();
                if let Format::Spring = self.format {
                    notes.extend(spring::is_indexed(&redis, &self.key).await?);
                }
                if let Some(marks) = &self.marks {
                    marks.rehearse(&redis).await?;
                }
                Ok(notes)
            })
            .await?;
        if self.entries.is_some() {
            notes.extend(Ears::new(&self.client.servers, self.format.written()).probe().await?);
        }
        Ok(Probe { store: self.client.product().await?, notes })
    }

    fn index(&self) -> Option<&dyn SessionIndex> {
        self.entries.is_some().then_some(self)
    }
}
