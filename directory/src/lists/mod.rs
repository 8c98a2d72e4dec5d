//! Lists of users and groups as SCIM clients ask for them: filtered, sorted, by index or by cursor, at a bounded cost.

mod filter;
mod order;

use std::time::Duration;

use chrono::{DateTime, Utc};
use scim::{Filter, ResourceType, Sort};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder, Row};
use uuid::Uuid;

use crate::accounts::{AccountRow, Raw};
use crate::groups::GroupRow;
use crate::{Directory, Error, Result};
use filter::Rows;
use order::Order;

/// How long a list may take. Nobody waits for more, and a filter that no index serves must not keep a worker.
pub const LIST_WITHIN: Duration = Duration::from_secs(3);

/// What is asked for.
#[derive(Debug)]
pub struct ListQuery<'a> {
    pub source: &'a str,
    pub filter: Option<&'a Filter>,
    pub sort: Option<Sort>,
    pub from: From,
    /// Rows at most; 0 asks for the total alone.
    pub count: i64,
    /// The address below which the resources are, as in `meta.location`.
    pub location: &'a str,
    /// In whole milliseconds, of each of its statements; [`LIST_WITHIN`] but for tests.
    pub within: Duration,
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// After so many rows.
    Offset(i64),
    /// After this row.
    After(Uuid),
    /// So that it ends before this row.
    Before(Uuid),
}

/// A page.
#[derive(Debug)]
pub struct List<T> {
    pub rows: Vec<T>,
    /// How many match in all.
    pub total: i64,
    /// The last row of this page, if others follow.
    pub next: Option<Uuid>,
    /// The first row of this page, if others go before.
    pub previous: Option<Uuid>,
}

const USERS: &str =
    "t.id, t.source, t.native_id, t.identity_id, t.external_id, t.user_name, t.email, t.employee_number,
    t.display_name, t.department, t.manager, t.attributes, t.fact, t.counted, t.tombstone, t.content_hash, t.version,
    t.created_at, t.changed_at";
const GROUPS: &str =
    "t.id, t.source, t.native_id, t.external_id, t.display_name, t.privileged, t.attributes, t.version,
    t.revision, t.last_urgent, t.last_bulk, t.recorded_at, t.created_at, t.changed_at";

impl Directory {
    /// A page of the users of a source. `None`: the row that it should begin after, or end before, is not one of them.
    ///
    /// # Errors
    /// [`Error::TooCostly`] besides the usual.
    pub async fn users(&self, query: &ListQuery<'_>) -> Result<Option<List<AccountRow>>> {
        let table = Table {
            rows: Rows { kind: ResourceType::User, location: query.location },
            from: "directory.accounts t",
            visible: "t.tombstone IS DISTINCT FROM 'hard'",
            columns: USERS,
        };
        let Some(list) = self.list::<Raw>(&table, query).await? else { return Ok(None) };
        let rows = list.rows.into_iter().map(AccountRow::try_from).collect::<Result<_>>()?;
        Ok(Some(List { rows, total: list.total, next: list.next, previous: list.previous }))
    }

    /// The same of its groups.
    ///
    /// # Errors
    /// [`Error::TooCostly`] besides the usual.
    pub async fn groups(&self, query: &ListQuery<'_>) -> Result<Option<List<GroupRow>>> {
        let table = Table {
            rows: Rows { kind: ResourceType::Group, location: query.location },
            from: "directory.groups t",
            visible: "t.tombstone IS NULL",
            columns: GROUPS,
        };
        self.list(&table, query).await
    }

    async fn list<T: for<'r> FromRow<'r, PgRow> + Send + Unpin>(
        &self,
        table: &Table<'_>,
        query: &ListQuery<'_>,
    ) -> Result<Option<List<T>>> {
        let mut tx = self.begin().await?;
        let within = query.within.as_millis().to_string();
        sqlx::query_scalar!(r#"SELECT set_config('statement_timeout', $1, true) AS "within!""#, within)
            .fetch_one(&mut *tx)
            .await?;
        let list = table.page(&mut tx, query).await.map_err(|error| match &error {
            // `query_canceled`: it is our own limit, for nobody else cancels.
            Error::Statement(sqlx::Error::Database(db)) if db.code().as_deref() == Some("57014") => Error::TooCostly,
            _ => error,
        })?;
        tx.commit().await?;
        Ok(list)
    }
}

struct Table<'a> {
    rows: Rows<'a>,
    from: &'static str,
    visible: &'static str,
    columns: &'static str,
}

impl Table<'_> {
    async fn page<T: for<'r> FromRow<'r, PgRow> + Send + Unpin>(
        &self,
        tx: &mut PgConnection,
        query: &ListQuery<'_>,
    ) -> Result<Option<List<T>>> {
        let order = Order::new(&self.rows, query.sort, matches!(query.from, From::Before(_)));
        let total: i64 = self.select("count(*)", query).build_query_scalar().fetch_one(&mut *tx).await?;
        let mut page = self.select(&format!("{}, t.id AS row_id", self.columns), query);
        match query.from {
            From::Offset(offset) => {
                if query.count == 0 || total <= offset {
                    return Ok(Some(List { rows: Vec::new(), total, next: None, previous: None }));
                }
                order.push(&mut page);
                page.push(" OFFSET ").push_bind(offset);
            }
            From::After(id) | From::Before(id) => {
                let Some(place) = self.place(tx, query.source, id, &order).await? else { return Ok(None) };
                order.push_beyond(&mut page, place.0.as_deref(), place.1, id);
                order.push(&mut page);
            }
        }
        // One more than asked for tells whether others follow.
        page.push(" LIMIT ").push_bind(query.count.saturating_add(1));
        let mut found = page.build().fetch_all(tx).await?;
        let more = i64::try_from(found.len()).is_ok_and(|len| len > query.count);
        if more {
            found.pop();
        }
        // The row that the page was asked for by stands on its other side.
        let (before, after) = match query.from {
            From::Offset(offset) => (offset > 0, more),
            From::After(_) => (true, more),
            From::Before(_) => {
                found.reverse();
                (more, true)
            }
        };
        let id_of = |row: Option<&PgRow>| row.map(|row| row.try_get("row_id")).transpose();
        let next = id_of(found.last().filter(|_| after))?;
        let previous = id_of(found.first().filter(|_| before))?;
        let rows = found.iter().map(T::from_row).collect::<Result<_, _>>()?;
        Ok(Some(List { rows, total, next, previous }))
    }

    fn select(&self, what: &str, query: &ListQuery<'_>) -> QueryBuilder<Postgres> {
        let mut select = QueryBuilder::new(format!("SELECT {what} FROM {} WHERE t.source = ", self.from));
        select.push_bind(query.source.to_owned()).push(format!(" AND {}", self.visible));
        if let Some(filter) = query.filter {
            select.push(" AND (");
            self.rows.filter(&mut select, filter);
            select.push(")");
        }
        select
    }

    /// What a row counts by in this order. One that was deleted since still has its place.
    async fn place(
        &self,
        tx: &mut PgConnection,
        source: &str,
        id: Uuid,
        order: &Order,
    ) -> Result<Option<(Option<String>, DateTime<Utc>)>> {
        let mut place = QueryBuilder::<Postgres>::new(format!(
            "SELECT {}, t.created_at FROM {} WHERE t.source = ",
            order.key(),
            self.from
        ));
        place.push_bind(source.to_owned()).push(" AND t.id = ").push_bind(id);
        Ok(place.build_query_as().fetch_optional(tx).await?)
    }
}
