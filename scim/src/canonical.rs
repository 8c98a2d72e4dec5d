//! Brings one attribute value, in any of the shapes that identity providers send, to the one shape that is stored.

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::schema::{Attribute, Kind, Mutability};

/// The canonical form of `value` for `attribute`; `None` for null and for an empty list, which both mean "unassigned"
/// (RFC 7643 §2.5). `path` names the attribute in errors.
///
/// A multi-valued attribute becomes a list of objects, a single-valued complex one an object, everything else a scalar.
pub(crate) fn value(attribute: &Attribute, path: &str, value: &Value) -> Result<Option<Value>> {
    if attribute.multi_valued {
        return elements(attribute, path, value);
    }
    match attribute.kind {
        Kind::Complex => complex(attribute, path, value),
        Kind::Boolean => Ok(boolean(path, value)?.map(Value::Bool)),
        Kind::String | Kind::DateTime | Kind::Reference | Kind::Binary => string(path, value),
    }
}

/// The only place where a truth value is read: `true`, `"True"`, `{"value": "False"}`, `[{"value": false}]`. `Ok(None)` is null,
/// which states nothing. There is no truthiness: `0`, `"no"` and `""` are refused, since a guess would keep or end access.
pub(crate) fn boolean(path: &str, value: &Value) -> Result<Option<bool>> {
    match only(value) {
        Some(Value::Null) => Ok(None),
        Some(Value::Bool(truth)) => Ok(Some(*truth)),
        Some(Value::String(word)) if word.eq_ignore_ascii_case("true") => Ok(Some(true)),
        Some(Value::String(word)) if word.eq_ignore_ascii_case("false") => Ok(Some(false)),
        _ => Err(Error::invalid_value(path, "true or false")),
    }
}

/// Numbers become their text: some HR-fed providers send employee numbers unquoted.
fn string(path: &str, value: &Value) -> Result<Option<Value>> {
    match value {
        Value::Array(list) if list.is_empty() => return Ok(None),
        _ => {}
    }
    match only(value) {
        Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(Value::String(text.clone()))),
        Some(Value::Number(number)) => Ok(Some(Value::String(number.to_string()))),
        Some(Value::Bool(truth)) => Ok(Some(Value::String(truth.to_string()))),
        _ => Err(Error::invalid_value(path, "one string")),
    }
}

/// The scalar in `x`, `{"value": x}`, `[x]` or `[{"value": x}]`.
fn only(value: &Value) -> Option<&Value> {
    match value {
        Value::Array(list) => match list.as_slice() {
            [Value::Array(_)] => None,
            [one] => only(one),
            _ => None,
        },
        Value::Object(object) => match get(object, "value")? {
            Value::Object(_) | Value::Array(_) => None,
            inner => Some(inner),
        },
        scalar => Some(scalar),
    }
}

/// A single-valued complex attribute; a list of one is that one.
fn complex(attribute: &Attribute, path: &str, value: &Value) -> Result<Option<Value>> {
    match value {
        Value::Array(list) => match list.as_slice() {
            [] => Ok(None),
            [Value::Array(_)] => Err(Error::invalid_value(path, "one object")),
            [one] => complex(attribute, path, one),
            _ => Err(Error::invalid_value(path, "one value, not several")),
        },
        other => element(attribute, path, other),
    }
}

fn elements(attribute: &Attribute, path: &str, value: &Value) -> Result<Option<Value>> {
    let mut list = Vec::new();
    match value {
        Value::Array(values) => {
            for one in values {
                list.extend(element(attribute, path, one)?);
            }
        }
        one => list.extend(element(attribute, path, one)?),
    }
    keep_one_primary(&mut list);
    Ok((!list.is_empty()).then_some(Value::Array(list)))
}

/// One object of a complex attribute. A bare scalar stands for its `value`: `"manager": "123456"`, `"emails": ["a@b"]`.
pub(crate) fn element(attribute: &Attribute, path: &str, value: &Value) -> Result<Option<Value>> {
    let object = match value {
        Value::Null => return Ok(None),
        Value::Object(object) => object,
        // How Entra and Okta clear a manager.
        Value::String(text) if text.is_empty() => return Ok(None),
        scalar @ (Value::String(_) | Value::Number(_)) => {
            let Some(inner) = attribute.sub("value") else {
                return Err(Error::invalid_value(path, "an object"));
            };
            let text = string(path, scalar)?;
            return Ok(text.map(|text| Value::Object(Map::from_iter([(inner.name.to_owned(), text)]))));
        }
        _ => return Err(Error::invalid_value(path, "an object")),
    };
    let mut canonical = Map::new();
    for (key, inner) in object {
        match attribute.sub(key) {
            Some(sub) if sub.mutability == Mutability::ReadOnly => {}
            Some(sub) => {
                if let Some(inner) = self::value(sub, &format!("{path}.{}", sub.name), inner)? {
                    canonical.insert(sub.name.to_owned(), inner);
                }
            }
            None if inner.is_null() => {}
            None => {
                canonical.insert(key.clone(), inner.clone());
            }
        }
    }
    Ok((!canonical.is_empty()).then_some(Value::Object(canonical)))
}

/// At most one value is primary (RFC 7643 §2.4); where several claim it at once, the first stays.
fn keep_one_primary(list: &mut [Value]) {
    let mut seen = false;
    for primary in list.iter_mut().filter_map(|one| one.get_mut("primary")) {
        if primary == &Value::Bool(true) && std::mem::replace(&mut seen, true) {
            *primary = Value::Bool(false);
        }
    }
}

/// The value under `name` in any case.
pub(crate) fn get<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).or_else(|| object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

/// The key that `object` already uses for `name`, else `name` as it is.
pub(crate) fn key(object: &Map<String, Value>, name: &str) -> String {
    object.keys().find(|key| key.eq_ignore_ascii_case(name)).map_or_else(|| name.to_owned(), Clone::clone)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::ResourceType;

    #[test]
    fn a_truth_value_is_read_in_every_shape_and_never_guessed() {
        for (sent, read) in [
            (json!(true), Some(true)),
            (json!("True"), Some(true)),
            (json!("FALSE"), Some(false)),
            (json!({"value": false}), Some(false)),
            (json!([{"Value": "False"}]), Some(false)),
            (json!([true]), Some(true)),
            (json!(null), None),
            (json!({"value": null}), None),
        ] {
            assert_eq!(boolean("active", &sent), Ok(read), "{sent}");
        }
        for sent in [json!(0), json!("no"), json!(""), json!([]), json!({}), json!([true, false]), json!([[false]])] {
            let error = boolean("active", &sent).unwrap_err();
            assert_eq!(error.detail, "`active` takes true or false", "{sent}");
        }
    }

    #[test]
    fn the_shapes_of_a_list_become_a_list_of_objects() {
        let emails = ResourceType::User.attribute("EMAILS").unwrap();
        let canonical = Some(json!([{"value": "a@example.com"}]));
        for sent in [json!("a@example.com"), json!(["a@example.com"]), json!({"Value": "a@example.com", "type": null})]
        {
            assert_eq!(value(emails, "emails", &sent), Ok(canonical.clone()), "{sent}");
        }
        assert_eq!(value(emails, "emails", &json!([])), Ok(None));
        assert_eq!(value(emails, "emails", &json!([null, {}])), Ok(None));
    }

    #[test]
    fn the_first_of_several_primaries_stays() {
        let emails = ResourceType::User.attribute("emails").unwrap();
        let sent = json!([{"value": "a", "primary": "True"}, {"value": "b", "primary": true}]);
        let kept = json!([{"value": "a", "primary": true}, {"value": "b", "primary": false}]);
        assert_eq!(value(emails, "emails", &sent), Ok(Some(kept)));
    }

    #[test]
    fn a_string_may_come_wrapped_or_as_a_number_but_not_as_several() {
        let title = ResourceType::User.attribute("title").unwrap();
        assert_eq!(value(title, "title", &json!([{"value": "CTO"}])), Ok(Some(json!("CTO"))));
        assert_eq!(value(title, "title", &json!(7)), Ok(Some(json!("7"))));
        assert!(value(title, "title", &json!(["a", "b"])).is_err());
        assert!(value(title, "title", &json!({"name": "CTO"})).is_err());
    }
}
