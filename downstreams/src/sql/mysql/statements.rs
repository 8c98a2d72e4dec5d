//! Sessions by three statements with `?`: find, end, verify. The operator's, or those of a layout with a column for the user.

use std::collections::HashSet;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use lifecycle::Action;
use sqlx::{
    Arguments, AssertSqlSafe, Column, Connection, Either, Executor, Row, SqlSafeStr, SqlStr, Statement, TypeInfo,
};
use sqlx_mysql::{MySqlArguments, MySqlRow};

use super::super::{config::Credentials, values};
use super::client::{Client, Lease};
use crate::{
    Capabilities, ConfigError, Downstream, Ending, Error, Finds, Mark, Match, Probe, Result, Revoked, Session,
    SessionId, SessionKind, Subject,
};

pub(super) struct Statements {
    client: Client,
    places: Vec<Place>,
    recheck: Option<SqlStr>,
    credentials: Option<Place>,
    /// What the user is called is compared with whole numbers.
    numbers: bool,
    resurrects: bool,
    matching: Match,
}

/// One place where what has to end is kept.
struct Place {
    kind: SessionKind,
    keys: Keys,
    find: SqlStr,
    verify: SqlStr,
    end: SqlStr,
    /// Whether every id is of this place, so that none has to say which it is of.
    only: bool,
}

/// What a layout or an operator asks of one place.
#[derive(Clone, Copy)]
pub(super) struct Texts<'a> {
    pub(super) kind: SessionKind,
    pub(super) keys: Keys,
    pub(super) find: &'a str,
    pub(super) end: &'a str,
    pub(super) verify: &'a str,
}

/// What the statements of a place are called in the configuration.
#[derive(Clone, Copy)]
pub(super) struct Keys {
    find: &'static str,
    end: &'static str,
    verify: &'static str,
}

pub(super) const SESSIONS: Keys = Keys { find: "find", end: "end", verify: "verify" };
const CREDENTIALS: Keys = Keys { find: "credentials.find", end: "credentials.revoke", verify: "credentials.verify" };

/// Ids of what signs a user in again, where a store has it beside sessions: the ids of both would look alike.
const REFRESH: &str = "remembered:";

/// The statements do not fit together. Mended by the operator, so it says what to write.
#[derive(Debug, thiserror::Error)]
enum Misfit {
    #[error("`{statement}` takes {found} values: {expected}")]
    Parameters { statement: &'static str, found: usize, expected: &'static str },
    #[error("`{statement}` returns no column")]
    NoColumn { statement: &'static str },
    #[error(
        "`{statement}` returns a session id of type {found}: it can be text or a whole number (cast it, or use hex())"
    )]
    SessionType { statement: &'static str, found: String },
    #[error("a session has no id")]
    NullId,
    #[error("a value is no whole number, which `numbers` says the statement compares it with")]
    Value,
    #[error("a value cannot be bound")]
    Bind(#[source] sqlx::error::BoxDynError),
    #[error("the server is read-only, as a replica is")]
    ReadOnly,
}

impl From<Misfit> for Error {
    fn from(misfit: Misfit) -> Self {
        match misfit {
            // As a failover may mend.
            Misfit::ReadOnly => Error::Unavailable(Box::new(misfit)),
            misfit => Error::Rejected(Box::new(misfit)),
        }
    }
}

/// What the server made of a prepared query: how many values it takes, and whether ids are numbers.
#[derive(Debug, Clone, Copy)]
struct Shape {
    values: usize,
    numbers: bool,
}

impl Place {
    fn new(texts: Texts<'_>, only: bool) -> Result<Self, ConfigError> {
        let keys = texts.keys;
        for (statement, sql) in [(keys.find, texts.find), (keys.verify, texts.verify), (keys.end, texts.end)] {
            if !sql.contains('?') {
                return Err(ConfigError::MissingPlaceholder { statement, placeholder: "?" });
            }
        }
        // Not built from data: the operator wrote them, and values are only ever bound.
        let sql = |text: &str| AssertSqlSafe(text).into_sql_str();
        Ok(Self { kind: texts.kind, keys, find: sql(texts.find), verify: sql(texts.verify), end: sql(texts.end), only })
    }

    /// What `id` is called here, if it is of this place.
    fn theirs<'i>(&self, id: &'i SessionId) -> Option<&'i str> {
        match (self.kind, id.expose().strip_prefix(REFRESH)) {
            _ if self.only => Some(id.expose()),
            (SessionKind::Session, None) => Some(id.expose()),
            (SessionKind::Refresh, Some(theirs)) => Some(theirs),
            _ => None,
        }
    }

    fn ours(&self, theirs: String) -> Session {
        let id = match self.kind {
            SessionKind::Refresh if !self.only => SessionId::new(format!("{REFRESH}{theirs}")),
            _ => SessionId::new(theirs),
        };
        Session { id, kind: self.kind, auth_time: None }
    }
}

/// Prepares a query, which costs a round trip only the first time on a connection.
async fn shape(lease: &mut Lease<'_>, statement: &'static str, sql: &SqlStr) -> Result<Shape> {
    let prepared = lease.ask(async |connection| connection.prepare(sql.clone()).await).await?;
    let values = count(&prepared);
    let id = prepared.columns().first().ok_or(Misfit::NoColumn { statement })?.type_info().name().to_owned();
    let numbers = match id.as_str() {
        "VARCHAR" | "CHAR" | "TEXT" | "TINYTEXT" | "MEDIUMTEXT" | "LONGTEXT" => false,
        // Unsigned ones beyond 2^63 are nobody's.
        "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" | "TINYINT UNSIGNED" | "SMALLINT UNSIGNED"
        | "MEDIUMINT UNSIGNED" | "INT UNSIGNED" | "BIGINT UNSIGNED" => true,
        _ => return Err(Misfit::SessionType { statement, found: id }.into()),
    };
    Ok(Shape { values, numbers })
}

fn count(prepared: &sqlx_mysql::MySqlStatement) -> usize {
    match prepared.parameters() {
        Some(Either::Left(types)) => types.len(),
        Some(Either::Right(many)) => many,
        None => 0,
    }
}

/// Binds `value`: as a number it has to be written as the server would write it. That "042" is not user 42, and "42x" neither,
/// must not depend on how the server compares text with numbers.
fn bind(arguments: &mut MySqlArguments, value: &str, number: bool) -> Result<(), Misfit> {
    if !number {
        return arguments.add(value).map_err(Misfit::Bind);
    }
    let number: i64 = value.parse().ok().filter(|n: &i64| n.to_string() == value).ok_or(Misfit::Value)?;
    arguments.add(number).map_err(Misfit::Bind)
}

/// The first column of a row.
fn id(row: &MySqlRow, shape: Shape) -> Result<String> {
    let broken = |cause| Error::Rejected(Box::new(cause));
    let id = match shape.numbers {
        true => row.try_get_unchecked::<Option<i64>, _>(0).map_err(broken)?.map(|id| id.to_string()),
        false => row.try_get_unchecked::<Option<String>, _>(0).map_err(broken)?,
    };
    Ok(id.ok_or(Misfit::NullId)?)
}

impl Statements {
    /// `resurrects`: whether an ended session may be written back.
    pub(super) fn new(
        client: Client,
        places: &[Texts<'_>],
        numbers: bool,
        resurrects: bool,
        matching: Match,
    ) -> Result<Self, ConfigError> {
        let places = places.iter().map(|texts| Place::new(*texts, places.len() == 1)).collect::<Result<_, _>>()?;
        Ok(Self { client, places, recheck: None, credentials: None, numbers, resurrects, matching })
    }

    /// Revokes credentials by these statements, if there are any.
    pub(super) fn revoking(self, credentials: Option<&Credentials>) -> Result<Self, ConfigError> {
        let place = credentials.map(|credentials| {
            let (find, end) = (credentials.find.as_str(), credentials.revoke.as_str());
            let verify = credentials.verify.as_deref().unwrap_or(find);
            Place::new(Texts { kind: SessionKind::Session, keys: CREDENTIALS, find, end, verify }, true)
        });
        Ok(Self { credentials: place.transpose()?, ..self })
    }

    /// Leaves marks by this statement, if there is one.
    pub(super) fn marking(self, recheck: Option<&str>) -> Result<Self, ConfigError> {
        let Some(recheck) = recheck else { return Ok(self) };
        if !recheck.contains('?') {
            return Err(ConfigError::MissingPlaceholder { statement: "recheck", placeholder: "?" });
        }
        Ok(Self { recheck: Some(AssertSqlSafe(recheck).into_sql_str()), ..self })
    }

    /// How many of the values of `recheck` are the user: all but the last.
    async fn users_of_mark(lease: &mut Lease<'_>, sql: &SqlStr) -> Result<usize> {
        let prepared = lease.ask(async |connection| connection.prepare(sql.clone()).await).await?;
        match count(&prepared) {
            found @ 0..=1 => {
                let expected = "the last is the instant, those before it the user";
                Err(Misfit::Parameters { statement: "recheck", found, expected }.into())
            }
            values => Ok(values - 1),
        }
    }

    fn marked(&self, value: &str, users: usize, milliseconds: i64) -> Result<MySqlArguments, Misfit> {
        let mut arguments = self.query(value, users)?;
        arguments.add(milliseconds).map_err(Misfit::Bind)?;
        Ok(arguments)
    }

    /// Every `?` of a query is the user.
    fn query(&self, value: &str, values: usize) -> Result<MySqlArguments, Misfit> {
        let mut arguments = MySqlArguments::default();
        for _ in 0..values {
            bind(&mut arguments, value, self.numbers)?;
        }
        Ok(arguments)
    }

    async fn select(&self, verify: bool, subjects: &[Subject]) -> Result<Vec<Vec<Session>>> {
        let mut lease = self.client.lease().await?;
        let mut found = vec![Vec::new(); subjects.len()];
        for place in &self.places {
            for (subject, found) in subjects.iter().zip(&mut found) {
                found.extend(self.select_at(&mut lease, place, verify, subject).await?);
            }
        }
        lease.keep();
        Ok(found)
    }

    /// What `find`, or `verify`, of one place gives of a subject.
    async fn select_at(
        &self,
        lease: &mut Lease<'_>,
        place: &Place,
        verify: bool,
        subject: &Subject,
    ) -> Result<Vec<Session>> {
        let (key, sql) = if verify { (place.keys.verify, &place.verify) } else { (place.keys.find, &place.find) };
        let shape = shape(lease, key, sql).await?;
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        for value in values(subject, self.matching) {
            let arguments = self.query(&value, shape.values)?;
            let rows = lease
                .ask(async |connection| sqlx::query_with(sql.clone(), arguments).fetch_all(connection).await)
                .await?;
            for row in &rows {
                let session = place.ours(id(row, shape)?);
                if seen.insert(session.id.clone()) {
                    found.push(session);
                }
            }
        }
        Ok(found)
    }

    /// Ends those of `endings` that are of this place: the last `?` is the session, those before it the user.
    async fn end_at(
        &self,
        lease: &mut Lease<'_>,
        place: &Place,
        endings: &[Ending<'_>],
        ended: &mut [u64],
    ) -> Result<()> {
        // `find` is what gave the ids their type.
        let shape = shape(lease, place.keys.find, &place.find).await?;
        let prepared = lease.ask(async |connection| connection.prepare(place.end.clone()).await).await?;
        let users = count(&prepared).saturating_sub(1);
        for (ending, ended) in endings.iter().zip(ended) {
            let values = if users == 0 { vec!["".into()] } else { values(ending.subject, self.matching) };
            // Not one transaction: a session that is gone stays gone, whatever becomes of the rest.
            for session in ending.sessions.iter().filter_map(|id| place.theirs(id)) {
                for value in &values {
                    let arguments = self.ending(value, users, session, shape)?;
                    let done = lease
                        .ask(async |connection| {
                            sqlx::query_with(place.end.clone(), arguments).execute(connection).await
                        })
                        .await?;
                    *ended += done.rows_affected();
                }
            }
        }
        Ok(())
    }

    fn ending(&self, value: &str, users: usize, session: &str, shape: Shape) -> Result<MySqlArguments, Misfit> {
        let mut arguments = self.query(value, users)?;
        bind(&mut arguments, session, shape.numbers)?;
        Ok(arguments)
    }

    fn nobody(&self) -> &'static str {
        if self.numbers { "0" } else { "leaver:nobody" }
    }

    /// Plans a statement, which checks the rights that running it would need. Where it can be, in a transaction in which the server
    /// lets nothing be written; it plans no change in such a one.
    async fn rehearse(&self, lease: &mut Lease<'_>, sql: &SqlStr, arguments: MySqlArguments) -> Result<()> {
        let word = sql.as_str().trim_start().split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
        let planned =
            ["select", "with", "delete", "update", "insert", "replace"].contains(&&*word.to_ascii_lowercase());
        if !planned {
            return Ok(());
        }
        let reads = ["select", "with"].contains(&&*word.to_ascii_lowercase());
        let begin = if reads { "start transaction read only" } else { "start transaction" };
        let explain = AssertSqlSafe(format!("explain {}", sql.as_str())).into_sql_str();
        lease
            .ask(async |connection| {
                let mut transaction = connection.begin_with(begin).await?;
                sqlx::query_with(explain, arguments).fetch_all(&mut *transaction).await?;
                transaction.rollback().await
            })
            .await
    }
}

#[async_trait]
impl Downstream for Statements {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            finds: Finds::ByUserIndex,
            resurrects: self.resurrects,
            knows_auth_time: false,
            actions: match self.credentials {
                Some(_) => crate::actions_on_credentials(!self.places.is_empty(), self.recheck.is_some()),
                None => crate::actions(
                    self.places.iter().any(|place| place.kind == SessionKind::Refresh),
                    self.recheck.is_some(),
                ),
            },
        }
    }

    async fn find(&self, subjects: &[Subject]) -> Result<Vec<Vec<Session>>> {
        self.select(false, subjects).await
    }

    async fn end(&self, endings: &[Ending<'_>]) -> Result<Vec<u64>> {
        let mut lease = self.client.lease().await?;
        let mut ended = vec![0; endings.len()];
        for place in &self.places {
            self.end_at(&mut lease, place, endings, &mut ended).await?;
        }
        lease.keep();
        Ok(ended)
    }

    async fn verify(&self, subjects: &[Subject]) -> Result<Vec<Vec<Session>>> {
        self.select(true, subjects).await
    }

    async fn mark(&self, marks: &[Mark<'_>]) -> Result<()> {
        let sql = self.recheck.as_ref().ok_or_else(|| Error::cannot(Action::Recheck))?;
        let mut lease = self.client.lease().await?;
        let users = Self::users_of_mark(&mut lease, sql).await?;
        for mark in marks {
            for value in values(mark.subject, self.matching) {
                let arguments = self.marked(&value, users, mark.milliseconds())?;
                // Somebody of whom there is no row is marked by none.
                lease
                    .ask(async |connection| sqlx::query_with(sql.clone(), arguments).execute(connection).await)
                    .await?;
            }
        }
        lease.keep();
        Ok(())
    }

    async fn revoke_credentials(&self, subject: &Subject, _until: DateTime<Utc>) -> Result<Revoked> {
        let place = self.credentials.as_ref().ok_or_else(|| Error::cannot(Action::RevokeCredentials))?;
        let mut lease = self.client.lease().await?;
        let found = self.select_at(&mut lease, place, false, subject).await?;
        let mut revoked = Revoked { found: found.len() as u64, ..Revoked::default() };
        if !found.is_empty() {
            let sessions: Vec<SessionId> = found.into_iter().map(|one| one.id).collect();
            let ending = [Ending { subject, sessions: &sessions }];
            self.end_at(&mut lease, place, &ending, std::slice::from_mut(&mut revoked.ended)).await?;
            revoked.left = self.select_at(&mut lease, place, true, subject).await?.len() as u64;
        }
        lease.keep();
        Ok(revoked)
    }

    async fn probe(&self) -> Result<Probe> {
        let mut lease = self.client.lease().await?;
        for place in self.places.iter().chain(&self.credentials) {
            let find = shape(&mut lease, place.keys.find, &place.find).await?;
            let verify = shape(&mut lease, place.keys.verify, &place.verify).await?;
            for (sql, shape) in [(&place.find, find), (&place.verify, verify)] {
                self.rehearse(&mut lease, sql, self.query(self.nobody(), shape.values)?).await?;
            }
            let prepared = lease.ask(async |connection| connection.prepare(place.end.clone()).await).await?;
            let found = count(&prepared);
            if found == 0 {
                let expected = "the last is the session, those before it the user";
                return Err(Misfit::Parameters { statement: place.keys.end, found, expected }.into());
            }
            let session = if find.numbers { "0" } else { "" };
            self.rehearse(&mut lease, &place.end, self.ending(self.nobody(), found - 1, session, find)?).await?;
        }
        if let Some(sql) = &self.recheck {
            let users = Self::users_of_mark(&mut lease, sql).await?;
            self.rehearse(&mut lease, sql, self.marked(self.nobody(), users, 0)?).await?;
        }
        let (version, read_only): (String, String) = lease
            .ask(async |connection| {
                sqlx::query_as("select version(), cast(@@read_only as char)").fetch_one(connection).await
            })
            .await?;
        if !["0", "OFF"].contains(&&*read_only) {
            return Err(Misfit::ReadOnly.into());
        }
        lease.keep();
        let product = if version.contains("MariaDB") { "MariaDB" } else { "MySQL" };
        Ok(Probe { store: format!("{product} {}", version.split('-').next().unwrap_or_default()), notes: Vec::new() })
    }
}
