//! Rehearsals: the steps of a run up to its verdict, in one transaction that is rolled back.
//!
//! What the source says is kept aside first, page by page, so that nobody is in memory and no transaction waits for the source.
//! It is personal data like the rows that a run would write, and gone once it is weighed; what a crash leaves is erased later.

use std::time::Duration;

use chrono::{DateTime, Utc};
use lifecycle::brake::Counts;
use lifecycle::{AccountFacts, GroupFacts, Standing};
use serde_json::Value;
use sqlx::PgConnection;

use crate::absent::{Missing, absent};
use crate::accounts;
use crate::apply::{Applied, CHUNK, Cause, Mode, observe};
use crate::dates::{due, pass};
use crate::listed::{self, Moment};
use crate::plan_items::{PlanItem, describe};
use crate::roll::Roll;
use crate::runs::{count, differences};
use crate::{Directory, Error, Result};

/// How long people stand in the answers to rehearsals, and in what a crash has left of one.
const KEPT_FOR: Duration = Duration::from_secs(24 * 3_600);

/// A snapshot that was read to its end and kept aside.
#[derive(Debug)]
pub struct Rehearsal<'a> {
    /// How many pages it has.
    pub pages: i32,
    /// The groups that the source has.
    pub groups: &'a [GroupFacts],
    pub roll: &'a Roll,
    /// What it means to be missing from it; `None`: nothing.
    pub absence: Option<Standing>,
    pub baseline: bool,
    pub now: DateTime<Utc>,
    /// How many of the rows that would wait are described.
    pub samples: u32,
}

/// What a run would do.
#[derive(Debug)]
pub struct Weighed {
    pub applied: Applied,
    /// What would wait for the brake's verdict.
    pub waiting: Counts,
    /// Some of it, those of privileged people first.
    pub items: Vec<PlanItem>,
}

impl Directory {
    /// Keeps a page aside that a run would apply. The first one takes the place of all that is there.
    pub async fn stage(&self, source: &str, page: i32, accounts: &[AccountFacts]) -> Result<()> {
        let accounts = serde_json::to_value(accounts).expect("facts are plain data, so they always serialize");
        let mut tx = self.begin().await?;
        if page == 1 {
            sqlx::query!("DELETE FROM scratch.rehearsed WHERE source = $1", source).execute(&mut *tx).await?;
        }
        sqlx::query!(
            "INSERT INTO scratch.rehearsed (source, page, accounts) VALUES ($1, $2, $3)",
            source,
            page,
            accounts
        )
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// What a run of the pages that were kept aside would do.
    pub async fn rehearse(&self, cause: &Cause, rehearsal: &Rehearsal<'_>) -> Result<Weighed> {
        let mut tx = self.begin().await?;
        let weighed = weigh(&mut tx, self, cause, rehearsal).await;
        tx.rollback().await?;
        sqlx::query!("DELETE FROM scratch.rehearsed WHERE source = $1", cause.source()).execute(&self.pool).await?;
        weighed
    }

    /// Erases people from answers to rehearsals that somebody has had a day to read, and what crashes have left.
    pub async fn forget_rehearsals(&self) -> Result<()> {
        let seconds = KEPT_FOR.as_secs_f64();
        sqlx::query!(
            "UPDATE ledger.requests SET result = result - 'items'
             WHERE kind = 'plan' AND result ? 'items' AND done_at < clock_timestamp() - make_interval(secs => $1)",
            seconds
        )
        .execute(&self.pool)
        .await?;
        sqlx::query!(
            "DELETE FROM scratch.rehearsed WHERE staged_at < clock_timestamp() - make_interval(secs => $1)",
            seconds
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

async fn weigh(
    tx: &mut PgConnection,
    directory: &Directory,
    cause: &Cause,
    rehearsal: &Rehearsal<'_>,
) -> Result<Weighed> {
    let source = cause.source();
    let mut applied = Applied::default();
    for groups in rehearsal.groups.chunks(CHUNK) {
        listed::store(tx, directory, cause, groups, Moment::BeforePeople).await?;
    }
    for page in 1..=rehearsal.pages {
        for chunk in staged(tx, source, page).await?.chunks(CHUNK) {
            let ids: Vec<String> = chunk.iter().map(|a| a.native_id.clone()).collect();
            let known = accounts::lock(tx, source, &ids).await?;
            let mode = Mode::Safe { baseline: rehearsal.baseline };
            let (_, done) = observe(tx, directory, cause, known, chunk, mode, false).await?;
            applied.created += done.created;
            applied.updated += done.updated;
            applied.unchanged += done.unchanged;
        }
    }
    if let Some(fact) = rehearsal.absence {
        absent(tx, source, Missing::Silent(rehearsal.roll), fact).await?;
    }
    let due = due(tx, source, rehearsal.now).await?;
    pass(tx, &due).await?;
    let all = differences(tx, source).await?;
    let items = describe(tx, &all, 0, rehearsal.samples).await?;
    Ok(Weighed { applied, waiting: count(&all), items })
}

async fn staged(tx: &mut PgConnection, source: &str, page: i32) -> Result<Vec<AccountFacts>> {
    let accounts: Option<Value> =
        sqlx::query_scalar!("SELECT accounts FROM scratch.rehearsed WHERE source = $1 AND page = $2", source, page)
            .fetch_optional(tx)
            .await?;
    // A server that came back after a crash has emptied the table.
    accounts.and_then(|accounts| serde_json::from_value(accounts).ok()).ok_or_else(|| Error::Inconsistent {
        table: "rehearsed",
        column: "accounts",
        row: format!("{source}, page {page}"),
    })
}
