//! Lists: the response (RFC 7644 §3.4.2, RFC 9865), and partial resources (RFC 7644 §3.9).

use serde_json::{Map, Value, json};

use crate::path::{AttributePath, Path};
use crate::schema;

/// A page of a list by index. `total` counts all matches, `resources` are those of this page.
pub fn response(total: u64, start_index: u64, resources: Vec<Value>) -> Value {
    json!({
        "schemas": [schema::LIST_RESPONSE],
        "totalResults": total,
        "startIndex": start_index,
        "itemsPerPage": resources.len(),
        "Resources": resources,
    })
}

/// Where a page by cursor leads (RFC 9865 §2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursors {
    /// `None` says that this is the last page.
    pub next: Option<String>,
    /// May be absent on any page.
    pub previous: Option<String>,
}

/// A page of a list by cursor. It has no `startIndex`; `total` may be left out where counting costs too much.
pub fn cursor_response(total: Option<u64>, cursors: Cursors, resources: Vec<Value>) -> Value {
    let mut response = json!({
        "schemas": [schema::LIST_RESPONSE],
        "itemsPerPage": resources.len(),
        "Resources": resources,
    });
    let stated = [
        ("totalResults", total.map(Value::from)),
        ("nextCursor", cursors.next.map(Value::from)),
        ("previousCursor", cursors.previous.map(Value::from)),
    ];
    for (name, value) in stated {
        if let Some(value) = value {
            response[name] = value;
        }
    }
    response
}

/// The part of a rendered `resource` that is asked for: what `attributes` names (all if empty) without what `excluded` names.
/// Names may have a sub-attribute and a schema URN, in any case; `id` and `schemas` are always returned (RFC 7643 §7).
pub fn project(resource: Value, attributes: &[String], excluded: &[String]) -> Value {
    let Value::Object(mut kept) = resource else { return resource };
    if !attributes.is_empty() {
        kept = narrowed(&kept, &selectors(attributes), true);
    }
    if !excluded.is_empty() {
        kept = narrowed(&kept, &selectors(excluded), false);
    }
    Value::Object(kept)
}

/// Whether a response with these `attributes` and `excluded` carries `attribute`.
pub(crate) fn returns(attribute: &str, attributes: &[String], excluded: &[String]) -> bool {
    let named = |selectors: &[Selector]| selectors.iter().any(|selector| selector.core_name_is(attribute));
    let excluded = selectors(excluded).into_iter().filter(Selector::is_whole).collect::<Vec<_>>();
    is_always_returned(attribute) || ((attributes.is_empty() || named(&selectors(attributes))) && !named(&excluded))
}

/// One name of `attributes` or `excludedAttributes`.
struct Selector(Path);

/// A name that is no path names nothing.
fn selectors(names: &[String]) -> Vec<Selector> {
    names.iter().filter_map(|name| Path::parse(name).ok()).map(Selector).collect()
}

impl Selector {
    fn is_whole(&self) -> bool {
        match &self.0 {
            Path::Schema(_) => true,
            Path::Attribute(path) => path.is_whole(),
        }
    }

    fn core_name_is(&self, name: &str) -> bool {
        match &self.0 {
            Path::Schema(urn) => is_core(urn),
            Path::Attribute(path) => path.urn.as_deref().is_none_or(is_core) && path.name.eq_ignore_ascii_case(name),
        }
    }

    /// What this selects of the extension `urn`: all of it (`Some(None)`), or one attribute.
    fn within<'a>(&'a self, urn: &str) -> Option<Option<&'a AttributePath>> {
        match &self.0 {
            Path::Schema(whole) if whole.eq_ignore_ascii_case(urn) => Some(None),
            Path::Attribute(path) if path.urn.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(urn)) => {
                Some(Some(path))
            }
            // An unknown schema is read as an attribute of a shorter one; together they are its URN.
            Path::Attribute(path) if path.filter.is_none() && path.to_string().eq_ignore_ascii_case(urn) => Some(None),
            Path::Schema(_) | Path::Attribute(_) => None,
        }
    }
}

fn is_core(urn: &str) -> bool {
    [schema::USER, schema::GROUP].contains(&urn)
}

fn is_always_returned(name: &str) -> bool {
    ["id", "schemas"].iter().any(|always| always.eq_ignore_ascii_case(name))
}

/// Keeps (or, with `keep` false, drops) what is selected.
fn narrowed(resource: &Map<String, Value>, selectors: &[Selector], keep: bool) -> Map<String, Value> {
    let mut result = Map::new();
    for (key, value) in resource {
        let selected = match value {
            _ if is_always_returned(key) => Some(value.clone()),
            Value::Object(extension) if key.contains(':') => {
                let parts: Vec<_> = selectors.iter().filter_map(|selector| selector.within(key)).collect();
                if parts.iter().any(Option::is_none) {
                    keep.then(|| value.clone())
                } else {
                    let mut inner = Map::new();
                    for (name, value) in extension {
                        let named = parts.iter().flatten().filter(|path| path.name.eq_ignore_ascii_case(name));
                        let subs: Vec<_> = named.map(|path| path.sub.as_deref()).collect();
                        inner.extend(part(value, &subs, keep).map(|value| (name.clone(), value)));
                    }
                    (!inner.is_empty()).then_some(Value::Object(inner))
                }
            }
            _ => {
                let named = selectors.iter().filter(|selector| selector.core_name_is(key));
                let subs: Vec<_> = named
                    .map(|selector| match &selector.0 {
                        Path::Schema(_) => None,
                        Path::Attribute(path) => path.sub.as_deref(),
                    })
                    .collect();
                part(value, &subs, keep)
            }
        };
        result.extend(selected.map(|value| (key.clone(), value)));
    }
    result
}

/// What is left of the value of an attribute that is named with each of `subs` (`None`: named as a whole).
fn part(value: &Value, subs: &[Option<&str>], keep: bool) -> Option<Value> {
    if subs.is_empty() {
        return (!keep).then(|| value.clone());
    }
    if subs.contains(&None) {
        return keep.then(|| value.clone());
    }
    let named = |key: &str| subs.iter().flatten().any(|sub| sub.eq_ignore_ascii_case(key));
    let narrow = |object: &Map<String, Value>| -> Value {
        object.iter().filter(|(key, _)| named(key) == keep).map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    Some(match value {
        Value::Object(object) => narrow(object),
        Value::Array(list) => list.iter().map(|one| one.as_object().map_or_else(|| one.clone(), narrow)).collect(),
        scalar => scalar.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{ENTERPRISE, USER};

    #[test]
    fn b1_33_a_page_by_cursor_leads_on_and_the_last_one_says_so() {
        let cursors = Cursors { next: Some("b".to_owned()), previous: None };
        let page = json!({
            "schemas": [schema::LIST_RESPONSE], "totalResults": 3, "itemsPerPage": 1, "nextCursor": "b",
            "Resources": [{"id": "1"}],
        });
        assert_eq!(cursor_response(Some(3), cursors, vec![json!({"id": "1"})]), page);
        let last = json!({"schemas": [schema::LIST_RESPONSE], "itemsPerPage": 0, "Resources": []});
        assert_eq!(cursor_response(None, Cursors::default(), vec![]), last);
    }

    #[test]
    fn b1_22_nobody_found_is_a_list_of_nobody() {
        let empty = json!({
            "schemas": [schema::LIST_RESPONSE], "totalResults": 0, "startIndex": 1, "itemsPerPage": 0, "Resources": [],
        });
        assert_eq!(response(0, 1, vec![]), empty);
    }

    #[test]
    fn a_partial_resource_holds_what_is_named_and_always_id_and_schemas() {
        let user = json!({
            "schemas": [USER, ENTERPRISE],
            "id": "1",
            "userName": "ana",
            "name": {"givenName": "Ana", "familyName": "Lee", "middleName": "M"},
            "emails": [{"value": "a", "type": "work"}, {"value": "b", "type": "home"}],
            ENTERPRISE: {"department": "R&D", "employeeNumber": "7"},
            "urn:example:custom:2.0:User": {"badge": "9"},
        });
        let wanted = |attributes: &[&str], excluded: &[&str]| {
            let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
            let mut part = project(user.clone(), &owned(attributes), &owned(excluded));
            let (id, schemas) = (part["id"].take(), part["schemas"].take());
            assert_eq!((id, schemas), (user["id"].clone(), user["schemas"].clone()));
            let part = part.as_object_mut().unwrap();
            part.retain(|_, value| !value.is_null());
            Value::Object(part.clone())
        };
        assert_eq!(wanted(&["USERNAME"], &[]), json!({"userName": "ana"}));
        assert_eq!(
            wanted(&["name.givenName", "name.familyName", "emails.value"], &[]),
            json!({"name": {"givenName": "Ana", "familyName": "Lee"}, "emails": [{"value": "a"}, {"value": "b"}]})
        );
        let department = format!("{}:department", ENTERPRISE);
        assert_eq!(wanted(&[&department], &[]), json!({ENTERPRISE: {"department": "R&D"}}));
        assert_eq!(wanted(&[ENTERPRISE], &[&department]), json!({ENTERPRISE: {"employeeNumber": "7"}}));
        let badge = json!({"urn:example:custom:2.0:User": {"badge": "9"}});
        assert_eq!(wanted(&["urn:example:custom:2.0:User"], &[]), badge);
        assert_eq!(wanted(&["nothing", "no path["], &[]), json!({}));
        assert_eq!(wanted(&["userName"], &["id", "schemas"]), json!({"userName": "ana"}));
        assert_eq!(wanted(&["emails"], &["emails.type"]), json!({"emails": [{"value": "a"}, {"value": "b"}]}));
    }
}
