//! The cache that Django's `cached_db` puts before the table.
//!
//! A request reads the cache first, and fills it from the table. So a session ends only when both are gone; and one whose
//! row was read before it was deleted may be put into the cache after we looked. No row leads to it then, which is why
//! those that were ended are remembered.

use std::time::{Duration, Instant};

use redis::{Pipeline, Value};

use super::config;
use crate::{
    ConfigError, Ending, Match, Result, SessionId, Subject,
    recent::Recent,
    redis::{
        client::Client,
        commands::{self, PAGE},
    },
};

pub(super) struct Cached {
    client: Client,
    prefix: String,
    recent: Recent,
}

impl Cached {
    pub(super) fn new(cache: &config::Cache, timeout: Duration, matching: Match) -> Result<Self, ConfigError> {
        let client = Client::new(cache.url.expose(), cache.tls.as_ref(), timeout)?;
        Ok(Self { client, prefix: cache.prefix.clone(), recent: Recent::new(matching) })
    }

    pub(super) fn remember(&self, ending: &Ending<'_>) {
        self.recent.remember(ending.subject, ending.sessions, Instant::now());
    }

    /// Which of the sessions that were ended for this subject are in the cache again.
    pub(super) async fn returned(&self, subject: &Subject) -> Result<Vec<SessionId>> {
        let ended = self.recent.of(subject);
        let there = self.each("EXISTS", &ended).await?;
        Ok(ended.into_iter().zip(there).filter(|(_, there)| *there).map(|(id, _)| id).collect())
    }

    /// Whether each was in the cache; now none is.
    pub(super) async fn remove(&self, sessions: &[SessionId]) -> Result<Vec<bool>> {
        self.each("UNLINK", sessions).await
    }

    /// How many of these are in the cache. Takes all rights that are needed, and changes nothing.
    pub(super) async fn probe(&self, sessions: &[SessionId]) -> Result<usize> {
        let nobody = [SessionId::new("leaver:probe")];
        self.remove(&nobody).await?;
        self.each("EXISTS", &nobody).await?;
        let there = self.each("EXISTS", sessions).await?;
        Ok(there.into_iter().filter(|there| *there).count())
    }

    async fn each(&self, command: &str, sessions: &[SessionId]) -> Result<Vec<bool>> {
        let mut answers = Vec::with_capacity(sessions.len());
        for page in sessions.chunks(PAGE) {
            let page = self
                .client
                .run(|redis| async move {
                    let mut commands = Pipeline::with_capacity(page.len());
                    for session in page {
                        commands.cmd(command).arg(format!("{}{}", self.prefix, session.expose()));
                    }
                    commands::ask(&redis, commands).await
                })
                .await?;
            answers.extend(page.into_iter().map(|answer| answer == Value::Int(1)));
        }
        Ok(answers)
    }
}
