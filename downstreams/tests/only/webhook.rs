//! A receiver of signals, by what really comes over the wire.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use downstreams::{Downstream, Error, Match, Signal, Subject};
use lifecycle::Action;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use uuid::Uuid;

use crate::stores::{build, chain};

const EVENT: &str = r#"{"id":"e","type":"identity.departed","data":{"state":"departed"}}"#;

fn adapter(address: SocketAddr, with: Value) -> std::sync::Arc<dyn Downstream> {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let url = format!("http://{address}/s3cr3t-path");
    build(json!({ "type": "webhook", "url": url, "secrets": [secret] }), with, Match::Exact)
}

async fn tell(adapter: &dyn Downstream) -> downstreams::Result<()> {
    let subject = Subject::new(["c-1"]);
    adapter.notify(&Signal { id: Uuid::from_u128(7), event: EVENT, subject: &subject }).await
}

/// Answers one request after the other so, each on a connection of its own; returns what came.
async fn answers(answers: &[&str]) -> (SocketAddr, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
    let serve = async move {
        let mut came = Vec::new();
        for answer in answers {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !is_whole(&request) {
                assert_ne!(connection.read_buf(&mut request).await.unwrap(), 0);
            }
            let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            connection.write_all(answer.as_bytes()).await.unwrap();
            came.push(String::from_utf8(request).unwrap());
        }
        came
    };
    (address, tokio::spawn(serve))
}

/// Whether a request is there to its end.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

#[tokio::test]
async fn a_signal_is_a_signed_event_and_its_repetition_has_the_same_id() {
    let (address, came) = answers(&["503 x", "202 x"]).await;
    let adapter = adapter(address, json!({}));
    assert_eq!(adapter.capabilities().actions, [Action::Notify]);
    assert!(matches!(tell(&*adapter).await, Err(Error::Unavailable(_))));
    tell(&*adapter).await.unwrap();
    for request in came.await.unwrap() {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let head = head.to_lowercase();
        assert!(head.starts_with("post /s3cr3t-path http/1.1\r\n"), "{head}");
        for line in [
            "content-type: application/cloudevents+json; charset=utf-8",
            "webhook-id: 00000000-0000-0000-0000-000000000007",
            "webhook-timestamp: ",
            "webhook-signature: v1,",
        ] {
            assert!(head.contains(&format!("\r\n{line}")), "{line}: {head}");
        }
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["data"], json!({ "state": "departed", "subjects": ["c-1"] }));
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_a_receiver_that_asks_for_rest_gets_it() {
    let (elsewhere, untouched) = answers(&["200 x"]).await;
    let redirect = format!("307 x\r\nlocation: http://{elsewhere}/");
    let (address, _) =
        answers(&[&redirect, "429 x\r\nretry-after: 7", "429 x\r\nretry-after: 99999999", "410 x"]).await;
    let adapter = adapter(address, json!({}));
    let error = tell(&*adapter).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized(_)) && chain(&error).contains("redirect"), "{}", chain(&error));
    for seconds in [7, 3_600] {
        let error = tell(&*adapter).await.unwrap_err();
        let wait = Some(Duration::from_secs(seconds));
        assert!(matches!(error, Error::Throttled { retry_after } if retry_after == wait), "{}", chain(&error));
    }
    let error = tell(&*adapter).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized(_)) && chain(&error).contains("410 Gone"), "{}", chain(&error));
    assert!(!untouched.is_finished());
}

#[tokio::test]
async fn nobody_there_and_nobody_answering_are_found_out_and_the_address_is_not_repeated() {
    let away = adapter(([127, 0, 0, 1], 1).into(), json!({}));
    for error in [tell(&*away).await.unwrap_err(), away.probe().await.unwrap_err()] {
        assert!(matches!(error, Error::Unavailable(_)), "{}", chain(&error));
        assert!(!chain(&error).contains("s3cr3t"), "{}", chain(&error));
    }
    // The kernel accepts; nobody answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let begun = Instant::now();
    let error = tell(&*adapter(silent.local_addr().unwrap(), json!({ "timeout": "200ms" }))).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)) && begun.elapsed() < Duration::from_secs(4), "{}", chain(&error));
    assert!(!chain(&error).contains("s3cr3t"), "{}", chain(&error));
}

#[tokio::test]
async fn a_look_tells_nobody_of_anything() {
    let (address, came) = answers(&["405 x"]).await;
    let probe = adapter(address, json!({})).probe().await.unwrap();
    assert_eq!((probe.store, probe.notes), (format!("a receiver at {address}"), Vec::new()));
    let [request] = &came.await.unwrap()[..] else { panic!("one request") };
    assert!(request.starts_with("HEAD ") && !request.contains("webhook-"), "{request}");
}
