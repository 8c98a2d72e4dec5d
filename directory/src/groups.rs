//! Groups as a SCIM client changes them: one lock on the group, then set operations whose cost is the change's size.

use chrono::{DateTime, Utc};
use futures::FutureExt;
use lifecycle::{Class, Context, EventType, GroupFacts, GroupView, SubjectKind};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, Postgres, QueryBuilder};
use std::collections::HashMap;
use uuid::Uuid;

use crate::apply::Cause;
use crate::events::{self, Draft, Head};
use crate::settle::{MembershipChange, Touched, settle};
use crate::{Directory, Result, memberships};

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
    pub last_urgent: i64,
    pub last_bulk: i64,
    pub recorded_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
    pub changed_at: DateTime<Utc>,
}

/// One operation on the set of members. A member is named by its account's or group's native id at the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberChange {
    /// (reference, is a group)
    Add(Vec<(String, bool)>),
    Remove(Vec<String>),
    RemoveAll,
    Replace(Vec<(String, bool)>),
}

const COLUMNS: &str =
    "id, source, native_id, external_id, display_name, privileged, attributes, version, last_urgent, last_bulk,
     recorded_at, created_at, changed_at";

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
               UNION ALL SELECT child_reference, true FROM directory.nested_groups WHERE parent_id = $1
               UNION ALL SELECT reference, false FROM directory.pending_members WHERE group_id = $1"#,
            group
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|r| (r.reference, r.nested)).collect())
    }

    pub async fn create_group(
        &self,
        cause: &Cause,
        facts: &GroupFacts,
        members: &[(String, bool)],
    ) -> Result<GroupRow> {
        self.retrying(|| {
            async {
                let mut tx = self.pool.begin().await?;
                let privileged = self.sources.is_privileged(&facts.display_name);
                let row = sqlx::query!(
                "INSERT INTO directory.groups (id, source, native_id, external_id, display_name, privileged, attributes,
                     content_hash, version, last_bulk, recorded_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, 1, clock_timestamp()) RETURNING id, recorded_at",
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
                events::append(&mut tx, cause, &events::stamp(&mut head, vec![draft], cause.class, row.recorded_at))
                    .await?;
                self.change_members(&mut tx, cause, &view, &view, &[MemberChange::Add(members.to_vec())]).await?;
                let created =
                    find(&mut tx, cause.source(), &facts.native_id, false).await?.ok_or(sqlx::Error::RowNotFound)?;
                tx.commit().await?;
                self.wake.pending.ring();
                Ok(created)
            }
            .boxed()
        })
        .await
    }

    /// Changes a group under its lock: `facts` says what its attributes become, `members` what happens to the set.
    pub async fn change_group(
        &self,
        cause: &Cause,
        native_id: &str,
        facts: impl Fn(&GroupRow) -> GroupFacts + Sync,
        members: &[MemberChange],
    ) -> Result<Option<GroupRow>> {
        self.retrying(|| {
            async {
                let mut tx = self.pool.begin().await?;
                let Some(current) = find(&mut tx, cause.source(), native_id, true).await? else { return Ok(None) };
                let facts = facts(&current);
                let privileged = self.sources.is_privileged(&facts.display_name);
                let view = GroupView { id: current.id, name: facts.display_name.clone(), privileged };
                let before = GroupFacts {
                    native_id: current.native_id.clone(),
                    external_id: current.external_id.clone(),
                    display_name: current.display_name.clone(),
                    attributes: current.attributes.clone(),
                };
                // Okta sends the name with every change of members: what is the same makes no event.
                if before != facts {
                    let mut head =
                        head(current.id, current.version, current.last_urgent, current.last_bulk, current.recorded_at);
                    let now = sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#).fetch_one(&mut *tx).await?;
                    let data = json!({"source": cause.source, "privileged": privileged, "via": cause.via});
                    let stamped = events::stamp(
                        &mut head,
                        vec![draft(EventType::GroupUpdated, data, view.clone())],
                        cause.class,
                        now,
                    );
                    sqlx::query!(
                    "UPDATE directory.groups SET external_id = $2, display_name = $3, privileged = $4, attributes = $5,
                         content_hash = $6, version = $7, last_urgent = $8, last_bulk = $9, recorded_at = $10,
                         changed_at = clock_timestamp() WHERE id = $1",
                    current.id,
                    facts.external_id,
                    facts.display_name,
                    privileged,
                    facts.attributes,
                    content_hash(&facts),
                    head.version,
                    head.last_urgent,
                    head.last_bulk,
                    head.recorded_at
                )
                    .execute(&mut *tx)
                    .await?;
                    events::append(&mut tx, cause, &stamped).await?;
                }
                // Renamed out of privilege in the same breath, it was still a privileged group that they lost.
                let lost = GroupView { privileged: privileged || current.privileged, ..view.clone() };
                self.change_members(&mut tx, cause, &view, &lost, members).await?;
                let changed = find(&mut tx, cause.source(), native_id, false).await?;
                tx.commit().await?;
                self.wake.pending.ring();
                Ok(changed)
            }
            .boxed()
        })
        .await
    }

    /// Deletes a group for good; its members lose it. Whether there was one.
    pub async fn delete_group(&self, cause: &Cause, native_id: &str) -> Result<bool> {
        self.retrying(|| {
            async {
                let mut tx = self.pool.begin().await?;
                let Some(current) = find(&mut tx, cause.source(), native_id, true).await? else { return Ok(false) };
                let view = GroupView { id: current.id, name: current.display_name, privileged: current.privileged };
                self.change_members(&mut tx, cause, &view, &view, &[MemberChange::RemoveAll]).await?;
                let mut head =
                    head(current.id, current.version, current.last_urgent, current.last_bulk, current.recorded_at);
                let now = sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#).fetch_one(&mut *tx).await?;
                let data = json!({"source": cause.source, "privileged": view.privileged, "via": cause.via});
                let stamped =
                    events::stamp(&mut head, vec![draft(EventType::GroupDeleted, data, view)], cause.class, now);
                sqlx::query!(
                    "UPDATE directory.groups SET tombstone = 'hard', version = $2, last_urgent = $3, last_bulk = $4,
                     recorded_at = $5, changed_at = clock_timestamp() WHERE id = $1",
                    current.id,
                    head.version,
                    head.last_urgent,
                    head.last_bulk,
                    head.recorded_at
                )
                .execute(&mut *tx)
                .await?;
                events::append(&mut tx, cause, &stamped).await?;
                tx.commit().await?;
                self.wake.pending.ring();
                Ok(true)
            }
            .boxed()
        })
        .await
    }

    /// `lost` is the group as it was for those who lose it.
    async fn change_members(
        &self,
        tx: &mut PgConnection,
        cause: &Cause,
        group: &GroupView,
        lost: &GroupView,
        changes: &[MemberChange],
    ) -> Result<()> {
        let mut done: Vec<(Uuid, bool)> = Vec::new();
        for change in changes {
            match change {
                MemberChange::Add(members) => add(tx, cause, group.id, members, &mut done).await?,
                MemberChange::Remove(references) => remove(tx, cause, group.id, references, &mut done).await?,
                MemberChange::RemoveAll => keep_only(tx, group.id, &[], &[], &mut done).await?,
                MemberChange::Replace(members) => {
                    let references: Vec<String> = members.iter().map(|(r, _)| r.clone()).collect();
                    let accounts: Vec<Uuid> = resolve(tx, cause, &references).await?.into_values().collect();
                    keep_only(tx, group.id, &accounts, &references, &mut done).await?;
                    add(tx, cause, group.id, members, &mut done).await?;
                }
            }
        }
        if done.is_empty() {
            return Ok(());
        }
        let accounts: Vec<Uuid> = done.iter().map(|(a, _)| *a).collect();
        let identity: HashMap<Uuid, Uuid> =
            sqlx::query!("SELECT id, identity_id FROM directory.accounts WHERE id = ANY($1)", &accounts)
                .fetch_all(&mut *tx)
                .await?
                .into_iter()
                .map(|r| (r.id, r.identity_id))
                .collect();
        let memberships: Vec<MembershipChange> = done
            .into_iter()
            .filter_map(|(account, added)| {
                let group = if added { group } else { lost };
                identity.get(&account).map(|id| MembershipChange { identity: *id, group: group.clone(), added })
            })
            .collect();
        let cause = Cause { class: cause.class.max(Class::of_plan(memberships.len())), ..cause.clone() };
        settle(tx, &self.sources, &cause, Touched { memberships, ..Touched::default() }).await?;
        Ok(())
    }
}

fn head(id: Uuid, version: i64, last_urgent: i64, last_bulk: i64, recorded_at: DateTime<Utc>) -> Head {
    Head { kind: SubjectKind::Group, id, version, last_urgent, last_bulk, recorded_at }
}

fn draft(event_type: EventType, data: Value, group: GroupView) -> Draft {
    Draft {
        event_type,
        data,
        privileged: group.privileged,
        context: Context { group: Some(group), ..Context::default() },
    }
}

fn content_hash(facts: &GroupFacts) -> Vec<u8> {
    Sha256::digest(serde_json::to_vec(facts).expect("facts are plain data")).to_vec()
}

async fn find(connection: &mut PgConnection, source: &str, native_id: &str, lock: bool) -> Result<Option<GroupRow>> {
    let mut query = QueryBuilder::<Postgres>::new(format!("SELECT {COLUMNS} FROM directory.groups WHERE source = "));
    query.push_bind(source.to_owned()).push(" AND native_id = ").push_bind(native_id.to_owned());
    query.push(" AND tombstone IS NULL");
    if lock {
        query.push(" FOR UPDATE");
    }
    Ok(query.build_query_as().fetch_optional(connection).await?)
}

/// Accounts of the cause's source by native id.
async fn resolve(tx: &mut PgConnection, cause: &Cause, references: &[String]) -> Result<HashMap<String, Uuid>> {
    let rows = sqlx::query!(
        "SELECT native_id, id FROM directory.accounts WHERE source = $1 AND native_id = ANY($2) AND tombstone IS DISTINCT FROM 'hard'",
        cause.source(),
        references
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|r| (r.native_id, r.id)).collect())
}

async fn add(
    tx: &mut PgConnection,
    cause: &Cause,
    group: Uuid,
    members: &[(String, bool)],
    done: &mut Vec<(Uuid, bool)>,
) -> Result<()> {
    let references: Vec<String> = members.iter().map(|(r, _)| r.clone()).collect();
    let known = resolve(tx, cause, &references).await?;
    let pairs: Vec<(Uuid, Uuid)> = known.values().map(|account| (group, *account)).collect();
    done.extend(memberships::insert(tx, &pairs).await?.into_iter().map(|(_, account)| (account, true)));
    let nested: Vec<String> = members.iter().filter(|(_, nested)| *nested).map(|(r, _)| r.clone()).collect();
    let awaited: Vec<String> =
        members.iter().filter(|(r, nested)| !nested && !known.contains_key(r)).map(|(r, _)| r.clone()).collect();
    sqlx::query!(
        "INSERT INTO directory.nested_groups (parent_id, child_reference) SELECT $1, r FROM UNNEST($2::text[]) AS r
         ON CONFLICT DO NOTHING",
        group,
        &nested
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "INSERT INTO directory.pending_members (group_id, reference) SELECT $1, r FROM UNNEST($2::text[]) AS r
         ON CONFLICT DO NOTHING",
        group,
        &awaited
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn remove(
    tx: &mut PgConnection,
    cause: &Cause,
    group: Uuid,
    references: &[String],
    done: &mut Vec<(Uuid, bool)>,
) -> Result<()> {
    let pairs: Vec<(Uuid, Uuid)> = resolve(tx, cause, references).await?.into_values().map(|a| (group, a)).collect();
    done.extend(memberships::delete(tx, &pairs).await?.into_iter().map(|(_, account)| (account, false)));
    sqlx::query!(
        "DELETE FROM directory.nested_groups WHERE parent_id = $1 AND child_reference = ANY($2)",
        group,
        references
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "DELETE FROM directory.pending_members WHERE group_id = $1 AND reference = ANY($2)",
        group,
        references
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn keep_only(
    tx: &mut PgConnection,
    group: Uuid,
    accounts: &[Uuid],
    references: &[String],
    done: &mut Vec<(Uuid, bool)>,
) -> Result<()> {
    let gone = sqlx::query_scalar!(
        "DELETE FROM directory.memberships WHERE group_id = $1 AND account_id <> ALL($2) RETURNING account_id",
        group,
        accounts
    )
    .fetch_all(&mut *tx)
    .await?;
    done.extend(gone.into_iter().map(|account| (account, false)));
    sqlx::query!(
        "DELETE FROM directory.nested_groups WHERE parent_id = $1 AND child_reference <> ALL($2)",
        group,
        references
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "DELETE FROM directory.pending_members WHERE group_id = $1 AND reference <> ALL($2)",
        group,
        references
    )
    .execute(tx)
    .await?;
    Ok(())
}
