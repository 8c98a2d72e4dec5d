//! The facts behind a decision as variables of the expression language, built when an expression first asks for them.

use std::collections::HashMap;
use std::sync::OnceLock;

use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use lifecycle::{AccountView, EventType, GroupView, IdentityView};
use serde_json::Value;

type Boxed<'a> = Box<dyn Val + 'a>;

/// What happened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Happening<'a> {
    pub event: EventType,
    pub changed: &'a [String],
    pub data: &'a Value,
}

/// All that one decision reads. What is absent is null.
#[derive(Debug, Default)]
pub(crate) struct Facts<'a> {
    pub happening: Option<Happening<'a>>,
    pub identity: Option<&'a IdentityView>,
    pub group: Option<&'a GroupView>,
    pub credential: Option<&'a Value>,
    pub built: Built<'a>,
}

/// Variables that an expression has asked for already: several rules read the same ones.
#[derive(Debug, Default)]
pub(crate) struct Built<'a> {
    event: OnceLock<Boxed<'a>>,
    identity: OnceLock<Boxed<'a>>,
    group: OnceLock<Boxed<'a>>,
    credential: OnceLock<Boxed<'a>>,
}

/// The variable that `account("name")` is compiled to. No name in an expression starts with `@`, and no field selected from
/// this variable ends with the bracket, so neither can be mistaken for the other.
pub(crate) fn account_variable(source: &str) -> String {
    format!("@account({source})")
}

/// The source whose account a variable holds.
pub(crate) fn source_of_variable(variable: &str) -> Option<&str> {
    variable.strip_prefix("@account(")?.strip_suffix(')')
}

impl VariableResolver for Facts<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let built = match variable {
            "event" => self.built.event.get_or_init(|| self.happening.map_or_else(null, event)),
            "identity" => self.built.identity.get_or_init(|| self.identity.map_or_else(null, identity)),
            "group" => self.built.group.get_or_init(|| self.group.map_or_else(null, group)),
            "credential" => self.built.credential.get_or_init(|| self.credential.map_or_else(null, json)),
            _ => {
                let source = source_of_variable(variable)?;
                let view = self.identity.and_then(|identity| identity.accounts.get(source));
                return Some(CowVal::Owned(account(view)));
            }
        };
        Some(CowVal::Borrowed(built.as_ref()))
    }
}

fn null<'a>() -> Boxed<'a> {
    Box::new(CelNull)
}

fn text<'a>(value: &'a str) -> Boxed<'a> {
    Box::new(CelString::from(value))
}

fn optional<'a>(value: Option<&'a str>) -> Boxed<'a> {
    value.map_or_else(null, text)
}

fn record<'a, const N: usize>(fields: [(&'a str, Boxed<'a>); N]) -> Boxed<'a> {
    let fields: HashMap<CelMapKey<'a>, Boxed<'a>> =
        fields.into_iter().map(|(key, value)| (key.into(), value)).collect();
    Box::new(CelMap::from(fields))
}

fn list<'a>(items: impl Iterator<Item = Boxed<'a>>) -> Boxed<'a> {
    Box::new(CelList::from(items.collect::<Vec<_>>()))
}

fn event(happening: Happening<'_>) -> Boxed<'_> {
    record([
        ("type", text(happening.event.as_str())),
        ("changed", list(happening.changed.iter().map(|name| text(name)))),
        ("data", json(happening.data)),
    ])
}

fn identity(view: &IdentityView) -> Boxed<'_> {
    let profile = &view.profile;
    record([
        ("id", Box::new(CelString::from(view.id.to_string()))),
        ("userName", optional(profile.user_name.as_deref())),
        ("email", optional(profile.email.as_deref())),
        ("employeeNumber", optional(profile.employee_number.as_deref())),
        ("department", optional(profile.department.as_deref())),
        ("manager", optional(profile.manager.as_deref())),
        ("displayName", optional(profile.display_name.as_deref())),
        ("state", text(view.state.as_str())),
        ("kind", text(view.kind.as_str())),
        ("generation", Box::new(CelInt::from(view.generation))),
    ])
}

fn group(view: &GroupView) -> Boxed<'_> {
    record([
        ("id", Box::new(CelString::from(view.id.to_string()))),
        ("name", text(&view.name)),
        ("privileged", Box::new(CelBool::from(view.privileged))),
    ])
}

/// An account, or for somebody without one a record of nulls: an absent account then reads like an absent value.
fn account(view: Option<&AccountView>) -> Boxed<'_> {
    record([
        ("id", optional(view.map(|v| v.id.as_str()))),
        ("userName", optional(view.and_then(|v| v.user_name.as_deref()))),
        ("externalId", optional(view.and_then(|v| v.external_id.as_deref()))),
        ("email", optional(view.and_then(|v| v.email.as_deref()))),
        ("attributes", view.map_or_else(|| record([]), |v| json(&v.attributes))),
    ])
}

fn json(value: &Value) -> Boxed<'_> {
    match value {
        Value::Null => null(),
        Value::Bool(value) => Box::new(CelBool::from(*value)),
        // Whole numbers are `int` wherever they fit, as literals in expressions are.
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => Box::new(CelInt::from(value)),
            (None, Some(value)) => Box::new(CelUInt::from(value)),
            (None, None) => Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN))),
        },
        Value::String(value) => text(value),
        Value::Array(items) => list(items.iter().map(json)),
        Value::Object(entries) => {
            let entries: HashMap<CelMapKey<'_>, Boxed<'_>> =
                entries.iter().map(|(key, value)| (key.as_str().into(), json(value))).collect();
            Box::new(CelMap::from(entries))
        }
    }
}
