//! What is shown by pages, read to its end.

use serde::Deserialize;
use serde_json::Value;

use crate::client::{Answer, Client, Result};

/// Rows in each answer, where all of them are wanted.
const PAGE: u64 = 1_000;

/// The `plan`, or whatever else it is, whose id begins with `id`, with its first rows; `all`: with all of them.
pub async fn read<T>(client: &Client, what: &str, id: &str, all: bool) -> Result<Answer<T>>
where
    T: for<'de> Deserialize<'de>,
{
    let (kind, limit) = (format!("{what}s"), all.then(|| PAGE.to_string()));
    let mut document = client.get::<Value>(&[&kind, id], &[("limit", limit.clone())]).await?.json;
    // By its whole id: another whose id begins alike may come meanwhile.
    let whole = document[what]["id"].as_str().unwrap_or(id).to_owned();
    while let Some(after) = document.get("next").filter(|_| all).map(Value::to_string) {
        let query = [("after", Some(after)), ("limit", limit.clone())];
        let mut page = client.get::<Value>(&[&kind, &whole], &query).await?.json;
        if let (Some(Value::Array(items)), Some(Value::Array(more))) =
            (document.get_mut("items"), page.get_mut("items"))
        {
            items.append(more);
        }
        match page.get_mut("next").map(Value::take) {
            Some(next) => document["next"] = next,
            None => drop(document.as_object_mut().and_then(|fields| fields.remove("next"))),
        }
    }
    client.understood(document)
}
