//! Sessions by three statements: find, end, verify. The operator's, or those of a layout with a column for the user.

use std::collections::HashSet;

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Executor, SqlSafeStr, SqlStr};

use super::{
    ACTIONS,
    client::{Client, Lease},
    mapping::Shape,
    rehearsal, values,
};
use crate::{Capabilities, ConfigError, Downstream, Ending, Finds, Match, Probe, Result, Session, Subject};

pub(super) struct Statements {
    client: Client,
    find: Query,
    verify: Query,
    end: SqlStr,
    /// Whether `end` looks at `$1`, so that it has to run for each value of the subject.
    end_by_subject: bool,
    auth_time: Option<String>,
    resurrects: bool,
    matching: Match,
}

/// What a layout or an operator asks.
pub(super) struct Texts<'a> {
    pub(super) find: &'a str,
    pub(super) end: &'a str,
    pub(super) verify: &'a str,
    pub(super) auth_time: Option<&'a str>,
    /// Whether an ended session may be written back.
    pub(super) resurrects: bool,
}

/// A statement and the key it stands under.
struct Query {
    key: &'static str,
    sql: SqlStr,
}

impl Statements {
    pub(super) fn new(client: Client, texts: &Texts<'_>, matching: Match) -> Result<Self, ConfigError> {
        for (statement, sql, placeholder) in
            [("find", texts.find, "$1"), ("verify", texts.verify, "$1"), ("end", texts.end, "$2")]
        {
            if !sql.contains(placeholder) {
                return Err(ConfigError::MissingPlaceholder { statement, placeholder });
            }
        }
        // Not built from data: the operator wrote them, and values are only ever bound.
        let sql = |text: &str| AssertSqlSafe(text).into_sql_str();
        Ok(Self {
            client,
            find: Query { key: "find", sql: sql(texts.find) },
            verify: Query { key: "verify", sql: sql(texts.verify) },
            end: sql(texts.end),
            end_by_subject: texts.end.contains("$1"),
            auth_time: texts.auth_time.map(str::to_owned),
            resurrects: texts.resurrects,
            matching,
        })
    }

    /// Prepares a query, which costs a round trip only the first time on a connection.
    async fn shape(&self, lease: &mut Lease<'_>, query: &Query) -> Result<Shape> {
        let prepared = lease.ask(async |connection| connection.prepare(query.sql.clone()).await).await?;
        Ok(Shape::of(&prepared, query.key, self.auth_time.as_deref())?)
    }

    async fn select(&self, query: &Query, subjects: &[Subject]) -> Result<Vec<Vec<Session>>> {
        let mut lease = self.client.lease().await?;
        let shape = self.shape(&mut lease, query).await?;
        let mut found = Vec::with_capacity(subjects.len());
        for subject in subjects {
            let mut sessions = Vec::new();
            let mut seen = HashSet::new();
            for value in values(subject, self.matching) {
                let arguments = shape.subject(&value)?;
                let rows = lease
                    .ask(async |connection| sqlx::query_with(query.sql.clone(), arguments).fetch_all(connection).await)
                    .await?;
                for row in &rows {
                    let session = shape.read(row)?;
                    if seen.insert(session.id.clone()) {
                        sessions.push(session);
                    }
                }
            }
            found.push(sessions);
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
            knows_auth_time: self.auth_time.is_some(),
            actions: ACTIONS,
        }
    }

    async fn find(&self, subjects: &[Subject]) -> Result<Vec<Vec<Session>>> {
        self.select(&self.find, subjects).await
    }

    async fn end(&self, endings: &[Ending<'_>]) -> Result<Vec<u64>> {
        let mut lease = self.client.lease().await?;
        // `find` is what gave the ids their type.
        let shape = self.shape(&mut lease, &self.find).await?;
        let mut ended = Vec::with_capacity(endings.len());
        for ending in endings {
            let values = match self.end_by_subject {
                true => values(ending.subject, self.matching),
                false => vec![shape.nobody().into()],
            };
            let mut count = 0;
            // Not one transaction: a session that is gone stays gone, whatever becomes of the rest.
            for session in ending.sessions {
                for value in &values {
                    let arguments = shape.session(value, session)?;
                    let done = lease
                        .ask(async |connection| sqlx::query_with(self.end.clone(), arguments).execute(connection).await)
                        .await?;
                    count += done.rows_affected();
                }
            }
            ended.push(count);
        }
        lease.keep();
        Ok(ended)
    }

    async fn verify(&self, subjects: &[Subject]) -> Result<Vec<Vec<Session>>> {
        self.select(&self.verify, subjects).await
    }

    async fn probe(&self) -> Result<Probe> {
        let mut lease = self.client.lease().await?;
        let shape = self.shape(&mut lease, &self.find).await?;
        let verified = self.shape(&mut lease, &self.verify).await?;
        shape.agrees_with(&verified)?;
        for (sql, arguments) in [
            (&self.find.sql, shape.subject(shape.nobody())?),
            (&self.verify.sql, verified.subject(verified.nobody())?),
            (&self.end, shape.session(shape.nobody(), &shape.no_session())?),
        ] {
            rehearsal::plan(&mut lease, sql, arguments).await?;
        }
        let store = rehearsal::product(&mut lease).await?;
        lease.keep();
        Ok(Probe { store, notes: Vec::new() })
    }
}
