//! Cutoffs: joined under the subject's lock, never lowered; whoever is behind becomes due.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
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
    pub at: DateTime<Utc>,
    pub class: Class,
    pub downstreams: &'a [String],
}

/// Cutoffs of some subjects, locked, into which demands are joined before all of them are written at once.
#[derive(Debug, Default)]
pub(crate) struct Joins<'a>(BTreeMap<Uuid, Joined<'a>>);

#[derive(Debug, Default)]
struct Joined<'a> {
    revision: i64,
    /// All scopes, as they are now.
    scopes: BTreeMap<String, Cutoff>,
    changed: BTreeSet<String>,
    waiting: Vec<Waiting<'a>>,
}

impl<'a> Joins<'a> {
    /// Locks the cutoffs of these subjects, in the order in which every writer does.
    pub(crate) async fn of(tx: &mut PgConnection, subjects: &BTreeMap<Uuid, SubjectKind>) -> Result<Self> {
        if subjects.is_empty() {
            return Ok(Self::default());
        }
        let (ids, kinds): (Vec<Uuid>, Vec<String>) =
            subjects.iter().map(|(id, kind)| (*id, kind.as_str().to_owned())).unzip();
        let rows = sqlx::query!(
            "INSERT INTO ledger.cutoff_subjects AS s (subject_id, kind)
             SELECT id, kind FROM UNNEST($1::uuid[], $2::text[]) AS d(id, kind) ORDER BY id
             ON CONFLICT (subject_id) DO UPDATE SET kind = s.kind RETURNING subject_id, revision",
            &ids,
            &kinds
        )
        .fetch_all(&mut *tx)
        .await?;
        let mut all: BTreeMap<Uuid, Joined<'a>> = rows
            .into_iter()
            .map(|row| (row.subject_id, Joined { revision: row.revision, ..Joined::default() }))
            .collect();
        for row in sqlx::query!("SELECT subject_id, scope, cutoff FROM ledger.cutoffs WHERE subject_id = ANY($1)", &ids)
            .fetch_all(tx)
            .await?
        {
            let cutoff = read(row.cutoff, row.subject_id)?;
            all.entry(row.subject_id).or_default().scopes.insert(row.scope, cutoff);
        }
        Ok(Self(all))
    }

    /// All scopes of a locked subject, with what was joined so far.
    pub(crate) fn scopes(&self, subject: Uuid) -> Option<&BTreeMap<String, Cutoff>> {
        self.0.get(&subject).map(|joined| &joined.scopes)
    }

    /// Joins demands (scope, cutoff) into a subject's cutoffs. Downstreams that `waiting` names get a first pass, others where the
    /// subject is known look again under the new cutoff. Returns all scopes, as they are now.
    pub(crate) fn join(
        &mut self,
        subject: Uuid,
        demands: impl FnOnce(&BTreeMap<String, Cutoff>) -> Vec<(String, Cutoff)>,
        waiting: Option<Waiting<'a>>,
    ) -> &BTreeMap<String, Cutoff> {
        let joined = self.0.get_mut(&subject).expect("whoever joins has locked the subject");
        for (scope, demand) in demands(&joined.scopes) {
            let before = joined.scopes.get(&scope).copied();
            let after = before.unwrap_or_default().join(&demand);
            if before != Some(after) {
                joined.scopes.insert(scope.clone(), after);
                joined.changed.insert(scope);
            }
        }
        joined.waiting.extend(waiting);
        &joined.scopes
    }

    /// Writes what has changed and brings the deliveries up to date. `published`: whether subscribers are told.
    pub(crate) async fn write(mut self, tx: &mut PgConnection, published: bool) -> Result<()> {
        let (mut subjects, mut scopes, mut values) = (Vec::new(), Vec::new(), Vec::new());
        let (mut changed, mut shards) = (Vec::new(), Vec::new());
        for (subject, joined) in self.0.iter_mut().filter(|(_, joined)| !joined.changed.is_empty()) {
            joined.revision += 1;
            changed.push(*subject);
            shards.push(shard_of(*subject));
            for scope in &joined.changed {
                subjects.push(*subject);
                values.push(write(&joined.scopes[scope]));
                scopes.push(scope.clone());
            }
        }
        if !changed.is_empty() {
            sqlx::query!(
                "WITH joined AS (
                     INSERT INTO ledger.cutoffs (subject_id, scope, cutoff)
                     SELECT * FROM UNNEST($1::uuid[], $2::text[], $3::jsonb[])
                     ON CONFLICT (subject_id, scope) DO UPDATE SET cutoff = excluded.cutoff
                 ), told AS (
                     INSERT INTO ledger.pending_cutoffs AS p (shard, subject_id, revision)
                     SELECT d.shard, s.subject_id, s.revision + 1 FROM UNNEST($4::uuid[], $5::int2[]) AS d(subject, shard)
                     JOIN ledger.cutoff_subjects s ON s.subject_id = d.subject WHERE $6
                     ON CONFLICT (shard, subject_id) DO UPDATE SET revision = excluded.revision
                 )
                 UPDATE ledger.cutoff_subjects SET revision = revision + 1, changed_at = clock_timestamp()
                 WHERE subject_id = ANY($4)",
                &subjects,
                &scopes,
                &values,
                &changed,
                &shards,
                published
            )
            .execute(&mut *tx)
            .await?;
        }
        self.owe(tx).await
    }

    async fn owe(&self, tx: &mut PgConnection) -> Result<()> {
        let ids: Vec<Uuid> = self.0.keys().copied().collect();
        let mut places: BTreeSet<(Uuid, String)> = sqlx::query!(
            "SELECT subject_id, downstream FROM working.deliveries WHERE subject_id = ANY($1)
             ORDER BY subject_id, downstream FOR UPDATE",
            &ids
        )
        .fetch_all(&mut *tx)
        .await?
        .into_iter()
        .map(|row| (row.subject_id, row.downstream))
        .collect();
        for (subject, joined) in &self.0 {
            let named = joined.waiting.iter().flat_map(|w| w.downstreams);
            places.extend(named.map(|downstream| (*subject, downstream.clone())));
        }
        if places.is_empty() {
            return Ok(());
        }
        let (mut wanted, mut revisions, mut waiting, mut classes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut since: Vec<Option<DateTime<Utc>>> = Vec::new();
        for (subject, downstream) in &places {
            let joined = &self.0[subject];
            let first = joined.waiting.iter().filter(|w| w.downstreams.contains(downstream));
            since.push(first.clone().map(|w| w.at).min());
            let first: Vec<String> = first.map(|w| w.revocation.to_string()).collect();
            let class = joined.waiting.iter().map(|w| w.class).min().unwrap_or(Class::Prompt);
            wanted.push(write(&in_force(&joined.scopes, downstream)));
            revisions.push(joined.revision);
            // An array of arrays of different lengths is none in SQL, so each goes as its text.
            waiting.push(format!("{{{}}}", first.join(",")));
            classes.push(class.number());
        }
        let (subjects, downstreams): (Vec<Uuid>, Vec<String>) = places.into_iter().unzip();
        sqlx::query!(
            "INSERT INTO working.deliveries AS d (subject_id, downstream, wanted, revision, waiting, class, due_at, owed_since)
             SELECT n.subject, n.downstream, n.wanted, n.revision, n.waiting::uuid[], n.class, clock_timestamp(),
                    coalesce(n.since, clock_timestamp())
             FROM UNNEST($1::uuid[], $2::text[], $3::jsonb[], $4::int8[], $5::text[], $6::int2[], $7::timestamptz[])
                 AS n(subject, downstream, wanted, revision, waiting, class, since)
             ON CONFLICT (subject_id, downstream) DO UPDATE SET
                 wanted = excluded.wanted,
                 revision = excluded.revision,
                 waiting = d.waiting || excluded.waiting,
                 class = CASE WHEN d.wanted = excluded.wanted AND cardinality(excluded.waiting) = 0 THEN d.class
                              WHEN cardinality(d.waiting) = 0 THEN excluded.class ELSE least(d.class, excluded.class) END,
                 turn = CASE WHEN d.wanted = excluded.wanted AND cardinality(excluded.waiting) = 0 THEN d.turn ELSE d.turn + 1 END,
                 attempts = CASE WHEN d.wanted = excluded.wanted AND cardinality(excluded.waiting) = 0 THEN d.attempts ELSE 0 END,
                 due_at = CASE WHEN d.wanted = excluded.wanted AND cardinality(excluded.waiting) = 0 THEN d.due_at
                               ELSE clock_timestamp() END,
                 owed_since = CASE WHEN d.wanted <> d.delivered OR cardinality(d.waiting) > 0
                                   THEN least(d.owed_since, excluded.owed_since) ELSE excluded.owed_since END
             WHERE d.revision <> excluded.revision OR cardinality(excluded.waiting) > 0",
            &subjects,
            &downstreams,
            &wanted,
            &revisions,
            &waiting,
            &classes,
            &since as &[Option<DateTime<Utc>>]
        )
        .execute(tx)
        .await?;
        Ok(())
    }
}

/// What is in force at a downstream: the join of `*` and its own scope.
pub fn in_force(scopes: &BTreeMap<String, Cutoff>, downstream: &str) -> Cutoff {
    let of = |scope: &str| scopes.get(scope).copied().unwrap_or_default();
    of(EVERYWHERE).join(&of(downstream))
}

impl Directory {
    /// All scopes of a subject.
    pub async fn cutoffs(&self, subject: Uuid) -> Result<BTreeMap<String, Cutoff>> {
        let mut connection = self.pool.acquire().await?;
        of(&mut connection, subject).await
    }
}

pub(crate) async fn of(connection: &mut PgConnection, subject: Uuid) -> Result<BTreeMap<String, Cutoff>> {
    sqlx::query!("SELECT scope, cutoff FROM ledger.cutoffs WHERE subject_id = $1", subject)
        .fetch_all(connection)
        .await?
        .into_iter()
        .map(|r| Ok((r.scope, read(r.cutoff, subject)?)))
        .collect()
}
