//! What may be kept of a refused body: its shape for good, the whole but its secrets for a week.

use serde_json::{Map, Value};

/// Elements of a list that show its shape; of more, the number is enough.
const ELEMENTS: usize = 5;
/// Longest name that is repeated.
const NAME: usize = 128;

/// The shape of a body: names of attributes, operations, schemas and kinds of values. No text that could be about somebody.
pub(super) fn shape(body: &Value) -> Value {
    shape_at("", body)
}

fn shape_at(name: &str, value: &Value) -> Value {
    match value {
        Value::Null | Value::Bool(_) => value.clone(),
        Value::Number(_) => "(number)".into(),
        Value::String(text) => kept(name, text).unwrap_or_else(|| "(text)".into()),
        Value::Array(all) => {
            let mut shown: Vec<Value> = all.iter().take(ELEMENTS).map(|one| shape_at(name, one)).collect();
            if all.len() > ELEMENTS {
                shown.push(format!("({} more)", all.len() - ELEMENTS).into());
            }
            shown.into()
        }
        Value::Object(object) => {
            let mut shown = Map::new();
            for (name, value) in object {
                shown.insert(attribute(name).to_owned(), shape_at(name, value));
            }
            shown.into()
        }
    }
}

/// Texts that say how something is meant, and not about whom.
fn kept(name: &str, text: &str) -> Option<Value> {
    let is = |known: &[&str]| known.iter().any(|word| word.eq_ignore_ascii_case(text));
    let called = |wanted: &str| name.eq_ignore_ascii_case(wanted);
    let kept = match () {
        () if called("op") => is(&["add", "remove", "replace"]),
        () if called("method") => is(&["POST", "PUT", "PATCH", "DELETE"]),
        () if called("schemas") => attribute(text) == text,
        () if called("type") => is(&["work", "home", "other", "mobile", "fax", "pager", "User", "Group"]),
        () if called("path") => return Some(without_literals(text).into()),
        // Entra says it in text, and how it is written is what an operator wants to see.
        () => is(&["true", "false"]),
    };
    kept.then(|| text.into())
}

/// A path as far as it names attributes: what a filter in it compares with may be an address.
fn without_literals(path: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '-' | '_' | '$' | '/');
    let attributes = |text: &str| !text.is_empty() && text.len() <= NAME && text.chars().all(plain);
    match path.split_once('[') {
        None if attributes(path) => path.to_owned(),
        Some((before, filtered)) if attributes(before) => {
            let after = filtered.rsplit_once(']').map_or("", |(_, after)| after);
            let after = if after.is_empty() || attributes(after) { after } else { ".(attribute)" };
            format!("{before}[(filter)]{after}")
        }
        _ => "(path)".to_owned(),
    }
}

/// A name if it looks like one: anything else could be a value in the wrong place.
fn attribute(name: &str) -> &str {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '-' | '_' | '$');
    if !name.is_empty() && name.len() <= NAME && name.chars().all(plain) { name } else { "(attribute)" }
}

/// The body without passwords and the like, wherever they stand; operations on them are left out whole.
pub(super) fn without_secrets(body: &Value) -> Value {
    match body {
        Value::Object(object) => {
            let told = object.iter().filter(|(name, _)| !is_secret(name));
            Value::Object(told.map(|(name, value)| (name.clone(), without_secrets(value))).collect())
        }
        Value::Array(all) => all.iter().filter(|one| !is_about_a_secret(one)).map(without_secrets).collect(),
        other => other.clone(),
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["password", "secret", "token", "credential"].iter().any(|word| name.contains(word))
}

fn is_about_a_secret(operation: &Value) -> bool {
    let path = operation.as_object().and_then(|all| all.iter().find(|(name, _)| name.eq_ignore_ascii_case("path")));
    path.and_then(|(_, path)| path.as_str()).is_some_and(is_secret)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn b1_36_a_shape_shows_how_a_request_was_meant_and_nothing_about_whom() {
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [
                {"op": "Replace", "path": "active", "value": "False"},
                {"op": "explode", "path": "emails[value eq \"ana@example.com\"].value", "value": "ana@example.org"},
                {"op": "add", "path": "ana@example.com", "value": {"ana@example.com": 1042, "name": {"givenName": "Ana"}}},
            ],
            "members": ["1", "2", "3", "4", "5", "6", "7"],
        });
        let shown = shape(&body);
        assert_eq!(
            shown,
            json!({
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
                "Operations": [
                    {"op": "Replace", "path": "active", "value": "False"},
                    {"op": "(text)", "path": "emails[(filter)].value", "value": "(text)"},
                    {"op": "add", "path": "(path)", "value": {"(attribute)": "(number)", "name": {"givenName": "(text)"}}},
                ],
                "members": ["(text)", "(text)", "(text)", "(text)", "(text)", "(2 more)"],
            })
        );
    }

    #[test]
    fn b1_29_what_is_kept_to_be_carried_out_again_has_no_password() {
        let body = json!({
            "userName": "ana", "password": "hunter2",
            "Operations": [
                {"op": "replace", "path": "password", "value": "hunter2"},
                {"op": "replace", "value": {"urn:ietf:params:scim:schemas:core:2.0:User:password": "hunter2", "active": true}},
            ],
        });
        let kept = without_secrets(&body);
        assert!(!kept.to_string().contains("hunter2"), "{kept}");
        assert_eq!(kept["Operations"], json!([{"op": "replace", "value": {"active": true}}]));
        assert_eq!(kept["userName"], "ana");
    }
}
