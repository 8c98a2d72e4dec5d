//! What needs no server: ids, answers, errors, configuration.

use chrono::{TimeZone, Utc};
use reqwest::StatusCode;
use serde_json::json;

use super::{
    Keycloak,
    mapping::{Consent, UserSession, id, offline_clients, parse, session},
    refusal::{classify, of_sign_in},
};
use crate::{Error, Match, SessionId, SessionKind};

#[test]
fn the_two_sessions_of_one_id_are_told_apart() {
    let (online, offline) = (id("s1", SessionKind::Session), id("s1", SessionKind::Refresh));
    assert_ne!(online.hash(), offline.hash());
    assert_eq!(parse(&online), Some(("s1", SessionKind::Session)));
    assert_eq!(parse(&offline), Some(("s1", SessionKind::Refresh)));
    assert_eq!(parse(&SessionId::new("s1")), None);
}

#[test]
fn what_keycloak_answers_becomes_sessions_with_their_beginning() {
    let theirs = json!({
        "id": "-DqXluzvTI7XKjnPfZMzRzYD", "username": "ana", "userId": "50d9f143-dd83-4abd-933d-997d38ed6b5f",
        "ipAddress": "127.0.0.1", "start": 1795242438000_i64, "lastAccess": 1795242439000_i64, "rememberMe": false,
        "clients": { "366ff33d-1aab-4ff2-a9a3-e1145c793f64": "app" }, "transientUser": false
    });
    let theirs: UserSession = serde_json::from_value(theirs).unwrap();
    let ours = session(&theirs, SessionKind::Refresh);
    assert_eq!(ours.id.expose(), "offline:-DqXluzvTI7XKjnPfZMzRzYD");
    assert_eq!(ours.auth_time, Utc.timestamp_opt(1_795_242_438, 0).single());
}

#[test]
fn clients_with_offline_sessions_stand_among_the_consents() {
    let consents = json!([
        { "clientId": "asks", "grantedClientScopes": ["email"] },
        { "clientId": "app", "grantedClientScopes": [], "additionalGrants": [{ "client": "c1", "key": "Offline Token" }] }
    ]);
    let consents: Vec<Consent> = serde_json::from_value(consents).unwrap();
    assert_eq!(offline_clients(consents).collect::<Vec<_>>(), ["c1"]);
}

#[test]
fn answers_are_named_by_the_next_step() {
    let said = |status: u16| classify(StatusCode::from_u16(status).unwrap(), None, "manage-users");
    for status in [401, 403] {
        assert!(matches!(said(status), Error::Unauthorized(_)), "{status}");
    }
    for status in [408, 500, 502, 503] {
        assert!(matches!(said(status), Error::Unavailable(_)), "{status}");
    }
    for status in [302, 400, 405, 409] {
        assert!(matches!(said(status), Error::Rejected(_)), "{status}");
    }
    assert!(matches!(said(429), Error::Throttled { .. }));
    let Error::Unauthorized(cause) = said(403) else { panic!() };
    assert_eq!(cause.to_string(), "the service account lacks the role manage-users of the client realm-management");
}

#[test]
fn a_refused_sign_in_repeats_only_codes() {
    let said = |status, body: &str| of_sign_in(status, None, body.as_bytes());
    let refused = said(StatusCode::UNAUTHORIZED, r#"{"error":"invalid_client","error_description":"of ana"}"#);
    let Error::Unauthorized(cause) = refused else { panic!("{refused:?}") };
    assert!(cause.to_string().contains("invalid_client") && !cause.to_string().contains("ana"), "{cause}");
    let other = said(StatusCode::BAD_REQUEST, r#"{"error":"Secret s3cr3t is wrong"}"#);
    assert!(matches!(&other, Error::Rejected(cause) if !cause.to_string().contains("s3cr3t")), "{other:?}");
    assert!(matches!(said(StatusCode::NOT_FOUND, "{}"), Error::Rejected(_)));
    assert!(matches!(said(StatusCode::BAD_GATEWAY, "<html>"), Error::Unavailable(_)));
}

#[test]
fn a_configuration_is_strict_and_keeps_its_secret() {
    let config = |with: serde_json::Value| {
        let mut config = json!({
            "type": "keycloak", "url": "https://sso.example.com/auth", "realm": "corp", "client_id": "leaver",
            "client_secret": "s3cr3t"
        });
        config.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
        serde_json::from_value::<crate::Config>(config)
    };
    let right = config(json!({})).unwrap();
    assert!(right.build(Match::Exact).is_ok());
    assert!(!format!("{right:?}").contains("s3cr3t"));
    assert!(config(json!({ "relm": "x" })).unwrap_err().to_string().contains("unknown field `relm`"));
    for wrong in [
        json!({ "url": "sso.example.com" }),
        json!({ "url": "ftp://sso.example.com" }),
        json!({ "url": "https://leaver:s3cr3t@sso.example.com" }),
        json!({ "url": "https://sso.example.com/?realm=corp" }),
        json!({ "realm": "" }),
        json!({ "realm": ".." }),
        json!({ "timeout": "0s" }),
    ] {
        let error = config(wrong.clone()).unwrap().build(Match::Exact).err().unwrap();
        assert!(!format!("{error:?}").contains("s3cr3t"), "{wrong}: {error:?}");
    }
}

#[tokio::test]
async fn a_secret_in_the_clear_is_noted_unless_it_stays_on_this_machine() {
    let exposed = |url: &str| {
        let config = json!({ "url": url, "realm": "corp", "client_id": "leaver", "client_secret": "s" });
        Keycloak::new(&serde_json::from_value(config).unwrap()).unwrap().client.is_exposed()
    };
    assert!(exposed("http://sso.example.com"));
    for url in ["https://sso.example.com", "http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080"] {
        assert!(!exposed(url), "{url}");
    }
}
