//! A revocation by hand of everybody in a group: who that is is written down when it is asked for, and what is written down is
//! what a second person agrees to.

use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use crate::decide::Ordered;
use crate::holds::{HoldVerdict, agree};
use crate::{Directory, Request, Result, requests};

/// A group that somebody names.
#[derive(Debug, Clone, Serialize)]
pub struct GroupNamed {
    pub id: Uuid,
    /// `source/name`.
    pub name: String,
}

/// How many people are in a group now, at any depth.
#[derive(Debug, Clone, Copy, Serialize, PartialEq, Eq)]
pub struct GroupSize {
    /// Whom a revocation of it would concern.
    pub members: i64,
    /// Whom `break_glass` names, so that it would not.
    pub spared: i64,
}

/// What is ordered about a group.
#[derive(Debug, Clone, Copy)]
pub struct GroupOrder<'a> {
    pub group: Uuid,
    pub ordered: &'a Ordered,
    pub reason: &'a str,
    pub trace: Option<&'a str>,
    /// In lower case: userNames and addresses of those who are spared.
    pub break_glass: &'a [String],
    /// More than so many take a second person.
    pub mass: Option<u64>,
}

impl Directory {
    /// The groups that go by this name or id; `source/name` says which of several.
    pub async fn groups_named(&self, name: &str) -> Result<Vec<GroupNamed>> {
        Ok(sqlx::query_as!(
            GroupNamed,
            r#"SELECT id, source || '/' || display_name AS "name!" FROM directory.groups
               WHERE tombstone IS NULL AND (lower(display_name) = lower($1) OR lower(source || '/' || display_name) = lower($1)
                     OR id::text = lower($1))
               ORDER BY 2 LIMIT 20"#,
            name
        )
        .fetch_all(&self.pool)
        .await?)
    }

    pub async fn group_size(&self, group: Uuid, break_glass: &[String]) -> Result<GroupSize> {
        Ok(sqlx::query_as!(
            GroupSize,
            r#"SELECT count(*) FILTER (WHERE NOT spared) AS "members!", count(*) FILTER (WHERE spared) AS "spared!"
               FROM directory.people_in($1) p JOIN directory.identities i ON i.id = p.identity_id,
                    LATERAL (SELECT coalesce(lower(i.user_name) = ANY($2) OR lower(i.email) = ANY($2), false) AS spared) s"#,
            group,
            break_glass
        )
        .fetch_one(&self.pool)
        .await?)
    }

    /// Writes down who is in the group now, each with a revocation to be, under the request's id. Up to `mass` people it is
    /// approved with that; more wait for a second person.
    pub async fn revoke_group(&self, request: &Request, order: &GroupOrder<'_>) -> Result<()> {
        let mut tx = self.begin().await?;
        let open = sqlx::query_scalar!(
            r#"INSERT INTO ledger.holds (id, kind, name, state, at, asked_by, reason, trace)
               SELECT $1, 'group', source || '/' || display_name, 'held', $3, $4, $5, $6 FROM directory.groups WHERE id = $2
               ON CONFLICT (id) DO NOTHING RETURNING id"#,
            request.id,
            order.group,
            request.asked_at,
            request.asked_by,
            order.reason,
            order.trace
        )
        .fetch_optional(&mut *tx)
        .await?;
        if open.is_none() {
            // Another revoker has taken it, or the group is gone for good, which groups never are.
            return Ok(());
        }
        let written = sqlx::query!(
            r#"WITH people AS (
                   SELECT i.id, coalesce(lower(i.user_name) = ANY($3) OR lower(i.email) = ANY($3), false) AS spared
                   FROM directory.people_in($2) p JOIN directory.identities i ON i.id = p.identity_id),
               written AS (
                   INSERT INTO ledger.held (hold, revocation, subject_id, ordered)
                   SELECT $1, gen_random_uuid(), id, $4 FROM people WHERE NOT spared RETURNING 1)
               SELECT (SELECT count(*) FROM written) AS "rows!", (SELECT count(*) FROM people WHERE spared) AS "spared!""#,
            request.id,
            order.group,
            order.break_glass,
            serde_json::to_value(order.ordered).expect("an order is plain data")
        )
        .fetch_one(&mut *tx)
        .await?;
        sqlx::query!("UPDATE ledger.holds SET spared = $2 WHERE id = $1", request.id, written.spared)
            .execute(&mut *tx)
            .await?;
        let verdict = agree(&mut tx, request.id, &request.asked_by, written.rows, order.mass).await?;
        requests::finish(&mut tx, request.id, true, &json!(verdict)).await?;
        tx.commit().await?;
        if written.spared > 0 {
            tracing::warn!(hold.id = %request.id, spared = written.spared, "break-glass members of a group were spared");
        }
        if let HoldVerdict::Waiting { rows, mass, .. } = verdict {
            tracing::warn!(hold.id = %request.id, rows, mass, "a revocation of a group waits for a second person");
        }
        self.wake.progress.ring();
        Ok(())
    }
}
