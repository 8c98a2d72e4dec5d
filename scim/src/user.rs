//! A user as it was sent, brought to canonical form, with a typed view of what an identity system acts upon.

use serde_json::{Map, Value};

use crate::edit::{self, Op};
use crate::error::{Error, Result};
use crate::schema::{ENTERPRISE, ResourceType};

/// A User (RFC 7643 §4.1). All fields but `resource` are read from it; strings are as sent, in their case.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// Never empty. Unique without regard to case.
    pub user_name: String,
    /// The provider's name for this user; providers change it.
    pub external_id: Option<String>,
    /// `None`: not stated. That is neither true nor false, and must not change anybody's access.
    pub active: Option<bool>,
    pub display_name: Option<String>,
    /// The primary address, else the first of type `work`, else the first.
    pub email: Option<String>,
    /// From the enterprise extension, like `department` and `manager`.
    pub employee_number: Option<String>,
    pub department: Option<String>,
    /// The manager's `id`, as the provider knows it.
    pub manager: Option<String>,
    /// The canonical resource: known names in canonical case, `active` a boolean, lists as lists of objects, unknown attributes
    /// as sent; without `schemas`, `id`, `meta`, `groups` and `password`.
    pub resource: Value,
}

impl User {
    /// Reads the body of a POST or PUT, or a stored canonical resource (which stays as it is).
    ///
    /// # Errors
    /// `invalidSyntax` if the body is not an object or states an attribute twice; `invalidValue` if `userName` is missing or an
    /// attribute has a shape that no leniency covers.
    pub fn parse(body: &Value) -> Result<Self> {
        let Value::Object(body) = body else { return Err(Error::invalid_syntax("the body must be a JSON object")) };
        let mut resource = Map::new();
        edit::merge(&mut resource, ResourceType::User, Op::Add, body)?;
        let text = |value: Option<&Value>| {
            value.and_then(Value::as_str).filter(|text| !text.trim().is_empty()).map(str::to_owned)
        };
        let enterprise = |name: &str| resource.get(ENTERPRISE).and_then(|extension| extension.get(name));
        Ok(Self {
            user_name: text(resource.get("userName"))
                .ok_or_else(|| Error::invalid_value("userName", "a string that is not empty; it is required"))?,
            external_id: text(resource.get("externalId")),
            active: resource.get("active").and_then(Value::as_bool),
            display_name: text(resource.get("displayName")),
            email: email(resource.get("emails")),
            employee_number: text(enterprise("employeeNumber")),
            department: text(enterprise("department")),
            manager: text(enterprise("manager").and_then(|manager| manager.get("value"))),
            resource: Value::Object(resource),
        })
    }
}

fn email(emails: Option<&Value>) -> Option<String> {
    let emails: Vec<(&Value, &str)> = emails?
        .as_array()?
        .iter()
        .filter_map(|email| Some((email, email.get("value")?.as_str().filter(|text| !text.trim().is_empty())?)))
        .collect();
    let is_primary = |email: &Value| email.get("primary") == Some(&Value::Bool(true));
    let is_work =
        |email: &Value| email.get("type").and_then(Value::as_str).is_some_and(|kind| kind.eq_ignore_ascii_case("work"));
    let first_that = |wanted: &dyn Fn(&Value) -> bool| emails.iter().find(|(email, _)| wanted(email));
    first_that(&is_primary).or_else(|| first_that(&is_work)).or(emails.first()).map(|(_, text)| (*text).to_owned())
}
