//! PATCH against a second, slower understanding of RFC 7644 §3.5.2: a user is taken apart into single facts, which are added and
//! removed one by one, and put together again.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use crate::filters::selects;
use crate::{ENTERPRISE, keyword, patched};

const DEPARTMENT: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department";

/// Attribute, place in its list, sub-attribute.
type Fact = (&'static str, usize, String);

#[derive(Debug, Clone, Default, PartialEq)]
struct Facts(BTreeMap<Fact, Value>);

/// What a patch aims at.
#[derive(Debug, Clone)]
enum Target {
    /// An attribute with one value.
    Single(&'static str),
    Name(Option<&'static str>),
    /// The list of e-mail addresses: those that a filter selects, or all; the value, or a part of it.
    Emails(Option<String>, Option<&'static str>),
}

#[derive(Debug, Clone)]
struct Operation {
    op: &'static str,
    target: Target,
    value: Value,
}

impl Operation {
    fn to_json(&self) -> Value {
        let path = match &self.target {
            Target::Single(name) => (*name).to_owned(),
            Target::Name(None) => "name".to_owned(),
            Target::Name(Some(sub)) => format!("name.{sub}"),
            Target::Emails(filter, sub) => {
                let brackets = filter.as_ref().map(|filter| format!("[{filter}]")).unwrap_or_default();
                let sub = sub.map(|sub| format!(".{sub}")).unwrap_or_default();
                format!("emails{brackets}{sub}")
            }
        };
        match self.op {
            "remove" => json!({"op": self.op, "path": path}),
            op => json!({"op": op, "path": path, "value": self.value}),
        }
    }
}

impl Facts {
    fn of(user: &Value) -> Self {
        let mut facts = Self::default();
        for name in ["userName", "title", "active"] {
            facts.state((name, 0, String::new()), user.get(name));
        }
        facts.state(
            (DEPARTMENT, 0, String::new()),
            user.get(ENTERPRISE).and_then(|extension| extension.get("department")),
        );
        facts.object("name", 0, &user["name"]);
        for (at, email) in user["emails"].as_array().into_iter().flatten().enumerate() {
            facts.object("emails", at, email);
        }
        facts
    }

    fn to_user(&self) -> Value {
        let mut user = Map::new();
        let mut emails: BTreeMap<usize, Map<String, Value>> = BTreeMap::new();
        for ((name, at, sub), value) in &self.0 {
            match *name {
                "emails" => drop(emails.entry(*at).or_default().insert(sub.clone(), value.clone())),
                "name" => user.entry("name").or_insert_with(|| json!({}))[sub] = value.clone(),
                DEPARTMENT => drop(user.insert(ENTERPRISE.to_owned(), json!({"department": value}))),
                name => drop(user.insert(name.to_owned(), value.clone())),
            }
        }
        if !emails.is_empty() {
            user.insert("emails".to_owned(), emails.into_values().map(Value::Object).collect());
        }
        Value::Object(user)
    }

    fn state(&mut self, fact: Fact, value: Option<&Value>) {
        self.0.extend(value.map(|value| (fact, value.clone())));
    }

    fn object(&mut self, name: &'static str, at: usize, object: &Value) {
        for (sub, value) in object.as_object().into_iter().flatten() {
            self.state((name, at, sub.clone()), Some(value));
        }
    }

    fn forget(&mut self, gone: impl Fn(&Fact) -> bool) {
        self.0.retain(|fact, _| !gone(fact));
    }

    fn email(&self, at: usize) -> Value {
        let of_it = self.0.iter().filter(|((name, place, _), _)| *name == "emails" && *place == at);
        of_it.map(|((_, _, sub), value)| (sub.clone(), value.clone())).collect()
    }

    fn places(&self) -> BTreeSet<usize> {
        self.0.keys().filter(|(name, _, _)| *name == "emails").map(|(_, at, _)| *at).collect()
    }

    fn next(&self) -> usize {
        self.places().last().map_or(0, |last| last + 1)
    }

    /// The first of those that were touched and are primary is the only one.
    fn one_primary(&mut self, touched: &[usize]) {
        let is_primary = |facts: &Self, at: usize| facts.email(at)["primary"] == true;
        let Some(kept) = touched.iter().copied().find(|at| is_primary(self, *at)) else { return };
        for at in self.places() {
            if at != kept && is_primary(self, at) {
                self.0.insert(("emails", at, "primary".to_owned()), json!(false));
            }
        }
    }

    fn apply(&mut self, Operation { op, target, value }: &Operation) -> Result<(), &'static str> {
        match (target, *op) {
            (Target::Single("userName"), "remove") => return Err("mutability"),
            (Target::Single(name), "remove") => self.forget(|(held, _, _)| held == name),
            (Target::Single(name), _) => self.state((name, 0, String::new()), Some(value)),
            (Target::Name(None), "remove") => self.forget(|(held, _, _)| *held == "name"),
            (Target::Name(None), _) => self.object("name", 0, value),
            (Target::Name(Some(part)), "remove") => self.forget(|(held, _, sub)| *held == "name" && sub == part),
            (Target::Name(Some(part)), _) => self.state(("name", 0, (*part).to_owned()), Some(value)),
            (Target::Emails(None, None), "remove") => self.forget(|(held, _, _)| *held == "emails"),
            (Target::Emails(None, None), op) => self.list(op, value),
            (Target::Emails(filter, sub), "remove") => {
                for at in self.selected(filter.as_deref()) {
                    self.remove(at, *sub);
                }
            }
            (Target::Emails(None, Some(part)), _) => {
                let places = self.places();
                if places.len() > 1 {
                    return Err("invalidPath");
                }
                let at = places.first().copied().unwrap_or(0);
                self.state(("emails", at, (*part).to_owned()), Some(value));
            }
            (Target::Emails(Some(filter), sub), op) => {
                let mut places = self.selected(Some(filter));
                if places.is_empty() {
                    let at = self.next();
                    self.object("emails", at, &described(filter).ok_or("noTarget")?);
                    places.push(at);
                }
                for &at in &places {
                    match sub {
                        Some(part) => self.state(("emails", at, (*part).to_owned()), Some(value)),
                        None => {
                            if op == "replace" {
                                self.forget(|(held, place, _)| *held == "emails" && *place == at);
                                self.object("emails", at, &described(filter).unwrap_or(json!({})));
                            }
                            self.object("emails", at, value);
                        }
                    }
                }
                self.one_primary(&places);
            }
        }
        Ok(())
    }

    /// A whole list, in which the first of several primaries stays.
    fn list(&mut self, op: &str, value: &Value) {
        if op == "replace" {
            self.forget(|(held, _, _)| *held == "emails");
        }
        let (mut touched, mut primary) = (Vec::new(), false);
        let mut new: Vec<Value> = value.as_array().unwrap().iter().filter(|one| **one != json!({})).cloned().collect();
        for one in &mut new {
            if one["primary"] == true && std::mem::replace(&mut primary, true) {
                one["primary"] = json!(false);
            }
        }
        for one in new.iter_mut().map(|one| {
            one.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            one.clone()
        }) {
            let same = |email: &Value| {
                *email == one
                    || (!email["value"].is_null() && email["value"] == one["value"] && email["type"] == one["type"])
            };
            let there = if op == "add" { self.places().into_iter().find(|at| same(&self.email(*at))) } else { None };
            let at = there.unwrap_or_else(|| self.next());
            self.object("emails", at, &one);
            touched.push(at);
        }
        if op == "add" {
            self.one_primary(&touched);
        }
    }

    fn selected(&self, filter: Option<&str>) -> Vec<usize> {
        let places = self.places().into_iter();
        places.filter(|at| filter.is_none_or(|filter| selects(filter, &self.email(*at), "emails"))).collect()
    }

    /// What is left with a label alone is nothing.
    fn remove(&mut self, at: usize, part: Option<&str>) {
        self.forget(|(held, place, sub)| *held == "emails" && *place == at && part.is_none_or(|part| sub == part));
        let left = self.email(at);
        if left.as_object().unwrap().keys().all(|sub| ["type", "primary", "display"].contains(&sub.as_str())) {
            self.forget(|(held, place, _)| *held == "emails" && *place == at);
        }
    }
}

/// What a filter that says nothing but the kind of a value says of it.
fn described(filter: &str) -> Option<Value> {
    let mut value = json!({});
    for part in filter.split(" and ") {
        let (name, literal) = part.split_once(" eq ")?;
        let literal: Value = serde_json::from_str(literal).ok()?;
        let said = value[name].clone();
        if !["type", "primary"].contains(&name) || !(said.is_null() || said == literal) {
            return None;
        }
        value[name] = literal;
    }
    Some(value)
}

fn emails() -> impl Strategy<Value = Value> {
    let word = |words: Vec<&'static str>| proptest::option::of(select(words));
    (word(vec!["a", "b", "c"]), word(vec!["work", "home"]), proptest::option::of(any::<bool>())).prop_map(
        |(value, kind, primary)| {
            let parts = [("value", json!(value)), ("type", json!(kind)), ("primary", json!(primary))];
            parts.into_iter().filter(|(_, part)| !part.is_null()).map(|(name, part)| (name.to_owned(), part)).collect()
        },
    )
}

fn users() -> impl Strategy<Value = Value> {
    let list = proptest::collection::vec(emails(), 0..4);
    (any::<bool>(), proptest::option::of(select(vec!["x", "y"])), list).prop_map(|(active, word, emails)| {
        let body = json!({
            "userName": "ana", "active": active, "title": word, "name": {"givenName": word}, "emails": emails,
            ENTERPRISE: {"department": word},
        });
        scim::User::parse(&body).unwrap().resource
    })
}

fn brackets() -> impl Strategy<Value = String> {
    select(vec![
        r#"type eq "work""#,
        r#"type eq "home" and primary eq true"#,
        "primary eq true",
        "primary eq false",
        r#"value eq "a""#,
        r#"value co "b" or type ne "work""#,
        r#"not (type eq "work")"#,
        "value pr",
        r#"type eq "work" and type eq "home""#,
        r#"not (value pr) or (type sw "h" and value ge "b")"#,
    ])
    .prop_map(str::to_owned)
}

fn operations() -> impl Strategy<Value = Operation> {
    let op = select(vec!["add", "replace", "remove"]);
    let word = || select(vec![json!("x"), json!("y")]);
    let single =
        (select(vec!["userName", "title", DEPARTMENT]), word()).prop_map(|(name, value)| (Target::Single(name), value));
    let active = any::<bool>().prop_map(|truth| (Target::Single("active"), json!(truth)));
    let name = select(vec![
        json!({"givenName": "x"}),
        json!({"familyName": "y"}),
        json!({"givenName": "y", "familyName": "x"}),
    ])
    .prop_map(|value| (Target::Name(None), value));
    let part =
        (select(vec!["givenName", "familyName"]), word()).prop_map(|(sub, value)| (Target::Name(Some(sub)), value));
    let list = proptest::collection::vec(emails(), 1..3).prop_map(|list| (Target::Emails(None, None), json!(list)));
    let whole = (brackets(), emails())
        .prop_filter("an object that says nothing changes nothing", |(_, email)| *email != json!({}))
        .prop_map(|(filter, email)| (Target::Emails(Some(filter), None), email));
    let sub = prop_oneof![
        select(vec!["a", "b", "c"]).prop_map(|text| ("value", json!(text))),
        select(vec!["work", "home"]).prop_map(|text| ("type", json!(text))),
        any::<bool>().prop_map(|truth| ("primary", json!(truth))),
    ];
    let of_value = (proptest::option::of(brackets()), sub)
        .prop_map(|(filter, (sub, value))| (Target::Emails(filter, Some(sub)), value));
    let target = prop_oneof![1 => single, 1 => active, 1 => name, 1 => part, 2 => list, 2 => whole, 3 => of_value];
    (op, target).prop_map(|(op, (target, value))| Operation { op, target, value })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn two_ways_to_understand_a_patch_make_the_same_user(
        before in users(),
        operations in proptest::collection::vec(operations(), 1..4),
    ) {
        let mut facts = Facts::of(&before);
        let expected = operations.iter().try_for_each(|operation| facts.apply(operation)).map(|()| {
            // What is stored holds each value once.
            let emails = facts.places().into_iter().map(|at| facts.email(at)).collect();
            facts.forget(|(held, _, _)| *held == "emails");
            facts.list("add", &emails);
            facts.to_user()
        });
        let body = json!({"Operations": operations.iter().map(Operation::to_json).collect::<Value>()});
        let patched = scim::Patch::parse(&body).unwrap().apply_to_user(&before);
        prop_assert_eq!(patched.map_err(|error| keyword(&error)), expected, "{} of {}", body, before);
    }

    #[test]
    fn doing_it_twice_is_doing_it_once(before in users(), operation in operations()) {
        // A value that was set is perhaps not selected again by the filter that selected it.
        let selects = operation.op != "remove" && matches!(operation.target, Target::Emails(Some(_), _));
        let body = operation.to_json();
        if let (Ok(once), false) = (patched(&before, body.clone()), selects)
        {
            prop_assert_eq!(patched(&once, body), Ok(once));
        }
    }

    #[test]
    fn b1_08_there_is_never_more_than_one_primary(before in users(), operation in operations()) {
        let primaries = |user: &Value| {
            user["emails"].as_array().into_iter().flatten().filter(|email| email["primary"] == true).count()
        };
        if let Ok(after) = patched(&before, operation.to_json()) {
            prop_assert!(primaries(&after) <= 1, "{}", after);
        }
    }
}
