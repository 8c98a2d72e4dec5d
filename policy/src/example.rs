//! Examples in a policy file: what was given, what is expected, and what the rules make of it.

use lifecycle::account::IdentityKind;
use lifecycle::{AccountView, Action, Context, EventType, GroupView, IdentityView, State};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::decide::RuleError;
use crate::document::{Fields, Reader};
use crate::policy::Policy;
use crate::trial::{Carried, person};
use crate::vocabulary::{Kind, Words};
use crate::yaml::{Content, Node};

/// How one example went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExampleResult {
    /// From 0, in the order of the file.
    pub index: usize,
    /// Where the example starts in the file.
    pub line: usize,
    pub column: usize,
    /// Each action once, weakest first.
    pub expected: Vec<Action>,
    /// Each action once, weakest first.
    pub got: Vec<Action>,
    pub passed: bool,
    /// Rules that could not be decided: an example may pass because one failed closed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<RuleError>,
}

#[derive(Debug)]
pub(crate) struct Example {
    line: usize,
    column: usize,
    event: EventType,
    changed: Vec<String>,
    data: Value,
    context: Context,
    expected: Vec<Action>,
}

impl Example {
    pub fn run(&self, index: usize, policy: &Policy) -> ExampleResult {
        let decision = policy.decide(self.event, &self.changed, &self.data, &self.context);
        let mut got: Vec<Action> = decision.actions.iter().map(|ordered| ordered.action).collect();
        got.sort_unstable();
        got.dedup();
        let expected = self.expected.clone();
        ExampleResult {
            index,
            line: self.line,
            column: self.column,
            passed: expected == got,
            expected,
            got,
            errors: decision.errors,
        }
    }
}

/// Reads one example. What it leaves out is as plain as an event of its type would bring it: a person without any values, a
/// group that is not privileged.
pub(crate) fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Example> {
    let fields = reader.fields(node, "an example", &["given", "expect"])?;
    let expected = match fields.get("expect") {
        Some(expect) => {
            let mut actions = reader.one_or_many(expect, "expect", Reader::action);
            actions.sort_unstable();
            Some(actions)
        }
        None => {
            reader.missing(node.place, "an example", "expect");
            None
        }
    };
    let Some(given) = fields.get("given") else {
        reader.missing(node.place, "an example", "given");
        return None;
    };
    let (line, column) = (node.place.line, node.place.column);
    let known = ["event", "identity", "group", "credential"];
    let given_fields = reader.fields(given, "`given`", &known)?;
    let Some(happening) = given_fields.get("event") else {
        reader.missing(given.place, "`given`", "event");
        return None;
    };
    let happening_fields = reader.fields(happening, "an event", &["type", "changed", "data"])?;
    let changed = happening_fields.get("changed").map(|node| reader.one_or_many(node, "changed", changed_field));
    let event = match happening_fields.get("type") {
        Some(node) => reader.event_type(node),
        None => {
            reader.missing(happening.place, "an event", "type");
            None
        }
    };
    // Read before an unknown event type ends the reading, so that problems below it are reported too.
    let context = context(reader, &given_fields, event);
    Some(Example {
        line,
        column,
        event: event?,
        changed: changed.unwrap_or_default(),
        data: happening_fields.get("data").map_or(Value::Null, Node::to_json),
        context,
        expected: expected?,
    })
}

fn context(reader: &mut Reader<'_>, given: &Fields<'_>, event: Option<EventType>) -> Context {
    let mut context = Context::default();
    if let Some(event) = event {
        let carried = Carried::by(event);
        let state = match event {
            EventType::IdentitySuspended => State::Suspended,
            EventType::IdentityDeparted => State::Departed,
            EventType::IdentityErased => State::Erased,
            EventType::IdentityMerged => State::Merged,
            _ => State::Active,
        };
        context.identity = carried.identity.then(|| person(state, |_| None));
        context.group = carried.group.then(plain_group);
        context.credential = carried.credential.then(|| Value::Object(serde_json::Map::new()));
    }
    if let Some(node) = given.get("identity").filter(|node| !node.is_null()) {
        let mut identity = context.identity.take().unwrap_or_else(|| person(State::Active, |_| None));
        read_identity(reader, node, &mut identity);
        context.identity = Some(identity);
    }
    if let Some(node) = given.get("group").filter(|node| !node.is_null()) {
        let mut group = plain_group();
        read_group(reader, node, &mut group);
        context.group = Some(group);
    }
    if let Some(node) = given.get("credential").filter(|node| !node.is_null()) {
        context.credential = Some(node.to_json());
    }
    context
}

fn plain_group() -> GroupView {
    GroupView { id: Uuid::nil(), name: String::new(), privileged: false }
}

fn names(kind: Kind) -> Vec<&'static str> {
    kind.fields().unwrap_or_default().iter().map(|(name, _)| *name).collect()
}

fn changed_field(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let name = reader.text(node, "a changed field")?;
    let known = Words::ChangedFields.all();
    if !known.contains(&name) {
        reader.unknown(node, Words::ChangedFields.noun(), name, &known);
    }
    Some(name.to_owned())
}

fn read_identity(reader: &mut Reader<'_>, node: &Node, identity: &mut IdentityView) {
    let mut known = names(Kind::Identity);
    known.push("accounts");
    let Some(fields) = reader.fields(node, "an identity", &known) else { return };
    for name in Words::ChangedFields.all() {
        if let (Some(node), Some(field)) = (fields.get(name), identity.profile.field_mut(name)) {
            *field = optional(reader, node, name);
        }
    }
    if let Some(node) = fields.get("id")
        && let Some(text) = reader.text(node, "`id`")
    {
        match Uuid::parse_str(text) {
            Ok(id) => identity.id = id,
            Err(_) => reader.report(node.place, "`id` of an identity is a UUID".to_owned()),
        }
    }
    if let Some(node) = fields.get("generation") {
        match node.to_json().as_i64() {
            Some(generation) => identity.generation = generation,
            None => reader.report(node.place, "`generation` is a whole number".to_owned()),
        }
    }
    if let Some(node) = fields.get("state")
        && let Some(word) = reader.text(node, "`state`")
    {
        match State::parse(word) {
            Some(state) => identity.state = state,
            None => reader.unknown(node, "state", word, &Words::States.all()),
        }
    }
    if let Some(node) = fields.get("kind")
        && let Some(word) = reader.text(node, "`kind`")
    {
        use IdentityKind::{Agent, Human, Service, Workload};
        match [Human, Service, Workload, Agent].into_iter().find(|kind| kind.as_str() == word) {
            Some(kind) => identity.kind = kind,
            None => reader.unknown(node, "kind", word, &Words::IdentityKinds.all()),
        }
    }
    if let Some(node) = fields.get("accounts") {
        read_accounts(reader, node, identity);
    }
}

fn read_accounts(reader: &mut Reader<'_>, node: &Node, identity: &mut IdentityView) {
    let Content::Map(entries) = &node.content else {
        return reader.report(node.place, "`accounts` is a map from source to account".to_owned());
    };
    for (source, node) in entries {
        let Some(source) = reader.text(source, "a source") else { continue };
        let Some(fields) = reader.fields(node, "an account", &names(Kind::Account)) else { continue };
        let mut value = |name| fields.get(name).and_then(|node| optional(reader, node, name));
        let account = AccountView {
            id: value("id").unwrap_or_default(),
            user_name: value("userName"),
            external_id: value("externalId"),
            email: value("email"),
            attributes: fields.get("attributes").map_or_else(|| Value::Object(serde_json::Map::new()), Node::to_json),
        };
        identity.accounts.insert(source.to_owned(), account);
    }
}

fn read_group(reader: &mut Reader<'_>, node: &Node, group: &mut GroupView) {
    let Some(fields) = reader.fields(node, "a group", &names(Kind::Group)) else { return };
    if let Some(node) = fields.get("name") {
        group.name = reader.text(node, "`name`").unwrap_or_default().to_owned();
    }
    if let Some(node) = fields.get("privileged") {
        match node.to_json() {
            Value::Bool(privileged) => group.privileged = privileged,
            _ => reader.report(node.place, "`privileged` is true or false".to_owned()),
        }
    }
    if let Some(node) = fields.get("id")
        && let Some(text) = reader.text(node, "`id`")
    {
        match Uuid::parse_str(text) {
            Ok(id) => group.id = id,
            Err(_) => reader.report(node.place, "`id` of a group is a UUID".to_owned()),
        }
    }
}

fn optional(reader: &mut Reader<'_>, node: &Node, name: &str) -> Option<String> {
    if node.is_null() { None } else { reader.text(node, &format!("`{name}`")).map(str::to_owned) }
}
