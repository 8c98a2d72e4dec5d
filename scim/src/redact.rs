//! Requests without what they say of people: for keeping a refused body, so that its shape can be looked at and tried again.

use chrono::DateTime;
use serde_json::{Map, Value};

use crate::error::shown;

/// `body` with its structure, names, operations and paths, and with a placeholder for every string and number that may be personal
/// or secret. Truth values stay, also as strings, and so do nulls, schemas and the `type` of a value. Redacting twice is redacting once.
pub fn redact(body: &Value) -> Value {
    value("", body)
}

/// A path or filter with placeholders for its literals. What does not look like one is replaced as a whole.
pub fn expression(text: &str) -> String {
    let mut redacted = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, quoted)) = rest.split_once('"') {
        let Some(end) = closing_quote(quoted) else { return UNREADABLE.to_owned() };
        redacted.push_str(before);
        redacted.push('"');
        redacted.push_str(string(&quoted[..end]));
        redacted.push('"');
        rest = &quoted[end + 1..];
    }
    redacted.push_str(rest);
    // What is not in quotes is made of names and words, or it is something else than a path. A word behind an operator is a value
    // that should have been in quotes.
    for outside in redacted.split('"').step_by(2) {
        let mut compared = false;
        for word in outside.split([' ', '[', ']', '(', ')']).filter(|word| !word.is_empty()) {
            let is_name = shown(word) == word && !word.starts_with(|c: char| c.is_ascii_digit());
            if !is_name || (compared && !is_one_of(word, &["true", "false", "null"])) {
                return UNREADABLE.to_owned();
            }
            compared = is_one_of(word, &["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"]);
        }
    }
    redacted
}

const UNREADABLE: &str = "(unreadable)";

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

/// What stands under `key`; values of a list stand under the key of the list.
fn value(key: &str, sent: &Value) -> Value {
    match sent {
        Value::Null | Value::Bool(_) => sent.clone(),
        Value::Number(_) if is_one_of(key, &["active", "primary", "failOnErrors", "startIndex", "count"]) => {
            sent.clone()
        }
        Value::Number(_) => Value::from(0),
        Value::String(text) => Value::String(text_under(key, text)),
        Value::Array(list) => list.iter().map(|one| value(key, one)).collect(),
        Value::Object(object) => Value::Object(members(object)),
    }
}

fn members(object: &Map<String, Value>) -> Map<String, Value> {
    let mut redacted = Map::new();
    for (key, sent) in object {
        let mut name = match shown(key) {
            plain if plain == key => key.clone(),
            _ => expression(key),
        };
        // Names that are told apart no longer must not become one.
        while redacted.contains_key(&name) {
            name.push('\'');
        }
        redacted.insert(name, value(key, sent));
    }
    redacted
}

fn text_under(key: &str, text: &str) -> String {
    let words =
        ["op", "method", "type", "schemas", "attributes", "excludedAttributes", "sortBy", "sortOrder", "resourceType"];
    if is_one_of(key, &words) && (shown(text) == text || is_schema(text)) {
        text.to_owned()
    } else if is_one_of(key, &["path", "filter"]) {
        match text.strip_prefix('/').map(|path| path.split_once('/').unwrap_or((path, ""))) {
            Some((endpoint, "")) if shown(endpoint) == endpoint => text.to_owned(),
            Some((endpoint, _)) if shown(endpoint) == endpoint => format!("/{endpoint}/(id)"),
            _ => expression(text),
        }
    } else {
        string(text).to_owned()
    }
}

fn is_one_of(key: &str, names: &[&str]) -> bool {
    names.iter().any(|name| name.eq_ignore_ascii_case(key))
}

/// Such as that which Entra states for groups. Without a user, a query or a fragment it holds nothing of anybody.
fn is_schema(text: &str) -> bool {
    text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).is_some_and(|rest| {
        rest.len() <= 128 && rest.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/'))
    })
}

/// The placeholder for a string; what says nothing of anybody stays.
fn string(text: &str) -> &'static str {
    const KEPT: [&str; 7] = ["", "true", "false", "True", "False", "TRUE", "FALSE"];
    const PLACEHOLDERS: [&str; 7] = ["(string)", "(e-mail)", "(uri)", "(time)", "(number)", "(id)", "(bulkId)"];
    if let Some(kept) = KEPT.into_iter().chain(PLACEHOLDERS).find(|kept| *kept == text) {
        return kept;
    }
    let is_id = text.len() == 36 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    match text {
        _ if text.starts_with("bulkId:") => "(bulkId)",
        _ if is_id => "(id)",
        _ if text.bytes().all(|byte| byte.is_ascii_digit()) => "(number)",
        _ if DateTime::parse_from_rfc3339(text).is_ok() => "(time)",
        _ if text.contains("://") || text.starts_with("urn:") => "(uri)",
        _ if text.contains('@') && !text.contains(char::is_whitespace) => "(e-mail)",
        _ => "(string)",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_shape_of_a_request_stays_and_what_it_says_of_people_goes() {
        let sent = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", "http://schemas.microsoft.com/2006/11/X/2.0/Group"],
            "userName": "ana@example.com",
            "password": "hunter2",
            "active": "False",
            "title": null,
            "emails": [{"value": "ana@example.com", "type": "work", "primary": true}, {"value": "", "type": "Ana's own"}],
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"employeeNumber": 701984, "manager": "26118915-6090-4610-87e4-49d8ca9f808d"},
            "ana@example.com": 1,
            "emails[value eq \"ana@example.com\"].display": "Ana",
        });
        let kept = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", "http://schemas.microsoft.com/2006/11/X/2.0/Group"],
            "userName": "(e-mail)",
            "password": "(string)",
            "active": "False",
            "title": null,
            "emails": [{"value": "(e-mail)", "type": "work", "primary": true}, {"value": "", "type": "(string)"}],
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"employeeNumber": 0, "manager": "(id)"},
            "(unreadable)": 0,
            "emails[value eq \"(e-mail)\"].display": "(string)",
        });
        assert_eq!(redact(&sent), kept);
    }

    #[test]
    fn b1_36_operations_keep_what_they_are_about() {
        let sent = json!({"failOnErrors": 1, "Operations": [
            {"op": "Replace", "path": "active", "value": "False"},
            {"op": "remove", "path": "members[value eq \"26118915\"]"},
            {"op": "add", "path": "not a path at Ana's", "value": {"name.givenName": "Ana", "when": "2026-01-31T09:00:00Z"}},
            {"method": "PUT", "path": "/Users/26118915", "version": "W/\"1\"", "bulkId": "ana", "data": {}},
            {"method": "POST", "path": "/Groups", "data": {"members": ["bulkId:ana"]}},
        ]});
        let kept = json!({"failOnErrors": 1, "Operations": [
            {"op": "Replace", "path": "active", "value": "False"},
            {"op": "remove", "path": "members[value eq \"(number)\"]"},
            {"op": "add", "path": "(unreadable)", "value": {"name.givenName": "(string)", "when": "(time)"}},
            {"method": "PUT", "path": "/Users/(id)", "version": "(string)", "bulkId": "(string)", "data": {}},
            {"method": "POST", "path": "/Groups", "data": {"members": ["(bulkId)"]}},
        ]});
        assert_eq!(redact(&sent), kept);
    }

    #[test]
    fn a_filter_keeps_its_structure() {
        for (sent, kept) in [
            (
                r#"userName eq "ana" and not (emails[type eq "a \"b\" c"])"#,
                r#"userName eq "(string)" and not (emails[type eq "(string)"])"#,
            ),
            (r#"active eq "True""#, r#"active eq "True""#),
            ("employeeNumber eq 701984", UNREADABLE),
            ("userName eq \"ana", UNREADABLE),
            ("userName eq ana@example.com", UNREADABLE),
            ("userName eq ana", UNREADABLE),
        ] {
            assert_eq!(expression(sent), kept, "{sent}");
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            Just("SECRET@example.com".to_owned()),
            Just("a[b eq \"SECRET!\"].c".to_owned()),
            Just("SECRET! \"".to_owned()),
            "(?s).{0,6}",
        ];
        let keys =
            prop_oneof![Just("path".to_owned()), Just("value".to_owned()), Just("SECRET!".to_owned()), "(?s).{0,6}"];
        let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), text.prop_map(Value::from)];
        leaf.prop_recursive(3, 24, 4, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec((keys.clone(), inner), 0..4)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    fn nodes(value: &Value) -> usize {
        1 + match value {
            Value::Array(list) => list.iter().map(nodes).sum(),
            Value::Object(object) => object.values().map(nodes).sum(),
            _ => 0,
        }
    }

    proptest! {
        #[test]
        fn nothing_personal_is_left_and_redacting_twice_is_redacting_once(sent in values()) {
            let once = redact(&sent);
            prop_assert!(!once.to_string().contains("SECRET"));
            prop_assert_eq!(nodes(&once), nodes(&sent));
            prop_assert_eq!(nodes(&redact(&once)), nodes(&once));
        }
    }
}
