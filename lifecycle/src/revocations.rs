//! The record of the revocations topic: all that must have ended for one subject, under the names that subscribers know.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::cutoff::Cutoff;
use crate::event::SubjectKind;

/// What subscribers call a subject: by name of `publish.subjects`, every value that may still stand in a token or session.
pub type Published = BTreeMap<String, Vec<String>>;

/// Everything that is in force for a subject. Of two records of one subject the one of the higher `revision` counts.
#[derive(Debug, Clone, Copy)]
pub struct Revocations<'a> {
    pub subject: Uuid,
    pub kind: SubjectKind,
    pub revision: i64,
    pub changed_at: DateTime<Utc>,
    pub subjects: &'a Published,
    /// By scope: `*` for every downstream, else the name of one.
    pub scopes: &'a BTreeMap<String, Cutoff>,
}

impl Revocations<'_> {
    /// The record as JSON. Instants have milliseconds and are rounded *up*, so that whoever refuses what began at or before
    /// `sessions_before` refuses rather too much, by less than a millisecond, than too little.
    pub fn render(&self) -> String {
        let scopes: Map<String, Value> =
            self.scopes.iter().map(|(scope, cutoff)| (scope.clone(), told(cutoff))).collect();
        json!({
            "subject": self.subject,
            "kind": self.kind,
            "revision": self.revision,
            "changed_at": text(self.changed_at),
            "subjects": self.subjects,
            "scopes": scopes,
        })
        .to_string()
    }
}

/// A cutoff with what it has; what it lacks is absent, but for `generation`.
fn told(cutoff: &Cutoff) -> Value {
    let instants = [
        ("sessions_before", cutoff.sessions_before),
        ("refresh_before", cutoff.refresh_before),
        ("recheck_before", cutoff.recheck_before),
    ];
    let mut fields: Map<String, Value> =
        instants.into_iter().filter_map(|(name, at)| Some((name.to_owned(), json!(text(at?))))).collect();
    if let Some(state) = cutoff.state {
        fields.insert("state".to_owned(), json!(state));
    }
    if let Some(lock) = cutoff.lock {
        fields.insert("lock".to_owned(), json!({"at": text(lock.at), "until": lock.until.map(text)}));
    }
    fields.insert("generation".to_owned(), json!(cutoff.generation));
    Value::Object(fields)
}

fn text(at: DateTime<Utc>) -> String {
    round_up(at).to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The first whole millisecond that is not before `at`.
fn round_up(at: DateTime<Utc>) -> DateTime<Utc> {
    match i64::from(at.timestamp_subsec_nanos() % 1_000_000) {
        0 => at,
        past => at + Duration::nanoseconds(1_000_000 - past),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cutoff::{Lock, StateMark};

    #[test]
    fn the_wire_form_of_a_subjects_revocations_stays_as_published() {
        let at = DateTime::UNIX_EPOCH + Duration::microseconds(1_500_001);
        let everywhere = Cutoff {
            sessions_before: Some(at),
            refresh_before: Some(at),
            state: Some(StateMark { version: 7, disabled: true }),
            generation: 1,
            ..Cutoff::default()
        };
        let web = Cutoff { lock: Some(Lock { at, until: None }), recheck_before: Some(at), ..Cutoff::default() };
        let record = Revocations {
            subject: Uuid::nil(),
            kind: SubjectKind::Identity,
            revision: 3,
            changed_at: at,
            subjects: &BTreeMap::from([("corp_sub".to_owned(), vec!["f3a1".to_owned()])]),
            scopes: &BTreeMap::from([("*".to_owned(), everywhere), ("web".to_owned(), web)]),
        };
        insta::assert_snapshot!(record.render(), @r#"{"changed_at":"1970-01-01T00:00:01.501Z","kind":"identity","revision":3,"scopes":{"*":{"generation":1,"refresh_before":"1970-01-01T00:00:01.501Z","sessions_before":"1970-01-01T00:00:01.501Z","state":{"disabled":true,"version":7}},"web":{"generation":0,"lock":{"at":"1970-01-01T00:00:01.501Z","until":null},"recheck_before":"1970-01-01T00:00:01.501Z"}},"subject":"00000000-0000-0000-0000-000000000000","subjects":{"corp_sub":["f3a1"]}}"#);
    }

    proptest! {
        #[test]
        fn an_instant_is_never_told_as_an_earlier_one(micros in 0i64..4_000_000_000_000_000) {
            let at = DateTime::UNIX_EPOCH + Duration::microseconds(micros);
            let told: DateTime<Utc> = text(at).parse().expect("RFC 3339");
            prop_assert!(told >= at && told - at < Duration::milliseconds(1));
            prop_assert_eq!(told.timestamp_subsec_micros() % 1_000, 0);
        }
    }
}
