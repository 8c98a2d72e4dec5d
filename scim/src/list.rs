//! Lists: the query parameters (RFC 7644 §3.4.2), the response, and partial resources (§3.9).

use serde_json::{Map, Value, json};

use crate::error::{Error, Result, ScimType};
use crate::filter::Filter;
use crate::limits;
use crate::path::{AttributePath, Path};
use crate::schema::{self, ResourceType};

/// The parameters of a GET.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    pub filter: Option<Filter>,
    /// Of the first resource wanted; the first of all is 1.
    pub start_index: u64,
    /// Resources wanted, at most [`limits::PAGE`]. 0 asks for the total alone.
    pub count: u64,
    /// As sent, one name each; empty means all.
    pub attributes: Vec<String>,
    pub excluded_attributes: Vec<String>,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            filter: None,
            start_index: 1,
            count: limits::DEFAULT_PAGE,
            attributes: Vec::new(),
            excluded_attributes: Vec::new(),
        }
    }
}

impl Query {
    /// Reads decoded query parameters. Names are taken in any case (Microsoft's own collection sends `startindex`); unknown
    /// parameters are passed over, as RFC 7644 wants of a provider without sorting.
    ///
    /// # Errors
    /// `invalidFilter`; `invalidValue` for a number that is none and for a parameter stated twice.
    pub fn parse(resource: ResourceType, pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        let mut query = Self::default();
        let mut seen = Vec::new();
        for (name, value) in pairs {
            let known = ["filter", "startIndex", "count", "attributes", "excludedAttributes"];
            let Some(known) = known.into_iter().find(|known| known.eq_ignore_ascii_case(&name)) else { continue };
            if seen.contains(&known) {
                return Err(Error::bad_request(
                    ScimType::InvalidValue,
                    format!("`{known}` is stated twice; send it once"),
                ));
            }
            seen.push(known);
            match known {
                "filter" => query.filter = Some(Filter::parse(resource, &value)?),
                "startIndex" => query.start_index = whole_number(known, &value)?.max(1),
                "count" => query.count = whole_number(known, &value)?.min(limits::PAGE),
                "attributes" => query.attributes = names(&value),
                _ => query.excluded_attributes = names(&value),
            }
        }
        Ok(query)
    }

    /// Whether a response carries `attribute`. What is not carried need not be read: Entra excludes the members of every group.
    pub fn returns(&self, attribute: &str) -> bool {
        let named = |selectors: &[Selector]| selectors.iter().any(|selector| selector.core_name_is(attribute));
        let excluded = selectors(&self.excluded_attributes).into_iter().filter(Selector::is_whole).collect::<Vec<_>>();
        is_always_returned(attribute)
            || ((self.attributes.is_empty() || named(&selectors(&self.attributes))) && !named(&excluded))
    }

    /// `resource` as this query wants it.
    pub fn project(&self, resource: &Value) -> Value {
        project(resource, &self.attributes, &self.excluded_attributes)
    }
}

/// Below zero is zero (RFC 7644 §3.4.2.4).
fn whole_number(name: &str, value: &str) -> Result<u64> {
    let number: i64 = value.trim().parse().map_err(|_| Error::invalid_value(name, "a whole number"))?;
    Ok(u64::try_from(number).unwrap_or(0))
}

fn names(value: &str) -> Vec<String> {
    value.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// A ListResponse. `total` counts all matches, `resources` are those of this page.
pub fn response(total: u64, start_index: u64, resources: Vec<Value>) -> Value {
    json!({
        "schemas": [schema::LIST_RESPONSE],
        "totalResults": total,
        "startIndex": start_index,
        "itemsPerPage": resources.len(),
        "Resources": resources,
    })
}

/// The part of a rendered `resource` that is asked for: what `attributes` names (all if empty) without what `excluded` names.
/// Names may have a sub-attribute and a schema URN, in any case; `id` and `schemas` are always returned (RFC 7643 §7).
pub fn project(resource: &Value, attributes: &[String], excluded: &[String]) -> Value {
    let Value::Object(resource) = resource else { return resource.clone() };
    let mut kept = resource.clone();
    if !attributes.is_empty() {
        kept = narrowed(&kept, &selectors(attributes), true);
    }
    if !excluded.is_empty() {
        kept = narrowed(&kept, &selectors(excluded), false);
    }
    Value::Object(kept)
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
            Path::Attribute(path) if path.is_whole() && path.to_string().eq_ignore_ascii_case(urn) => Some(None),
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
    use crate::filter::{Attribute, FilterValue};

    fn query(pairs: &[(&str, &str)]) -> Result<Query> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Query::parse(ResourceType::User, pairs)
    }

    #[test]
    fn b1_23_paging_is_one_based_and_bounded_whatever_the_case_of_the_names() {
        for (pairs, start_index, count) in [
            (&[][..], 1, 100),
            (&[("startindex", "0")], 1, 100),
            (&[("startIndex", "-3"), ("count", "-1")], 1, 0),
            (&[("STARTINDEX", "101"), ("Count", "100")], 101, 100),
            (&[("count", "0")], 1, 0),
            (&[("count", "50000")], 1, 1_000),
        ] {
            let query = query(pairs).unwrap();
            assert_eq!((query.start_index, query.count), (start_index, count), "{pairs:?}");
        }
        for pairs in [&[("count", "ten")][..], &[("startIndex", "")], &[("count", "1"), ("COUNT", "2")]] {
            assert_eq!(query(pairs).unwrap_err().scim_type, Some(ScimType::InvalidValue), "{pairs:?}");
        }
    }

    #[test]
    fn b1_13_the_query_of_okta_is_read() {
        let query = query(&[("filter", "userName eq \"test.user@okta.local\""), ("startIndex", "1"), ("count", "100")]);
        let value = FilterValue::String("test.user@okta.local".to_owned());
        let filter = Some(Filter::Eq { attribute: Attribute::UserName, value });
        assert_eq!(query, Ok(Query { filter, ..Query::default() }));
    }

    #[test]
    fn an_empty_filter_is_refused_rather_than_answered_with_everybody() {
        assert_eq!(query(&[("filter", "")]).unwrap_err().scim_type, Some(ScimType::InvalidFilter));
    }

    #[test]
    fn b1_11_excluded_members_are_neither_needed_nor_returned() {
        let query = query(&[("excludedattributes", "members")]).unwrap();
        assert!(!query.returns("members"));
        assert!(query.returns("displayName"));
        let group = json!({"schemas": [schema::GROUP], "id": "1", "displayName": "g", "members": [{"value": "2"}]});
        assert_eq!(query.project(&group), json!({"schemas": [schema::GROUP], "id": "1", "displayName": "g"}));
    }

    #[test]
    fn a_partial_resource_holds_what_is_named_and_always_id_and_schemas() {
        let user = json!({
            "schemas": [schema::USER, schema::ENTERPRISE],
            "id": "1",
            "userName": "ana",
            "name": {"givenName": "Ana", "familyName": "Lee", "middleName": "M"},
            "emails": [{"value": "a", "type": "work"}, {"value": "b", "type": "home"}],
            schema::ENTERPRISE: {"department": "R&D", "employeeNumber": "7"},
            "urn:example:custom:2.0:User": {"badge": "9"},
        });
        let wanted = |attributes: &[&str], excluded: &[&str]| {
            let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
            let mut part = project(&user, &owned(attributes), &owned(excluded));
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
        let department = format!("{}:department", schema::ENTERPRISE);
        assert_eq!(wanted(&[&department], &[]), json!({schema::ENTERPRISE: {"department": "R&D"}}));
        assert_eq!(wanted(&[schema::ENTERPRISE], &[&department]), json!({schema::ENTERPRISE: {"employeeNumber": "7"}}));
        let badge = json!({"urn:example:custom:2.0:User": {"badge": "9"}});
        assert_eq!(wanted(&["urn:example:custom:2.0:User"], &[]), badge);
        assert_eq!(wanted(&["nothing", "no path["], &[]), json!({}));
        assert_eq!(wanted(&["userName"], &["id", "schemas"]), json!({"userName": "ana"}));
        assert_eq!(wanted(&["emails"], &["emails.type"]), json!({"emails": [{"value": "a"}, {"value": "b"}]}));
    }
}
