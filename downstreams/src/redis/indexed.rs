//! Stores with an index by user: a set of session ids for each.

use std::{collections::HashSet, time::Instant};

use ::redis::{Pipeline, RedisError, Value, from_redis_value_ref};
use async_trait::async_trait;

use super::{
    NO_SESSION,
    client::Client,
    commands::{self, Cursor, PAGE, Redis},
    layout::Layout,
    marks::{self, Marks},
    spring,
};
use crate::{
    Capabilities, Downstream, Ending, Finds, Mark, Match, Probe, Result, Session, SessionId, SessionKind, Subject,
    recent::Recent, subject::Wanted,
};

pub(super) struct Indexed {
    client: Client,
    layout: Layout,
    matching: Match,
    recent: Recent,
    marks: Option<Marks>,
}

impl Indexed {
    pub(super) fn new(client: Client, layout: Layout, matching: Match, marks: Option<Marks>) -> Self {
        Self { client, layout, matching, recent: Recent::new(matching), marks }
    }

    /// The keys of the subjects' indexes. An index is found by the exact spelling only, so to ignore case takes a look
    /// at the names of all.
    async fn indexes(&self, redis: &Redis, subjects: &[&Subject]) -> Result<Vec<Vec<String>>, RedisError> {
        let mut indexes: Vec<Vec<String>> = vec![Vec::new(); subjects.len()];
        if self.matching == Match::Exact {
            for (subject, indexes) in subjects.iter().zip(&mut indexes) {
                indexes.extend(subject.names().map(|name| self.layout.index().with(name)));
                indexes.dedup();
            }
            return Ok(indexes);
        }
        let wanted = Wanted::new(subjects.iter().copied(), self.matching);
        if wanted.is_empty() {
            return Ok(indexes);
        }
        let (pattern, mut next) = (self.layout.index().pattern(), Some(Cursor::START));
        while let Some(cursor) = next {
            let keys;
            (next, keys) = commands::scan(redis, &pattern, Some("set"), cursor).await?;
            for key in keys {
                let Some(name) = self.layout.index().gap(&key) else { continue };
                for &subject in wanted.who(name) {
                    let key = self.layout.index().with(name);
                    if !indexes[subject].contains(&key) {
                        indexes[subject].push(key);
                    }
                }
            }
        }
        Ok(indexes)
    }

    /// The ids that the indexes have, and those that they had before we took them out.
    async fn known(&self, redis: &Redis, subjects: &[Subject]) -> Result<Vec<Vec<String>>, RedisError> {
        let indexes = self.indexes(redis, &subjects.iter().collect::<Vec<_>>()).await?;
        let mut known: Vec<Vec<String>> = subjects
            .iter()
            .map(|subject| self.recent.of(subject).iter().map(|id| id.expose().to_owned()).collect())
            .collect();
        let asked: Vec<(usize, &String)> =
            indexes.iter().enumerate().flat_map(|(at, keys)| keys.iter().map(move |key| (at, key))).collect();
        for page in asked.chunks(PAGE) {
            let mut commands = Pipeline::with_capacity(page.len());
            for (_, key) in page {
                commands.cmd("SMEMBERS").arg(*key);
            }
            for ((at, _), members) in page.iter().zip(commands::ask(redis, commands).await?) {
                let members: Vec<Vec<u8>> = from_redis_value_ref(&members)?;
                for member in members {
                    known[*at].push(self.layout.id(&member)?);
                }
            }
        }
        for ids in &mut known {
            let mut seen = HashSet::new();
            ids.retain(|id| seen.insert(id.clone()));
        }
        Ok(known)
    }

    /// An index may name what has expired, or was ended.
    async fn live(&self, redis: &Redis, ids: &[&String]) -> Result<Vec<bool>, RedisError> {
        let mut live = Vec::with_capacity(ids.len());
        for page in ids.chunks(PAGE) {
            let mut commands = Pipeline::with_capacity(page.len());
            for id in page {
                let key = self.layout.session(id);
                match self.layout {
                    Layout::Generic { .. } => commands.cmd("EXISTS").arg(key),
                    Layout::Spring(_) => spring::look(&mut commands, &key),
                };
            }
            for answer in commands::ask(redis, commands).await? {
                live.push(match self.layout {
                    Layout::Generic { .. } => answer == Value::Int(1),
                    Layout::Spring(_) => spring::is_live(&answer)?,
                });
            }
        }
        Ok(live)
    }

    async fn look(&self, redis: &Redis, subjects: &[Subject]) -> Result<Vec<Vec<Session>>, RedisError> {
        let known = self.known(redis, subjects).await?;
        let live = self.live(redis, &known.iter().flatten().collect::<Vec<_>>()).await?;
        let mut live = live.into_iter();
        let sessions = |ids: Vec<String>| {
            let live = ids.into_iter().zip(live.by_ref()).filter(|(_, live)| *live);
            live.map(|(id, _)| Session { id: SessionId::new(id), kind: SessionKind::Session, auth_time: None })
                .collect()
        };
        Ok(known.into_iter().map(sessions).collect())
    }

    /// First the sessions themselves; then what leads to them.
    async fn finish(&self, redis: &Redis, endings: &[Ending<'_>]) -> Result<Vec<u64>, RedisError> {
        let subjects: Vec<&Subject> = endings.iter().map(|ending| ending.subject).collect();
        let indexes = self.indexes(redis, &subjects).await?;
        let mut ended = Vec::with_capacity(endings.len());
        for (ending, indexes) in endings.iter().zip(&indexes) {
            let mut count = 0;
            for page in ending.sessions.chunks(PAGE) {
                let mut commands = Pipeline::new();
                for id in page {
                    let key = self.layout.session(id.expose());
                    match &self.layout {
                        Layout::Generic { .. } => commands.cmd("UNLINK").arg(key),
                        Layout::Spring(_) => spring::end(&mut commands, &key),
                    };
                }
                if let Layout::Spring(keys) = &self.layout {
                    // The application hears of this deletion, if it listens, and tells its own listeners.
                    for id in page {
                        commands.cmd("UNLINK").arg(keys.expires.with(id.expose()));
                    }
                }
                let members: Vec<Vec<u8>> = page.iter().map(|id| self.layout.member(id.expose())).collect();
                for index in indexes {
                    commands.cmd("SREM").arg(index).arg(&members);
                }
                let answers = commands::ask(redis, commands).await?;
                for answer in &answers[..page.len()] {
                    count += from_redis_value_ref::<u64>(answer)?;
                }
            }
            ended.push(count);
        }
        Ok(ended)
    }

    /// The commands of the other calls, for nobody and for no session.
    async fn rehearse(&self, redis: &Redis) -> Result<Option<String>, RedisError> {
        let (index, session) = (self.layout.index().with(NO_SESSION), self.layout.session(NO_SESSION));
        let mut commands = Pipeline::new();
        commands.cmd("SMEMBERS").arg(&index);
        match &self.layout {
            Layout::Generic { .. } => {
                commands.cmd("EXISTS").arg(&session);
                commands.cmd("UNLINK").arg(&session);
            }
            Layout::Spring(keys) => {
                spring::look(&mut commands, &session);
                commands.cmd("UNLINK").arg(keys.expires.with(NO_SESSION));
            }
        }
        commands.cmd("SREM").arg(&index).arg(NO_SESSION);
        commands::ask(redis, commands).await?;
        if self.matching == Match::IgnoreCase {
            commands::scan(redis, &self.layout.index().pattern(), Some("set"), Cursor::START).await?;
        }
        if let Some(marks) = &self.marks {
            marks.rehearse(redis).await?;
        }
        match &self.layout {
            Layout::Generic { .. } => Ok(None),
            Layout::Spring(keys) => {
                spring::probe(redis, &session).await?;
                spring::is_plain(redis, keys).await
            }
        }
    }
}

#[async_trait]
impl Downstream for Indexed {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            finds: match self.matching {
                Match::Exact => Finds::ByUserIndex,
                Match::IgnoreCase => Finds::ScanOnly,
            },
            // We do not know how an application of its own making writes. Spring Session saves what a request changed,
            // and the interval that ends a session is not among it.
            resurrects: matches!(self.layout, Layout::Generic { .. }),
            knows_auth_time: false,
            actions: crate::actions(false, self.marks.is_some()),
        }
    }

    async fn find(&self, subjects: &[Subject]) -> Result<Vec<Vec<Session>>> {
        if subjects.iter().all(|subject| subject.names().next().is_none()) {
            return Ok(vec![Vec::new(); subjects.len()]);
        }
        self.client.run(|redis| async move { self.look(&redis, subjects).await }).await
    }

    async fn end(&self, endings: &[Ending<'_>]) -> Result<Vec<u64>> {
        if endings.iter().all(|ending| ending.sessions.is_empty()) {
            return Ok(vec![0; endings.len()]);
        }
        // Before anything is taken out of an index: a call that breaks off may have done so.
        for ending in endings {
            self.recent.remember(ending.subject, ending.sessions, Instant::now());
        }
        self.client.run(|redis| async move { self.finish(&redis, endings).await }).await
    }

    async fn mark(&self, marks: &[Mark<'_>]) -> Result<()> {
        marks::leave(&self.client, self.marks.as_ref(), marks).await
    }

    async fn probe(&self) -> Result<Probe> {
        let note = self.client.run(|redis| async move { self.rehearse(&redis).await }).await?;
        Ok(Probe { store: self.client.product().await?, notes: note.into_iter().collect() })
    }
}
