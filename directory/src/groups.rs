//! Groups as a SCIM client changes them: one lock on the group, then set operations whose cost is the change's size.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use futures::FutureExt;
use lifecycle::brake::Limits;
use lifecycle::{Context, EventType, GroupFacts, GroupView, SubjectKind};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

use crate::apply::Cause;
use crate::events::{self, Draft, Head};
use crate::group_calls::{Called, GroupCall};
use crate::member_rows::{self, Unknown};
use crate::members::{Call, GroupBrake, MemberChange, Stated};
use crate::{Directory, Error, Result, nesting};

/// One group as stored.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct GroupRow {
    pub id: Uuid,
    pub source: String,
    pub native_id: String,
    pub external_id: Option<String>,
    pub display_name: String,
    pub privileged: bool,
    pub attributes: Value,
    pub version: i64,
    /// Of what a reader sees, its members included.
    pub revision: i64,
    pub last_urgent: i64,
    pub last_bulk: i64,
    pub recorded_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
    pub changed_at: DateTime<Utc>,
}

impl GroupRow {
    /// What a source has said of it, but for its members.
    pub(crate) fn facts(&self) -> GroupFacts {
        GroupFacts {
            native_id: self.native_id.clone(),
            external_id: self.external_id.clone(),
            display_name: self.display_name.clone(),
            attributes: self.attributes.clone(),
        }
    }

    pub(crate) fn view(&self) -> GroupView {
        GroupView { id: self.id, name: self.display_name.clone(), privileged: self.privileged }
    }
}

/// A group that an account is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupOf {
    pub account: Uuid,
    pub native_id: String,
    pub display_name: String,
}

/// What a change of a group came to.
#[derive(Debug)]
pub struct GroupChange {
    pub row: GroupRow,
    /// The plan that waits for a person since this call: so many members would lose the group.
    pub held: Option<Uuid>,
}

const COLUMNS: &str =
    "id, source, native_id, external_id, display_name, privileged, attributes, version, revision, last_urgent,
     last_bulk, recorded_at, created_at, changed_at";

impl Directory {
    pub async fn group(&self, source: &str, native_id: &str) -> Result<Option<GroupRow>> {
        let mut connection = self.pool.acquire().await?;
        find(&mut connection, source, native_id, false).await
    }

    /// Native ids of the members that the source states, each with whether it is a group; those still awaited included.
    pub async fn members(&self, group: Uuid) -> Result<Vec<(String, bool)>> {
        let rows = sqlx::query!(
            r#"SELECT a.native_id AS "reference!", false AS "nested!" FROM directory.memberships m
               JOIN directory.accounts a ON a.id = m.account_id WHERE m.group_id = $1 AND m.present
               UNION ALL SELECT child_reference, true FROM directory.nested_groups WHERE parent_id = $1 AND present
               UNION ALL SELECT reference, false FROM directory.pending_members WHERE group_id = $1"#,
            group
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|r| (r.reference, r.nested)).collect())
    }

    /// The groups that these accounts are in as the source states it, by name: what a plan holds back is in none of them.
    pub async fn groups_of(&self, accounts: &[Uuid]) -> Result<Vec<GroupOf>> {
        if accounts.is_empty() {
            return Ok(Vec::new());
        }
        let mut connection = self.pool.acquire().await?;
        groups_of(&mut connection, accounts).await
    }

    pub async fn create_group(
        &self,
        cause: &Cause,
        facts: &GroupFacts,
        members: &[(String, bool)],
    ) -> Result<GroupRow> {
        let stated = Stated::of(&[MemberChange::Add(members.to_vec())]);
        self.retrying(|| self.create(cause, facts, &stated).boxed()).await
    }

    async fn create(&self, cause: &Cause, facts: &GroupFacts, stated: &Stated) -> Result<GroupRow> {
        let mut tx = self.begin().await?;
        let (stated, unknown) = member_rows::resolve(&mut tx, cause.source(), stated).await?;
        let privileged = self.sources.is_privileged(&facts.display_name, &facts.attributes);
        let row = sqlx::query!(
            "INSERT INTO directory.groups (id, source, native_id, external_id, display_name, privileged, attributes,
                 content_hash, version, revision, last_bulk, recorded_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, 1, 1, clock_timestamp()) RETURNING id, recorded_at",
            facts.native_id.parse::<Uuid>().unwrap_or_else(|_| Uuid::new_v4()),
            cause.source(),
            facts.native_id,
            facts.external_id,
            facts.display_name,
            privileged,
            facts.attributes,
            content_hash(facts)
        )
        .fetch_one(&mut *tx)
        .await?;
        let mut head = head(row.id, 0, 0, 0, DateTime::UNIX_EPOCH);
        let view = GroupView { id: row.id, name: facts.display_name.clone(), privileged };
        let data = json!({"source": cause.source, "privileged": privileged, "via": cause.via});
        let draft = draft(EventType::GroupCreated, data, view.clone());
        events::append(&mut tx, cause, &events::stamp(&mut head, vec![draft], cause.class, row.recorded_at)).await?;
        // Nobody can lose a group that was not there.
        let brake = GroupBrake { limits: Limits::default(), burst: 0 };
        nesting::arrive(&mut tx, cause.source(), row.id, &facts.native_id, facts.external_id.as_deref()).await?;
        let call = Call { directory: self, cause, brake, group: &view, lost: &view, arrived: None };
        let done = call.apply(&mut tx, &stated, &unknown).await?;
        let created = find(&mut tx, cause.source(), &facts.native_id, false).await?.ok_or(sqlx::Error::RowNotFound)?;
        tx.commit().await?;
        self.changed_group(done.fans_out);
        Ok(created)
    }

    /// Changes a group under its lock: `facts` sees it as it is and says what its attributes become, or why not; `members` what
    /// happens to the set. `None`: there is no such group.
    pub async fn change_group<E: Send + 'static>(
        &self,
        cause: &Cause,
        brake: GroupBrake,
        native_id: &str,
        facts: impl Fn(&GroupRow) -> Result<GroupFacts, E> + Send + Sync + 'static,
        members: &[MemberChange],
    ) -> Result<Option<Result<GroupChange, E>>> {
        let refusal = Arc::new(Mutex::new(None));
        let refused = Arc::clone(&refusal);
        let facts = move |row: &GroupRow| {
            facts(row).map_err(|why| *refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(why)).ok()
        };
        let stated = Arc::new(Stated::of(members));
        let native_id = native_id.to_owned();
        let call = GroupCall { cause: cause.clone(), brake, native_id, facts: Arc::new(facts), stated };
        match self.write_together(call).await? {
            Called::Done(change) => Ok(Some(Ok(*change))),
            Called::Missing => Ok(None),
            Called::Refused => {
                let why = refusal.lock().unwrap_or_else(PoisonError::into_inner).take();
                why.map(|why| Some(Err(why))).ok_or(Error::Conflict(sqlx::Error::RowNotFound))
            }
        }
    }

    /// One call by itself.
    pub(crate) async fn change(&self, call: &GroupCall) -> Result<Called> {
        let GroupCall { cause, brake, native_id, facts, stated } = call;
        let mut tx = self.begin().await?;
        let (stated, unknown) = member_rows::resolve(&mut tx, cause.source(), stated).await?;
        let Some(current) = find(&mut tx, cause.source(), native_id, true).await? else { return Ok(Called::Missing) };
        let Some(facts) = facts(&current) else { return Ok(Called::Refused) };
        let privileged = self.sources.is_privileged(&facts.display_name, &facts.attributes);
        let view = GroupView { id: current.id, name: facts.display_name.clone(), privileged };
        // Okta sends the name with every change of members: what is the same makes no event.
        let updated = current.facts() != facts;
        if updated {
            let data = json!({"source": cause.source, "privileged": privileged, "via": cause.via});
            self.tell_of_group(&mut tx, cause, &current, draft(EventType::GroupUpdated, data, view.clone())).await?;
            sqlx::query!(
                "UPDATE directory.groups SET external_id = $2, display_name = $3, privileged = $4, attributes = $5,
                     content_hash = $6 WHERE id = $1",
                current.id,
                facts.external_id,
                facts.display_name,
                privileged,
                facts.attributes,
                content_hash(&facts)
            )
            .execute(&mut *tx)
            .await?;
        }
        // Taken out of privilege in the same breath, it was still a privileged group that they lost.
        let lost = GroupView { privileged: privileged || current.privileged, ..view.clone() };
        let call = Call { directory: self, cause, brake: *brake, group: &view, lost: &lost, arrived: None };
        let done = call.apply(&mut tx, &stated, &unknown).await?;
        if updated || done.changed {
            sqlx::query!(
                "UPDATE directory.groups SET revision = revision + 1, changed_at = clock_timestamp() WHERE id = $1",
                current.id
            )
            .execute(&mut *tx)
            .await?;
        }
        let row = find(&mut tx, cause.source(), native_id, false).await?.ok_or(sqlx::Error::RowNotFound)?;
        tx.commit().await?;
        self.changed_group(done.fans_out);
        Ok(Called::Done(Box::new(GroupChange { row, held: done.held })))
    }

    /// Deletes a group for good; its members lose it, as far as the brake lets them. `check` sees it as it is and may refuse.
    /// `None`: there was none.
    pub async fn delete_group<E: Send>(
        &self,
        cause: &Cause,
        brake: GroupBrake,
        native_id: &str,
        check: impl Fn(&GroupRow) -> Result<(), E> + Sync,
    ) -> Result<Option<Result<GroupChange, E>>> {
        let stated = Stated::of(&[MemberChange::RemoveAll]);
        self.retrying(|| self.delete(cause, brake, native_id, &check, &stated).boxed()).await
    }

    async fn delete<E: Send>(
        &self,
        cause: &Cause,
        brake: GroupBrake,
        native_id: &str,
        check: &(impl Fn(&GroupRow) -> Result<(), E> + Sync),
        stated: &Stated,
    ) -> Result<Option<Result<GroupChange, E>>> {
        let mut tx = self.begin().await?;
        let Some(row) = find(&mut tx, cause.source(), native_id, true).await? else { return Ok(None) };
        if let Err(refusal) = check(&row) {
            return Ok(Some(Err(refusal)));
        }
        let view = GroupView { id: row.id, name: row.display_name.clone(), privileged: row.privileged };
        nesting::leave_parents(&mut tx, row.id).await?;
        let call = Call { directory: self, cause, brake, group: &view, lost: &view, arrived: None };
        let done = call.apply(&mut tx, stated, &Unknown::default()).await?;
        let data = json!({"source": cause.source, "privileged": view.privileged, "via": cause.via});
        self.tell_of_group(&mut tx, cause, &row, draft(EventType::GroupDeleted, data, view)).await?;
        sqlx::query!(
            "UPDATE directory.groups SET tombstone = 'hard', revision = revision + 1, changed_at = clock_timestamp()
             WHERE id = $1",
            row.id
        )
        .execute(&mut *tx)
        .await?;
        nesting::forget(&mut tx, row.id).await?;
        tx.commit().await?;
        self.changed_group(done.fans_out);
        Ok(Some(Ok(GroupChange { row, held: done.held })))
    }

    /// Writes one event of a group and moves its history past it.
    pub(crate) async fn tell_of_group(
        &self,
        tx: &mut PgConnection,
        cause: &Cause,
        row: &GroupRow,
        draft: Draft,
    ) -> Result<()> {
        let mut head = head(row.id, row.version, row.last_urgent, row.last_bulk, row.recorded_at);
        let now = sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#).fetch_one(&mut *tx).await?;
        let stamped = events::stamp(&mut head, vec![draft], cause.class, now);
        sqlx::query!(
            "UPDATE directory.groups SET version = $2, last_urgent = $3, last_bulk = $4, recorded_at = $5 WHERE id = $1",
            row.id,
            head.version,
            head.last_urgent,
            head.last_bulk,
            head.recorded_at
        )
        .execute(&mut *tx)
        .await?;
        events::append(tx, cause, &stamped).await
    }

    pub(crate) fn changed_group(&self, fans_out: bool) {
        self.wake.pending.ring();
        if fans_out {
            self.wake.fan_outs.ring();
        }
    }
}

fn head(id: Uuid, version: i64, last_urgent: i64, last_bulk: i64, recorded_at: DateTime<Utc>) -> Head {
    Head { kind: SubjectKind::Group, id, version, last_urgent, last_bulk, recorded_at }
}

pub(crate) fn draft(event_type: EventType, data: Value, group: GroupView) -> Draft {
    Draft {
        event_type,
        data,
        privileged: group.privileged,
        context: Context { group: Some(group), ..Context::default() },
    }
}

pub(crate) fn content_hash(facts: &GroupFacts) -> Vec<u8> {
    Sha256::digest(serde_json::to_vec(facts).expect("facts are plain data")).to_vec()
}

pub(crate) async fn find(
    connection: &mut PgConnection,
    source: &str,
    native_id: &str,
    lock: bool,
) -> Result<Option<GroupRow>> {
    let mut query = QueryBuilder::<Postgres>::new(format!("SELECT {COLUMNS} FROM directory.groups WHERE source = "));
    query.push_bind(source.to_owned()).push(" AND native_id = ").push_bind(native_id.to_owned());
    query.push(" AND tombstone IS NULL");
    if lock {
        // Rows that refer to it may come meanwhile.
        query.push(" FOR NO KEY UPDATE");
    }
    Ok(query.build_query_as().fetch_optional(connection).await?)
}

/// As [`Directory::groups_of`] tells.
pub(crate) async fn groups_of(connection: &mut PgConnection, accounts: &[Uuid]) -> Result<Vec<GroupOf>> {
    Ok(sqlx::query_as!(
        GroupOf,
        "SELECT m.account_id AS account, g.native_id, g.display_name
         FROM directory.memberships m JOIN directory.groups g ON g.id = m.group_id
         WHERE m.account_id = ANY($1) AND m.present AND g.tombstone IS NULL
         ORDER BY m.account_id, g.display_name, g.native_id",
        accounts
    )
    .fetch_all(connection)
    .await?)
}
