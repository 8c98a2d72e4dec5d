//! Many operations in one request (RFC 7644 §3.7): the typed form of a request. [`Run`] says in which order to carry it out.

mod reference;
mod run;

use serde_json::Value;

pub use run::{Done, Run, Step};

use crate::canonical;
use crate::error::{Error, Result, ScimType};
use crate::limits;
use crate::schema::ResourceType;

/// A bulk request.
#[derive(Debug, Clone, PartialEq)]
pub struct Bulk {
    /// After so many errors nothing more is done; at least 1. `None`: everything is tried.
    pub fail_on_errors: Option<u64>,
    /// Never empty. Where one is not understood, the others are still to be done.
    pub operations: Vec<Operation>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// `None` if it is none of the four.
    pub method: Option<Method>,
    /// As sent; repeated in the response.
    pub bulk_id: Option<String>,
    /// What is asked for, or why that is not understood.
    pub order: Result<Order>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }

    /// Of an operation that succeeded.
    fn status(self) -> u16 {
        match self {
            Method::Post => 201,
            Method::Put | Method::Patch => 200,
            Method::Delete => 204,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    pub resource: ResourceType,
    /// As sent, perhaps a `bulkId:…`. Absent only with POST.
    pub id: Option<String>,
    /// Stands for an `If-Match` header.
    pub version: Option<String>,
    /// The body of the operation, as sent; null with DELETE.
    pub data: Value,
}

impl Bulk {
    /// Reads a BulkRequest body; check it against [`limits::BULK_BODY`] before.
    ///
    /// # Errors
    /// `invalidSyntax` for another structure and for a `bulkId` that two operations claim; 413 above [`limits::BULK_OPERATIONS`].
    pub fn parse(body: &Value) -> Result<Self> {
        let body = body.as_object().ok_or_else(|| Error::invalid_syntax("the body must be a JSON object"))?;
        let Some(Value::Array(operations)) = canonical::get(body, "Operations") else {
            return Err(Error::invalid_syntax("the body must have a list `Operations`"));
        };
        if operations.is_empty() {
            return Err(Error::invalid_syntax("`Operations` is empty; send at least one operation"));
        }
        if operations.len() > limits::BULK_OPERATIONS {
            let detail =
                format!("`Operations` has more than maxOperations ({}); send fewer at once", limits::BULK_OPERATIONS);
            return Err(Error::status(413, detail));
        }
        let fail_on_errors = match canonical::get(body, "failOnErrors") {
            None | Some(Value::Null) => None,
            Some(number) => match number.as_u64().filter(|number| *number > 0) {
                Some(number) => Some(number),
                None => return Err(Error::invalid_value("failOnErrors", "a whole number above 0")),
            },
        };
        let operations: Vec<Operation> = operations.iter().map(Operation::parse).collect();
        let mut ids = std::collections::HashSet::new();
        for id in
            operations.iter().filter(|one| one.method == Some(Method::Post)).filter_map(|one| one.bulk_id.as_ref())
        {
            if !ids.insert(id) {
                return Err(Error::invalid_syntax("two operations have the same `bulkId`; each must be unique"));
            }
        }
        Ok(Self { fail_on_errors, operations })
    }
}

impl Operation {
    fn parse(operation: &Value) -> Self {
        let empty = serde_json::Map::new();
        let fields = operation.as_object().unwrap_or(&empty);
        let text = |name: &str| canonical::get(fields, name).and_then(Value::as_str);
        let bulk_id = text("bulkId").filter(|id| !id.is_empty());
        let method = text("method").and_then(|method| {
            [Method::Post, Method::Put, Method::Patch, Method::Delete]
                .into_iter()
                .find(|known| known.as_str().eq_ignore_ascii_case(method))
        });
        let order = match method {
            None => Err(Error::invalid_syntax("`method` must be POST, PUT, PATCH or DELETE")),
            Some(Method::Post) if bulk_id.is_none() => {
                Err(Error::bad_request(ScimType::InvalidValue, "`bulkId` is missing; a POST must have one"))
            }
            Some(method) => Order::parse(method, text("path"), text("version"), canonical::get(fields, "data")),
        };
        Self { method, bulk_id: bulk_id.map(str::to_owned), order }
    }
}

impl Order {
    fn parse(method: Method, path: Option<&str>, version: Option<&str>, data: Option<&Value>) -> Result<Self> {
        let Some(path) = path else { return Err(Error::invalid_syntax("`path` is missing; it looks like /Users")) };
        let (endpoint, id) = match path.trim_start_matches('/').split_once('/') {
            Some((endpoint, id)) => (endpoint, Some(id)),
            None => (path.trim_start_matches('/'), None),
        };
        let is = |kind: &ResourceType| kind.endpoint().trim_start_matches('/') == endpoint;
        let Some(resource) = [ResourceType::User, ResourceType::Group].into_iter().find(is) else {
            return Err(if endpoint == "Me" {
                Error::no_me()
            } else {
                Error::status(404, "there is no such endpoint; operations are on /Users and /Groups")
            });
        };
        let one = |id: &&str| !id.is_empty() && !id.contains(['/', '?', '#']);
        let id = match (method, id) {
            (Method::Post, None | Some("")) => None,
            (Method::Put | Method::Patch | Method::Delete, Some(id)) if one(&id) => Some(id.to_owned()),
            (Method::Post, Some(_)) => return Err(Error::invalid_path("a POST goes to /Users or /Groups itself")),
            _ => return Err(Error::invalid_path("`path` must name one resource, as in /Users/{id}")),
        };
        let data = match (method, data) {
            (Method::Delete, _) => Value::Null,
            // A step may end up in somebody's log.
            (_, Some(Value::Object(data))) => Value::Object(
                data.iter()
                    .filter(|(key, _)| !key.eq_ignore_ascii_case("password"))
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect(),
            ),
            _ => return Err(Error::invalid_syntax("`data` must be an object: the body of the operation")),
        };
        Ok(Self { resource, id, version: version.map(str::to_owned), data })
    }
}

#[cfg(test)]
mod tests;
