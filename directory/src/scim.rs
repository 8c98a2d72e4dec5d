//! What a SCIM client of one source does to its accounts. It sees that source's accounts only, by the ids that Leaver issued.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use lifecycle::{AccountFacts, Standing};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::accounts::{AccountRow, Raw};
use crate::apply::{Cause, Mode};
use crate::bursts::{Burst, Verdicts};
use crate::groups::GroupOf;
use crate::settle::{Touched, settle};
use crate::writes::{Wish, Write, Written};
use crate::{Directory, Error, Result, memberships};

/// How often a write that met another writer is done again before the caller is told to.
const TRIES: usize = 5;

/// A user as it was written, with the groups that it was in then.
#[derive(Debug)]
pub struct UserRow {
    pub account: AccountRow,
    pub groups: Vec<GroupOf>,
}

impl Directory {
    pub async fn user(&self, source: &str, native_id: &str) -> Result<Option<AccountRow>> {
        let mut connection = self.pool.acquire().await?;
        visible(&mut connection, source, native_id, false).await
    }

    /// Creates an account under the fresh id in `facts`, or revives the returning user's: an inactive or deleted account of
    /// the same `userName` or `externalId` keeps its id. Errors: [`Error::Taken`] when an active one has the name.
    pub async fn create_user(&self, cause: &Cause, burst: Burst, facts: &AccountFacts) -> Result<UserRow> {
        let write = Write {
            cause: cause.clone(),
            burst,
            wish: Wish::Create(Arc::new(facts.clone())),
            verdicts: Arc::default(),
        };
        match self.write_together(write).await? {
            Written::User(user) => Ok(*user),
            Written::Taken => Err(Error::Taken { what: "userName" }),
            Written::Missing | Written::Refused => Err(Error::Conflict(sqlx::Error::RowNotFound)),
        }
    }

    /// Changes an account under its lock. `change` sees it as it is and says what it becomes, or why not. `None`: there is none.
    pub async fn change_user<E: Send + 'static>(
        &self,
        cause: &Cause,
        burst: Burst,
        native_id: &str,
        change: impl Fn(&AccountRow) -> Result<AccountFacts, E> + Send + Sync + 'static,
    ) -> Result<Option<Result<UserRow, E>>> {
        let refusal = Arc::new(Mutex::new(None));
        let refused = Arc::clone(&refusal);
        let change = move |row: &AccountRow| {
            change(row).map_err(|why| *refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(why)).ok()
        };
        let wish = Wish::Change { native_id: native_id.to_owned(), change: Arc::new(change) };
        let write = Write { cause: cause.clone(), burst, wish, verdicts: Arc::default() };
        match self.write_together(write).await? {
            Written::User(user) => Ok(Some(Ok(*user))),
            Written::Missing => Ok(None),
            Written::Refused | Written::Taken => {
                let why = refusal.lock().unwrap_or_else(PoisonError::into_inner).take();
                why.map(|why| Some(Err(why))).ok_or(Error::Conflict(sqlx::Error::RowNotFound))
            }
        }
    }

    /// Deletes an account for good. `check` sees it as it is and may refuse. `None`: there was none.
    pub async fn delete_user<E: Send>(
        &self,
        cause: &Cause,
        burst: Burst,
        native_id: &str,
        check: impl Fn(&AccountRow) -> Result<(), E> + Sync,
    ) -> Result<Option<Result<(), E>>> {
        let verdicts = Verdicts::default();
        self.retrying(|| {
            async {
                let mut tx = self.begin().await?;
                let Some(current) = visible(&mut tx, cause.source(), native_id, true).await? else { return Ok(None) };
                if let Err(refusal) = check(&current) {
                    return Ok(Some(Err(refusal)));
                }
                let dangerous = Standing::Gone.is_dangerous_after(current.counted);
                let held = dangerous && self.waits(cause, Mode::Push(burst, &verdicts), native_id);
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

/// A fresh SCIM id.
pub fn new_id() -> String {
    Uuid::now_v7().to_string()
}
