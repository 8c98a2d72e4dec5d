//! What is rendered for the bus is what the published schemas say, field for field.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, Utc};
use jsonschema::Validator;
use lifecycle::account::Profile;
use lifecycle::cutoff::{Lock, StateMark};
use lifecycle::lock::{self, LockType};
use lifecycle::receipt::{self, Concerning, Order, Receipt, ReceiptState, ReceiptType};
use lifecycle::{Action, Class, Cutoff, Event, EventType, Lane, Revocations, State, SubjectKind};
use serde_json::{Value, json};
use uuid::Uuid;

const LIFECYCLE: &str = include_str!("../../docs/reference/schemas/lifecycle.v1.json");
const REVOCATIONS: &str = include_str!("../../docs/reference/schemas/revocations.v1.json");
const GUIDE: &str = include_str!("../../docs/guides/subscribe.md");
const RECEIPTS: &str = include_str!("../../docs/reference/schemas/receipts.v1.json");

/// A schema as subscribers get it, and a strict one in which a field that it does not name is a fault.
struct Schema {
    published: Validator,
    strict: Validator,
    text: Value,
}

impl Schema {
    fn read(text: &str) -> Self {
        let text: Value = serde_json::from_str(text).unwrap();
        assert!(jsonschema::meta::is_valid(&text), "the schema is no schema");
        let mut strict = text.clone();
        close(&mut strict);
        let validator = |schema| jsonschema::options().should_validate_formats(true).build(schema).unwrap();
        Self { published: validator(&text), strict: validator(&strict), text }
    }

    /// The words of the enum there.
    fn words(&self, pointer: &str) -> BTreeSet<&str> {
        let words = self.text.pointer(pointer).unwrap_or_else(|| panic!("{pointer} is in the schema"));
        words.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect()
    }

    fn faults(&self, record: &Value) -> Vec<String> {
        self.strict.iter_errors(record).map(|fault| format!("{}: {fault}", fault.instance_path())).collect()
    }

    /// Checks a record, and that each thing which may be wrong with it is noticed: any absent field, and any more than is named.
    fn holds(&self, record: &str, optional: &[&str]) {
        let record: Value = serde_json::from_str(record).unwrap();
        assert_eq!(self.faults(&record), [""; 0], "{record:#}");
        for parent in objects(&record, "") {
            let object = record.pointer(&parent).unwrap().as_object().unwrap();
            for field in object.keys().filter(|field| !optional.contains(&field.as_str())) {
                let mut lacking = record.clone();
                lacking.pointer_mut(&parent).unwrap().as_object_mut().unwrap().remove(field);
                assert!(!self.published.is_valid(&lacking), "{parent}/{field} may be absent from {record:#}");
            }
        }
    }
}

/// Closes every object whose fields are named; the branches of a condition name only some.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("type") == Some(&json!("object")) && fields.contains_key("properties") {
                fields.insert("additionalProperties".to_owned(), json!(false));
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// Pointers to all objects in a value.
fn objects(value: &Value, at: &str) -> Vec<String> {
    let Value::Object(fields) = value else { return Vec::new() };
    let inner = fields.iter().flat_map(|(name, value)| objects(value, &format!("{at}/{name}")));
    std::iter::once(at.to_owned()).chain(inner).collect()
}

/// The example of W3C Trace Context §3.2.
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn at(millis: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + Duration::milliseconds(millis)
}

fn event(event_type: EventType, data: Value) -> Event {
    let kind = match event_type.as_str().split('.').next() {
        Some("group") => SubjectKind::Group,
        Some("source") => SubjectKind::Source,
        Some("credential") => SubjectKind::Credential,
        _ => SubjectKind::Identity,
    };
    let (id, subject) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let (lane, class) = (Lane::Urgent, Class::Prompt);
    Event { id, kind, subject, event_type, version: 7, prev: 0, lane, class, recorded_at: at(1), data }
}

/// What the directory writes of each type.
fn data(event_type: EventType) -> Vec<Value> {
    use EventType::*;
    let (other, via, source) = (Uuid::from_u128(3), "SCIM", "okta");
    let counts = lifecycle::brake::Counts { disable: 40, ..Default::default() };
    let became = |state: State, into: Option<Uuid>| json!({"state": state, "previous": State::Active, "generation": 1, "source": source, "via": via, "into": into});
    match event_type {
        IdentityCreated => vec![json!({"state": State::Staged, "source": source, "via": via})],
        IdentityUpdated => vec![json!({"changed": ["email", "manager"], "source": null, "via": via})],
        IdentityActivated | IdentityReinstated => vec![became(State::Active, None)],
        IdentitySuspended => vec![became(State::Suspended, None)],
        IdentityDeparted => vec![became(State::Departed, None)],
        IdentityErased => vec![became(State::Erased, None)],
        IdentityMerged => vec![became(State::Merged, Some(other)), json!({"merged": other, "source": source})],
        GroupCreated | GroupUpdated | GroupDeleted | GroupVanished => {
            vec![json!({"source": source, "privileged": true, "via": via})]
        }
        MembershipAdded | MembershipRemoved => {
            vec![json!({"group": other, "privileged": false, "direct": true, "source": source, "via": via})]
        }
        SourceBaselined => vec![json!({"source": source, "rows": 1000})],
        SourceHeld => vec![json!({"plan": other, "counts": counts})],
        SourceReleased => {
            vec![json!({"plan": other, "applied": 40}), json!({"plan": other, "applied": 0, "rejected": 40})]
        }
        SourceBackedOff => vec![json!({"source": source, "reason": "unavailable"})],
        SourceRecovered => vec![json!({"source": source, "failures": 3})],
        CredentialIssued | CredentialRotated | CredentialExpiring | CredentialOrphaned | CredentialRevoked => {
            vec![json!({})]
        }
    }
}

#[test]
fn an_event_of_every_type_is_as_its_schema_says() {
    let schema = Schema::read(LIFECYCLE);
    let types: BTreeSet<&str> = EventType::ALL.iter().map(|event| event.as_str()).collect();
    assert_eq!(schema.words("/properties/type/enum"), types);
    let fields = Profile::default().fields().map(|(name, _)| name);
    assert_eq!(schema.words("/$defs/updated/properties/changed/items/enum"), BTreeSet::from(fields));
    for event_type in EventType::ALL {
        for data in data(*event_type) {
            let optional: &[&str] = match event_type {
                // A group that a membership brought along says no `via`.
                EventType::GroupCreated
                | EventType::GroupUpdated
                | EventType::GroupDeleted
                | EventType::GroupVanished => &["via"],
                // Of a plan that was approved.
                EventType::SourceReleased => &["rejected"],
                _ => &[],
            };
            schema.holds(&event(*event_type, data).render(None), optional);
        }
    }
}

#[test]
fn a_subjects_revocations_are_as_their_schema_says() {
    let schema = Schema::read(REVOCATIONS);
    let everywhere = Cutoff {
        sessions_before: Some(at(1)),
        refresh_before: Some(at(2)),
        recheck_before: Some(at(3)),
        state: Some(StateMark { version: 7, disabled: true }),
        lock: Some(Lock { at: at(4), until: Some(at(5)) }),
        generation: 2,
    };
    let unlocked = Cutoff { lock: Some(Lock { at: at(4), until: None }), ..Cutoff::default() };
    let optional = ["sessions_before", "refresh_before", "recheck_before", "state", "lock", "corp_sub", "*", "web"];
    for kind in [SubjectKind::Identity, SubjectKind::Stranger] {
        let record = Revocations {
            subject: Uuid::from_u128(1),
            kind,
            revision: 1,
            changed_at: at(6),
            subjects: &BTreeMap::from([("corp_sub".to_owned(), vec!["f3a1".to_owned()])]),
            scopes: &BTreeMap::from([("*".to_owned(), everywhere), ("web".to_owned(), unlocked)]),
        };
        schema.holds(&record.render(), &optional);
        schema.holds(&Revocations { subjects: &BTreeMap::new(), ..record }.render(), &optional);
    }
}

#[test]
fn a_receipt_of_every_step_is_as_its_schema_says() {
    let schema = Schema::read(RECEIPTS);
    let locks = LockType::ALL.iter().map(|what| what.as_str());
    let types: BTreeSet<&str> = ReceiptType::ALL.iter().map(|step| step.as_str()).chain(locks).collect();
    assert_eq!(schema.words("/properties/type/enum"), types);
    let actions: BTreeSet<&str> = Action::ALL.iter().map(|action| action.as_str()).collect();
    assert_eq!(schema.words("/$defs/order/properties/actions/items/enum"), actions);

    let id = Uuid::from_u128(1);
    let concerning =
        Concerning { id, kind: SubjectKind::Identity, subject: id, revocation: id, at: at(1), trace: Some(TRACE) };
    let downstreams = ["web".to_owned()];
    for (class, event) in [(Class::Hand, None), (Class::Prompt, Some(id)), (Class::Mass, Some(id))] {
        let order = Order { event, class, actions: &Action::ALL, downstreams: &downstreams };
        schema.holds(&receipt::requested(&concerning, &order), &["traceparent"]);
    }
    use ReceiptState::{Applied, HandedOver, Settled, Stuck, Verified};
    let optional = ["traceparent", "action", "handed_over"];
    for (step, state) in ReceiptType::ALL.into_iter().skip(1).zip([Applied, Verified, Settled, HandedOver, Stuck]) {
        let verified_at = (state != Stuck).then(|| at(2));
        let mut receipt = Receipt {
            action: None,
            state,
            found: 2,
            ended: 2,
            resurrected: 0,
            applied_at: Some(at(1)),
            verified_at,
            settled_at: None,
            handed_over_at: None,
        };
        schema.holds(&receipt::step(&concerning, step, "web", &receipt), &optional);
        for action in Action::ALL.into_iter().filter(|action| !action.is_cutoff()) {
            receipt.action = Some(action);
            receipt.handed_over_at = (action == Action::Notify).then(|| at(3));
            schema.holds(&receipt::step(&concerning, step, "web", &receipt), &optional);
        }
    }
    for what in LockType::ALL {
        schema.holds(&lock::record(&concerning, what, at(3), &downstreams), &["traceparent"]);
    }
}

#[test]
fn a_record_with_a_new_field_is_valid_for_subscribers_and_a_fault_for_us() {
    let schema = Schema::read(LIFECYCLE);
    let [suspended] = &data(EventType::IdentitySuspended)[..] else { panic!("one form") };
    let record: Value =
        serde_json::from_str(&event(EventType::IdentitySuspended, suspended.clone()).render(Some(TRACE))).unwrap();
    for parent in ["", "/data"] {
        let mut more = record.clone();
        more.pointer_mut(parent).unwrap()["userName"] = json!("ana");
        assert!(schema.published.is_valid(&more), "{parent}");
        assert_eq!(schema.faults(&more).len(), 1, "{parent}");
    }
}

#[test]
fn a_wrong_value_is_noticed() {
    let lifecycle = Schema::read(LIFECYCLE);
    let [suspended] = &data(EventType::IdentitySuspended)[..] else { panic!("one form") };
    let event: Value =
        serde_json::from_str(&event(EventType::IdentitySuspended, suspended.clone()).render(Some(TRACE))).unwrap();
    for (pointer, wrong) in [
        ("/specversion", json!("0.3")),
        ("/source", json!("somebody")),
        ("/type", json!("identity.fired")),
        ("/type", json!("identity.created/")),
        ("/subject", json!("ana@example.com")),
        ("/time", json!("1970-01-01T00:00:00.001+01:00")),
        ("/time", json!("1970-13-01T00:00:00.001Z")),
        ("/time", json!(0)),
        ("/kind", json!("person")),
        ("/version", json!(0)),
        ("/prev", json!(-1)),
        ("/lane", json!("express")),
        ("/data", json!("suspended")),
        ("/data/state", json!("gone")),
        ("/data/into", json!("nobody")),
    ] {
        let mut record = event.clone();
        *record.pointer_mut(pointer).unwrap() = wrong.clone();
        assert!(!lifecycle.published.is_valid(&record), "{pointer} = {wrong}");
    }
    let mut traced = event.clone();
    for (traceparent, valid) in [(TRACE, true), ("4bf92f3577b34da6", false)] {
        traced["traceparent"] = json!(traceparent);
        assert_eq!(lifecycle.faults(&traced).is_empty(), valid, "{traceparent}");
    }
}

#[test]
fn the_examples_of_the_guide_are_as_their_schemas_say() {
    let blocks = GUIDE.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let examples: Vec<Value> = blocks.map(|block| serde_json::from_str(block).unwrap()).collect();
    let [revocations, event] = &examples[..] else { panic!("the guide has other examples: {examples:#?}") };
    assert_eq!(Schema::read(REVOCATIONS).faults(revocations), [""; 0]);
    assert_eq!(Schema::read(LIFECYCLE).faults(event), [""; 0]);
    let table = |schema: &str, pointer: &str| {
        let schema: Value = serde_json::from_str(schema).unwrap();
        let fields = schema.pointer(pointer).unwrap().as_object().unwrap().clone();
        fields
            .into_iter()
            .map(|(field, _)| field)
            .filter(|field| !GUIDE.contains(&format!("`{field}")))
            .collect::<Vec<_>>()
    };
    for pointer in ["/properties", "/$defs/cutoff/properties"] {
        assert_eq!(table(REVOCATIONS, pointer), [""; 0], "fields that the guide does not explain");
    }
}
