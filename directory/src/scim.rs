//! What a SCIM client of one source does to its accounts. It sees that source's accounts only, by the ids that Leaver issued.

use std::collections::BTreeSet;

use futures::FutureExt;
use futures::future::BoxFuture;
use lifecycle::{AccountFacts, Standing};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::accounts::{self, AccountRow, Raw};
use crate::apply::{Cause, Mode, observe};
use crate::bursts::Burst;
use crate::settle::{Touched, settle};
use crate::{Directory, Error, Result, memberships};

/// How often a write that met another writer is done again before the caller is told to.
const TRIES: usize = 5;

impl Directory {
    pub async fn user(&self, source: &str, native_id: &str) -> Result<Option<AccountRow>> {
        let mut connection = self.pool.acquire().await?;
        visible(&mut connection, source, native_id, false).await
    }

    /// Creates an account under the fresh id in `facts`, or revives the returning user's: an inactive or deleted account of
    /// the same `userName` or `externalId` keeps its id. Errors: [`Error::Taken`] when an active one has the name.
    pub async fn create_user(&self, cause: &Cause, burst: Burst, facts: &AccountFacts) -> Result<AccountRow> {
        self.retrying(|| {
            async {
                let mut tx = self.begin().await?;
                let mut facts = facts.clone();
                let mut known = None;
                if let Some(returning) = returning(&mut tx, cause.source(), &facts).await? {
                    facts.native_id = returning;
                    known =
                        accounts::lock(&mut tx, cause.source(), std::slice::from_ref(&facts.native_id)).await?.pop();
                }
                let row = self.push(&mut tx, cause, burst, known, &facts).await?;
                tx.commit().await?;
                self.wake.pending.ring();
                self.grew(1);
                Ok(row)
            }
            .boxed()
        })
        .await
    }

    /// Changes an account under its lock. `change` sees it as it is and says what it becomes, or why not.
    pub async fn change_user<E: Send>(
        &self,
        cause: &Cause,
        burst: Burst,
        native_id: &str,
        change: impl Fn(&AccountRow) -> Result<AccountFacts, E> + Sync,
    ) -> Result<Option<Result<AccountRow, E>>> {
        self.retrying(|| {
            async {
                let mut tx = self.begin().await?;
                let Some(current) = visible(&mut tx, cause.source(), native_id, true).await? else { return Ok(None) };
                let facts = match change(&current) {
                    Ok(facts) => facts,
                    Err(refusal) => return Ok(Some(Err(refusal))),
                };
                let row = self.push(&mut tx, cause, burst, Some(current), &facts).await?;
                tx.commit().await?;
                self.wake.pending.ring();
                Ok(Some(Ok(row)))
            }
            .boxed()
        })
        .await
    }

    /// Deletes an account for good. `check` sees it as it is and may refuse. `None`: there was none.
    pub async fn delete_user<E: Send>(
        &self,
        cause: &Cause,
        burst: Burst,
        native_id: &str,
        check: impl Fn(&AccountRow) -> Result<(), E> + Sync,
    ) -> Result<Option<Result<(), E>>> {
        self.retrying(|| {
            async {
                let mut tx = self.begin().await?;
                let Some(current) = visible(&mut tx, cause.source(), native_id, true).await? else { return Ok(None) };
                if let Err(refusal) = check(&current) {
                    return Ok(Some(Err(refusal)));
                }
                let dangerous = Standing::Gone.is_dangerous_after(current.counted);
                let held = dangerous && self.waits(cause, Mode::Push(burst));
                sqlx::query!(
                    "UPDATE directory.accounts SET stated = 'gone', fact = 'gone', tombstone = 'hard',
                         counted = CASE WHEN $2 THEN counted ELSE 'gone' END,
                         unique_name = NULL, content_hash = ''::bytea, version = version + 1,
                         changed_at = clock_timestamp() WHERE id = $1",
                    current.id,
                    held
                )
                .execute(&mut *tx)
                .await?;
                let memberships = memberships::leave_all(&mut tx, current.id, current.identity_id, held).await?;
                let touched =
                    Touched { changed: BTreeSet::from([current.identity_id]), memberships, ..Touched::default() };
                settle(&mut tx, &self.sources, cause, touched).await?;
                tx.commit().await?;
                self.wake.pending.ring();
                Ok(Some(Ok(())))
            }
            .boxed()
        })
        .await
    }

    /// Writes one account; `known` is its row, locked, if there is one.
    async fn push(
        &self,
        tx: &mut PgConnection,
        cause: &Cause,
        burst: Burst,
        known: Option<AccountRow>,
        facts: &AccountFacts,
    ) -> Result<AccountRow> {
        let rows = known.iter().cloned().collect();
        let (touched, _) = observe(tx, self, cause, rows, std::slice::from_ref(facts), Mode::Push(burst), true).await?;
        let settled = settle(tx, &self.sources, cause, touched).await?;
        let written =
            settled.accounts.into_iter().find(|a| a.source == cause.source() && a.native_id == facts.native_id);
        // Nothing was written where the source said nothing new.
        written.or(known).ok_or_else(|| Error::Inconsistent {
            table: "accounts",
            column: "native_id",
            row: facts.native_id.clone(),
        })
    }

    /// Does a transaction again when it met another writer.
    pub(crate) async fn retrying<'a, T>(&self, work: impl Fn() -> BoxFuture<'a, Result<T>>) -> Result<T> {
        for _ in 1..TRIES {
            match work().await {
                Err(Error::Conflict(_)) => {}
                other => return other,
            }
        }
        work().await
    }
}

async fn visible(
    connection: &mut PgConnection,
    source: &str,
    native_id: &str,
    lock: bool,
) -> Result<Option<AccountRow>> {
    let row = if lock {
        sqlx::query_as!(
            Raw,
            "SELECT id, source, native_id, identity_id, external_id, user_name, email, employee_number, display_name, department,
                    manager, attributes, fact, counted, tombstone, content_hash, version, created_at, changed_at
             FROM directory.accounts WHERE source = $1 AND native_id = $2 AND tombstone IS DISTINCT FROM 'hard' FOR UPDATE",
            source,
            native_id
        )
        .fetch_optional(connection)
        .await?
    } else {
        sqlx::query_as!(
            Raw,
            "SELECT id, source, native_id, identity_id, external_id, user_name, email, employee_number, display_name, department,
                    manager, attributes, fact, counted, tombstone, content_hash, version, created_at, changed_at
             FROM directory.accounts WHERE source = $1 AND native_id = $2 AND tombstone IS DISTINCT FROM 'hard'",
            source,
            native_id
        )
        .fetch_optional(connection)
        .await?
    };
    row.map(AccountRow::try_from).transpose()
}

/// The native id of the account that this user had before. Okta never deletes: it deactivates, then posts the same user anew.
async fn returning(tx: &mut PgConnection, source: &str, facts: &AccountFacts) -> Result<Option<String>> {
    let rows = sqlx::query!(
        "SELECT native_id, fact, tombstone, (unique_name = $4 OR lower(user_name) = lower($2)) IS TRUE AS \"same_name!\"
         FROM directory.accounts
         WHERE source = $1 AND (unique_name = $4 OR lower(user_name) = lower($2) OR external_id = $3)
         ORDER BY (tombstone IS NOT DISTINCT FROM 'hard'), changed_at DESC FOR UPDATE",
        source,
        facts.profile.user_name,
        facts.external_id,
        // The database's lower() may know ASCII only.
        facts.profile.user_name.as_ref().map(|name| name.to_lowercase())
    )
    .fetch_all(tx)
    .await?;
    for row in &rows {
        let away = Standing::parse(&row.fact).is_some_and(Standing::denies);
        if away {
            return Ok(Some(row.native_id.clone()));
        }
        if row.same_name {
            return Err(Error::Taken { what: "userName" });
        }
    }
    Ok(None)
}

/// A fresh SCIM id.
pub fn new_id() -> String {
    Uuid::new_v4().to_string()
}
