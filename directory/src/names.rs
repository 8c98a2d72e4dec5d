//! Under which names subscribers are told of a subject: every value that it has now or had within the longest life of a session.
//!
//! They are computed while the subject's row is locked, so that of two who do so at once the later one sees what is newer.
//!
//! A former value is known from the contexts of events; one that changed without an event (another attribute of an account) is
//! forgotten at once. A value that somebody else has by now is told of both: refusing one too many is the safe side.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use lifecycle::{IdentityView, Published};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::pending::shard_of;
use crate::publishing::Naming;
use crate::{Directory, Result, views};

/// Brings the names of those `subjects` that have cutoffs up to date, in the caller's transaction. What changes is told anew,
/// in a revision of its own. Returns how many did.
pub(crate) async fn refresh(
    tx: &mut PgConnection,
    naming: Option<(&Naming, Duration)>,
    subjects: &[Uuid],
) -> Result<u64> {
    let cut_off = sqlx::query_scalar!(
        "SELECT subject_id FROM ledger.cutoff_subjects WHERE subject_id = ANY($1) AND revision > 0
         ORDER BY subject_id FOR UPDATE",
        subjects
    )
    .fetch_all(&mut *tx)
    .await?;
    if cut_off.is_empty() {
        return Ok(0);
    }
    let names = match naming {
        Some((names, life)) => compute(tx, names, life, &cut_off).await?,
        None => HashMap::new(),
    };
    let published: Vec<Value> = cut_off
        .iter()
        .map(|subject| names.get(subject).map_or_else(|| serde_json::json!({}), |names| serde_json::json!(names)))
        .collect();
    let changed = sqlx::query!(
        "UPDATE ledger.cutoff_subjects s
         SET published = n.published, revision = s.revision + 1, changed_at = clock_timestamp()
         FROM UNNEST($1::uuid[], $2::jsonb[]) AS n(subject, published)
         WHERE s.subject_id = n.subject AND s.published <> n.published
         RETURNING s.subject_id, s.revision",
        &cut_off,
        &published
    )
    .fetch_all(&mut *tx)
    .await?;
    let changed: BTreeMap<Uuid, i64> = changed.into_iter().map(|r| (r.subject_id, r.revision)).collect();
    if !changed.is_empty() {
        tell_anew(tx, &changed).await?;
    }
    Ok(changed.len() as u64)
}

/// Makes subjects pending in their new revisions. A new name demands nothing of a downstream: deliveries that were up to date
/// still are. Rows are locked in the order in which decisions and answers lock them.
async fn tell_anew(tx: &mut PgConnection, changed: &BTreeMap<Uuid, i64>) -> Result<()> {
    let (subjects, revisions): (Vec<Uuid>, Vec<i64>) = changed.iter().unzip();
    let shards: Vec<i16> = subjects.iter().map(|subject| shard_of(*subject)).collect();
    sqlx::query!(
        "UPDATE working.deliveries d SET revision = l.revision
         FROM (SELECT d.subject_id, d.downstream, n.revision
               FROM UNNEST($1::uuid[], $2::int8[]) AS n(subject, revision)
               JOIN working.deliveries d ON d.subject_id = n.subject AND d.revision = n.revision - 1
               ORDER BY d.subject_id, d.downstream FOR UPDATE OF d) l
         WHERE d.subject_id = l.subject_id AND d.downstream = l.downstream",
        &subjects,
        &revisions
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "INSERT INTO ledger.pending_cutoffs (shard, subject_id, revision)
         SELECT * FROM UNNEST($1::int2[], $2::uuid[], $3::int8[])
         ON CONFLICT (shard, subject_id) DO UPDATE SET revision = excluded.revision",
        &shards,
        &subjects,
        &revisions
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn compute(
    tx: &mut PgConnection,
    names: &Naming,
    life: Duration,
    subjects: &[Uuid],
) -> Result<HashMap<Uuid, Published>> {
    let mut all: HashMap<Uuid, BTreeMap<String, BTreeSet<String>>> = HashMap::new();
    let mut add = |subject: Uuid, view: &IdentityView| {
        let known = all.entry(subject).or_default();
        for (name, values) in names(view) {
            known.entry(name).or_default().extend(values);
        }
    };
    for (subject, known) in views::read(tx, subjects).await? {
        for view in known.all() {
            add(subject, &view);
        }
    }
    for (subject, view) in former(tx, subjects, life).await? {
        add(subject, &view);
    }
    let listed = |values: BTreeMap<String, BTreeSet<String>>| {
        values.into_iter().map(|(name, values)| (name, values.into_iter().collect())).collect()
    };
    Ok(all.into_iter().map(|(subject, values)| (subject, listed(values))).collect())
}

/// The subjects, and who was merged into them, as the events of the last `life` saw them.
pub(crate) async fn former(
    tx: &mut PgConnection,
    subjects: &[Uuid],
    life: Duration,
) -> Result<Vec<(Uuid, IdentityView)>> {
    let rows = sqlx::query!(
        r#"WITH RECURSIVE who AS (
               SELECT u AS subject, u AS id FROM UNNEST($1::uuid[]) AS u
               UNION SELECT w.subject, i.id FROM who w JOIN directory.identities i ON i.merged_into = w.id
           )
           SELECT DISTINCT w.subject AS "subject!", v.view AS "view!"
           FROM who w JOIN ledger.events e ON e.subject_id = w.id JOIN ledger.event_context c ON c.event = e.id,
                LATERAL (VALUES (c.context -> 'identity'), (c.context -> 'before')) AS v(view)
           WHERE e.recorded_at > clock_timestamp() - make_interval(secs => $2) AND jsonb_typeof(v.view) = 'object'"#,
        subjects,
        life.as_secs_f64()
    )
    .fetch_all(tx)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|r| match serde_json::from_value(r.view) {
            Ok(view) => Some((r.subject, view)),
            Err(error) => {
                // The error would quote what is written there, which is about a person.
                tracing::error!(subject.id = %r.subject, line = error.line(), "the context of an event cannot be read; its names are not told");
                None
            }
        })
        .collect())
}

impl Directory {
    /// Brings names up to date after something happened to these subjects. Returns how many of them have other names now.
    /// Free where nobody is named.
    pub async fn rename(&self, subjects: &[Uuid]) -> Result<u64> {
        if subjects.is_empty() || self.naming().is_none() {
            return Ok(0);
        }
        let mut tx = self.begin().await?;
        let changed = refresh(&mut tx, self.naming(), subjects).await?;
        tx.commit().await?;
        if changed > 0 {
            self.wake.pending.ring();
        }
        Ok(changed)
    }

    /// The same for up to `limit` subjects after `position`, for whoever goes through all of them. Returns the last of them, and
    /// how many have other names now; `None` at the end.
    pub async fn rename_after(&self, position: Uuid, limit: i64) -> Result<Option<(Uuid, u64)>> {
        if self.naming().is_none() {
            return Ok(None);
        }
        let subjects = self.cut_off_after(position, limit).await?;
        let Some(last) = subjects.last() else { return Ok(None) };
        Ok(Some((*last, self.rename(&subjects).await?)))
    }

    /// Subjects with cutoffs, in the order of their ids.
    pub(crate) async fn cut_off_after(&self, position: Uuid, limit: i64) -> Result<Vec<Uuid>> {
        Ok(sqlx::query_scalar!(
            "SELECT subject_id FROM ledger.cutoff_subjects WHERE subject_id > $1 AND revision > 0
             ORDER BY subject_id LIMIT $2",
            position,
            limit
        )
        .fetch_all(&self.pool)
        .await?)
    }
}
