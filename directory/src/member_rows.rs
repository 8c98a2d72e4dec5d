//! Rows of a group's members, changed by set operations: what stays as it is, is neither written nor read into memory.
//!
//! The row of the group is locked by whoever calls these.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::Result;
use crate::members::Stated;

/// References that name no account of the source.
#[derive(Debug, Default)]
pub(crate) struct Unknown {
    /// Users that are yet to come.
    pub users: Vec<String>,
    /// Groups that were not stated to be groups.
    pub groups: Vec<String>,
}

/// How many rows that a reader sees a statement changed, and whose membership counted (account, identity) among them.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub rows: u64,
    pub counted: Vec<(Uuid, Uuid)>,
}

/// What a replacement takes away.
#[derive(Debug, Default)]
pub(crate) struct Removed {
    pub rows: u64,
    /// Members among them, who wait.
    pub waiting: u64,
}

/// Which of these references nobody is known by. Called before the group is locked: if there are some, the source's row is
/// locked, so that nobody arrives between this look and the end of the transaction without being bound.
pub(crate) async fn unknown(tx: &mut PgConnection, source: &str, users: &[String]) -> Result<Unknown> {
    let mut unknown = look_up(tx, source, users).await?;
    if !unknown.users.is_empty() {
        // Each new account refers to its source, which this waits for and keeps out.
        sqlx::query!("SELECT id FROM directory.sources WHERE name = $1 FOR UPDATE", source)
            .fetch_optional(&mut *tx)
            .await?;
        unknown = look_up(tx, source, users).await?;
    }
    Ok(unknown)
}

async fn look_up(tx: &mut PgConnection, source: &str, users: &[String]) -> Result<Unknown> {
    let mut unknown = Unknown::default();
    if users.is_empty() {
        return Ok(unknown);
    }
    let rows = sqlx::query!(
        r#"SELECT r AS "reference!", EXISTS (SELECT FROM directory.groups g WHERE g.source = $1 AND g.native_id = r
                                             AND g.tombstone IS NULL) AS "nested!"
           FROM UNNEST($2::text[]) AS r
           WHERE NOT EXISTS (SELECT FROM directory.accounts a WHERE a.source = $1 AND a.native_id = r
                             AND a.tombstone IS DISTINCT FROM 'hard')"#,
        source,
        users
    )
    .fetch_all(tx)
    .await?;
    for row in rows {
        if row.nested { unknown.groups.push(row.reference) } else { unknown.users.push(row.reference) }
    }
    Ok(unknown)
}

/// Members again whom a plan or fan-out was to take out.
pub(crate) async fn restore(tx: &mut PgConnection, source: &str, group: Uuid, users: &[String]) -> Result<u64> {
    let done = sqlx::query!(
        "UPDATE directory.memberships m SET present = true, waits_for = NULL FROM directory.accounts a
         WHERE m.group_id = $1 AND m.present <> m.counted AND NOT m.present AND a.id = m.account_id AND a.source = $2
           AND a.tombstone IS DISTINCT FROM 'hard' AND EXISTS (SELECT FROM UNNEST($3::text[]) AS r WHERE r = a.native_id)",
        group,
        source,
        users
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}

/// Takes out whom the call leaves out, or, of a list, whom it names. Members wait for `mark`.
pub(crate) async fn mark_removed(
    tx: &mut PgConnection,
    source: &str,
    group: Uuid,
    stated: &Stated,
    mark: Uuid,
) -> Result<Removed> {
    let named = if stated.replaces { &stated.users } else { &stated.removed };
    let row = sqlx::query!(
        r#"WITH named AS MATERIALIZED (
               SELECT a.id FROM UNNEST($3::text[]) AS r JOIN directory.accounts a ON a.source = $2 AND a.native_id = r),
           out AS MATERIALIZED (
               SELECT m.account_id, m.counted FROM directory.memberships m
               WHERE m.group_id = $1 AND m.present AND (EXISTS (SELECT FROM named n WHERE n.id = m.account_id)) <> $5),
           never AS (
               DELETE FROM directory.memberships m USING out o
               WHERE m.group_id = $1 AND m.account_id = o.account_id AND NOT o.counted RETURNING 1),
           waits AS (
               UPDATE directory.memberships m SET present = false, waits_for = $4 FROM out o
               WHERE m.group_id = $1 AND m.account_id = o.account_id AND o.counted RETURNING 1)
           SELECT (SELECT count(*) FROM never) AS "never!", (SELECT count(*) FROM waits) AS "waits!""#,
        group,
        source,
        named,
        mark,
        stated.replaces
    )
    .fetch_one(&mut *tx)
    .await?;
    let waiting = row.waits.unsigned_abs();
    let references = if stated.replaces {
        keep_references(tx, group, stated).await?
    } else {
        remove_references(tx, group, named).await?
    };
    Ok(Removed { rows: row.never.unsigned_abs() + waiting + references, waiting })
}

/// Takes out the members of these references; who is out of the group already, but stays by a person's rejection, is not meant.
pub(crate) async fn delete(tx: &mut PgConnection, source: &str, group: Uuid, references: &[String]) -> Result<Rows> {
    let gone = sqlx::query!(
        "DELETE FROM directory.memberships m USING directory.accounts a
         WHERE m.group_id = $1 AND a.id = m.account_id AND a.source = $2 AND a.native_id = ANY($3)
           AND a.tombstone IS DISTINCT FROM 'hard' AND m.rejected_by IS NULL
         RETURNING a.id, a.identity_id, m.present, m.counted",
        group,
        source,
        references
    )
    .fetch_all(&mut *tx)
    .await?;
    let awaited = remove_references(tx, group, references).await?;
    Ok(Rows {
        rows: gone.iter().filter(|r| r.present).count() as u64 + awaited,
        counted: gone.into_iter().filter(|r| r.counted).map(|r| (r.id, r.identity_id)).collect(),
    })
}

/// Removes awaited users and groups of these references.
async fn remove_references(tx: &mut PgConnection, group: Uuid, references: &[String]) -> Result<u64> {
    let awaited = sqlx::query!(
        "DELETE FROM directory.pending_members WHERE group_id = $1 AND reference = ANY($2)",
        group,
        references
    )
    .execute(&mut *tx)
    .await?;
    let nested = sqlx::query!(
        "DELETE FROM directory.nested_groups WHERE parent_id = $1 AND child_reference = ANY($2)",
        group,
        references
    )
    .execute(tx)
    .await?;
    Ok(awaited.rows_affected() + nested.rows_affected())
}

/// Removes awaited users and groups that the call leaves out.
async fn keep_references(tx: &mut PgConnection, group: Uuid, stated: &Stated) -> Result<u64> {
    let awaited = sqlx::query!(
        "DELETE FROM directory.pending_members p
         WHERE p.group_id = $1 AND NOT EXISTS (SELECT FROM UNNEST($2::text[]) AS r WHERE r = p.reference)",
        group,
        &stated.users
    )
    .execute(&mut *tx)
    .await?;
    // A user that is stated may turn out to be a group.
    let nested = sqlx::query!(
        "DELETE FROM directory.nested_groups n
         WHERE n.parent_id = $1 AND n.child_reference <> ALL($2)
           AND NOT EXISTS (SELECT FROM UNNEST($3::text[]) AS r WHERE r = n.child_reference)",
        group,
        &stated.groups,
        &stated.users
    )
    .execute(tx)
    .await?;
    Ok(awaited.rows_affected() + nested.rows_affected())
}

/// Stores members that are yet to come, and groups.
pub(crate) async fn add_references(
    tx: &mut PgConnection,
    group: Uuid,
    awaited: &[String],
    nested: &[String],
) -> Result<u64> {
    let mut rows = 0;
    if !nested.is_empty() {
        rows += sqlx::query!(
            "INSERT INTO directory.nested_groups (parent_id, child_reference) SELECT $1, r FROM UNNEST($2::text[]) AS r
             ON CONFLICT DO NOTHING",
            group,
            nested
        )
        .execute(&mut *tx)
        .await?
        .rows_affected();
    }
    if !awaited.is_empty() {
        rows += sqlx::query!(
            "INSERT INTO directory.pending_members (group_id, reference) SELECT $1, r FROM UNNEST($2::text[]) AS r
             ON CONFLICT DO NOTHING",
            group,
            awaited
        )
        .execute(tx)
        .await?
        .rows_affected();
    }
    Ok(rows)
}

/// Adds members that count at once. Returns those who were none; whoever a plan was to take out has never ceased to be one.
pub(crate) async fn insert(tx: &mut PgConnection, source: &str, group: Uuid, users: &[String]) -> Result<Rows> {
    let rows = sqlx::query!(
        r#"WITH written AS (
               INSERT INTO directory.memberships AS m (group_id, account_id, present, counted)
               SELECT $1, a.id, true, true FROM UNNEST($3::text[]) AS r
               JOIN directory.accounts a ON a.source = $2 AND a.native_id = r AND a.tombstone IS DISTINCT FROM 'hard'
               WHERE NOT EXISTS (SELECT FROM directory.memberships o
                                 WHERE o.group_id = $1 AND o.account_id = a.id AND o.present)
               ORDER BY a.id
               ON CONFLICT (group_id, account_id) DO UPDATE SET present = true, waits_for = NULL WHERE NOT m.present
               RETURNING account_id, (xmax = 0) AS new)
           SELECT w.account_id, w.new AS "new!", a.identity_id FROM written w JOIN directory.accounts a ON a.id = w.account_id"#,
        group,
        source,
        users
    )
    .fetch_all(tx)
    .await?;
    Ok(Rows {
        rows: rows.len() as u64,
        counted: rows.into_iter().filter(|r| r.new).map(|r| (r.account_id, r.identity_id)).collect(),
    })
}

/// Adds members that wait for `mark`. Returns how many are new.
pub(crate) async fn insert_waiting(
    tx: &mut PgConnection,
    source: &str,
    group: Uuid,
    users: &[String],
    mark: Uuid,
) -> Result<u64> {
    restore(&mut *tx, source, group, users).await?;
    let done = sqlx::query!(
        "INSERT INTO directory.memberships (group_id, account_id, present, counted, waits_for)
         SELECT $1, a.id, true, false, $4 FROM UNNEST($3::text[]) AS r
         JOIN directory.accounts a ON a.source = $2 AND a.native_id = r AND a.tombstone IS DISTINCT FROM 'hard'
         WHERE NOT EXISTS (SELECT FROM directory.memberships o WHERE o.group_id = $1 AND o.account_id = a.id)
         ORDER BY a.id ON CONFLICT DO NOTHING",
        group,
        source,
        users,
        mark
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}

/// How many members wait for these marks, and how many there were with them.
pub(crate) async fn weight(tx: &mut PgConnection, group: Uuid, marks: &[Uuid]) -> Result<(u64, u64)> {
    let row = sqlx::query!(
        r#"SELECT (SELECT count(*) FROM directory.memberships WHERE waits_for = ANY($2)) AS "waiting!",
                  count(*) FILTER (WHERE present OR waits_for = ANY($2) OR rejected_by IS NOT NULL) AS "members!"
           FROM directory.memberships WHERE group_id = $1 AND counted"#,
        group,
        marks
    )
    .fetch_one(tx)
    .await?;
    Ok((row.waiting.unsigned_abs(), row.members.unsigned_abs()))
}

/// Lets what waits for `marks` wait for `instead`. Returns how many rows that are.
pub(crate) async fn mark(tx: &mut PgConnection, marks: &[Uuid], instead: Uuid) -> Result<u64> {
    let done =
        sqlx::query!("UPDATE directory.memberships SET waits_for = $2 WHERE waits_for = ANY($1)", marks, instead)
            .execute(tx)
            .await?;
    Ok(done.rows_affected())
}
