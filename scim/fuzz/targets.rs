//! What holds for every input, however it came about: for the fuzzer, and for the tests, which try the inputs in `corpus` again.

use scim::bulk::{Done, Run};
use scim::dialect::quirks;
use scim::filter::Attribute;
use scim::{Bulk, Error, Filter, Group, Patch, Path, Query, ResourceType, User, check_json, limits, redact};
use serde_json::{Value, json};

const BOTH: [ResourceType; 2] = [ResourceType::User, ResourceType::Group];

/// What is understood can be printed and understood again, and selects something or nothing without a panic.
pub fn filter(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for resource in BOTH {
        if let Ok(filter) = Filter::parse(resource, text) {
            let printed = filter.to_string();
            // What it is printed as may be longer than what may be sent.
            if printed.len() <= limits::FILTER_LENGTH {
                assert_eq!(Filter::parse(resource, &printed).as_ref(), Ok(&filter), "{printed}");
            }
            filter.matches(&user());
        }
        quirks(resource, &Value::Null, &[("filter".to_owned(), text.to_owned())]);
    }
    let redacted = redact::expression(text);
    assert_eq!(redact::expression(&redacted), redacted);
}

/// A path names something, or says where it does not.
pub fn path(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(Path::Attribute(path)) = Path::parse(text) {
        assert!(!path.name.is_empty());
    }
    for resource in BOTH {
        if let Ok(attribute) = Attribute::parse(resource, text) {
            assert_eq!(Attribute::parse(resource, &attribute.to_string()), Ok(attribute));
        }
    }
}

/// What a patch makes of a user is a canonical user, in which `active` is true, false or not stated.
pub fn patch(bytes: &[u8]) {
    let Ok(body) = check_json(bytes, limits::USER_BODY) else { return };
    let Ok(patch) = Patch::parse(&body) else { return };
    if let Ok(after) = patch.apply_to_user(&user()) {
        assert_eq!(User::parse(&after).map(|user| user.resource).as_ref(), Ok(&after));
        assert!(after.get("active").is_none_or(Value::is_boolean));
    }
    if let Ok(group) = patch.for_group()
        && let Ok(after) = group.apply_to(&json!({"displayName": "g"}))
    {
        assert_eq!(Group::parse(&after).map(|group| group.resource), Ok(after));
    }
}

/// A body is understood or refused, by everybody who may get it; what is kept of it has its shape.
pub fn json(bytes: &[u8]) {
    let Ok(body) = check_json(bytes, limits::USER_BODY) else { return };
    if let Ok(user) = User::parse(&body) {
        assert_eq!(User::parse(&user.resource), Ok(user));
    }
    if let Ok(group) = Group::parse(&body) {
        assert_eq!(Group::parse(&group.resource).map(|again| again.resource), Ok(group.resource));
    }
    for resource in BOTH {
        quirks(resource, &body, &[]);
        if let Ok(query) = Query::parse_search(resource, &body) {
            query.project(user());
        }
    }
    if let Ok(bulk) = Bulk::parse(&body) {
        carry_out(bulk);
    }
    let redacted = redact::redact(&body);
    assert_eq!(redacted.is_object(), body.is_object());
}

/// A bulk request ends, with one answer for each operation at most.
fn carry_out(bulk: Bulk) {
    let count = bulk.operations.len();
    let mut run = Run::new(bulk, "https://scim.example.com/v2");
    let mut steps = 0;
    while let Some(step) = run.next() {
        steps += 1;
        assert!(steps <= 2 * count);
        let fails = step.data["userName"] == "fails";
        run.done(if fails { Err(Error::not_found()) } else { Ok(Done { id: steps.to_string(), version: None }) });
    }
    assert!(run.response()["Operations"].as_array().is_some_and(|tried| tried.len() <= count));
}

fn user() -> Value {
    json!({
        "userName": "Ana.Lee@example.com",
        "active": true,
        "name": {"givenName": "Ana", "familyName": "Lee"},
        "emails": [
            {"value": "ana@example.com", "type": "work", "primary": true},
            {"value": "ana@example.org", "type": "home"},
        ],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"manager": {"value": "1"}},
        "custom": [{"value": "a"}, "b"],
    })
}
