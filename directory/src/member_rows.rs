//! Rows of a group's members, changed by set operations: what stays as it is, is neither written nor read into memory.
//!
//! The row of the group is locked by whoever calls these.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use scim::Ids;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::members::Stated;
use crate::{Result, nesting};

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

/// What a call states with the accounts in place of names of theirs, and which references nobody is known by. Called before the group
/// is locked: if there are some, or groups that are none yet, the source's row is locked, so that nobody arrives between this look and the end of the
/// transaction without being bound.
pub(crate) async fn resolve<'a>(
    tx: &mut PgConnection,
    source: &str,
    stated: &'a Stated,
) -> Result<(Cow<'a, Stated>, Unknown)> {
    let (mut unknown, mut aliases) = known_and_unknown(tx, source, stated).await?;
    if !unknown.users.is_empty() || nesting::unknown(tx, source, &stated.groups).await? {
        // Each new account or group refers to its source, which this waits for and keeps out.
        sqlx::query!("SELECT id FROM directory.sources WHERE name = $1 FOR UPDATE", source)
            .fetch_optional(&mut *tx)
            .await?;
        (unknown, aliases) = known_and_unknown(tx, source, stated).await?;
    }
    let stated = if aliases.is_empty() { Cow::Borrowed(stated) } else { Cow::Owned(stated.under(&aliases)) };
    Ok((stated, unknown))
}

async fn known_and_unknown(
    tx: &mut PgConnection,
    source: &str,
    stated: &Stated,
) -> Result<(Unknown, HashMap<String, String>)> {
    let mut unknown = look_up(tx, source, &stated.users).await?;
    let mut references = stated.singled_out();
    references.extend_from_slice(&unknown.users);
    let aliases = aliases(tx, source, &references).await?;
    unknown.users.retain(|reference| !aliases.contains_key(reference));
    Ok((unknown, aliases))
}

/// Which of these references are no ids but the `externalId` of exactly one account, by its native id. Two of them could not be told
/// apart.
async fn aliases(tx: &mut PgConnection, source: &str, references: &[String]) -> Result<HashMap<String, String>> {
    if references.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query!(
        r#"SELECT r AS "reference!", min(a.native_id) AS "native_id!"
           FROM UNNEST($2::text[]) AS r JOIN directory.accounts a ON a.source = $1 AND a.external_id = r
           WHERE a.tombstone IS DISTINCT FROM 'hard'
             AND NOT EXISTS (SELECT FROM directory.accounts n WHERE n.source = $1 AND n.native_id = r
                             AND n.tombstone IS DISTINCT FROM 'hard')
             AND NOT EXISTS (SELECT FROM directory.groups g WHERE g.source = $1 AND g.native_id = r
                             AND g.tombstone IS NULL)
           GROUP BY r HAVING count(DISTINCT a.id) = 1"#,
        source,
        references
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.reference, row.native_id)).collect())
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

/// Takes these users out. Members wait for `mark`.
pub(crate) async fn mark_removed(
    tx: &mut PgConnection,
    source: &str,
    group: Uuid,
    out: &Ids,
    mark: Uuid,
) -> Result<Removed> {
    let (named, but) = listed(out);
    let row = sqlx::query!(
        r#"WITH named AS MATERIALIZED (
               SELECT a.id FROM UNNEST($3::text[]) AS r JOIN directory.accounts a ON a.source = $2 AND a.native_id = r),
           out AS MATERIALIZED (
               SELECT m.account_id, m.counted FROM directory.memberships m
               WHERE m.group_id = $1 AND m.present AND (m.account_id IN (SELECT id FROM named)) <> $5),
           never AS (
               DELETE FROM directory.memberships m USING out o
               WHERE m.group_id = $1 AND m.account_id = o.account_id AND NOT o.counted RETURNING 1),
           waits AS (
               UPDATE directory.memberships m SET present = false, waits_for = $4 FROM out o
               WHERE m.group_id = $1 AND m.account_id = o.account_id AND o.counted RETURNING 1)
           SELECT (SELECT count(*) FROM never) AS "never!", (SELECT count(*) FROM waits) AS "waits!""#,
        group,
        source,
        &named,
        mark,
        but
    )
    .fetch_one(&mut *tx)
    .await?;
    let waiting = row.waits.unsigned_abs();
    Ok(Removed { rows: row.never.unsigned_abs() + waiting, waiting })
}

/// Takes out the members of these references; who is out of the group already, but stays by a person's rejection, is not meant.
pub(crate) async fn delete(
    tx: &mut PgConnection,
    source: &str,
    group: Uuid,
    references: &BTreeSet<String>,
) -> Result<Rows> {
    let references: Vec<String> = references.iter().cloned().collect();
    let gone = sqlx::query!(
        "DELETE FROM directory.memberships m USING directory.accounts a
         WHERE m.group_id = $1 AND a.id = m.account_id AND a.source = $2 AND a.native_id = ANY($3)
           AND a.tombstone IS DISTINCT FROM 'hard' AND m.rejected_by IS NULL
         RETURNING a.id, a.identity_id, m.present, m.counted",
        group,
        source,
        &references
    )
    .fetch_all(&mut *tx)
    .await?;
    Ok(Rows {
        rows: gone.iter().filter(|r| r.present).count() as u64,
        counted: gone.into_iter().filter(|r| r.counted).map(|r| (r.id, r.identity_id)).collect(),
    })
}

/// Takes out awaited users.
pub(crate) async fn remove_awaited(tx: &mut PgConnection, group: Uuid, users: &Ids) -> Result<u64> {
    if *users == Ids::none() {
        return Ok(0);
    }
    let (references, but) = listed(users);
    let done = sqlx::query!(
        "DELETE FROM directory.pending_members p
         WHERE p.group_id = $1 AND (EXISTS (SELECT FROM UNNEST($2::text[]) AS r WHERE r = p.reference)) <> $3",
        group,
        &references,
        but
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}

/// The ids, and whether all but these are meant.
fn listed(ids: &Ids) -> (Vec<String>, bool) {
    match ids {
        Ids::Only(ids) => (ids.iter().cloned().collect(), false),
        Ids::AllBut(ids) => (ids.iter().cloned().collect(), true),
    }
}

/// Stores members that are yet to come.
pub(crate) async fn add_awaited(tx: &mut PgConnection, group: Uuid, awaited: &[String]) -> Result<u64> {
    if awaited.is_empty() {
        return Ok(0);
    }
    let done = sqlx::query!(
        "INSERT INTO directory.pending_members (group_id, reference) SELECT $1, r FROM UNNEST($2::text[]) AS r
         ON CONFLICT DO NOTHING",
        group,
        awaited
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
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

/// How many people would be out of the group by what waits for these marks, and how many are in it, whether by a group within it or not.
pub(crate) async fn weight(tx: &mut PgConnection, group: Uuid, marks: &[Uuid]) -> Result<(u64, u64)> {
    let row = sqlx::query!(
        r#"SELECT count(*) FILTER (WHERE NOT stays) AS "leaving!", count(*) AS "members!"
           FROM directory.weigh_members($1, $2)"#,
        group,
        marks
    )
    .fetch_one(tx)
    .await?;
    Ok((row.leaving.unsigned_abs(), row.members.unsigned_abs()))
}

/// Lets what waits for `marks` wait for `instead`. Returns how many rows that are.
pub(crate) async fn mark(tx: &mut PgConnection, marks: &[Uuid], instead: Uuid) -> Result<u64> {
    let done =
        sqlx::query!("UPDATE directory.memberships SET waits_for = $2 WHERE waits_for = ANY($1)", marks, instead)
            .execute(tx)
            .await?;
    Ok(done.rows_affected())
}
