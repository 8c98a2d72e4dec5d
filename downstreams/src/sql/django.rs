//! Sessions of Django, which have no column for the user: every one is read, once for all subjects that wait.

use std::collections::HashSet;

use async_trait::async_trait;
use sqlx::{Arguments, AssertSqlSafe, Executor, SqlSafeStr, SqlStr, postgres::PgArguments};

use super::{
    cache::Cached,
    client::{Client, Lease},
    mapping::{Begun, Shape},
    rehearsal,
    signed::{self, Seen},
    values,
};
use crate::{
    Capabilities, ConfigError, Downstream, Ending, Error, Finds, Match, Probe, Result, Session, SessionId, SessionKind,
    Subject, subject::Wanted,
};

/// Rows read at a time.
const PAGE: usize = 1000;

pub(super) struct Django {
    client: Client,
    /// The unexpired sessions after `$1`, in the order of their keys.
    page: SqlStr,
    end: SqlStr,
    users: Option<SqlStr>,
    cache: Option<Cached>,
    matching: Match,
}

impl Django {
    /// `table` is a plain name: it becomes part of the statements.
    pub(super) fn new(
        client: Client,
        table: &str,
        users: Option<&str>,
        cache: Option<Cached>,
        matching: Match,
    ) -> Result<Self, ConfigError> {
        if users.is_some_and(|users| !users.contains("$1")) {
            return Err(ConfigError::MissingPlaceholder { statement: "users", placeholder: "$1" });
        }
        let sql = |text: String| AssertSqlSafe(text).into_sql_str();
        Ok(Self {
            client,
            page: sql(format!(
                "select session_key, session_data from {table} where expire_date > now() and session_key > $1 \
                 order by session_key limit {PAGE}"
            )),
            end: sql(format!("delete from {table} where session_key = any($1) returning session_key")),
            users: users.map(|users| sql(users.to_owned())),
            cache,
            matching,
        })
    }

    /// The subjects by the ids that sessions have for them.
    async fn wanted(&self, lease: &mut Lease<'_>, subjects: &[Subject]) -> Result<Wanted> {
        let Some(users) = &self.users else { return Ok(Wanted::new(subjects, self.matching)) };
        let shape = Self::shape(lease, users).await?;
        let mut known = Vec::with_capacity(subjects.len());
        for subject in subjects {
            let mut ids = Vec::new();
            for value in values(subject, self.matching) {
                let arguments = shape.subject(&value)?;
                let rows = lease
                    .ask(async |connection| sqlx::query_with(users.clone(), arguments).fetch_all(connection).await)
                    .await?;
                for row in &rows {
                    ids.push(shape.id(row)?);
                }
            }
            known.push(Subject::new(ids));
        }
        Ok(Wanted::new(&known, Match::Exact))
    }

    async fn shape(lease: &mut Lease<'_>, users: &SqlStr) -> Result<Shape> {
        let prepared = lease.ask(async |connection| connection.prepare(users.clone()).await).await?;
        Ok(Shape::of(&prepared, "users", &Begun { key: "auth_time", column: None })?)
    }

    async fn rows(&self, lease: &mut Lease<'_>, after: &str) -> Result<Vec<(String, String)>> {
        lease.ask(async |connection| sqlx::query_as(self.page.clone()).bind(after).fetch_all(connection).await).await
    }

    fn session(id: impl Into<String>) -> Session {
        Session { id: SessionId::new(id), kind: SessionKind::Session, auth_time: None }
    }
}

#[async_trait]
impl Downstream for Django {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            finds: Finds::ScanOnly,
            // Saving a session whose row is gone fails; filling the cache from a row that was read before does not.
            resurrects: self.cache.is_some(),
            knows_auth_time: false,
            actions: crate::actions(false, false),
        }
    }

    async fn find(&self, subjects: &[Subject]) -> Result<Vec<Vec<Session>>> {
        let mut found = vec![Vec::new(); subjects.len()];
        if subjects.iter().all(|subject| subject.names().next().is_none()) {
            return Ok(found);
        }
        let mut lease = self.client.lease().await?;
        let wanted = self.wanted(&mut lease, subjects).await?;
        let mut after = String::new();
        while !wanted.is_empty() {
            let rows = self.rows(&mut lease, &after).await?;
            for (id, data) in &rows {
                let Seen::Somebody(user) = signed::user(data) else { continue };
                for &owner in wanted.who(&user) {
                    found[owner].push(Self::session(id));
                }
            }
            match rows.into_iter().nth(PAGE - 1) {
                Some((last, _)) => after = last,
                None => break,
            }
        }
        lease.keep();
        if let Some(cache) = &self.cache {
            for (subject, sessions) in subjects.iter().zip(&mut found) {
                let with_row: HashSet<SessionId> = sessions.iter().map(|session| session.id.clone()).collect();
                for id in cache.returned(subject).await? {
                    if !with_row.contains(&id) {
                        sessions.push(Self::session(id.expose()));
                    }
                }
            }
        }
        Ok(found)
    }

    async fn end(&self, endings: &[Ending<'_>]) -> Result<Vec<u64>> {
        let mut lease = self.client.lease().await?;
        let mut ended = Vec::with_capacity(endings.len());
        for ending in endings {
            if let Some(cache) = &self.cache {
                cache.remember(ending);
            }
            let mut count = 0;
            for sessions in ending.sessions.chunks(PAGE) {
                let keys: Vec<&str> = sessions.iter().map(SessionId::expose).collect();
                let rows: Vec<(String,)> = lease
                    .ask(async |connection| sqlx::query_as(self.end.clone()).bind(keys).fetch_all(connection).await)
                    .await?;
                let mut gone: HashSet<String> = rows.into_iter().map(|(key,)| key).collect();
                // After the row: else a request would fill the cache from it again.
                if let Some(cache) = &self.cache {
                    let cached = cache.remove(sessions).await?.into_iter().zip(sessions);
                    gone.extend(cached.filter(|(there, _)| *there).map(|(_, id)| id.expose().to_owned()));
                }
                count += gone.len() as u64;
            }
            ended.push(count);
        }
        lease.keep();
        Ok(ended)
    }

    async fn probe(&self) -> Result<Probe> {
        let mut lease = self.client.lease().await?;
        if let Some(users) = &self.users {
            let shape = Self::shape(&mut lease, users).await?;
            rehearsal::plan(&mut lease, users, shape.subject(shape.nobody())?).await?;
        }
        let no_session = vec![String::new()];
        let mut arguments = PgArguments::default();
        arguments.add(no_session).map_err(Error::Rejected)?;
        rehearsal::plan(&mut lease, &self.end, arguments).await?;
        let rows = self.rows(&mut lease, "").await?;
        let store = rehearsal::product(&mut lease).await?;
        lease.keep();

        let mut notes = Vec::new();
        let (looked, readable) = (rows.len(), rows.iter().filter(|row| signed::user(&row.1) != Seen::Unreadable));
        if looked > 0 && readable.count() == 0 {
            notes.push(format!("None of {looked} sessions looked at is signed JSON, as Django writes it."));
        }
        if let Some(cache) = &self.cache {
            let sessions: Vec<SessionId> = rows.into_iter().map(|(key, _)| SessionId::new(key)).collect();
            if cache.probe(&sessions).await? == 0 && looked > 0 {
                notes.push(format!("None of {looked} sessions looked at is in the cache: is its `prefix` right?"));
            }
        }
        Ok(Probe { store, notes })
    }
}
