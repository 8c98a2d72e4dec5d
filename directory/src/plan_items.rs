//! The rows of a plan as a person has to judge them: who it is, what changes, and whether it is somebody with privileges.

use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::runs::Difference;
use crate::{Directory, Result};

/// One row of a plan. Personal data: for people who answer plans, never for logs or topics.
#[derive(Debug, Clone, Serialize)]
pub struct PlanItem {
    /// `disable`, `delete`, `privileged-loss` or `member-remove`.
    pub class: String,
    pub identity: Uuid,
    pub user_name: Option<String>,
    pub display_name: Option<String>,
    pub department: Option<String>,
    pub source: String,
    pub native_id: String,
    /// What counts before the plan: a standing, or `member`.
    pub from: String,
    /// What would count.
    pub to: String,
    /// What the source said it by: `stated`, `missing` (from a snapshot), `deleted`, or `ended` (a last day has passed).
    pub because: String,
    /// The group that would be lost, if it is about one.
    pub group: Option<String>,
    pub group_privileged: bool,
    /// Privileged groups that the person is in, at any source.
    pub privileged_groups: Vec<String>,
    /// The source still says so. What it does not is skipped by approving and rejecting.
    pub stands: bool,
}

impl Directory {
    /// At most `limit` rows of a plan behind the first `after`, and how many it has: privileged people first, then by class and
    /// name.
    pub async fn plan_items(&self, plan: Uuid, after: u32, limit: u32) -> Result<(Vec<PlanItem>, u64)> {
        let all = self.plan_differences(plan).await?;
        let mut connection = self.pool.acquire().await?;
        Ok((describe(&mut connection, &all, after, limit).await?, all.len() as u64))
    }
}

/// These rows for people, in the order of [`Directory::plan_items`].
pub(crate) async fn describe(
    tx: &mut PgConnection,
    items: &[Difference],
    after: u32,
    limit: u32,
) -> Result<Vec<PlanItem>> {
    let classes: Vec<String> = items.iter().map(|i| i.class.to_owned()).collect();
    let accounts: Vec<Uuid> = items.iter().map(|i| i.account).collect();
    let groups: Vec<Option<Uuid>> = items.iter().map(|i| i.group).collect();
    let counted: Vec<Option<String>> = items.iter().map(|i| i.counted.clone()).collect();
    let facts: Vec<Option<String>> = items.iter().map(|i| i.fact.clone()).collect();
    let inherited: Vec<bool> = items.iter().map(|i| i.inherited).collect();
    let rows = sqlx::query!(
        r#"WITH privileged AS MATERIALIZED (
               SELECT a.identity_id, array_agg(DISTINCT g.display_name ORDER BY g.display_name) AS groups
               FROM directory.groups g JOIN directory.effective_memberships m ON m.group_id = g.id
               JOIN directory.accounts a ON a.id = m.account_id WHERE g.privileged GROUP BY 1)
           SELECT i.class AS "class!", coalesce(i.counted, 'member') AS "from!", coalesce(i.fact, 'no member') AS "to!",
               CASE WHEN i.group_id IS NOT NULL THEN 'stated' WHEN a.tombstone = 'out_of_scope' THEN 'missing'
                    WHEN a.tombstone = 'hard' THEN 'deleted'
                    WHEN a.fact = 'gone' AND a.stated NOT IN ('inactive', 'gone') THEN 'ended' ELSE 'stated' END AS "because!",
               a.source, a.native_id, a.identity_id, d.user_name, d.display_name, d.department,
               g.display_name AS "group?", coalesce(g.privileged, false) AS "group_privileged!",
               coalesce(p.groups, '{}') AS "privileged_groups!",
               CASE WHEN i.group_id IS NULL THEN a.fact = i.fact
                    WHEN i.inherited THEN EXISTS (SELECT FROM directory.nested_groups n
                                                  WHERE n.parent_id = i.group_id AND n.waits_for IS NOT NULL)
                    ELSE NOT EXISTS (SELECT FROM directory.memberships m
                                     WHERE m.group_id = i.group_id AND m.account_id = i.account_id AND m.present) END AS "stands!"
           FROM UNNEST($1::text[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $8::bool[])
               WITH ORDINALITY AS i(class, account_id, group_id, counted, fact, inherited, n)
           JOIN directory.accounts a ON a.id = i.account_id
           JOIN directory.identities d ON d.id = a.identity_id
           LEFT JOIN directory.groups g ON g.id = i.group_id
           LEFT JOIN privileged p ON p.identity_id = a.identity_id
           ORDER BY p.groups IS NULL AND i.class <> 'privileged-loss',
               array_position(ARRAY['delete', 'disable', 'privileged-loss', 'member-remove'], i.class),
               lower(coalesce(d.user_name, d.display_name)), i.n
           OFFSET $6 LIMIT $7"#,
        &classes,
        &accounts,
        &groups as &[Option<Uuid>],
        &counted as &[Option<String>],
        &facts as &[Option<String>],
        i64::from(after),
        i64::from(limit),
        &inherited
    )
    .fetch_all(tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| PlanItem {
            class: r.class,
            identity: r.identity_id,
            user_name: r.user_name,
            display_name: r.display_name,
            department: r.department,
            source: r.source,
            native_id: r.native_id,
            from: r.from,
            to: r.to,
            because: r.because,
            group: r.group,
            group_privileged: r.group_privileged,
            privileged_groups: r.privileged_groups,
            stands: r.stands,
        })
        .collect())
}
