use std::time::Duration;

use lifecycle::Secret;
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::mapping::{Key, body, signatures};
use super::{Webhook, refusal::classify};
use crate::{ConfigError, Error, Signal, Subject};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn key(secret: &str) -> Option<Key> {
    Key::read(&Secret::new(secret))
}

#[test]
fn a_signature_is_that_of_the_standards_own_example() {
    let keys = [key(SECRET).unwrap()];
    let signature = signatures(&keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
    assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    let two = [keys[0].clone(), key(&SECRET.replace("whsec_M", "whsec_N")).unwrap()];
    let both = signatures(&two, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
    assert!(both.starts_with(&format!("{signature} v1,")), "each secret signs: {both}");
}

#[test]
fn a_secret_is_24_to_64_bytes_in_the_standards_form() {
    for (secret, good) in [
        (SECRET, true),
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", false),
        ("whsec_c2hvcnQ=", false),
        ("whsec_not base64", false),
        ("", false),
    ] {
        assert_eq!(key(secret).is_some(), good, "{secret}");
    }
}

#[test]
fn a_signal_is_the_event_and_what_the_receiver_calls_the_person() {
    let event = json!({"specversion": "1.0", "id": "e", "type": "identity.departed", "data": {"state": "departed"}});
    let subject = Subject::new(["c-1", "", "c-0"]);
    let event = event.to_string();
    let signal = Signal { id: Uuid::nil(), event: &event, subject: &subject };
    let body: Value = serde_json::from_str(&body(&signal).unwrap()).unwrap();
    assert_eq!(body["data"], json!({"state": "departed", "subjects": ["c-1", "c-0"]}));
    assert_eq!((&body["type"], &body["id"]), (&json!("identity.departed"), &json!("e")));
    assert!(super::mapping::body(&Signal { event: "[]", ..signal }).is_none());
}

#[test]
fn what_a_receiver_answers_says_what_is_done_next() {
    let word = |status: u16, retry_after: Option<u64>| {
        let status = StatusCode::from_u16(status).unwrap();
        match classify(status, retry_after.map(Duration::from_secs)) {
            Error::Unavailable(_) => "again",
            Error::Throttled { retry_after: Some(_) } => "then",
            Error::Throttled { retry_after: None } => "later",
            Error::Rejected(_) => "mend it",
            Error::Unauthorized(_) => "mend the address",
        }
    };
    for (status, retry_after, expected) in [
        (500, None, "again"),
        (502, None, "again"),
        (503, None, "again"),
        (503, Some(2), "then"),
        (429, Some(2), "then"),
        (429, None, "later"),
        (408, None, "again"),
        (400, None, "mend it"),
        (413, None, "mend it"),
        (401, None, "mend the address"),
        (404, None, "mend the address"),
        (410, None, "mend the address"),
        (307, None, "mend the address"),
    ] {
        assert_eq!(word(status, retry_after), expected, "{status}");
    }
}

#[test]
fn plain_http_leaves_this_machine_only_where_that_is_said() {
    let build = |url: &str, with: Value| {
        let mut config = json!({"url": url, "secrets": [SECRET]});
        config.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
        Webhook::new(&serde_json::from_value(config).unwrap()).err()
    };
    for url in ["https://hooks.example/x", "http://127.0.0.1:9/x", "http://[::1]:9/", "http://localhost/"] {
        assert!(build(url, json!({})).is_none(), "{url}");
    }
    let refused = build("http://hooks.example/x", json!({})).unwrap();
    assert_eq!(refused.to_string(), "`url` has to begin with https://, or `allow_http: true` is needed");
    assert!(build("http://hooks.example/x", json!({"allow_http": true})).is_none());
    assert!(matches!(build("ftp://hooks.example/x", json!({})), Some(ConfigError::Scheme { .. })));
    assert!(matches!(build("https://hooks.example/x", json!({"secrets": []})), Some(ConfigError::Secrets)));
    assert!(matches!(build("https://hooks.example/x", json!({"secrets": ["env"]})), Some(ConfigError::Secrets)));
}
