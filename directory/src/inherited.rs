//! Effective membership: whoever is in a group is in every group that this one is in, and hears once of each that they come to be in
//! or cease to be in, by whatever way.
//!
//! What was told of it is stored, for each account and group. So a change is looked at by the accounts that it may touch: what they
//! are in now, by the groups that they are in and those around these, against what was told.

use std::collections::HashMap;

use lifecycle::GroupView;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::settle::{MembershipChange, Touched};
use crate::{Error, Result};

/// Keeps which groups are in which as it is until the transaction ends. Whether what it touched says anything of other groups than
/// those it names. Called before identities are locked.
pub(crate) async fn share(tx: &mut PgConnection, source: &str, touched: &Touched) -> Result<bool> {
    if touched.memberships.is_empty() && touched.reached.is_empty() {
        return Ok(false);
    }
    let groups: Vec<Uuid> = touched.memberships.iter().map(|m| m.group.id).collect();
    let told = sqlx::query_scalar!(r#"SELECT directory.share_nesting($1, $2) AS "told!""#, source, &groups)
        .fetch_one(tx)
        .await?;
    Ok(told || touched.nested || !touched.reached.is_empty())
}

/// What changes for the accounts that were touched, by all groups that they are in; their identities are locked. `changes` are those
/// of the members that a source states.
pub(crate) async fn follow(
    tx: &mut PgConnection,
    changes: Vec<MembershipChange>,
    reached: &[(Uuid, Uuid)],
) -> Result<Vec<MembershipChange>> {
    let identities: HashMap<Uuid, Uuid> =
        changes.iter().map(|c| (c.account, c.identity)).chain(reached.iter().copied()).collect();
    let accounts: Vec<Uuid> = identities.keys().copied().collect();
    let (groups, of): (Vec<Uuid>, Vec<Uuid>) = changes.iter().map(|c| (c.group.id, c.account)).unzip();
    let rows = sqlx::query!(
        r#"WITH RECURSIVE own AS MATERIALIZED (
               SELECT m.account_id, m.group_id FROM UNNEST($1::uuid[]) AS a JOIN directory.memberships m ON m.account_id = a
               WHERE m.counted),
           around AS (
               SELECT DISTINCT group_id AS low, group_id AS high FROM own
               UNION
               SELECT s.low, n.parent_id FROM around s JOIN directory.nested_groups n ON n.child_id = s.high),
           is_in AS MATERIALIZED (
               SELECT DISTINCT o.account_id, s.high AS group_id FROM own o JOIN around s ON s.low = o.group_id
               WHERE s.high <> s.low),
           was_in AS MATERIALIZED (
               SELECT i.account_id, i.group_id FROM UNNEST($1::uuid[]) AS a
               JOIN directory.inherited_memberships i ON i.account_id = a),
           stated AS MATERIALIZED (SELECT * FROM UNNEST($2::uuid[], $3::uuid[]) AS s(group_id, account_id)),
           both_ways AS MATERIALIZED (
               SELECT account_id, group_id, i.account_id IS NOT NULL AS is_in, w.account_id IS NOT NULL AS was_in
               FROM is_in i FULL JOIN was_in w USING (account_id, group_id))
           SELECT b.account_id AS "account!", b.group_id AS "group!", b.is_in AS "is_in!", b.was_in AS "was_in!",
                  EXISTS (SELECT FROM own o WHERE o.account_id = b.account_id AND o.group_id = b.group_id) AS "direct!",
                  a.identity_id, g.display_name, g.privileged
           FROM both_ways b JOIN directory.groups g ON g.id = b.group_id JOIN directory.accounts a ON a.id = b.account_id
           WHERE b.is_in <> b.was_in OR (b.group_id, b.account_id) IN (SELECT s.group_id, s.account_id FROM stated s)"#,
        &accounts,
        &groups,
        &of
    )
    .fetch_all(&mut *tx)
    .await?;

    let mut stated: HashMap<(Uuid, Uuid), MembershipChange> =
        changes.into_iter().map(|c| ((c.group.id, c.account), c)).collect();
    let (mut told, mut joins, mut leaves) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        let pair = (row.group, row.account);
        if identities.get(&row.account) != Some(&row.identity_id) {
            // It has moved on to an identity that is not locked.
            return Err(Error::Conflict(sqlx::Error::RowNotFound));
        }
        match (row.was_in, row.is_in) {
            (false, true) => joins.push(pair),
            (true, false) => leaves.push(pair),
            (true, true) | (false, false) => {}
        }
        let change = stated.remove(&pair);
        let group = GroupView { id: row.group, name: row.display_name, privileged: row.privileged };
        let seen = Seen {
            before: change.as_ref().map_or(row.direct, |c| !c.added),
            now: change.as_ref().map_or(row.direct, |c| c.added),
            inherited_before: row.was_in,
            inherited_now: row.is_in,
        };
        if let Some((added, direct)) = seen.told() {
            let group = change.map_or(group, |c| c.group);
            told.push(MembershipChange { identity: row.identity_id, account: row.account, group, added, direct });
        }
    }
    told.extend(stated.into_values());
    store(tx, &joins, &leaves).await?;
    Ok(told)
}

/// One account and one group, before and now.
struct Seen {
    before: bool,
    now: bool,
    inherited_before: bool,
    inherited_now: bool,
}

impl Seen {
    /// Whether it was added (else removed), and directly; `None`: in it as before, or out of it as before.
    fn told(&self) -> Option<(bool, bool)> {
        let (before, now) = (self.before || self.inherited_before, self.now || self.inherited_now);
        (before != now).then_some((now, if now { self.now } else { self.before }))
    }
}

/// Notes what is told from now on: (group, account).
async fn store(tx: &mut PgConnection, joins: &[(Uuid, Uuid)], leaves: &[(Uuid, Uuid)]) -> Result<()> {
    if !joins.is_empty() {
        let (groups, accounts): (Vec<Uuid>, Vec<Uuid>) = joins.iter().copied().unzip();
        sqlx::query!(
            "INSERT INTO directory.inherited_memberships (group_id, account_id)
             SELECT g, a FROM UNNEST($1::uuid[], $2::uuid[]) AS d(g, a) ORDER BY g, a",
            &groups,
            &accounts
        )
        .execute(&mut *tx)
        .await?;
    }
    if !leaves.is_empty() {
        let (groups, accounts): (Vec<Uuid>, Vec<Uuid>) = leaves.iter().copied().unzip();
        sqlx::query!(
            "DELETE FROM directory.inherited_memberships i USING UNNEST($1::uuid[], $2::uuid[]) AS d(g, a)
             WHERE i.group_id = d.g AND i.account_id = d.a",
            &groups,
            &accounts
        )
        .execute(tx)
        .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_two_ways_into_a_group_tells_nothing_and_the_direct_one_goes_before() {
        let seen =
            |before, now, inherited_before, inherited_now| Seen { before, now, inherited_before, inherited_now }.told();
        for (told, [before, now, inherited_before, inherited_now]) in [
            (Some((true, true)), [false, true, false, false]),
            (Some((true, false)), [false, false, false, true]),
            (Some((true, true)), [false, true, false, true]),
            (None, [true, true, false, true]),
            (None, [false, true, true, true]),
            (None, [false, true, true, false]),
            (None, [true, false, false, true]),
            (None, [true, false, true, true]),
            (Some((false, true)), [true, false, true, false]),
            (Some((false, true)), [true, false, false, false]),
            (Some((false, false)), [false, false, true, false]),
        ] {
            assert_eq!(
                seen(before, now, inherited_before, inherited_now),
                told,
                "{before} {now} {inherited_before} {inherited_now}"
            );
        }
    }
}
