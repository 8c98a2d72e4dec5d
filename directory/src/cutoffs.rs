//! Cutoffs: joined under the subject's lock, never lowered; whoever is behind becomes due.

use std::collections::{BTreeMap, BTreeSet};

use lifecycle::{Class, Cutoff, SubjectKind};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::pending::shard_of;
use crate::{Directory, Error, Result};

/// The scope of every downstream.
pub const EVERYWHERE: &str = "*";

pub(crate) fn read(value: Value, subject: Uuid) -> Result<Cutoff> {
    serde_json::from_value(value).map_err(|_| Error::Inconsistent {
        table: "cutoffs",
        column: "cutoff",
        row: subject.to_string(),
    })
}

pub(crate) fn write(cutoff: &Cutoff) -> Value {
    serde_json::to_value(cutoff).expect("a cutoff is plain data, so it always serializes")
}

/// A revocation that waits at downstreams.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting<'a> {
    pub revocation: Uuid,
    pub class: Class,
    pub downstreams: &'a [String],
}

/// Whose cutoffs are joined.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whose {
    pub subject: Uuid,
    pub kind: SubjectKind,
    /// Whether subscribers are told.
    pub published: bool,
}

/// Joins `demands` (scope, cutoff) into the subject's cutoffs and brings its deliveries up to date: those that `waiting`
/// names get a first pass, other existing ones look again under the new cutoff. Returns all scopes, as they are now.
pub(crate) async fn join(
    tx: &mut PgConnection,
    Whose { subject, kind, published }: Whose,
    demands: impl FnOnce(&BTreeMap<String, Cutoff>) -> Vec<(String, Cutoff)>,
    waiting: Option<Waiting<'_>>,
) -> Result<BTreeMap<String, Cutoff>> {
    let mut revision = sqlx::query_scalar!(
        "INSERT INTO ledger.cutoff_subjects AS s (subject_id, kind) VALUES ($1, $2)
         ON CONFLICT (subject_id) DO UPDATE SET kind = s.kind RETURNING revision",
        subject,
        kind.as_str()
    )
    .fetch_one(&mut *tx)
    .await?;
    let mut scopes: BTreeMap<String, Cutoff> = BTreeMap::new();
    for row in sqlx::query!("SELECT scope, cutoff FROM ledger.cutoffs WHERE subject_id = $1", subject)
        .fetch_all(&mut *tx)
        .await?
    {
        scopes.insert(row.scope, read(row.cutoff, subject)?);
    }
    let mut changed: BTreeSet<String> = BTreeSet::new();
    for (scope, demand) in demands(&scopes) {
        let before = scopes.get(&scope).copied();
        let joined = before.unwrap_or_default().join(&demand);
        if before != Some(joined) {
            scopes.insert(scope.clone(), joined);
            changed.insert(scope);
        }
    }
    if !changed.is_empty() {
        let names: Vec<String> = changed.iter().cloned().collect();
        let values: Vec<Value> = changed.iter().map(|s| write(&scopes[s])).collect();
        revision = sqlx::query_scalar!(
            "WITH joined AS (
                 INSERT INTO ledger.cutoffs (subject_id, scope, cutoff)
                 SELECT $1, * FROM UNNEST($2::text[], $3::jsonb[])
                 ON CONFLICT (subject_id, scope) DO UPDATE SET cutoff = excluded.cutoff
             ), told AS (
                 INSERT INTO ledger.pending_cutoffs AS p (shard, subject_id, revision)
                 SELECT $4, $1, revision + 1 FROM ledger.cutoff_subjects WHERE subject_id = $1 AND $5
                 ON CONFLICT (shard, subject_id) DO UPDATE SET revision = excluded.revision
             )
             UPDATE ledger.cutoff_subjects SET revision = revision + 1, changed_at = clock_timestamp()
             WHERE subject_id = $1 RETURNING revision",
            subject,
            &names,
            &values,
            shard_of(subject),
            published
        )
        .fetch_one(&mut *tx)
        .await?;
    }
    owe(tx, subject, &scopes, revision, waiting).await?;
    Ok(scopes)
}

/// What is in force at a downstream: the join of `*` and its own scope.
pub fn in_force(scopes: &BTreeMap<String, Cutoff>, downstream: &str) -> Cutoff {
    let of = |scope: &str| scopes.get(scope).copied().unwrap_or_default();
    of(EVERYWHERE).join(&of(downstream))
}

async fn owe(
    tx: &mut PgConnection,
    subject: Uuid,
    scopes: &BTreeMap<String, Cutoff>,
    revision: i64,
    waiting: Option<Waiting<'_>>,
) -> Result<()> {
    let mut names: BTreeSet<String> = waiting.map(|w| w.downstreams.iter().cloned().collect()).unwrap_or_default();
    let existing =
        sqlx::query_scalar!("SELECT downstream FROM working.deliveries WHERE subject_id = $1 FOR UPDATE", subject)
            .fetch_all(&mut *tx)
            .await?;
    names.extend(existing);
    if names.is_empty() {
        return Ok(());
    }
    let downstreams: Vec<String> = names.into_iter().collect();
    let wanted: Vec<Value> = downstreams.iter().map(|d| write(&in_force(scopes, d))).collect();
    let first: Vec<bool> = downstreams.iter().map(|d| waiting.is_some_and(|w| w.downstreams.contains(d))).collect();
    sqlx::query!(
        "INSERT INTO working.deliveries AS d (subject_id, downstream, wanted, revision, waiting, class, due_at)
         SELECT $1, n.downstream, n.wanted, $5, CASE WHEN n.first THEN ARRAY[$6::uuid] ELSE '{}' END, $7, clock_timestamp()
         FROM UNNEST($2::text[], $3::jsonb[], $4::bool[]) AS n(downstream, wanted, first)
         ON CONFLICT (subject_id, downstream) DO UPDATE SET
             wanted = excluded.wanted,
             revision = excluded.revision,
             waiting = d.waiting || excluded.waiting,
             class = CASE WHEN d.wanted = excluded.wanted AND cardinality(excluded.waiting) = 0 THEN d.class
                          WHEN cardinality(d.waiting) = 0 THEN excluded.class ELSE least(d.class, excluded.class) END,
             turn = CASE WHEN d.wanted = excluded.wanted AND cardinality(excluded.waiting) = 0 THEN d.turn ELSE d.turn + 1 END,
             attempts = CASE WHEN d.wanted = excluded.wanted AND cardinality(excluded.waiting) = 0 THEN d.attempts ELSE 0 END,
             due_at = CASE WHEN d.wanted = excluded.wanted AND cardinality(excluded.waiting) = 0 THEN d.due_at
                           ELSE clock_timestamp() END
         WHERE d.revision <> excluded.revision OR cardinality(excluded.waiting) > 0",
        subject,
        &downstreams,
        &wanted,
        &first,
        revision,
        waiting.map(|w| w.revocation),
        waiting.map_or(Class::Prompt, |w| w.class).number()
    )
    .execute(tx)
    .await?;
    Ok(())
}

impl Directory {
    /// All scopes of a subject.
    pub async fn cutoffs(&self, subject: Uuid) -> Result<BTreeMap<String, Cutoff>> {
        sqlx::query!("SELECT scope, cutoff FROM ledger.cutoffs WHERE subject_id = $1", subject)
            .fetch_all(&self.pool)
            .await?
            .into_iter()
            .map(|r| Ok((r.scope, read(r.cutoff, subject)?)))
            .collect()
    }
}
