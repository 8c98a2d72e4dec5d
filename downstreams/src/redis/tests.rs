//! Paths, patterns, and what errors of the server mean.

use ::redis::RedisError;

use super::{
    mapping::{Path, pattern, product},
    refusal::classify,
};
use crate::{Error, Match};

fn user(path: &str, session: &str) -> Option<String> {
    Path::parse(path).unwrap().user(session.as_bytes()).map(Into::into)
}

#[test]
fn the_user_of_a_session_stands_at_the_path() {
    let session = r#"{"cookie":{"path":"/","user":"no"},"user":"no","passport":{"at":[1,{"user":"no"}],"user":"ana"},"n":-1.5e3}"#;
    assert_eq!(user("passport.user", session).as_deref(), Some("ana"));
    assert_eq!(user("user", session).as_deref(), Some("no"));
}

#[test]
fn a_user_may_be_a_number_and_may_be_escaped() {
    for (session, expected) in [
        (r#"{"u":42}"#, "42"),
        (r#"{"u":-7}"#, "-7"),
        (r#"{"u":18446744073709551615}"#, "18446744073709551615"),
        (r#"{"u":"42"}"#, "42"),
        (r#"{"u":"an\u00e0 \"q\" \\ \ud83e\udd80"}"#, "anà \"q\" \\ 🦀"),
        ("{\"\\u0075\":\"by an escaped name\"}", "by an escaped name"),
        (r#"{"u":"first","u":"last"}"#, "last"),
    ] {
        assert_eq!(user("u", session).as_deref(), Some(expected), "{session}");
    }
}

#[test]
fn what_has_no_user_there_is_nobodys() {
    for session in [
        "{}",
        "[]",
        "7",
        "null",
        r#""ana""#,
        r#"{"u":null}"#,
        r#"{"u":true}"#,
        r#"{"u":{"u":"ana"}}"#,
        r#"{"u":["ana"]}"#,
        "",
        "not json",
        r#"{"u":"ana""#,
        r#"{"u":"ana"}x"#,
        r#"{"u.u":"ana"}"#,
    ] {
        assert_eq!(user("u", session), None, "{session}");
        assert_eq!(user("u.v", session), None, "{session}");
    }
    assert_eq!(Path::parse("u").unwrap().user(b"{\"u\":\"\xff\"}"), None, "not UTF-8");
}

#[test]
fn a_path_has_no_empty_part() {
    for path in ["", ".", "a.", ".a", "a..b"] {
        assert!(Path::parse(path).is_err(), "{path}");
    }
}

#[test]
fn a_prefix_is_taken_literally() {
    assert_eq!(pattern("sess:"), "sess:*");
    assert_eq!(pattern(r"a*[b]?\é"), r"a\*\[b\]\?\\é*");
}

#[test]
fn the_product_names_itself() {
    assert_eq!(product("# Server\r\nredis_version:7.0.15\r\n"), "Redis 7.0.15");
    assert_eq!(product("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.0\r\n"), "Valkey 8.1.0");
    assert_eq!(product(""), "Redis");
}

fn said(code: &str, message: &str) -> Error {
    classify(::redis::make_extension_error(code.into(), Some(message.into())))
}

#[test]
fn errors_of_the_server_are_named_by_the_next_step() {
    for code in ["NOAUTH", "WRONGPASS", "NOPERM", "DENIED"] {
        assert!(matches!(said(code, ""), Error::Unauthorized(_)), "{code}");
    }
    for code in ["LOADING", "BUSY", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MISCONF", "NOREPLICAS"] {
        assert!(matches!(said(code, ""), Error::Unavailable(_)), "{code}");
    }
    assert!(matches!(said("ERR", "max number of clients reached"), Error::Unavailable(_)));
    assert!(matches!(said("CROSSSLOT", "Keys in request don't hash to the same slot"), Error::Rejected(_)));
    assert!(matches!(classify(RedisError::from(std::io::Error::other("broken"))), Error::Unavailable(_)));
}

#[test]
fn an_error_repeats_no_session_id() {
    let error = said("ERR", "unknown command 'UNLINK', with args beginning with: 'sess:s3cr3t' ");
    let Error::Rejected(cause) = error else { panic!("{error:?}") };
    assert_eq!(format!("{cause}"), "Redis said ERR: unknown command 'UNLINK'");
    assert!(!format!("{cause:?}").contains("s3cr3t"));
}

#[test]
fn a_configuration_is_strict_and_keeps_its_password() {
    let parse = |json: &str| serde_json::from_str::<crate::Config>(json);
    let config =
        parse(r#"{"type":"redis","url":"redis://:pw@h","layout":"connect-redis","path":"a.b","timeout":"250ms"}"#)
            .unwrap();
    assert!(!format!("{config:?}").contains("pw"));
    assert!(config.build(Match::Exact).is_ok());

    let error = parse(r#"{"type":"redis","url":"redis://h","layout":"rails","path":"a"}"#).unwrap_err().to_string();
    assert!(error.contains("unknown variant `rails`, expected `connect-redis`"), "{error}");
    let error = parse(r#"{"type":"redis","url":"redis://h","layout":"connect-redis","path":"a","pth":1}"#).unwrap_err();
    assert!(error.to_string().contains("unknown field `pth`"), "{error}");

    for (url, path, timeout) in [("nonsense:pw", "a", "5s"), ("redis://h", "a..b", "5s"), ("redis://h", "a", "0s")] {
        let json = format!(
            r#"{{"type":"redis","url":"{url}","layout":"connect-redis","path":"{path}","timeout":"{timeout}"}}"#
        );
        let error = parse(&json).unwrap().build(Match::Exact).err().unwrap();
        assert!(!format!("{error:?}").contains("pw"), "{error:?}");
    }
}
