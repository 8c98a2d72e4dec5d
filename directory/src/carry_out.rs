//! Carries out approved holds, in chunks: each is a transaction with its revocations, and a crash leaves the rest to be done.

use std::collections::{BTreeMap, BTreeSet};

use lifecycle::{Class, SubjectKind};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::cutoffs::Joins;
use crate::decide::Ordered;
use crate::revocations::{self, Revocation, Written};
use crate::{Directory, Error, Result, errands, locks, shortenings};

/// How many orders are one transaction. Far fewer than it may have: their subjects are locked for as long as it takes, and
/// somebody may leave just then.
const CHUNK: i64 = 200;

impl Directory {
    /// Carries out the next chunk of an approved hold, small ones first. Returns whose cutoffs it joined; `None` when there is
    /// nothing to carry out, or only what others carry out just now.
    pub async fn carry_out_held(&self) -> Result<Option<Vec<Uuid>>> {
        let mut tx = self.begin().await?;
        let Some(hold) = sqlx::query!(
            r#"SELECT id, kind, class, reason, asked_by, trace, decided_at AS "decided_at!" FROM ledger.holds
               WHERE state = 'approved' ORDER BY class, decided_at LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED"#
        )
        .fetch_optional(&mut *tx)
        .await?
        else {
            return Ok(None);
        };
        let bad = |table, column| Error::Inconsistent { table, column, row: hold.id.to_string() };
        let class = Class::from_number(hold.class).ok_or_else(|| bad("holds", "class"))?;
        let items = sqlx::query!(
            "SELECT revocation, subject_id, event, at, generation, ordered FROM ledger.held
             WHERE hold = $1 AND done_at IS NULL ORDER BY subject_id, event LIMIT $2",
            hold.id,
            CHUNK
        )
        .fetch_all(&mut *tx)
        .await?;
        let mut ordered: Vec<Ordered> = Vec::with_capacity(items.len());
        for item in &items {
            ordered.push(serde_json::from_value(item.ordered.clone()).map_err(|_| bad("held", "ordered"))?);
        }
        let revocations: Vec<(Revocation<'_>, i64)> = items
            .iter()
            .zip(&ordered)
            .map(|(item, ordered)| {
                let revocation = Revocation {
                    id: item.revocation,
                    subject: item.subject_id,
                    kind: SubjectKind::Identity,
                    event: item.event,
                    class,
                    at: item.at.unwrap_or(hold.decided_at),
                    ordered,
                    reason: hold.reason.as_deref(),
                    by: hold.asked_by.as_deref(),
                    trace: hold.trace.as_deref(),
                };
                (revocation, item.generation)
            })
            .collect();
        let mut written = Written { published: self.publishes(), ..Written::default() };
        order(&mut tx, &revocations, hold.kind == "rule", &mut written).await?;
        let revocations: Vec<Uuid> = items.iter().map(|i| i.revocation).collect();
        sqlx::query!(
            "UPDATE ledger.held SET done_at = clock_timestamp() WHERE hold = $1 AND revocation = ANY($2)",
            hold.id,
            &revocations
        )
        .execute(&mut *tx)
        .await?;
        if (items.len() as i64) < CHUNK {
            sqlx::query!(
                "UPDATE ledger.holds SET state = 'applied', applied_at = clock_timestamp() WHERE id = $1",
                hold.id
            )
            .execute(&mut *tx)
            .await?;
        }
        self.tell(&mut tx, &written).await?;
        tx.commit().await?;
        self.wake.deliveries.ring();
        self.wake.pending.ring();
        self.wake.progress.ring();
        let subjects: BTreeSet<Uuid> = items.iter().map(|i| i.subject_id).collect();
        Ok(Some(Vec::from_iter(subjects)))
    }
}

/// Writes what is ordered, as far as it is new. What a rule orders shortens no lock.
async fn order(
    tx: &mut PgConnection,
    ordered: &[(Revocation<'_>, i64)],
    by_rule: bool,
    written: &mut Written,
) -> Result<()> {
    let at_once = ordered.iter().map(|(order, _)| order).filter(|order| order.ordered.acts_at_once());
    let new = revocations::insert(tx, at_once, written).await?;
    errands::begin(tx, ordered.iter().map(|(order, _)| order).filter(|order| new.contains(&order.id))).await?;
    let fresh = || ordered.iter().filter(|(order, _)| new.contains(&order.id) && order.ordered.joins_at_once());
    let subjects: BTreeMap<Uuid, SubjectKind> = fresh().map(|(of, _)| (of.subject, of.kind)).collect();
    let mut joins = Joins::of(tx, &subjects).await?;
    let mut locks = Vec::new();
    for (revocation, generation) in fresh() {
        // Nothing that is held ends access for good, so none of it says anything of a state.
        let demands = revocation.ordered.demands(revocation.at, None, *generation);
        let demands = |now: &_| if by_rule { locks::no_shorter(demands, now) } else { demands };
        let scopes = joins.join(revocation.subject, demands, Some(revocation.waiting()));
        locks.extend(locks::of(revocation, scopes).map(|lock| (revocation, lock)));
    }
    joins.write(tx, written.published).await?;
    written.subjects.extend(subjects.into_keys());
    for (revocation, lock) in &locks {
        locks::begin(tx, revocation, lock, written).await?;
    }
    shortenings::begin(tx, ordered).await
}
