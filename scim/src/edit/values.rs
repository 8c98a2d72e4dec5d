//! The values of a multi-valued attribute: which are meant, and how they change.

use serde_json::{Map, Value};

use super::Op;
use crate::canonical;
use crate::error::{Error, Result, ScimType, shown};
use crate::filter::{Comparison, Filter, Held, Literal, Misfit, fits};
use crate::schema::Attribute;

/// Whether `element` is one that `filter` means. Strings compare as the sub-attribute's schema says; those of unknown attributes
/// without regard to case, as most of RFC 7643 do.
pub(super) fn matches(element: &Value, filter: &Filter<String>, known: Option<&Attribute>) -> bool {
    filter.holds(element, &|element, name: &String| Held {
        value: match element {
            Value::Object(object) => canonical::get(object, name),
            // A bare value is its own `value`; only unknown attributes hold such.
            scalar => name.eq_ignore_ascii_case("value").then_some(scalar),
        },
        case_exact: known.and_then(|known| known.sub(name)).is_some_and(|sub| sub.case_exact),
        false_if_absent: name.eq_ignore_ascii_case("primary"),
    })
}

/// # Errors
/// `invalidFilter` if `filter` compares a sub-attribute with what its type does not have.
pub(super) fn check(filter: &Filter<String>, known: &Attribute) -> Result<()> {
    match filter {
        Filter::And(parts) | Filter::Or(parts) => parts.iter().try_for_each(|part| check(part, known)),
        Filter::Not(inner) | Filter::Values { filter: inner, .. } => check(inner, known),
        Filter::Present(_) => Ok(()),
        Filter::Compare { attribute, op, value } => {
            match known.sub(attribute).map(|sub| fits(sub.kind, *op, value.clone())) {
                None | Some(Ok(_)) => Ok(()),
                Some(Err(Misfit::Operator(expected) | Misfit::Value(expected))) => {
                    let name = known.name;
                    let detail = format!("`{name}[{} {} …]`: expected {expected}", shown(attribute), op.as_str());
                    Err(Error::bad_request(ScimType::InvalidFilter, detail))
                }
            }
        }
    }
}

/// The places of the values that `filter` means. If there are none and the filter says only *what kind* of value is meant
/// (`type`, `primary`), one of that kind is begun: Entra sets a first work address with `emails[type eq "work"].value`. A filter
/// by content means a value that the caller believes to be there, so `None`.
pub(super) fn select_or_create(
    list: &mut Vec<Value>,
    filter: &Filter<String>,
    known: Option<&Attribute>,
) -> Option<Vec<usize>> {
    let found: Vec<usize> = (0..list.len()).filter(|&at| matches(&list[at], filter, known)).collect();
    if !found.is_empty() {
        return Some(found);
    }
    list.push(Value::Object(begun(filter)?));
    Some(vec![list.len() - 1])
}

/// The value that `filter` describes by its kind, if it does.
fn begun(filter: &Filter<String>) -> Option<Map<String, Value>> {
    let all = match filter {
        Filter::And(all) => all.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut object = Map::new();
    for one in all {
        let Filter::Compare { attribute, op: Comparison::Eq, value } = one else { return None };
        let (name, value) = match value {
            Literal::String(kind) if attribute.eq_ignore_ascii_case("type") => ("type", Value::from(kind.as_str())),
            Literal::Boolean(truth) if attribute.eq_ignore_ascii_case("primary") => ("primary", Value::Bool(*truth)),
            _ => return None,
        };
        // Two different types at once describe nothing.
        if object.insert(name.to_owned(), value.clone()).is_some_and(|before| before != value) {
            return None;
        }
    }
    Some(object)
}

pub(super) fn no_target(path: &str) -> Error {
    let detail = format!(
        "`{}`: no value is selected by the filter; read the resource again, or add the value to the list",
        shown(path)
    );
    Error::bad_request(ScimType::NoTarget, detail)
}

/// Sets a whole selected value. A replacement keeps the kind by which it was selected, where it does not state another.
pub(super) fn set_element(
    element: &mut Value,
    known: Option<&Attribute>,
    filter: &Filter<String>,
    op: Op,
    path: &str,
    value: &Value,
) -> Result<()> {
    let single = match value {
        Value::Array(list) if list.len() == 1 => &list[0],
        other => other,
    };
    let new = match (known, single) {
        (Some(known), single) => canonical::element(known, path, single)?,
        (None, object @ Value::Object(_)) => Some(object.clone()),
        (None, _) => return Err(Error::invalid_value(path, "an object")),
    };
    let Some(Value::Object(new)) = new else { return Ok(()) };
    match element {
        Value::Object(current) if op == Op::Add => current.extend(new),
        _ => {
            let mut kept = begun(filter).unwrap_or_default();
            kept.extend(new);
            *element = Value::Object(kept);
        }
    }
    Ok(())
}

/// Adds `new` and returns its place. The same `value` of the same `type` is there at most once: adding it again updates it.
pub(super) fn add(list: &mut Vec<Value>, new: Value) -> usize {
    let same = |one: &Value| {
        one == &new || (one.get("value").is_some() && ["value", "type"].iter().all(|key| one.get(key) == new.get(key)))
    };
    match (list.iter().position(same), new) {
        (Some(at), Value::Object(new)) => {
            if let Value::Object(current) = &mut list[at] {
                current.extend(new);
            }
            at
        }
        (Some(at), _) => at,
        (None, new) => {
            list.push(new);
            list.len() - 1
        }
    }
}

/// A value that has just become primary is the only one (RFC 7644 §3.5.2).
pub(super) fn keep_one_primary(list: &mut [Value], touched: &[usize]) {
    let primary = |one: &Value| one.get("primary") == Some(&Value::Bool(true));
    let Some(&kept) = touched.iter().find(|&&at| primary(&list[at])) else { return };
    for (at, one) in list.iter_mut().enumerate() {
        if at != kept && primary(one) {
            one["primary"] = Value::Bool(false);
        }
    }
}

/// Removes the values of which everything that `listed` states is true.
pub(super) fn remove_listed(list: &mut Vec<Value>, listed: Option<&Value>) {
    let listed = match listed {
        None => return,
        Some(Value::Array(listed)) => listed.as_slice(),
        Some(one) => std::slice::from_ref(one),
    };
    let stated_of = |wanted: &Value, one: &Value| match (wanted, one) {
        (Value::Object(wanted), Value::Object(one)) => wanted.iter().all(|(key, value)| one.get(key) == Some(value)),
        (wanted, one) => wanted == one,
    };
    list.retain(|one| !listed.iter().any(|wanted| stated_of(wanted, one)));
}

/// Removes a sub-attribute from the values that `selected` means, and then those that are left with nothing but a label.
pub(super) fn remove_sub(list: &mut Vec<Value>, sub: &str, selected: impl Fn(&Value) -> bool) {
    list.retain_mut(|one| {
        if !selected(one) {
            return true;
        }
        let Value::Object(object) = one else { return true };
        object.remove(&canonical::key(object, sub));
        object.keys().any(|key| !["type", "primary", "display"].iter().any(|label| key.eq_ignore_ascii_case(label)))
    });
}
