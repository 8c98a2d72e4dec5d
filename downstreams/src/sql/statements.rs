//! Sessions by three statements: find, end, verify. The operator's, or those of a layout with a column for the user.
//!
//! A store may keep them in several places, such as sessions and what signs a user in again; each has its statements.

use std::collections::HashSet;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use lifecycle::Action;
use sqlx::{AssertSqlSafe, Executor, SqlSafeStr, SqlStr};

use super::{
    client::{Client, Lease},
    config::Credentials,
    mapping::{Begun, Marking, Shape},
    rehearsal, values,
};
use crate::{
    Capabilities, ConfigError, Downstream, Ending, Error, Finds, Mark, Match, Probe, Result, Revoked, Session,
    SessionId, SessionKind, Subject,
};

pub(super) struct Statements {
    client: Client,
    places: Vec<Place>,
    recheck: Option<SqlStr>,
    credentials: Option<Place>,
    resurrects: bool,
    matching: Match,
}

/// One place where what has to end is kept.
struct Place {
    kind: SessionKind,
    find: Query,
    verify: Query,
    end: SqlStr,
    /// Whether `end` looks at `$1`, so that it has to run for each value of the subject.
    end_by_subject: bool,
    begun: Begun,
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
    /// The column that says since when it is there.
    pub(super) begun: Option<&'a str>,
}

/// What the statements of a place are called in the configuration.
#[derive(Clone, Copy)]
pub(super) struct Keys {
    find: &'static str,
    end: &'static str,
    verify: &'static str,
    begun: &'static str,
}

pub(super) const SESSIONS: Keys = Keys { find: "find", end: "end", verify: "verify", begun: "auth_time" };
const CREDENTIALS: Keys =
    Keys { find: "credentials.find", end: "credentials.revoke", verify: "credentials.verify", begun: "issued_at" };

/// A statement and the key it stands under.
struct Query {
    key: &'static str,
    sql: SqlStr,
}

/// Ids of what signs a user in again, where a store has it beside sessions: the ids of both would look alike.
const REFRESH: &str = "remembered:";

impl Place {
    fn new(texts: Texts<'_>, only: bool) -> Result<Self, ConfigError> {
        let keys = texts.keys;
        for (statement, sql, placeholder) in
            [(keys.find, texts.find, "$1"), (keys.verify, texts.verify, "$1"), (keys.end, texts.end, "$2")]
        {
            if !sql.contains(placeholder) {
                return Err(ConfigError::MissingPlaceholder { statement, placeholder });
            }
        }
        // Not built from data: the operator wrote them, and values are only ever bound.
        let sql = |text: &str| AssertSqlSafe(text).into_sql_str();
        Ok(Self {
            kind: texts.kind,
            find: Query { key: keys.find, sql: sql(texts.find) },
            verify: Query { key: keys.verify, sql: sql(texts.verify) },
            end: sql(texts.end),
            end_by_subject: texts.end.contains("$1"),
            begun: Begun { key: keys.begun, column: texts.begun.map(str::to_owned) },
            only,
        })
    }

    /// What `id` is called here, if it is of this place.
    fn theirs(&self, id: &SessionId) -> Option<SessionId> {
        match (self.kind, id.expose().strip_prefix(REFRESH)) {
            _ if self.only => Some(id.clone()),
            (SessionKind::Session, None) => Some(id.clone()),
            (SessionKind::Refresh, Some(theirs)) => Some(SessionId::new(theirs)),
            _ => None,
        }
    }

    fn ours(&self, theirs: Session) -> Session {
        let id = match self.kind {
            SessionKind::Refresh if !self.only => SessionId::new(format!("{REFRESH}{}", theirs.id.expose())),
            _ => theirs.id,
        };
        Session { id, kind: self.kind, auth_time: theirs.auth_time }
    }

    /// Prepares a query, which costs a round trip only the first time on a connection.
    async fn shape(&self, lease: &mut Lease<'_>, query: &Query) -> Result<Shape> {
        let prepared = lease.ask(async |connection| connection.prepare(query.sql.clone()).await).await?;
        Ok(Shape::of(&prepared, query.key, &self.begun)?)
    }

    /// What `query`, which is one of this place, finds of each subject.
    async fn select(
        &self,
        lease: &mut Lease<'_>,
        query: &Query,
        subjects: &[Subject],
        matching: Match,
    ) -> Result<Vec<Vec<Session>>> {
        let shape = self.shape(lease, query).await?;
        let mut found = Vec::with_capacity(subjects.len());
        for subject in subjects {
            let mut sessions = Vec::new();
            let mut seen = HashSet::new();
            for value in values(subject, matching) {
                let arguments = shape.subject(&value)?;
                let rows = lease
                    .ask(async |connection| sqlx::query_with(query.sql.clone(), arguments).fetch_all(connection).await)
                    .await?;
                for row in &rows {
                    let session = self.ours(shape.read(row)?);
                    if seen.insert(session.id.clone()) {
                        sessions.push(session);
                    }
                }
            }
            found.push(sessions);
        }
        Ok(found)
    }

    /// Ends those of `endings` that are of this place, and adds how many were there to `ended`.
    async fn end(
        &self,
        lease: &mut Lease<'_>,
        endings: &[Ending<'_>],
        ended: &mut [u64],
        matching: Match,
    ) -> Result<()> {
        // `find` is what gave the ids their type.
        let shape = self.shape(lease, &self.find).await?;
        for (ending, ended) in endings.iter().zip(ended) {
            let values = match self.end_by_subject {
                true => values(ending.subject, matching),
                false => vec![shape.nobody().into()],
            };
            // Not one transaction: a session that is gone stays gone, whatever becomes of the rest.
            for session in ending.sessions.iter().filter_map(|id| self.theirs(id)) {
                for value in &values {
                    let arguments = shape.session(value, &session)?;
                    let done = lease
                        .ask(async |connection| sqlx::query_with(self.end.clone(), arguments).execute(connection).await)
                        .await?;
                    *ended += done.rows_affected();
                }
            }
        }
        Ok(())
    }
}

async fn marking(lease: &mut Lease<'_>, sql: &SqlStr) -> Result<Marking> {
    let prepared = lease.ask(async |connection| connection.prepare(sql.clone()).await).await?;
    Ok(Marking::of(&prepared)?)
}

impl Statements {
    /// `resurrects`: whether an ended session may be written back.
    pub(super) fn new(
        client: Client,
        places: &[Texts<'_>],
        resurrects: bool,
        matching: Match,
    ) -> Result<Self, ConfigError> {
        let places = places.iter().map(|texts| Place::new(*texts, places.len() == 1)).collect::<Result<_, _>>()?;
        Ok(Self { client, places, recheck: None, credentials: None, resurrects, matching })
    }

    /// Revokes credentials by these statements, if there are any.
    pub(super) fn revoking(self, credentials: Option<&Credentials>) -> Result<Self, ConfigError> {
        let place = credentials.map(|credentials| {
            let (find, end) = (credentials.find.as_str(), credentials.revoke.as_str());
            let verify = credentials.verify.as_deref().unwrap_or(find);
            let (kind, begun) = (SessionKind::Session, credentials.issued_at.as_deref());
            Place::new(Texts { kind, keys: CREDENTIALS, find, end, verify, begun }, true)
        });
        Ok(Self { credentials: place.transpose()?, ..self })
    }

    /// Leaves marks by this statement, if there is one.
    pub(super) fn marking(self, recheck: Option<&str>) -> Result<Self, ConfigError> {
        let Some(recheck) = recheck else { return Ok(self) };
        for placeholder in ["$1", "$2"] {
            if !recheck.contains(placeholder) {
                return Err(ConfigError::MissingPlaceholder { statement: "recheck", placeholder });
            }
        }
        Ok(Self { recheck: Some(AssertSqlSafe(recheck).into_sql_str()), ..self })
    }

    async fn select(&self, query: impl Fn(&Place) -> &Query, subjects: &[Subject]) -> Result<Vec<Vec<Session>>> {
        let mut lease = self.client.lease().await?;
        let mut found = vec![Vec::new(); subjects.len()];
        for place in &self.places {
            let here = place.select(&mut lease, query(place), subjects, self.matching).await?;
            for (found, here) in found.iter_mut().zip(here) {
                found.extend(here);
            }
        }
        lease.keep();
        Ok(found)
    }
}

#[async_trait]
impl Downstream for Statements {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            finds: Finds::ByUserIndex,
            resurrects: self.resurrects,
            knows_auth_time: !self.places.is_empty() && self.places.iter().all(|place| place.begun.column.is_some()),
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
        self.select(|place| &place.find, subjects).await
    }

    async fn end(&self, endings: &[Ending<'_>]) -> Result<Vec<u64>> {
        let mut lease = self.client.lease().await?;
        let mut ended = vec![0; endings.len()];
        for place in &self.places {
            place.end(&mut lease, endings, &mut ended, self.matching).await?;
        }
        lease.keep();
        Ok(ended)
    }

    async fn verify(&self, subjects: &[Subject]) -> Result<Vec<Vec<Session>>> {
        self.select(|place| &place.verify, subjects).await
    }

    async fn mark(&self, marks: &[Mark<'_>]) -> Result<()> {
        let sql = self.recheck.as_ref().ok_or_else(|| Error::cannot(Action::Recheck))?;
        let mut lease = self.client.lease().await?;
        let marking = marking(&mut lease, sql).await?;
        for mark in marks {
            for value in values(mark.subject, self.matching) {
                let arguments = marking.arguments(&value, mark.milliseconds())?;
                // Somebody of whom there is no row is marked by none.
                lease
                    .ask(async |connection| sqlx::query_with(sql.clone(), arguments).execute(connection).await)
                    .await?;
            }
        }
        lease.keep();
        Ok(())
    }

    async fn revoke_credentials(&self, subject: &Subject, until: DateTime<Utc>) -> Result<Revoked> {
        let place = self.credentials.as_ref().ok_or_else(|| Error::cannot(Action::RevokeCredentials))?;
        let mut lease = self.client.lease().await?;
        let of = std::slice::from_ref(subject);
        let due = |found: Vec<Vec<Session>>| -> Vec<SessionId> {
            let found = found.into_iter().flatten();
            // One of which nobody knows when it was issued may be old.
            found.filter(|one| one.auth_time.is_none_or(|issued| issued <= until)).map(|one| one.id).collect()
        };
        let found = due(place.select(&mut lease, &place.find, of, self.matching).await?);
        let mut revoked = Revoked { found: found.len() as u64, ..Revoked::default() };
        if !found.is_empty() {
            let ending = [Ending { subject, sessions: &found }];
            place.end(&mut lease, &ending, std::slice::from_mut(&mut revoked.ended), self.matching).await?;
            revoked.left = due(place.select(&mut lease, &place.verify, of, self.matching).await?).len() as u64;
        }
        lease.keep();
        Ok(revoked)
    }

    async fn probe(&self) -> Result<Probe> {
        let mut lease = self.client.lease().await?;
        for place in self.places.iter().chain(&self.credentials) {
            let shape = place.shape(&mut lease, &place.find).await?;
            let verified = place.shape(&mut lease, &place.verify).await?;
            shape.agrees_with(&verified)?;
            for (sql, arguments) in [
                (&place.find.sql, shape.subject(shape.nobody())?),
                (&place.verify.sql, verified.subject(verified.nobody())?),
                (&place.end, shape.session(shape.nobody(), &shape.no_session())?),
            ] {
                rehearsal::plan(&mut lease, sql, arguments).await?;
            }
        }
        if let Some(sql) = &self.recheck {
            let marking = marking(&mut lease, sql).await?;
            rehearsal::plan(&mut lease, sql, marking.arguments(marking.nobody(), 0)?).await?;
        }
        let store = rehearsal::product(&mut lease).await?;
        lease.keep();
        Ok(Probe { store, notes: Vec::new() })
    }
}
