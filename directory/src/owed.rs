//! What is still owed, row by row, as administrators look at it; and a person's word that it be tried now.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::{Directory, Request, Result, requests};

/// What one downstream owes about one subject.
#[derive(Debug, Clone, Serialize)]
pub struct OwedRow {
    /// Of this subject, or of this errand, at this downstream; the same as long as there are both.
    pub id: Uuid,
    pub subject: Uuid,
    /// `identity`, or what else can have sessions.
    pub kind: String,
    #[serde(rename = "userName")]
    pub user_name: Option<String>,
    pub downstream: String,
    /// What is owed, where that is no end of sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// `stuck`: trying again alone will not help.
    pub state: String,
    /// When the oldest of what is waited for was asked for; of a stuck sweep, since when it is refused.
    #[serde(serialize_with = "crate::instant::ms")]
    pub since: DateTime<Utc>,
    /// Failed tries since the last answer.
    pub attempts: i32,
    /// When it is tried again.
    #[serde(serialize_with = "crate::instant::ms_option")]
    pub next_try: Option<DateTime<Utc>>,
    /// Why the last try failed.
    pub last_error: Option<String>,
    #[serde(serialize_with = "crate::instant::ms_option")]
    pub stuck_since: Option<DateTime<Utc>>,
}

impl Directory {
    /// What is owed, longest first; what begins after the row `after`, at most `limit`. `stuck`: only what needs a person.
    pub async fn owed_rows(
        &self,
        stuck: bool,
        after: Option<(DateTime<Utc>, Uuid)>,
        limit: i64,
    ) -> Result<Vec<OwedRow>> {
        self.read_owed(stuck, after, None, limit).await
    }

    /// One of them; `None`: nothing is owed under this id, any more or at all.
    pub async fn owed_row(&self, id: Uuid) -> Result<Option<OwedRow>> {
        Ok(self.read_owed(false, None, Some(id), 1).await?.pop())
    }

    async fn read_owed(
        &self,
        stuck: bool,
        after: Option<(DateTime<Utc>, Uuid)>,
        id: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<OwedRow>> {
        let (after_at, after_id) = after.unzip();
        // Each part goes along an index of its own, as far as the page reaches.
        Ok(sqlx::query_as!(
            OwedRow,
            r#"WITH deliveries AS NOT MATERIALIZED (
                   SELECT md5(subject_id::text || ' ' || downstream)::uuid AS id, subject_id, downstream, NULL::text AS action,
                          attempts, due_at, leased_until, last_error, stuck_since,
                          CASE WHEN wanted = delivered AND cardinality(waiting) = 0 THEN stuck_since
                               ELSE coalesce(owed_since, due_at, 'epoch') END AS since
                   FROM working.deliveries WHERE wanted <> delivered OR cardinality(waiting) > 0 OR stuck_since IS NOT NULL
               ), errands AS NOT MATERIALIZED (
                   SELECT md5(decision::text || ' ' || action || ' ' || downstream)::uuid AS id, subject_id, downstream, action,
                          attempts, due_at, leased_until, last_error, stuck_since, at AS since
                   FROM ledger.errands WHERE due_at IS NOT NULL
               )
               SELECT o.id AS "id!", o.subject_id AS "subject!", coalesce(s.kind, 'identity') AS "kind!",
                      i.user_name AS "user_name?", o.downstream AS "downstream!", o.action,
                      CASE WHEN o.stuck_since IS NULL THEN 'owed' ELSE 'stuck' END AS "state!", o.since AS "since!",
                      o.attempts AS "attempts!", greatest(o.due_at, o.leased_until) AS next_try, o.last_error, o.stuck_since
               FROM ((SELECT * FROM deliveries WHERE NOT $1 AND ($4::uuid IS NULL OR id = $4)
                        AND (since, id) > (coalesce($2::timestamptz, '-infinity'), coalesce($3::uuid, '00000000-0000-0000-0000-000000000000'))
                      ORDER BY since, id LIMIT $5)
                     UNION ALL
                     (SELECT * FROM deliveries WHERE $1 AND stuck_since IS NOT NULL
                        AND (since, id) > (coalesce($2::timestamptz, '-infinity'), coalesce($3::uuid, '00000000-0000-0000-0000-000000000000'))
                      ORDER BY since, id LIMIT $5)
                     UNION ALL
                     (SELECT * FROM errands WHERE NOT $1 AND ($4::uuid IS NULL OR id = $4)
                        AND (since, id) > (coalesce($2::timestamptz, '-infinity'), coalesce($3::uuid, '00000000-0000-0000-0000-000000000000'))
                      ORDER BY since, id LIMIT $5)
                     UNION ALL
                     (SELECT * FROM errands WHERE $1 AND stuck_since IS NOT NULL
                        AND (since, id) > (coalesce($2::timestamptz, '-infinity'), coalesce($3::uuid, '00000000-0000-0000-0000-000000000000'))
                      ORDER BY since, id LIMIT $5)) o
               LEFT JOIN ledger.cutoff_subjects s ON s.subject_id = o.subject_id
               LEFT JOIN directory.identities i ON i.id = o.subject_id
               ORDER BY o.since, o.id LIMIT $5"#,
            stuck,
            after_at,
            after_id,
            id,
            limit
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// Makes all that a downstream owes about a subject due at once, and finishes the request with how often it had
    /// failed by then. What is being tried at this very moment is left to whoever does.
    pub async fn retry_owed(&self, request: &Request, subject: Uuid, downstream: &str) -> Result<()> {
        let mut tx = self.begin().await?;
        let delivery = sqlx::query_scalar!(
            "UPDATE working.deliveries SET due_at = clock_timestamp()
             WHERE subject_id = $1 AND downstream = $2
               AND (wanted <> delivered OR cardinality(waiting) > 0 OR stuck_since IS NOT NULL) RETURNING attempts",
            subject,
            downstream
        )
        .fetch_optional(&mut *tx)
        .await?;
        let errands = sqlx::query_scalar!(
            "UPDATE ledger.errands SET due_at = clock_timestamp()
             WHERE subject_id = $1 AND downstream = $2 AND due_at IS NOT NULL RETURNING attempts",
            subject,
            downstream
        )
        .fetch_all(&mut *tx)
        .await?;
        let attempts = delivery.into_iter().chain(errands).max();
        // Nothing owed is no failure: it was answered since somebody asked.
        let result = serde_json::json!({"downstream": downstream, "owed": attempts.is_some(), "attempts": attempts});
        requests::finish(&mut tx, request.id, true, &result).await?;
        tx.commit().await?;
        self.wake.deliveries.ring();
        self.wake.progress.ring();
        Ok(())
    }
}
