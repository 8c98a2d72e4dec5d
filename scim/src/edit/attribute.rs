//! One operation on one attribute of an object that holds attributes (the resource, or one extension of it).

use serde_json::{Map, Value};

use super::{Op, values};
use crate::canonical;
use crate::error::{Error, Result, ScimType, shown};
use crate::limits;
use crate::path::AttributePath;
use crate::schema::{Attribute, Kind, Mutability};

/// `known` is the definition of the attribute, if there is one; an unknown attribute takes whatever comes.
pub(super) fn edit(
    held: &mut Map<String, Value>,
    known: Option<&'static Attribute>,
    op: Op,
    path: &AttributePath,
    value: Option<&Value>,
) -> Result<()> {
    let key = known.map_or_else(|| canonical::key(held, &path.name), |known| known.name.to_owned());
    if let Some(known) = known {
        if known.kind != Kind::Complex && !path.is_whole() {
            return Err(Error::invalid_path(format!("`{}` has no sub-attributes", known.name)));
        }
        if !known.multi_valued && path.filter.is_some() {
            return Err(Error::invalid_path(format!("`{}` has one value; leave out the brackets", known.name)));
        }
        if let Some(filter) = &path.filter {
            values::check(filter, known)?;
        }
    }
    if let Some(Value::Array(list)) = value {
        bounded(path, list)?;
    }
    let sub = known.zip(path.sub.as_ref()).and_then(|(known, sub)| known.sub(sub));
    let value = match (sub, value) {
        // `[]` for a single sub-attribute is null in another shape.
        (Some(sub), Some(sent)) if op != Op::Remove && canonical::value(sub, &path.to_string(), sent)?.is_none() => {
            Some(&Value::Null)
        }
        (_, value) => value,
    };
    let target = Target { known, path, key };
    match (op, value) {
        (Op::Remove, value) => target.remove(held, value),
        // Null is "unassigned" (RFC 7643 §2.5), except that a truth value which is not stated stays as it was: silence about
        // `active` must neither end nor give access.
        (Op::Replace, Some(Value::Null)) if known.is_none_or(|known| known.kind != Kind::Boolean) => {
            target.remove(held, None)
        }
        (Op::Add | Op::Replace, None | Some(Value::Null)) => Ok(()),
        (Op::Add | Op::Replace, Some(value)) => {
            target.set(held, op, value)?;
            if let Some(Value::Array(list)) = held.get(&target.key) {
                bounded(path, list)?;
            }
            if held.len() > limits::ATTRIBUTES {
                return Err(too_many_attributes());
            }
            Ok(())
        }
    }
}

fn bounded(path: &AttributePath, list: &[Value]) -> Result<()> {
    match list.len() > limits::VALUES {
        true => Err(Error::invalid_value(&path.to_string(), &format!("at most {} values", limits::VALUES))),
        false => Ok(()),
    }
}

pub(super) fn too_many_attributes() -> Error {
    let detail = format!("there are more than {} attributes; send fewer", limits::ATTRIBUTES);
    Error::bad_request(ScimType::InvalidValue, detail)
}

struct Target<'a> {
    known: Option<&'static Attribute>,
    path: &'a AttributePath,
    /// Under which the attribute is held.
    key: String,
}

impl Target<'_> {
    fn remove(&self, held: &mut Map<String, Value>, value: Option<&Value>) -> Result<()> {
        if self.known.is_some_and(|known| known.required) {
            return Err(Error::mutability(&self.key, "is required and cannot be removed; replace it"));
        }
        let Some(current) = held.get_mut(&self.key) else { return Ok(()) };
        match (&self.path.filter, &self.path.sub, current) {
            // A list of values to remove: RFC 7644 has no such form, but without a filter Entra removes that way.
            (None, None, Value::Array(list)) if value.is_some_and(|value| !value.is_null()) => {
                let listed = match (self.known, value) {
                    (Some(known), Some(value)) => canonical::value(known, &self.key, value)?,
                    (_, value) => value.cloned(),
                };
                values::remove_listed(list, listed.as_ref());
            }
            (None, None, _) => {
                held.remove(&self.key);
                return Ok(());
            }
            (None, Some(sub), Value::Object(object)) => {
                object.remove(&canonical::key(object, sub));
            }
            (None, Some(sub), Value::Array(list)) => values::remove_sub(list, sub, |_| true),
            (Some(filter), None, Value::Array(list)) => list.retain(|one| !values::matches(one, filter, self.known)),
            (Some(filter), Some(sub), Value::Array(list)) => {
                values::remove_sub(list, sub, |one| values::matches(one, filter, self.known));
            }
            (None, Some(_), _) | (Some(_), _, _) => return Ok(()),
        }
        self.prune(held);
        Ok(())
    }

    fn set(&self, held: &mut Map<String, Value>, op: Op, value: &Value) -> Result<()> {
        match (self.known, &self.path.filter, &self.path.sub) {
            (Some(known), None, None) if known.multi_valued => self.set_list(held, known, op, value)?,
            (Some(known), None, None) if known.kind == Kind::Complex => self.set_object(held, known, op, value)?,
            (Some(known), None, None) => match canonical::value(known, &self.path.to_string(), value)? {
                Some(canonical) => drop(held.insert(self.key.clone(), canonical)),
                None if op == Op::Replace && known.kind != Kind::Boolean => self.remove(held, None)?,
                None => {}
            },
            (None, None, None) => self.set_unknown(held, op, value),
            (known, Some(filter), sub) => {
                let list = self.list(held)?;
                let touched = values::select_or_create(list, filter, known)
                    .ok_or_else(|| values::no_target(&self.path.to_string()))?;
                for &at in &touched {
                    match sub {
                        Some(sub) => self.set_sub(&mut list[at], known, sub, value)?,
                        None => values::set_element(&mut list[at], known, filter, op, &self.key, value)?,
                    }
                }
                values::keep_one_primary(list, &touched);
            }
            (known, None, Some(sub)) => match held.get_mut(&self.key) {
                Some(Value::Array(list)) if list.len() > 1 => {
                    let key = shown(&self.key);
                    let detail = format!("`{key}` has several values; select one, as in {key}[type eq \"work\"]");
                    return Err(Error::invalid_path(detail));
                }
                Some(Value::Array(list)) if !list.is_empty() => self.set_sub(&mut list[0], known, sub, value)?,
                _ if known.is_some_and(|known| known.multi_valued) => {
                    let mut first = Value::Object(Map::new());
                    self.set_sub(&mut first, known, sub, value)?;
                    held.insert(self.key.clone(), Value::Array(vec![first]));
                }
                _ => {
                    let object = held.entry(self.key.clone()).or_insert_with(|| Value::Object(Map::new()));
                    self.set_sub(object, known, sub, value)?;
                }
            },
        }
        self.prune(held);
        Ok(())
    }

    fn set_list(&self, held: &mut Map<String, Value>, known: &Attribute, op: Op, value: &Value) -> Result<()> {
        let Some(Value::Array(new)) = canonical::value(known, &self.path.to_string(), value)? else {
            return if op == Op::Replace { self.remove(held, None) } else { Ok(()) };
        };
        if op == Op::Replace {
            held.insert(self.key.clone(), Value::Array(new));
            return Ok(());
        }
        let list = self.list(held)?;
        let touched: Vec<usize> = new.into_iter().map(|one| values::add(list, one)).collect();
        values::keep_one_primary(list, &touched);
        Ok(())
    }

    /// Sub-attributes that are not stated stay as they are (RFC 7644 §3.5.2.3).
    fn set_object(&self, held: &mut Map<String, Value>, known: &Attribute, op: Op, value: &Value) -> Result<()> {
        let single = match value {
            Value::Array(list) if list.len() == 1 => &list[0],
            other => other,
        };
        let canonical = canonical::value(known, &self.path.to_string(), single)?;
        let stated = match (single, canonical) {
            (Value::Object(stated), canonical) => {
                let object = held.entry(self.key.clone()).or_insert_with(|| Value::Object(Map::new()));
                let Value::Object(object) = object else { return Err(Error::invalid_value(&self.key, "an object")) };
                for (name, _) in stated.iter().filter(|(_, inner)| op == Op::Replace && inner.is_null()) {
                    object.remove(&canonical::key(object, name));
                }
                canonical
            }
            (_, None) if op == Op::Replace => return self.remove(held, None),
            (_, canonical) => canonical,
        };
        if let Some(Value::Object(stated)) = stated {
            match held.get_mut(&self.key) {
                Some(Value::Object(object)) => object.extend(stated),
                _ => drop(held.insert(self.key.clone(), Value::Object(stated))),
            }
        }
        Ok(())
    }

    fn set_unknown(&self, held: &mut Map<String, Value>, op: Op, value: &Value) {
        match (op, held.get_mut(&self.key), value) {
            (Op::Add, Some(Value::Array(list)), Value::Array(new)) => {
                for one in new {
                    if !list.contains(one) {
                        list.push(one.clone());
                    }
                }
            }
            (Op::Add, Some(Value::Object(object)), Value::Object(new)) => object.extend(new.clone()),
            _ => drop(held.insert(self.key.clone(), value.clone())),
        }
    }

    fn set_sub(&self, object: &mut Value, known: Option<&Attribute>, sub: &str, value: &Value) -> Result<()> {
        let Value::Object(object) = object else {
            return Err(Error::invalid_path(format!("`{}` has no sub-attributes", shown(&self.key))));
        };
        match known.and_then(|known| known.sub(sub)) {
            Some(sub) if sub.mutability == Mutability::ReadOnly => {}
            Some(sub) => match canonical::value(sub, &self.path.to_string(), value)? {
                Some(value) => drop(object.insert(sub.name.to_owned(), value)),
                None => drop(object.remove(sub.name)),
            },
            None => drop(object.insert(canonical::key(object, sub), value.clone())),
        }
        Ok(())
    }

    fn list<'a>(&self, held: &'a mut Map<String, Value>) -> Result<&'a mut Vec<Value>> {
        match held.entry(self.key.clone()).or_insert_with(|| Value::Array(Vec::new())) {
            Value::Array(list) => Ok(list),
            _ => Err(Error::invalid_path(format!("`{}` is not multi-valued", shown(&self.key)))),
        }
    }

    /// What holds nothing is unassigned, and "unassigned" has one form: absence. So a change that changes nothing compares equal.
    fn prune(&self, held: &mut Map<String, Value>) {
        let empty = match held.get(&self.key) {
            Some(Value::Array(list)) => list.is_empty() && self.known.is_some(),
            Some(Value::Object(object)) => object.is_empty() && self.known.is_some(),
            _ => false,
        };
        if empty {
            held.remove(&self.key);
        }
    }
}
