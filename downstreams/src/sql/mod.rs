#![doc = include_str!("README.md")]

mod client;
mod config;
mod mapping;
mod refusal;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, collections::HashSet};

use async_trait::async_trait;
use lifecycle::Action;
use sqlx::{AssertSqlSafe, Connection, Executor, SqlSafeStr, SqlStr};

use crate::{Capabilities, ConfigError, Downstream, Ending, Error, Finds, Match, Probe, Result, Session, Subject};
use client::{Client, Lease};
pub use config::Config;
use mapping::Shape;

/// Sessions in a table of PostgreSQL.
pub struct Sql {
    client: Client,
    find: Query,
    verify: Query,
    end: SqlStr,
    /// Whether `end` looks at `$1`, so that it has to run for each value of the subject.
    end_by_subject: bool,
    auth_time: Option<String>,
    matching: Match,
}

/// A statement of the operator and the key it stands under.
struct Query {
    key: &'static str,
    sql: SqlStr,
}

impl Sql {
    /// The adapter, not yet connected.
    pub fn new(config: &Config, matching: Match) -> Result<Self, ConfigError> {
        if config.timeout.is_zero() {
            return Err(ConfigError::NoTimeout);
        }
        let verify = config.verify.as_ref().unwrap_or(&config.find);
        for (statement, sql, placeholder) in
            [("find", &config.find, "$1"), ("verify", verify, "$1"), ("end", &config.end, "$2")]
        {
            if !sql.contains(placeholder) {
                return Err(ConfigError::MissingPlaceholder { statement, placeholder });
            }
        }
        // Not built from data: the operator wrote them, and values are only ever bound.
        let sql = |text: &str| AssertSqlSafe(text).into_sql_str();
        Ok(Self {
            client: Client::new(config.url.expose(), config.timeout)?,
            find: Query { key: "find", sql: sql(&config.find) },
            verify: Query { key: "verify", sql: sql(verify) },
            end: sql(&config.end),
            end_by_subject: config.end.contains("$1"),
            auth_time: config.auth_time.clone(),
            matching,
        })
    }

    /// The values to ask for. Ignoring case, the lower-case form besides: the statement does the comparing, so it has
    /// to fold its column (`where lower(email) = lower($1)`); where it does not, at least the exact spelling is found.
    fn values<'a>(&self, subject: &'a Subject) -> Vec<Cow<'a, str>> {
        let mut values = Vec::new();
        for value in subject.names() {
            for value in [value.into(), self.matching.fold(value)] {
                if !values.contains(&value) {
                    values.push(value);
                }
            }
        }
        values
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
            for value in self.values(subject) {
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
impl Downstream for Sql {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            finds: Finds::ByUserIndex,
            // We cannot see how the application writes. Many session libraries upsert at the end of a request.
            resurrects: true,
            knows_auth_time: self.auth_time.is_some(),
            actions: &[Action::RevokeSessions, Action::Lock],
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
                true => self.values(ending.subject),
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
            lease
                .ask(async |connection| {
                    // Planning a statement checks the types and the rights that running it would need. That the server
                    // lets nothing be written, functions included, is what makes it safe to try.
                    let mut read_only = connection.begin_with("begin read only").await?;
                    match explained(sql) {
                        Some(explain) => drop(sqlx::query_with(explain, arguments).fetch_all(&mut *read_only).await?),
                        None => drop(read_only.prepare(sql.clone()).await?),
                    }
                    read_only.rollback().await
                })
                .await?;
        }
        let (version, read_only): (String, String) = lease
            .ask(async |connection| {
                sqlx::query_as("select current_setting('server_version'), current_setting('transaction_read_only')")
                    .fetch_one(connection)
                    .await
            })
            .await?;
        lease.keep();
        if read_only == "on" {
            return Err(Error::Unavailable(Box::new(ReadOnly)));
        }
        // Distributions append their own version.
        let version = version.split(' ').next().unwrap_or_default();
        Ok(Probe { store: format!("PostgreSQL {version}"), notes: Vec::new() })
    }
}

/// `end` would be refused there, as a failover may mend.
#[derive(Debug, thiserror::Error)]
#[error("the server is read-only, as a standby is")]
struct ReadOnly;

/// The statement under EXPLAIN, if it is of a kind that has a plan (`CALL` has none).
fn explained(sql: &SqlStr) -> Option<SqlStr> {
    let word = sql.as_str().trim_start().split(|c: char| !c.is_ascii_alphabetic()).next()?.to_ascii_lowercase();
    let planned = ["select", "with", "delete", "update", "insert", "merge", "values"].contains(&word.as_str());
    planned.then(|| AssertSqlSafe(format!("explain {}", sql.as_str())).into_sql_str())
}
