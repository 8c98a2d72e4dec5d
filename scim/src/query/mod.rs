//! What a list is asked for: the parameters of a GET (RFC 7644 §3.4.2, RFC 9865 §2) and the body of a POST to `/.search` (RFC 7644
//! §3.4.3), which say the same.

mod sort;

use serde_json::Value;

pub use sort::Sort;

use crate::error::{Error, Result, ScimType};
use crate::filter::Filter;
use crate::limits;
use crate::list;
use crate::schema::ResourceType;

/// A query for a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    pub filter: Option<Filter>,
    /// Without it any order will do, as long as it is the same on every page.
    pub sort: Option<Sort>,
    pub page: Page,
    /// Resources wanted, at most [`limits::PAGE`]. 0 asks for the total alone, and only pages by index can be empty.
    pub count: u64,
    /// As sent, one name each; empty means all. At most one of the two says anything.
    pub attributes: Vec<String>,
    pub excluded_attributes: Vec<String>,
}

/// Which page of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// By the place of its first resource; the first of all is 1.
    Index(u64),
    /// The first of pages by cursor.
    First,
    /// By what the service provider returned as `nextCursor` or `previousCursor`, and this crate does not look into. Answer what is
    /// not yours with [`Error::invalid_cursor`].
    Cursor(String),
}

impl Default for Query {
    fn default() -> Self {
        Self {
            filter: None,
            sort: None,
            page: Page::Index(1),
            count: limits::DEFAULT_PAGE,
            attributes: Vec::new(),
            excluded_attributes: Vec::new(),
        }
    }
}

const PARAMETERS: [&str; 8] =
    ["filter", "sortBy", "sortOrder", "startIndex", "count", "cursor", "attributes", "excludedAttributes"];

/// What was stated, of each parameter once.
#[derive(Default)]
struct Stated(Vec<(&'static str, String)>);

impl Query {
    /// Reads decoded query parameters. Names are taken in any case (Microsoft's own collection sends `startindex`); unknown
    /// parameters are passed over.
    ///
    /// # Errors
    /// `invalidFilter`; `invalidCount` and `invalidCursor`; `invalidValue` for a `startIndex` that is no number, a `sortBy` that
    /// names nothing, a parameter stated twice, and for two that exclude each other: `startIndex` and `cursor`, `attributes`
    /// and `excludedAttributes` (RFC 7644 §3.9).
    pub fn parse(resource: ResourceType, pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        let mut stated = Stated::default();
        pairs.into_iter().try_for_each(|(name, value)| stated.add(&name, value))?;
        stated.into_query(resource)
    }

    /// Reads the body of a POST to `/.search`.
    ///
    /// # Errors
    /// As for [`Query::parse`], and `invalidSyntax` for what is no object.
    pub fn parse_search(resource: ResourceType, body: &Value) -> Result<Self> {
        let Value::Object(body) = body else { return Err(Error::invalid_syntax("the body must be a JSON object")) };
        let mut stated = Stated::default();
        for (name, value) in body {
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                Value::Array(names) if names.iter().all(Value::is_string) => {
                    names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
                }
                _ if known(name).is_none() => continue,
                _ => return Err(Error::invalid_value(name, "a string, a number or a list of strings")),
            };
            stated.add(name, text)?;
        }
        stated.into_query(resource)
    }

    /// Whether a response carries `attribute`. What is not carried need not be read: Entra excludes the members of every group.
    pub fn returns(&self, attribute: &str) -> bool {
        list::returns(attribute, &self.attributes, &self.excluded_attributes)
    }

    /// `resource` as this query wants it.
    pub fn project(&self, resource: Value) -> Value {
        list::project(resource, &self.attributes, &self.excluded_attributes)
    }
}

/// The parameter of this name, in any case.
pub(crate) fn known(name: &str) -> Option<&'static str> {
    PARAMETERS.into_iter().find(|known| known.eq_ignore_ascii_case(name))
}

impl Stated {
    fn add(&mut self, name: &str, value: String) -> Result<()> {
        let Some(known) = known(name) else { return Ok(()) };
        if self.get(known).is_some() {
            return Err(refused(format!("`{known}` is stated twice; send it once")));
        }
        self.0.push((known, value));
        Ok(())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    fn into_query(self, resource: ResourceType) -> Result<Query> {
        let page = self.page()?;
        let attributes = self.names("attributes")?;
        let excluded_attributes = self.names("excludedAttributes")?;
        if !attributes.is_empty() && !excluded_attributes.is_empty() {
            return Err(refused(
                "`attributes` and `excludedAttributes` exclude each other; send one of them".to_owned(),
            ));
        }
        Ok(Query {
            filter: self.get("filter").map(|filter| Filter::parse(resource, filter)).transpose()?,
            sort: Sort::parse(resource, self.get("sortBy"), self.get("sortOrder"))?,
            count: self.count(&page)?,
            page,
            attributes,
            excluded_attributes,
        })
    }

    fn page(&self) -> Result<Page> {
        const UNRESERVED: &[u8] = b"-._~";
        match (self.get("startIndex"), self.get("cursor")) {
            (Some(_), Some(_)) => {
                Err(refused("`startIndex` and `cursor` are two ways to page; send one of them".to_owned()))
            }
            (None, None) => Ok(Page::Index(1)),
            (Some(index), None) => {
                let index = number(index).ok_or_else(|| Error::invalid_value("startIndex", "a whole number"))?;
                Ok(Page::Index(u64::try_from(index).unwrap_or(0).max(1)))
            }
            (None, Some("")) => Ok(Page::First),
            (None, Some(cursor)) => {
                let unreserved = cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || UNRESERVED.contains(&byte));
                match unreserved && cursor.len() <= limits::CURSOR_LENGTH {
                    true => Ok(Page::Cursor(cursor.to_owned())),
                    false => Err(Error::invalid_cursor()),
                }
            }
        }
    }

    fn names(&self, parameter: &str) -> Result<Vec<String>> {
        let list = self.get(parameter).unwrap_or_default();
        let names: Vec<String> =
            list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        match names.len() > limits::SELECTED {
            true => Err(refused(format!("`{parameter}` takes at most {} names", limits::SELECTED))),
            false => Ok(names),
        }
    }

    /// Below zero is zero (RFC 7644 §3.4.2.4), but pages by cursor hold something (RFC 9865 §2).
    fn count(&self, page: &Page) -> Result<u64> {
        let Some(count) = self.get("count") else { return Ok(limits::DEFAULT_PAGE) };
        let least = match page {
            Page::Index(_) => i64::MIN,
            Page::First | Page::Cursor(_) => 1,
        };
        match number(count).filter(|count| *count >= least) {
            Some(count) => Ok(u64::try_from(count).unwrap_or(0).min(limits::PAGE)),
            None => {
                let expected = if least == 1 { "at least 1" } else { "a whole number" };
                Err(Error::bad_request(ScimType::InvalidCount, format!("`count` takes {expected}")))
            }
        }
    }
}

fn refused(detail: String) -> Error {
    Error::bad_request(ScimType::InvalidValue, detail)
}

fn number(value: &str) -> Option<i64> {
    value.trim().parse().ok()
}

#[cfg(test)]
mod tests;
