//! Ledger check: what must hold between truth, events, decisions and receipts, looked up rather than assumed.

use serde::Serialize;

use crate::{Directory, Result};

/// One thing that is not as it must be. An empty list is a clean ledger.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// The rule that does not hold, as a sentence.
    pub rule: &'static str,
    /// Whose history.
    pub subject: String,
    pub detail: String,
}

impl Directory {
    /// Looks for broken histories and forgotten work; at most `limit` findings per rule.
    pub async fn check_ledger(&self, limit: i64) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        let mut add = |rule: &'static str, rows: Vec<(String, String)>| {
            findings.extend(rows.into_iter().map(|(subject, detail)| Finding { rule, subject, detail }));
        };
        add(
            "every version of an identity has its event",
            sqlx::query!(
                r#"SELECT i.id::text AS "s!", format('version %s, %s events, newest %s', i.version, count(e.id), max(e.version)) AS "d!"
                   FROM directory.identities i LEFT JOIN ledger.events e ON e.subject_id = i.id
                   GROUP BY i.id HAVING count(e.id) <> i.version OR max(e.version) IS DISTINCT FROM i.version LIMIT $1"#,
                limit
            )
            .fetch_all(&self.pool)
            .await?
            .into_iter()
            .map(|r| (r.s, r.d))
            .collect(),
        );
        add(
            "prev names the subject's previous event in the lane",
            sqlx::query!(
                r#"SELECT subject_id::text AS "s!", format('version %s says prev %s, it is %s', version, prev, before) AS "d!"
                   FROM (SELECT subject_id, version, prev,
                                coalesce(lag(version) OVER (PARTITION BY subject_id, lane ORDER BY version), 0) AS before
                         FROM ledger.events) e WHERE prev <> before LIMIT $1"#,
                limit
            )
            .fetch_all(&self.pool)
            .await?
            .into_iter()
            .map(|r| (r.s, r.d))
            .collect(),
        );
        add(
            "instants of a subject's events rise with their versions",
            sqlx::query!(
                r#"SELECT subject_id::text AS "s!", format('version %s', version) AS "d!"
                   FROM (SELECT subject_id, version, recorded_at,
                                lag(recorded_at) OVER (PARTITION BY subject_id ORDER BY version) AS before
                         FROM ledger.events) e WHERE recorded_at <= before LIMIT $1"#,
                limit
            )
            .fetch_all(&self.pool)
            .await?
            .into_iter()
            .map(|r| (r.s, r.d))
            .collect(),
        );
        add(
            "every urgent event older than a minute has a decision",
            sqlx::query!(
                r#"SELECT e.subject_id::text AS "s!", format('%s, version %s', e.type, e.version) AS "d!"
                   FROM ledger.events e LEFT JOIN ledger.decisions d ON d.event = e.id
                   WHERE e.lane = 0 AND d.event IS NULL AND e.recorded_at < clock_timestamp() - interval '1 minute' LIMIT $1"#,
                limit
            )
            .fetch_all(&self.pool)
            .await?
            .into_iter()
            .map(|r| (r.s, r.d))
            .collect(),
        );
        add(
            "every revocation is owed or has a receipt at each of its downstreams",
            sqlx::query!(
                r#"SELECT r.subject_id::text AS "s!", format('revocation %s at %s', r.id, n.downstream) AS "d!"
                   FROM ledger.revocations r CROSS JOIN UNNEST(r.downstreams) AS n(downstream)
                   LEFT JOIN ledger.receipts c ON c.revocation = r.id AND c.downstream = n.downstream
                   LEFT JOIN working.deliveries d ON d.subject_id = r.subject_id AND d.downstream = n.downstream
                   WHERE c.revocation IS NULL AND NOT coalesce(r.id = ANY(d.waiting), false) LIMIT $1"#,
                limit
            )
            .fetch_all(&self.pool)
            .await?
            .into_iter()
            .map(|r| (r.s, r.d))
            .collect(),
        );
        add(
            "deliveries want what the cutoffs say",
            sqlx::query!(
                r#"SELECT s.subject_id::text AS "s!", format('%s is at revision %s of %s', d.downstream, d.revision, s.revision) AS "d!"
                   FROM ledger.cutoff_subjects s JOIN working.deliveries d USING (subject_id)
                   WHERE d.revision < s.revision AND s.changed_at < clock_timestamp() - interval '1 minute' LIMIT $1"#,
                limit
            )
            .fetch_all(&self.pool)
            .await?
            .into_iter()
            .map(|r| (r.s, r.d))
            .collect(),
        );
        add(
            "no identity is active while an account that counts denies it",
            sqlx::query!(
                r#"SELECT i.id::text AS "s!", format('%s says %s', a.source, a.counted) AS "d!"
                   FROM directory.identities i JOIN directory.accounts a ON a.identity_id = i.id
                   WHERE i.state = 'active' AND a.counted IN ('inactive', 'gone') AND a.tombstone IS DISTINCT FROM 'unlinked'
                     AND a.source <> ALL($2) LIMIT $1"#,
                limit,
                &self.sources.names().filter(|(_, r)| r.ignores_lifecycle).map(|(n, _)| n.to_owned()).collect::<Vec<_>>()
            )
            .fetch_all(&self.pool)
            .await?
            .into_iter()
            .map(|r| (r.s, r.d))
            .collect(),
        );
        add(
            "whoever was told to be in a group by one within it is in it, and nobody else",
            sqlx::query!(
                r#"WITH RECURSIVE around AS (
                       SELECT child_id AS low, parent_id AS high FROM directory.nested_groups WHERE child_id IS NOT NULL
                       UNION
                       SELECT s.low, n.parent_id FROM around s JOIN directory.nested_groups n ON n.child_id = s.high),
                   is_in AS (
                       SELECT DISTINCT m.account_id, s.high AS group_id FROM around s
                       JOIN directory.memberships m ON m.group_id = s.low AND m.counted WHERE s.high <> s.low)
                   SELECT account_id::text AS "s!",
                          format('%s: %s', group_id, CASE WHEN i.account_id IS NULL THEN 'is not in it' ELSE 'was not told' END) AS "d!"
                   FROM is_in i FULL JOIN directory.inherited_memberships h USING (account_id, group_id)
                   WHERE (i.account_id IS NULL OR h.account_id IS NULL)
                     AND NOT EXISTS (SELECT FROM directory.fan_outs WHERE children IS NOT NULL) LIMIT $1"#,
                limit
            )
            .fetch_all(&self.pool)
            .await?
            .into_iter()
            .map(|r| (r.s, r.d))
            .collect(),
        );
        add(
            "what is pending is an event of the ledger",
            sqlx::query!(
                r#"SELECT p.id::text AS "s!", 'no such event' AS "d!" FROM ledger.pending p
                   WHERE NOT EXISTS (SELECT FROM ledger.events e WHERE e.id = p.id) LIMIT $1"#,
                limit
            )
            .fetch_all(&self.pool)
            .await?
            .into_iter()
            .map(|r| (r.s, r.d))
            .collect(),
        );
        Ok(findings)
    }
}
