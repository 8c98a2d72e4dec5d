//! Their users and groups to our facts; pure.

use std::collections::{BTreeMap, BTreeSet};

use lifecycle::{
    AccountFacts, GroupFacts, Standing,
    account::{IdentityKind, Profile},
};
use serde::Deserialize;
use serde_json::{Map as Object, Value};

use super::config::Map;

/// What the user names of service accounts begin with; Keycloak makes them from the client's id.
pub(super) const SERVICE: &str = "service-account-";

/// `UserRepresentation`, as far as we read it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct User {
    pub id: String,
    pub username: Option<String>,
    pub email: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub enabled: Option<bool>,
    #[serde(default)]
    pub attributes: BTreeMap<String, Vec<String>>,
}

/// What is known of one user. `groups` are names as [`Groups::names`] gives them.
pub(super) fn facts(user: User, groups: BTreeSet<String>, map: &Map) -> AccountFacts {
    let text = |value: Option<String>| value.filter(|value| !value.is_empty());
    let attribute = |name: &str| text(user.attributes.get(name).and_then(|values| values.first()).cloned());
    let is_service = user.username.as_deref().is_some_and(|name| name.starts_with(SERVICE));
    let (first, last) = (text(user.first_name), text(user.last_name));
    let names: Vec<&str> = [&first, &last].into_iter().filter_map(Option::as_deref).collect();
    let profile = Profile {
        employee_number: attribute(&map.employee_number),
        department: attribute(&map.department),
        manager: attribute(&map.manager),
        display_name: (!names.is_empty()).then(|| names.join(" ")),
        user_name: text(user.username),
        email: text(user.email),
    };
    let mut attributes = plain(user.attributes);
    for (name, value) in [("givenName", first), ("familyName", last)] {
        attributes.extend(value.map(|value| (name.to_owned(), value.into())));
    }
    AccountFacts {
        native_id: user.id,
        external_id: None,
        profile,
        standing: match user.enabled {
            Some(true) => Standing::Active,
            Some(false) => Standing::Inactive,
            None => Standing::Unknown,
        },
        starts_at: None,
        ends_at: None,
        kind: is_service.then_some(IdentityKind::Service),
        attributes: Value::Object(attributes),
        groups: Some(groups.into_iter().collect()),
    }
}

fn plain(attributes: BTreeMap<String, Vec<String>>) -> Object<String, Value> {
    attributes.into_iter().map(|(name, values)| (name, one_or_all(values))).collect()
}

/// Most attributes have one value, and expressions read them more easily without a list around it.
fn one_or_all(mut values: Vec<String>) -> Value {
    match values.len() {
        1 => values.remove(0).into(),
        _ => values.into(),
    }
}

/// `GroupRepresentation`, as far as we read it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Group {
    pub id: String,
    pub name: String,
    #[serde(default)]
    pub sub_group_count: u64,
    #[serde(default)]
    pub attributes: BTreeMap<String, Vec<String>>,
}

/// The tree of groups. Names come from it and not from `path`, where a slash may also be part of a name.
#[derive(Debug, Default)]
pub(super) struct Groups {
    by_id: BTreeMap<String, Node>,
}

#[derive(Debug)]
struct Node {
    name: String,
    parent: Option<String>,
    attributes: BTreeMap<String, Vec<String>>,
}

impl Groups {
    /// Adds a group below one that is already there.
    pub fn add(&mut self, group: &Group, parent: Option<&str>) {
        let above = parent.and_then(|id| self.by_id.get(id));
        let name = above.map_or_else(|| group.name.clone(), |above| format!("{}/{}", above.name, group.name));
        let (parent, attributes) = (parent.map(str::to_owned), group.attributes.clone());
        self.by_id.insert(group.id.clone(), Node { name, parent, attributes });
    }

    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.by_id.keys().map(String::as_str)
    }

    /// Each by its name, which is how those who are in it state it. A slash may be part of a name, so that two go by one: what is said
    /// of either is said of both. What a group has is not what those below it have.
    pub fn facts(&self) -> Vec<GroupFacts> {
        let mut by_name: BTreeMap<&str, BTreeMap<String, Vec<String>>> = BTreeMap::new();
        for node in self.by_id.values() {
            let all = by_name.entry(&node.name).or_default();
            for (name, values) in &node.attributes {
                all.entry(name.clone()).or_default().extend(values.iter().cloned());
            }
        }
        let facts = |(name, attributes): (&str, _)| GroupFacts {
            native_id: name.to_owned(),
            external_id: None,
            display_name: name.to_owned(),
            attributes: Value::Object(plain(attributes)),
        };
        by_name.into_iter().map(facts).collect()
    }

    /// The group and all above it, as `engineering/platform` and `engineering`: a member of a subgroup has what is granted
    /// to the groups above.
    pub fn names<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a str> {
        std::iter::successors(self.by_id.get(id), |node| self.by_id.get(node.parent.as_deref()?))
            .map(|node| node.name.as_str())
    }
}
