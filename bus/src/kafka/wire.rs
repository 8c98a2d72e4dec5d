//! A record as it is on a topic: the subject as key, the body as value, two headers.

use std::borrow::Cow;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Header, Headers, OwnedHeaders};
use serde::Deserialize;
use uuid::Uuid;

use crate::{Received, Record, Topic, Unreadable};

/// CloudEvents Kafka binding 1.0.2 §3.3.1: structured mode is known by this header.
pub const CONTENT_TYPE: &str = "content-type";
/// W3C Trace Context §3.2.
pub const TRACEPARENT: &str = "traceparent";

/// The content type of what stands on `topic`.
pub fn content_type(topic: Topic) -> &'static str {
    match topic {
        Topic::Lifecycle(_) | Topic::Receipts => "application/cloudevents+json; charset=UTF-8",
        Topic::Revocations => "application/json",
    }
}

pub(crate) fn headers(topic: Topic, record: &Record) -> OwnedHeaders {
    let headers =
        OwnedHeaders::new_with_capacity(2).insert(Header { key: CONTENT_TYPE, value: Some(content_type(topic)) });
    match record.trace.as_deref() {
        Some(trace) => headers.insert(Header { key: TRACEPARENT, value: Some(trace) }),
        None => headers,
    }
}

/// Reads a record. The reasons quote nothing of it.
pub(crate) fn read(topic: Topic, message: &BorrowedMessage<'_>) -> Result<Received, Unreadable> {
    let published_at = message.timestamp().to_millis().and_then(DateTime::from_timestamp_millis);
    match record(topic, message) {
        Ok(record) => Ok(Received { record, published_at: published_at.unwrap_or_else(Utc::now) }),
        Err(reason) => Err(Unreadable {
            place: format!("{}[{}]@{}", message.topic(), message.partition(), message.offset()),
            reason: reason.into_owned(),
        }),
    }
}

fn record(topic: Topic, message: &BorrowedMessage<'_>) -> Result<Record, Cow<'static, str>> {
    let key = message.key().ok_or("it has no key")?;
    let key = Uuid::try_parse_ascii(key).map_err(|_| "its key is no UUID")?;
    let body = message.payload().ok_or("it has no body")?;
    let body = str::from_utf8(body).map_err(|_| "its body is no UTF-8")?;
    let id = match topic {
        Topic::Revocations => key,
        Topic::Lifecycle(_) | Topic::Receipts => id(body)?,
    };
    Ok(Record { key, id, body: body.into(), trace: trace(message) })
}

/// The `id` of a CloudEvent (CloudEvents 1.0.2 §3.1).
fn id(body: &str) -> Result<Uuid, Cow<'static, str>> {
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(borrow)]
        id: Cow<'a, str>,
    }
    let event: Event<'_> = serde_json::from_str(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Cow::Borrowed("its body is no event with an id"),
        _ => format!("its body is no JSON, from line {} column {} on", error.line(), error.column()).into(),
    })?;
    Uuid::try_parse(&event.id).map_err(|_| "the id of its event is no UUID".into())
}

fn trace(message: &BorrowedMessage<'_>) -> Option<Arc<str>> {
    let trace = message.headers()?.iter().find(|header| header.key == TRACEPARENT)?.value?;
    str::from_utf8(trace).ok().map(Arc::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_an_event_is_found_wherever_it_stands() {
        let id_of = Uuid::from_u128(7);
        assert_eq!(id(&format!(r#"{{"data":{{"id":1}},"id":"{id_of}"}}"#)), Ok(id_of));
        assert_eq!(id(&format!(r#"{{"id":"\u0030{}"}}"#, &id_of.to_string()[1..])), Ok(id_of), "escapes are read");
    }

    #[test]
    fn a_reason_quotes_nothing_of_the_record() {
        for body in
            [r#"{"id":"alice@example.com"}"#, r#"{"id":{"alice":1}}"#, r#""alice""#, "{\"alice\"", r#"{"alice":1}"#]
        {
            let reason = id(body).expect_err("it has no id");
            assert!(!reason.contains("alice"), "{reason}");
        }
    }
}
