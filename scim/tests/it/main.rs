//! What identity providers send, and what is understood.

#![expect(clippy::unwrap_used, reason = "tests")]

mod bulks;
mod corpus;
mod dialects;
mod filters;
mod groups;
mod patch_oracle;
mod patches;
mod properties;
mod users;

use scim::{Error, GroupPatch, MemberRef, Patch, Result, User, check_json, limits};
use serde_json::{Value, json};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// A documented request, by the name of its file.
macro_rules! payload {
    ($name:literal) => {
        $crate::read(include_str!(concat!("payloads/", $name, ".json")))
    };
}
use payload;

fn read(text: &str) -> Value {
    check_json(text.as_bytes(), limits::USER_BODY).unwrap()
}

/// A canonical user that is active.
fn ana() -> Value {
    json!({
        "userName": "Ana.Lee@example.com",
        "active": true,
        "name": {"givenName": "Ana", "familyName": "Lee"},
        "emails": [
            {"value": "ana@example.com", "type": "work", "primary": true},
            {"value": "ana@example.org", "type": "home"},
        ],
    })
}

/// What one operation makes of `current`.
fn patched(current: &Value, operation: Value) -> Result<Value> {
    Patch::parse(&json!({"Operations": [operation]}))?.apply_to_user(current)
}

/// `current` with another value at a JSON pointer; null removes it.
fn with(mut current: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = current.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Value::Null => drop(parent.remove(key)),
        value => drop(parent.insert(key.to_owned(), value)),
    }
    current
}

fn keyword(error: &Error) -> &'static str {
    error.scim_type.map_or("", scim::ScimType::as_str)
}

fn user(body: &Value) -> User {
    User::parse(body).unwrap()
}

fn group_patch(body: &Value) -> Result<GroupPatch> {
    Patch::parse(body)?.for_group()
}

fn member(value: &str) -> MemberRef {
    MemberRef { value: value.to_owned(), nested: false }
}
