//! The records of the receipts topic: what was ordered, and each step that it made at a downstream.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::action::Action;
use crate::event::{Class, SubjectKind};

/// What a record tells. The text form is the CloudEvents `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ReceiptType {
    #[serde(rename = "revocation.requested")]
    Requested,
    #[serde(rename = "revocation.resurrected")]
    Resurrected,
    #[serde(rename = "revocation.verified")]
    Verified,
    #[serde(rename = "revocation.settled")]
    Settled,
    #[serde(rename = "revocation.handed_over")]
    HandedOver,
    #[serde(rename = "revocation.stuck")]
    Stuck,
}

impl ReceiptType {
    pub const ALL: [ReceiptType; 6] = [
        ReceiptType::Requested,
        ReceiptType::Resurrected,
        ReceiptType::Verified,
        ReceiptType::Settled,
        ReceiptType::HandedOver,
        ReceiptType::Stuck,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            ReceiptType::Requested => "revocation.requested",
            ReceiptType::Resurrected => "revocation.resurrected",
            ReceiptType::Verified => "revocation.verified",
            ReceiptType::Settled => "revocation.settled",
            ReceiptType::HandedOver => "revocation.handed_over",
            ReceiptType::Stuck => "revocation.stuck",
        }
    }
}

/// How far a revocation has come at one downstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptState {
    Applied,
    Verified,
    Settled,
    /// The downstream took what it was told; what it does with it, nobody has seen.
    HandedOver,
    Stuck,
}

impl ReceiptState {
    pub fn as_str(self) -> &'static str {
        match self {
            ReceiptState::Applied => "applied",
            ReceiptState::Verified => "verified",
            ReceiptState::Settled => "settled",
            ReceiptState::HandedOver => "handed_over",
            ReceiptState::Stuck => "stuck",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        use ReceiptState::*;
        [Applied, Verified, Settled, HandedOver, Stuck].into_iter().find(|state| state.as_str() == text)
    }
}

/// A receipt as it stands: one revocation at one downstream, with the sum of all passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// What it is of, where that is no cutoff and has a receipt of its own.
    pub action: Option<Action>,
    pub state: ReceiptState,
    pub found: i32,
    pub ended: i32,
    pub resurrected: i32,
    pub applied_at: Option<DateTime<Utc>>,
    pub verified_at: Option<DateTime<Utc>>,
    pub settled_at: Option<DateTime<Utc>>,
    pub handed_over_at: Option<DateTime<Utc>>,
}

impl Receipt {
    /// The steps from `before` to this, in the order in which they are told. An answer that only says again what was known is
    /// none.
    ///
    /// | step | made when |
    /// |---|---|
    /// | resurrected | more sessions came back than before |
    /// | verified | the re-read found none, for the first time or for the first time after something was ended again |
    /// | settled | the series of sweeps ended quiet, likewise |
    /// | handed over | the downstream took it |
    /// | stuck | it became so |
    pub fn steps_since(&self, before: Option<&Receipt>) -> Vec<ReceiptType> {
        let anew = |now: Option<DateTime<Utc>>, then: Option<DateTime<Utc>>| now.is_some() && now != then;
        let became_stuck = self.state == ReceiptState::Stuck && before.is_none_or(|b| b.state != ReceiptState::Stuck);
        [
            (ReceiptType::Resurrected, self.resurrected > before.map_or(0, |b| b.resurrected)),
            (ReceiptType::Verified, anew(self.verified_at, before.and_then(|b| b.verified_at))),
            (ReceiptType::Settled, anew(self.settled_at, before.and_then(|b| b.settled_at))),
            (ReceiptType::HandedOver, anew(self.handed_over_at, before.and_then(|b| b.handed_over_at))),
            (ReceiptType::Stuck, became_stuck),
        ]
        .into_iter()
        .filter_map(|(step, made)| made.then_some(step))
        .collect()
    }
}

/// Whom and what a record is about.
#[derive(Debug, Clone, Copy)]
pub struct Concerning<'a> {
    /// Of the record, a UUIDv7.
    pub id: Uuid,
    pub kind: SubjectKind,
    pub subject: Uuid,
    pub revocation: Uuid,
    /// When the step was made.
    pub at: DateTime<Utc>,
    /// The W3C `traceparent` of what caused the revocation.
    pub trace: Option<&'a str>,
}

/// What a revocation was ordered to do. Neither the reason nor who asked: these are people's words and names.
#[derive(Debug, Clone)]
pub struct Order<'a> {
    /// The lifecycle event that it answers; `None`: somebody asked by hand.
    pub event: Option<Uuid>,
    pub class: Class,
    pub actions: &'a [Action],
    pub downstreams: &'a [String],
}

/// The record of a new revocation: CloudEvents 1.0 in structured JSON.
pub fn requested(concerning: &Concerning<'_>, order: &Order<'_>) -> String {
    let mut data = json!({
        "revocation": concerning.revocation,
        "actions": order.actions,
        "downstreams": order.downstreams,
        "class": order.class,
    });
    match order.event {
        Some(event) => data["event"] = json!(event),
        None => data["by_hand"] = json!(true),
    }
    render(concerning, ReceiptType::Requested.as_str(), &data)
}

/// The record of a step at a downstream: CloudEvents 1.0 in structured JSON.
pub fn step(concerning: &Concerning<'_>, step: ReceiptType, downstream: &str, receipt: &Receipt) -> String {
    let text = |at: &DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let mut data = json!({
        "revocation": concerning.revocation,
        "downstream": downstream,
        "state": receipt.state,
        "found": receipt.found,
        "ended": receipt.ended,
        "resurrected": receipt.resurrected,
        "at": {
            "applied": receipt.applied_at.as_ref().map(text),
            "verified": receipt.verified_at.as_ref().map(text),
            "settled": receipt.settled_at.as_ref().map(text),
        },
    });
    if let Some(action) = receipt.action {
        data["action"] = json!(action);
    }
    if let Some(at) = &receipt.handed_over_at {
        data["at"]["handed_over"] = json!(text(at));
    }
    render(concerning, step.as_str(), &data)
}

pub(crate) fn render(concerning: &Concerning<'_>, what: &str, data: &Value) -> String {
    let mut record = json!({
        "specversion": "1.0",
        "id": concerning.id,
        "source": "leaver",
        "type": what,
        "subject": concerning.subject,
        "time": concerning.at.to_rfc3339_opts(SecondsFormat::Millis, true),
        "datacontenttype": "application/json",
        "kind": concerning.kind,
        "data": data,
    });
    if let Some(trace) = concerning.trace {
        record["traceparent"] = json!(trace);
    }
    record.to_string()
}

#[cfg(test)]
mod tests {
    use chrono::Duration;

    use super::ReceiptType::*;
    use super::*;

    fn at(second: i64) -> Option<DateTime<Utc>> {
        Some(DateTime::UNIX_EPOCH + Duration::seconds(second))
    }

    fn concerning() -> Concerning<'static> {
        let id = Uuid::nil();
        let (kind, revocation, at) = (SubjectKind::Identity, Uuid::max(), DateTime::UNIX_EPOCH);
        Concerning { id, kind, subject: id, revocation, at, trace: None }
    }

    fn receipt(state: ReceiptState) -> Receipt {
        Receipt {
            action: None,
            state,
            found: 2,
            ended: 2,
            resurrected: 0,
            applied_at: at(1),
            verified_at: None,
            settled_at: None,
            handed_over_at: None,
        }
    }

    #[test]
    fn a_step_is_told_when_it_is_made_and_not_when_it_is_only_said_again() {
        use ReceiptState as State;
        let applied = receipt(State::Applied);
        let verified = Receipt { verified_at: at(2), ..receipt(State::Verified) };
        let settled = Receipt { state: State::Settled, settled_at: at(9), ..verified };
        let back = Receipt { resurrected: 1, verified_at: at(20), settled_at: None, ..verified };
        let came_and_stayed = Receipt { verified_at: None, ..Receipt { state: State::Applied, ..back } };
        let again = Receipt { state: State::Settled, settled_at: at(30), ..back };
        let stuck = receipt(State::Stuck);
        let handed_over = Receipt { handed_over_at: at(2), ..receipt(State::HandedOver) };
        for (before, after, expected, why) in [
            (None, applied, vec![], "a first pass that left something is no step yet"),
            (None, verified, vec![Verified], "the first pass found nothing more"),
            (Some(applied), verified, vec![Verified], "the second look found nothing more"),
            (Some(verified), verified, vec![], "a quiet sweep"),
            (Some(verified), settled, vec![Settled], "the last sweep of the series"),
            (Some(settled), settled, vec![], "a sweep after the series"),
            (None, Receipt { settled_at: at(2), ..settled }, vec![Verified, Settled], "no sweeps are configured"),
            (Some(settled), back, vec![Resurrected, Verified], "a session came back and was ended again"),
            (Some(settled), came_and_stayed, vec![Resurrected], "a session came back and does not go away"),
            (Some(came_and_stayed), back, vec![Verified], "until it does"),
            (Some(back), again, vec![Settled], "and the sweeps were quiet once more"),
            (None, stuck, vec![Stuck], "the downstream refuses"),
            (Some(stuck), stuck, vec![], "and goes on refusing"),
            (Some(stuck), verified, vec![Verified], "it was mended"),
            (None, handed_over, vec![HandedOver], "what became of it, nobody knows"),
            (Some(stuck), handed_over, vec![HandedOver], "it was mended"),
        ] {
            assert_eq!(after.steps_since(before.as_ref()), expected, "{why}");
        }
    }

    #[test]
    fn the_wire_form_of_a_request_stays_as_published() {
        let actions = [Action::RevokeRefresh, Action::RevokeSessions];
        let downstreams = ["web".to_owned()];
        let order =
            Order { event: Some(Uuid::max()), class: Class::Prompt, actions: &actions, downstreams: &downstreams };
        insta::assert_snapshot!(requested(&concerning(), &order), @r#"{"data":{"actions":["revoke_refresh","revoke_sessions"],"class":"prompt","downstreams":["web"],"event":"ffffffff-ffff-ffff-ffff-ffffffffffff","revocation":"ffffffff-ffff-ffff-ffff-ffffffffffff"},"datacontenttype":"application/json","id":"00000000-0000-0000-0000-000000000000","kind":"identity","source":"leaver","specversion":"1.0","subject":"00000000-0000-0000-0000-000000000000","time":"1970-01-01T00:00:00.000Z","type":"revocation.requested"}"#);
        let by_hand: Value =
            serde_json::from_str(&requested(&concerning(), &Order { event: None, class: Class::Hand, ..order }))
                .expect("JSON");
        assert_eq!((&by_hand["data"]["by_hand"], &by_hand["data"]["event"]), (&json!(true), &Value::Null));
    }

    #[test]
    fn the_wire_form_of_a_step_stays_as_published() {
        let verified = Receipt { verified_at: at(2), ..receipt(ReceiptState::Verified) };
        insta::assert_snapshot!(step(&concerning(), Verified, "web", &verified), @r#"{"data":{"at":{"applied":"1970-01-01T00:00:01.000Z","settled":null,"verified":"1970-01-01T00:00:02.000Z"},"downstream":"web","ended":2,"found":2,"resurrected":0,"revocation":"ffffffff-ffff-ffff-ffff-ffffffffffff","state":"verified"},"datacontenttype":"application/json","id":"00000000-0000-0000-0000-000000000000","kind":"identity","source":"leaver","specversion":"1.0","subject":"00000000-0000-0000-0000-000000000000","time":"1970-01-01T00:00:00.000Z","type":"revocation.verified"}"#);
    }

    #[test]
    fn what_is_no_cutoff_says_what_it_is() {
        let action = Some(Action::Notify);
        let signal = Receipt { action, applied_at: None, handed_over_at: at(2), ..receipt(ReceiptState::HandedOver) };
        let record: Value = serde_json::from_str(&step(&concerning(), HandedOver, "hook", &signal)).expect("JSON");
        assert_eq!(record["type"], "revocation.handed_over");
        assert_eq!((&record["data"]["action"], &record["data"]["state"]), (&json!("notify"), &json!("handed_over")));
        assert_eq!(record["data"]["at"]["handed_over"], "1970-01-01T00:00:02.000Z");
    }

    #[test]
    fn the_names_of_types_and_states_are_those_of_their_serialised_form() {
        for what in ReceiptType::ALL {
            assert_eq!(json!(what), what.as_str());
        }
        for state in ["applied", "verified", "settled", "handed_over", "stuck"] {
            assert_eq!(json!(ReceiptState::parse(state)), state);
        }
        assert_eq!(ReceiptState::parse("owed"), None);
    }
}
