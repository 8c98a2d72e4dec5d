//! Trace: every hop of the latest change that concerned somebody's sessions, each from its own clock reading.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::{Directory, Result};

/// One hop.
#[derive(Debug, Clone, Serialize)]
pub struct Hop {
    #[serde(serialize_with = "crate::instant::ms")]
    pub at: DateTime<Utc>,
    pub hop: &'static str,
    pub event_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downstream: Option<String>,
    /// What was done there, where that is no cutoff and has hops of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Where, for hops before the downstreams: the source, the lane.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    pub outcome: Option<String>,
    /// Since the hop before it on its own path; `null` for the first.
    pub ms: Option<i64>,
}

impl Directory {
    /// The hops of an identity's latest revocation, which is one by which somebody is only told if there is no other; without any, of
    /// its latest event.
    pub async fn trace(&self, identity: Uuid) -> Result<Vec<Hop>> {
        let mut hops = Vec::new();
        let revocation = sqlx::query!(
            "SELECT id, event, at, actions, downstreams, asked_by, decided_at FROM ledger.revocations
             WHERE subject_id = $1 ORDER BY actions = '{notify}', at DESC LIMIT 1",
            identity
        )
        .fetch_optional(&self.pool)
        .await?;
        let event = sqlx::query!(
            r#"SELECT e.id, e.event_id, e.type, e.version, e.lane, e.source, e.effective_at, e.received_at, e.recorded_at,
                      e.body::jsonb #>> '{data,via}' AS via,
                      d.published_at AS "published_at?", d.decided_at AS "decided_at?", d.rules AS "rules?", d.note AS "note?"
               FROM ledger.events e LEFT JOIN ledger.decisions d ON d.event = e.id
               WHERE e.subject_id = $1 AND ($2::int8 IS NULL OR e.id = $2) ORDER BY e.version DESC LIMIT 1"#,
            identity,
            revocation.as_ref().and_then(|r| r.event)
        )
        .fetch_optional(&self.pool)
        .await?;
        let by_hand = revocation.as_ref().is_some_and(|r| r.event.is_none());
        let mut path = Path { hops: &mut hops, last: None };
        let mut id = Uuid::nil();
        if let (Some(event), false) = (event, by_hand) {
            id = event.event_id;
            let lane = if event.lane == 0 { "urgent" } else { "bulk" };
            if let Some(at) = event.effective_at {
                path.push(at, "effective", id, event.source.clone(), None);
            }
            if let Some(at) = event.received_at {
                path.push(at, "received", id, event.source.clone(), event.via);
            }
            path.push(
                event.recorded_at,
                "committed",
                id,
                None,
                Some(format!("{}, version {}", event.r#type, event.version)),
            );
            if let Some(at) = event.published_at {
                path.push(at, "published", id, Some(lane.to_owned()), None);
            }
            if let Some(at) = event.decided_at {
                let rules =
                    event.rules.filter(|r| !r.is_empty()).map_or_else(|| "nothing to end".to_owned(), |r| r.join(", "));
                let outcome = event.note.map_or(rules.clone(), |note| format!("{rules} ({note})"));
                path.push(at, "decided", id, None, Some(outcome));
            }
        } else if let Some(revocation) = &revocation {
            id = revocation.id;
            path.push(
                revocation.at,
                "committed",
                id,
                None,
                revocation.asked_by.as_ref().map(|by| format!("asked by {by}")),
            );
            path.push(revocation.decided_at, "decided", id, None, Some(revocation.actions.join(", ")));
        }
        let decided = path.last;
        let Some(revocation) = revocation else { return Ok(hops) };
        let receipts = sqlx::query!(
            r#"SELECT downstream AS "downstream!", action, ended AS "ended!", resurrected AS "resurrected!", applied_at, verified_at,
                      settled_at, handed_over_at
               FROM ledger.answers WHERE revocation = $1 ORDER BY downstream, action NULLS FIRST"#,
            revocation.id
        )
        .fetch_all(&self.pool)
        .await?;
        for receipt in receipts {
            let mut last = decided;
            let came_back =
                if receipt.resurrected > 0 { format!(", {} came back", receipt.resurrected) } else { String::new() };
            for (at, hop, outcome) in [
                (receipt.applied_at, "applied", format!("ended {}", receipt.ended)),
                (receipt.verified_at, "verified", format!("re-read found none{came_back}")),
                (receipt.settled_at, "settled", "sweeps quiet".to_owned()),
                (receipt.handed_over_at, "handed_over", "taken; what becomes of it is not ours to see".to_owned()),
            ] {
                let Some(at) = at else { continue };
                hops.push(Hop {
                    at,
                    hop,
                    event_id: id,
                    downstream: Some(receipt.downstream.clone()),
                    action: receipt.action.clone(),
                    place: None,
                    outcome: Some(outcome),
                    ms: last.map(|l| (at - l).num_milliseconds()),
                });
                last = Some(at);
            }
        }
        Ok(hops)
    }
}

struct Path<'a> {
    hops: &'a mut Vec<Hop>,
    last: Option<DateTime<Utc>>,
}

impl Path<'_> {
    fn push(
        &mut self,
        at: DateTime<Utc>,
        hop: &'static str,
        event_id: Uuid,
        place: Option<String>,
        outcome: Option<String>,
    ) {
        let ms = self.last.map(|l| (at - l).num_milliseconds());
        self.hops.push(Hop { at, hop, event_id, downstream: None, action: None, place, outcome, ms });
        self.last = Some(at);
    }
}
