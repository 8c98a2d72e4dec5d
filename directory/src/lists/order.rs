//! The order of a list, the same on every page: what is asked for, then when a resource was created, then its id. A page before a row
//! is read in the opposite order.

use chrono::{DateTime, Utc};
use scim::Sort;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use super::filter::Rows;

pub(super) struct Order {
    /// An expression of type text; what has no value is null, comes last, and first in descending order.
    key: Option<String>,
    /// Of the key, as it is read.
    descending: bool,
    /// Whether all is read in the opposite order.
    backwards: bool,
}

impl Order {
    pub(super) fn new(rows: &Rows<'_>, sort: Option<Sort>, backwards: bool) -> Self {
        let key = sort.map(|Sort { by, .. }| match rows.time_of(&by) {
            Some(time) => format!(
                "to_char(date_trunc('milliseconds', {time}) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
            ),
            None => {
                let text = if by.multi_valued { rows.first_value(&by) } else { rows.text_of(&by) };
                let text = if by.case_exact { text } else { format!("lower({text})") };
                format!("nullif({text}, '') COLLATE \"C\"")
            }
        });
        Self { key, descending: sort.is_some_and(|sort| sort.descending) != backwards, backwards }
    }

    pub(super) fn key(&self) -> &str {
        self.key.as_deref().unwrap_or("NULL::text")
    }

    pub(super) fn push(&self, query: &mut QueryBuilder<Postgres>) {
        query.push(" ORDER BY ");
        if let Some(key) = &self.key {
            query.push(format!("{key} {}, ", if self.descending { "DESC NULLS FIRST" } else { "ASC NULLS LAST" }));
        }
        query.push(if self.backwards { "t.created_at DESC, t.id DESC" } else { "t.created_at, t.id" });
    }

    /// Only what is read after the row at this place.
    pub(super) fn push_beyond(
        &self,
        query: &mut QueryBuilder<Postgres>,
        value: Option<&str>,
        created: DateTime<Utc>,
        id: Uuid,
    ) {
        query.push(" AND ");
        let Some(key) = &self.key else { return self.tie(query, created, id) };
        query.push("(");
        match value {
            Some(value) => {
                let beyond = if self.descending { "<" } else { ">" };
                query.push(format!("{key} {beyond} ")).push_bind(value.to_owned());
                if !self.descending {
                    query.push(format!(" OR {key} IS NULL"));
                }
                query.push(format!(" OR ({key} = ")).push_bind(value.to_owned()).push(" AND ");
            }
            None => {
                if self.descending {
                    query.push(format!("{key} IS NOT NULL OR "));
                }
                query.push(format!("({key} IS NULL AND "));
            }
        }
        self.tie(query, created, id);
        query.push("))");
    }

    /// Of those that count by the same.
    fn tie(&self, query: &mut QueryBuilder<Postgres>, created: DateTime<Utc>, id: Uuid) {
        let beyond = if self.backwards { "<" } else { ">" };
        query.push(format!("(t.created_at, t.id) {beyond} (")).push_bind(created).push(", ").push_bind(id).push(")");
    }
}
