//! Groups in groups, as a source states them, and whom it reaches that one came or went. Every row is in force, also one that the
//! source has taken back: it goes when its plan is answered, and until then nobody has left by it.

use scim::Ids;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::apply::{CHUNK, Cause};
use crate::{Result, fan_outs, memberships};

/// (account, identity)
type Pair = (Uuid, Uuid);

/// What a call on a group says of the groups in it.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// References that were taken back, and are stated again.
    back: Vec<String>,
    /// References that go.
    out: Vec<String>,
    /// The groups of those references.
    leaving: Vec<Uuid>,
}

impl Said {
    /// `named` are stated, `out` taken out; the row of the group is locked.
    pub(crate) async fn of(tx: &mut PgConnection, group: Uuid, named: &[String], out: &Ids) -> Result<Self> {
        let mut said = Self::default();
        if named.is_empty() && *out == Ids::none() {
            return Ok(said);
        }
        let rows = sqlx::query!(
            r#"SELECT child_reference, child_id, present, waits_for IS NOT NULL AS "waits!"
               FROM directory.nested_groups WHERE parent_id = $1"#,
            group
        )
        .fetch_all(tx)
        .await?;
        for row in rows {
            // What a person has rejected, and the groups that were deleted, are out already as far as their source can say.
            if out.contains(&row.child_reference) {
                if row.present || row.waits {
                    said.leaving.extend(row.child_id);
                    said.out.push(row.child_reference);
                }
            } else if !row.present && named.contains(&row.child_reference) {
                said.back.push(row.child_reference);
            }
        }
        Ok(said)
    }

    pub(crate) fn takes_out(&self) -> bool {
        !self.out.is_empty()
    }

    /// Whether more than `few` people are in the groups that go.
    pub(crate) async fn reaches_more_than(&self, tx: &mut PgConnection, few: u64) -> Result<bool> {
        if self.leaving.is_empty() {
            return Ok(false);
        }
        let limit = usize::try_from(few).unwrap_or(CHUNK).min(CHUNK) + 1;
        Ok(people(tx, &self.leaving, None, limit).await?.len() as u64 > few)
    }

    /// Groups again that a plan was to take out. Says how many.
    pub(crate) async fn restore(&self, tx: &mut PgConnection, group: Uuid) -> Result<u64> {
        if self.back.is_empty() {
            return Ok(0);
        }
        let done = sqlx::query!(
            "UPDATE directory.nested_groups SET present = true, waits_for = NULL
             WHERE parent_id = $1 AND child_reference = ANY($2) AND NOT present",
            group,
            &self.back
        )
        .execute(tx)
        .await?;
        Ok(done.rows_affected())
    }

    /// Lets what goes wait for `mark`. Says how many rows a reader sees changed; those that are no group yet go at once.
    pub(crate) async fn mark(&self, tx: &mut PgConnection, group: Uuid, mark: Uuid) -> Result<Marked> {
        if self.out.is_empty() {
            return Ok(Marked::default());
        }
        let unknown = sqlx::query!(
            "DELETE FROM directory.nested_groups WHERE parent_id = $1 AND child_reference = ANY($2) AND child_id IS NULL",
            group,
            &self.out
        )
        .execute(&mut *tx)
        .await?
        .rows_affected();
        // What waits for a plan already is weighed with that plan.
        let waiting = sqlx::query!(
            "UPDATE directory.nested_groups SET present = false, waits_for = $3
             WHERE parent_id = $1 AND child_reference = ANY($2) AND present",
            group,
            &self.out,
            mark
        )
        .execute(tx)
        .await?
        .rows_affected();
        Ok(Marked { rows: unknown + waiting, waiting })
    }

    /// Takes out what goes. Returns how many rows a reader sees changed, and the groups.
    pub(crate) async fn delete(&self, tx: &mut PgConnection, group: Uuid) -> Result<(u64, Vec<Uuid>)> {
        if self.out.is_empty() {
            return Ok((0, Vec::new()));
        }
        let gone = sqlx::query!(
            "DELETE FROM directory.nested_groups WHERE parent_id = $1 AND child_reference = ANY($2) RETURNING child_id, present",
            group,
            &self.out
        )
        .fetch_all(tx)
        .await?;
        let rows = gone.iter().filter(|row| row.present).count() as u64;
        Ok((rows, gone.into_iter().filter_map(|row| row.child_id).collect()))
    }
}

/// Rows that wait since a call.
#[derive(Debug, Default)]
pub(crate) struct Marked {
    pub rows: u64,
    pub waiting: u64,
}

/// Stores groups in a group. Returns how many rows a reader sees changed, and which groups are in it now that were not.
pub(crate) async fn add(
    tx: &mut PgConnection,
    source: &str,
    group: Uuid,
    references: &[String],
) -> Result<(u64, Vec<Uuid>)> {
    if references.is_empty() {
        return Ok((0, Vec::new()));
    }
    let rows = sqlx::query!(
        r#"INSERT INTO directory.nested_groups AS n (parent_id, child_reference, child_id)
           SELECT $1, r, coalesce(
               (SELECT g.id FROM directory.groups g WHERE g.source = $2 AND g.native_id = r AND g.tombstone IS NULL),
               (SELECT (array_agg(g.id))[1] FROM directory.groups g
                WHERE g.source = $2 AND g.external_id = r AND g.tombstone IS NULL HAVING count(*) = 1))
           FROM UNNEST($3::text[]) AS r
           ON CONFLICT (parent_id, child_reference) DO UPDATE SET present = true, waits_for = NULL WHERE NOT n.present
           RETURNING n.child_id, (xmax = 0) AS "new!""#,
        group,
        source,
        references
    )
    .fetch_all(tx)
    .await?;
    let new = rows.iter().filter(|row| row.new).filter_map(|row| row.child_id);
    Ok((rows.len() as u64, new.collect()))
}

/// Which of these references name no group of the source yet.
pub(crate) async fn unknown(tx: &mut PgConnection, source: &str, references: &[String]) -> Result<bool> {
    if references.is_empty() {
        return Ok(false);
    }
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM UNNEST($2::text[]) AS r WHERE NOT EXISTS (
               SELECT FROM directory.groups g WHERE g.source = $1 AND g.native_id = r AND g.tombstone IS NULL)) AS "some!""#,
        source,
        references
    )
    .fetch_one(tx)
    .await?)
}

/// Puts a group that has just come into those that named it before, by its id or by an external id that no other group has.
pub(crate) async fn arrive(
    tx: &mut PgConnection,
    source: &str,
    group: Uuid,
    native_id: &str,
    external_id: Option<&str>,
) -> Result<()> {
    // Rows of groups before those of what is in them, as a call on a group has it.
    let parents = sqlx::query_scalar!(
        "SELECT p.id FROM directory.groups p WHERE p.source = $1 AND p.id IN (
             SELECT n.parent_id FROM directory.nested_groups n WHERE n.child_id IS NULL AND n.child_reference IN ($2, $3))
         ORDER BY p.id FOR NO KEY UPDATE",
        source,
        native_id,
        external_id
    )
    .fetch_all(&mut *tx)
    .await?;
    if parents.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "UPDATE directory.nested_groups n SET child_id = $2
         WHERE n.parent_id = ANY($5) AND n.child_id IS NULL AND n.child_reference IN ($3, $4)
           AND (n.child_reference = $3 OR 1 = (SELECT count(*) FROM directory.groups g
                WHERE g.source = $1 AND g.external_id = $4 AND g.tombstone IS NULL))",
        source,
        group,
        native_id,
        external_id,
        &parents
    )
    .execute(&mut *tx)
    .await?;
    lock(tx, source).await
}

/// Takes a group that is deleted out of the groups that it is in, as they read. Whoever is in it stays in them as long as in it.
pub(crate) async fn leave_parents(tx: &mut PgConnection, group: Uuid) -> Result<()> {
    let parents = sqlx::query_scalar!(
        "SELECT p.id FROM directory.groups p
         WHERE p.id IN (SELECT n.parent_id FROM directory.nested_groups n WHERE n.child_id = $1 AND n.present)
         ORDER BY p.id FOR NO KEY UPDATE",
        group
    )
    .fetch_all(&mut *tx)
    .await?;
    if parents.is_empty() {
        return Ok(());
    }
    sqlx::query!("UPDATE directory.nested_groups SET present = false WHERE child_id = $1 AND present", group)
        .execute(&mut *tx)
        .await?;
    memberships::seen_anew(tx, &parents).await
}

/// Nobody is in a group that was deleted any more, so it is in no other either.
pub(crate) async fn forget(tx: &mut PgConnection, group: Uuid) -> Result<()> {
    sqlx::query!(
        "DELETE FROM directory.nested_groups n USING directory.groups g
         WHERE n.child_id = $1 AND NOT n.present AND g.id = n.child_id AND g.tombstone = 'hard'
           AND NOT EXISTS (SELECT FROM directory.memberships m WHERE m.group_id = $1 AND m.counted)
           AND NOT EXISTS (SELECT FROM directory.nested_groups c WHERE c.parent_id = $1)",
        group
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Takes out what waits for these marks. Returns the groups.
pub(crate) async fn release(tx: &mut PgConnection, marks: &[Uuid]) -> Result<Vec<Uuid>> {
    Ok(sqlx::query_scalar!(
        r#"DELETE FROM directory.nested_groups WHERE waits_for = ANY($1) AND NOT present RETURNING child_id AS "child!""#,
        marks
    )
    .fetch_all(tx)
    .await?)
}

/// Lets what waits for a plan wait for another.
pub(crate) async fn move_on(tx: &mut PgConnection, plan: Uuid, instead: Uuid) -> Result<()> {
    sqlx::query!("UPDATE directory.nested_groups SET waits_for = $2 WHERE waits_for = $1", plan, instead)
        .execute(tx)
        .await?;
    Ok(())
}

/// Keeps others from changing members of groups at the source, and which groups are in which, until the transaction ends: nobody
/// comes into a group unseen while it moves. Taken before identities are locked.
pub(crate) async fn lock(tx: &mut PgConnection, source: &str) -> Result<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock(1279608142, hashtext($1))", source).fetch_one(tx).await?;
    Ok(())
}

/// Keeps which groups are in which as it is until the transaction ends, as others do who change members.
pub(crate) async fn keep(tx: &mut PgConnection, source: &str) -> Result<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock_shared(1279608142, hashtext($1))", source).fetch_one(tx).await?;
    Ok(())
}

/// People who are in these groups in force, or in groups within them, in the order of their accounts behind `after`.
pub(crate) async fn people(
    tx: &mut PgConnection,
    groups: &[Uuid],
    after: Option<Uuid>,
    limit: usize,
) -> Result<Vec<Pair>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = sqlx::query!(
        r#"WITH next AS (
               SELECT DISTINCT m.account_id FROM directory.within($1) AS g CROSS JOIN LATERAL (
                   SELECT account_id FROM directory.memberships
                   WHERE group_id = g AND counted AND ($2::uuid IS NULL OR account_id > $2)
                   ORDER BY account_id LIMIT $3) AS m
               ORDER BY m.account_id LIMIT $3)
           SELECT n.account_id AS "account!", a.identity_id FROM next n JOIN directory.accounts a ON a.id = n.account_id
           ORDER BY n.account_id"#,
        groups,
        after,
        limit
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.account, row.identity_id)).collect())
}

/// Whom it reaches that these groups came into `group` or left it, if one transaction can tell them; else a fan-out is left that
/// does. The source is locked by [`lock`].
pub(crate) async fn reach(
    tx: &mut PgConnection,
    cause: &Cause,
    group: Uuid,
    children: &[Uuid],
) -> Result<Option<Vec<Pair>>> {
    let people = people(tx, children, None, CHUNK + 1).await?;
    if people.len() <= CHUNK {
        return Ok(Some(people));
    }
    fan_outs::begin_nested(tx, cause, Uuid::now_v7(), group, children).await?;
    Ok(None)
}
