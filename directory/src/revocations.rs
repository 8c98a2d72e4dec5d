//! Revocations as rows: one per event or request that orders something, written once.

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, Utc};
use lifecycle::{Action, Class, SubjectKind};
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::Result;
use crate::cutoffs::Waiting;
use crate::decide::Ordered;
use crate::receipts::{Note, Requested};

/// What a transaction has written so far.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Whether subscribers are told of it.
    pub published: bool,
    pub notes: Vec<Note>,
    /// Whose cutoffs were joined.
    pub subjects: BTreeSet<Uuid>,
}

/// A revocation that is written.
#[derive(Debug)]
pub(crate) struct Revocation<'a> {
    pub id: Uuid,
    pub subject: Uuid,
    pub kind: SubjectKind,
    pub event: Option<i64>,
    pub class: Class,
    pub at: DateTime<Utc>,
    pub ordered: &'a Ordered,
    pub reason: Option<&'a str>,
    pub by: Option<&'a str>,
    pub trace: Option<&'a str>,
}

impl<'a> Revocation<'a> {
    /// As it waits at the downstreams that can do something about it.
    pub fn waiting(&self) -> Waiting<'a> {
        Waiting { revocation: self.id, at: self.at, class: self.class, downstreams: &self.ordered.downstreams }
    }
}

/// Writes those that are new, notes them for subscribers, and returns their ids.
pub(crate) async fn insert<'a>(
    tx: &mut PgConnection,
    revocations: impl IntoIterator<Item = &'a Revocation<'a>>,
    written: &mut Written,
) -> Result<HashSet<Uuid>> {
    let revocations: Vec<&Revocation<'_>> = revocations.into_iter().collect();
    if revocations.is_empty() {
        return Ok(HashSet::new());
    }
    let actions: Vec<Vec<Action>> = revocations.iter().map(|r| r.ordered.actions().into_iter().collect()).collect();
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let ids: Vec<Uuid> = revocations.iter().map(|r| r.id).collect();
    let subjects: Vec<Uuid> = revocations.iter().map(|r| r.subject).collect();
    let kinds: Vec<String> = revocations.iter().map(|r| r.kind.as_str().to_owned()).collect();
    let events: Vec<Option<i64>> = revocations.iter().map(|r| r.event).collect();
    let classes: Vec<i16> = revocations.iter().map(|r| r.class.number()).collect();
    let instants: Vec<DateTime<Utc>> = revocations.iter().map(|r| r.at).collect();
    let words: Vec<Value> = actions.iter().map(|of| of.iter().map(ToString::to_string).collect()).collect();
    let downstreams: Vec<Value> = revocations.iter().map(|r| json!(r.ordered.downstreams)).collect();
    let reasons: Vec<Option<String>> = revocations.iter().map(|r| owned(r.reason)).collect();
    let asked_by: Vec<Option<String>> = revocations.iter().map(|r| owned(r.by)).collect();
    let traces: Vec<Option<String>> = revocations.iter().map(|r| owned(r.trace)).collect();
    let new: HashSet<Uuid> = sqlx::query_scalar!(
        "INSERT INTO ledger.revocations (id, subject_id, subject_kind, event, class, at, actions, downstreams, reason, asked_by,
                                         trace)
         SELECT id, subject, kind, event, class, at, ARRAY(SELECT jsonb_array_elements_text(actions)),
                ARRAY(SELECT jsonb_array_elements_text(downstreams)), reason, asked_by, trace
         FROM UNNEST($1::uuid[], $2::uuid[], $3::text[], $4::int8[], $5::int2[], $6::timestamptz[], $7::jsonb[], $8::jsonb[],
                     $9::text[], $10::text[], $11::text[])
             AS d(id, subject, kind, event, class, at, actions, downstreams, reason, asked_by, trace)
         ON CONFLICT (id) DO NOTHING RETURNING id",
        &ids,
        &subjects,
        &kinds,
        &events as &[Option<i64>],
        &classes,
        &instants,
        &words,
        &downstreams,
        &reasons as &[Option<String>],
        &asked_by as &[Option<String>],
        &traces as &[Option<String>]
    )
    .fetch_all(tx)
    .await?
    .into_iter()
    .collect();
    if written.published {
        let fresh = revocations.iter().zip(&actions).filter(|(revocation, _)| new.contains(&revocation.id));
        written.notes.extend(fresh.map(|(revocation, actions)| {
            let places: Vec<String> = revocation.ordered.places().into_iter().map(str::to_owned).collect();
            Note::requested(&Requested {
                revocation: revocation.id,
                subject: revocation.subject,
                kind: revocation.kind,
                at: revocation.at,
                class: revocation.class,
                actions,
                downstreams: &places,
                by_event: revocation.event.is_some(),
                trace: revocation.trace,
            })
        }));
    }
    Ok(new)
}
