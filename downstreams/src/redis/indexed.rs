//! Stores with an index by user: a set of session ids for each.

use std::{collections::HashSet, time::Instant};

use ::redis::{Pipeline, RedisError, Value, from_redis_value_ref};
use async_trait::async_trait;

use super::{
    NO_SESSION,
    client::Client,
    commands::{self, Cursor, PAGE, Redis},
    ears::Ears,
    layout::{self, Layout},
    marks::{self, Marks},
    scan::session,
    spring,
};
use crate::{
    Capabilities, Downstream, Ending, Finds, Mark, Match, Probe, Result, Session, SessionIndex, Subject,
    entries::Entries, recent::Recent, subject::Wanted,
};

pub(super) struct Indexed {
    pub(super) client: Client,
    pub(super) layout: Layout,
    matching: Match,
    /// In which spellings there are indexes, kept beside the store where the configuration says so.
    pub(super) entries: Option<Entries>,
    recent: Recent,
    marks: Option<Marks>,
}

impl Indexed {
    pub(super) fn new(
        client: Client,
        layout: Layout,
        matching: Match,
        entries: Option<Entries>,
        marks: Option<Marks>,
    ) -> Self {
        Self { client, layout, matching, entries, recent: Recent::new(matching), marks }
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
                if let Some(entries) = self.entries.as_ref().filter(|_| !wanted.who(name).is_empty()) {
                    entries.insert(name, name);
                }
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

    /// The keys of those indexes of the subjects that we know of.
    pub(super) fn spelled(&self, entries: &Entries, subjects: &[&Subject]) -> Vec<Vec<String>> {
        let wanted = Wanted::new(subjects.iter().copied(), self.matching);
        let spelled = |(at, subject): (usize, &&Subject)| {
            let names = entries.of(subject).into_iter().filter(|name| wanted.who(name).contains(&at));
            names.map(|name| self.layout.index().with(&name)).collect()
        };
        subjects.iter().enumerate().map(spelled).collect()
    }

    /// The ids that the indexes have, and those that they had before we took them out.
    async fn ids(
        &self,
        redis: &Redis,
        subjects: &[Subject],
        indexes: &[Vec<String>],
    ) -> Result<Vec<Vec<String>>, RedisError> {
        let mut known: Vec<Vec<String>> = subjects
            .iter()
            .map(|subject| self.recent.of(subject).iter().map(|id| id.expose().to_owned()).collect())
            .collect();
        let asked: Vec<(usize, &String)> =
            indexes.iter().enumerate().flat_map(|(at, keys)| keys.iter().map(move |key| (at, key))).collect();
        let keys: Vec<&String> = asked.iter().map(|(_, key)| *key).collect();
        for ((at, _), members) in asked.iter().zip(self.members(redis, &keys).await?) {
            known[*at].extend(members);
        }
        for ids in &mut known {
            let mut seen = HashSet::new();
            ids.retain(|id| seen.insert(id.clone()));
        }
        Ok(known)
    }

    /// The ids that each of these indexes has.
    pub(super) async fn members(&self, redis: &Redis, indexes: &[&String]) -> Result<Vec<Vec<String>>, RedisError> {
        let mut ids = Vec::with_capacity(indexes.len());
        for page in indexes.chunks(PAGE) {
            let mut commands = Pipeline::with_capacity(page.len());
            for key in page {
                commands.cmd("SMEMBERS").arg(*key);
            }
            for members in commands::ask(redis, commands).await? {
                let members: Vec<Vec<u8>> = from_redis_value_ref(&members)?;
                ids.push(members.iter().map(|member| self.layout.id(member)).collect::<Result<_, _>>()?);
            }
        }
        Ok(ids)
    }

    /// An index may name what has expired, or was ended.
    pub(super) async fn live(&self, redis: &Redis, ids: &[&String]) -> Result<Vec<bool>, RedisError> {
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

    pub(super) async fn look(
        &self,
        redis: &Redis,
        subjects: &[Subject],
        indexes: &[Vec<String>],
    ) -> Result<Vec<Vec<Session>>, RedisError> {
        let known = self.ids(redis, subjects, indexes).await?;
        let live = self.live(redis, &known.iter().flatten().collect::<Vec<_>>()).await?;
        let mut live = live.into_iter();
        let sessions = |ids: Vec<String>| {
            let live = ids.into_iter().zip(live.by_ref()).filter(|(_, live)| *live);
            live.map(|(id, _)| session(&id)).collect()
        };
        Ok(known.into_iter().map(sessions).collect())
    }

    /// First the sessions themselves; then what leads to them.
    async fn finish(&self, redis: &Redis, endings: &[Ending<'_>]) -> Result<Vec<u64>, RedisError> {
        let subjects: Vec<&Subject> = endings.iter().map(|ending| ending.subject).collect();
        let indexes = match &self.entries {
            // What was found is among them. What is left in one of another spelling leads to nothing.
            Some(entries) => self.spelled(entries, &subjects),
            None => self.indexes(redis, &subjects).await?,
        };
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
        let wanted = &subjects.iter().collect::<Vec<_>>();
        self.client
            .run(|redis| async move {
                let indexes = self.indexes(&redis, wanted).await?;
                self.look(&redis, subjects, &indexes).await
            })
            .await
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
        let mut notes: Vec<String> = note.into_iter().collect();
        if self.entries.is_some() {
            notes.extend(Ears::new(&self.client.servers, layout::WRITTEN).probe().await?);
        }
        Ok(Probe { store: self.client.product().await?, notes })
    }

    fn index(&self) -> Option<&dyn SessionIndex> {
        self.entries.is_some().then_some(self)
    }
}
