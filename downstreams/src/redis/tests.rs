//! Paths, patterns, what Java serialized, and what errors of the server mean.

use ::redis::RedisError;

use super::{
    java,
    mapping::{Path, Template, product},
    refusal::classify,
};
use crate::{Error, Match};

fn user(path: &str, session: &str) -> Option<String> {
    Path::parse(path).unwrap().user_in_json(session.as_bytes()).map(Into::into)
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
    assert_eq!(Path::parse("u").unwrap().user_in_json(b"{\"u\":\"\xff\"}"), None, "not UTF-8");
}

#[test]
fn the_user_of_a_session_in_messagepack_stands_at_the_path_whatever_is_beside_it() {
    let user = |path: &str, session: &[u8]| Path::parse(path).unwrap().user_in_msgpack(session).map(String::from);
    // {"t": timestamp, 7: "x", nil: [1.5], "b": b"..", "_user_id": "ana"}
    let mut session = vec![0x85, 0xa1, b't', 0xd6, 0xff, 0, 0, 0, 1, 0x07, 0xa1, b'x', 0xc0, 0x91, 0xca, 0, 0, 0, 0];
    session.extend([0xa1, b'b', 0xc4, 0x02, 1, 2, 0xa8]);
    session.extend(b"_user_id\xa3ana");
    assert_eq!(user("_user_id", &session).as_deref(), Some("ana"));
    for path in ["t", "b", "_user_id.x", "x"] {
        assert_eq!(user(path, &session), None, "{path}");
    }
    assert_eq!(user("u.n", b"\x81\xa1u\x81\xa1n\x2a").as_deref(), Some("42"));
    assert_eq!(user("u", br#"{"u":"by JSON"}"#).as_deref(), Some("by JSON"));
    for broken in [&b""[..], b"\x81", b"\x81\xa1u\xa3an", b"\x80\x04\x95pickled", b"\xff", b"ana"] {
        assert_eq!(user("u", broken), None, "{broken:?}");
    }
}

/// What Spring Security left in a session at a login of `ana`.
const CONTEXT: &[u8] = include_bytes!("fixtures/spring-security-context.bin");

#[test]
fn the_user_of_a_security_context_is_its_principal() {
    assert_eq!(java::principal(CONTEXT).as_deref(), Some("ana"));
    // A string that stands in the stream already is written as a reference to it: here the authority's.
    let role = [CONTEXT.strip_suffix(b"t\x00\x03ana").unwrap(), b"q\x00\x7e\x00\x11"].concat();
    assert_eq!(java::principal(&role).as_deref(), Some("ROLE_USER"));
}

#[test]
fn a_principal_that_is_a_string_is_the_user_itself() {
    let class = |name: &str, field: &str| {
        let mut bytes = b"sr".to_vec();
        bytes.extend([&[0, u8::try_from(name.len()).unwrap()], name.as_bytes(), &[0; 8], &[2, 0, 1, b'L', 0]].concat());
        bytes.extend([&[u8::try_from(field.len()).unwrap()], field.as_bytes(), b"t\x00\x01Lxp"].concat());
        bytes
    };
    let context = [b"\xac\xed\x00\x05".to_vec(), class("c", "authentication"), class("a", "principal")].concat();
    let principal = |written: &[u8]| java::principal(&[&context, written].concat());
    assert_eq!(principal(b"t\x00\x03ana").as_deref(), Some("ana"));
    assert_eq!(principal(b"t\x00\x08\xed\xa0\xbe\xed\xb6\x80\xc0\x80").as_deref(), Some("🦀\0"));
    assert_eq!(principal(&class("o", "email")), None);
    assert_eq!(principal(b"p"), None);
}

#[test]
fn what_is_cut_off_or_changed_is_nobodys_and_harms_nothing() {
    for length in 0..CONTEXT.len() {
        assert_eq!(java::principal(&CONTEXT[..length]), None, "{length}");
    }
    for at in 0..CONTEXT.len() {
        for byte in [0, 0x70, 0x71, 0x73, 0x75, 0xff] {
            let mut changed = CONTEXT.to_vec();
            changed[at] = byte;
            drop(java::principal(&changed));
        }
    }
    let deep = [b"\xac\xed\x00\x05".to_vec(), b"sr\x00\x01c\0\0\0\0\0\0\0\0\x02\x00\x00".repeat(100_000)].concat();
    assert_eq!(java::principal(&deep), None, "an object in an object in an object …");
}

#[test]
fn a_session_id_is_read_and_written_as_java_serializes_text() {
    let id = "4c804cce-4de8-45d4-a8c7-af4cc5774535";
    let written = java::of_text(id).unwrap();
    assert_eq!(written[..7], *b"\xac\xed\x00\x05t\x00\x24");
    assert_eq!(java::text(&written).as_deref(), Some(id));
    assert_eq!(java::text(id.as_bytes()), None);
}

#[test]
fn a_layout_says_what_it_lacks_and_what_it_has_no_use_for() {
    let build = |layout: &str, more: &str| {
        let json = format!(r#"{{"type":"redis","url":"redis://h","layout":"{layout}"{more}}}"#);
        let built = serde_json::from_str::<crate::Config>(&json).unwrap().build(Match::Exact);
        built.err().map(|error| error.to_string()).unwrap_or_default()
    };
    let generic = r#"{"type":"redis","url":"redis://h","layout":"generic","index":"u:{subject}","session":"s:{id}","session_index":true}"#;
    assert!(serde_json::from_str::<crate::Config>(generic).unwrap().build(Match::IgnoreCase).is_ok());
    for (layout, more, said) in [
        ("connect-redis", "", "layout connect-redis needs `path`"),
        (
            "connect-redis",
            r#","path":"u","namespace":"n""#,
            "layout connect-redis has no use for `namespace`: remove it",
        ),
        ("flask-session", "", ""),
        ("spring-session", r#","namespace":"n","indexed":false"#, ""),
        ("spring-session", r#","path":"u""#, "layout spring-session has no use for `path`: remove it"),
        ("generic", r#","index":"u:{subject}""#, "layout generic needs `session`"),
        ("generic", r#","index":"u:{subject}","session":"s:{id}""#, ""),
        ("generic", r#","index":"u","session":"s:{id}""#, "`index` has to have {subject} in it, once"),
        ("generic", r#","index":"u{subject}","session":"{id}{id}""#, "`session` has to have {id} in it, once"),
        ("flask-session", r#","cluster":[]"#, ""),
        ("flask-session", r#","cluster":["a:6379","[::1]:6379"]"#, ""),
        ("flask-session", r#","cluster":["a"]"#, "an address in `cluster` is not HOST:PORT"),
        ("flask-session", r#","cluster":["redis://a:6379"]"#, "an address in `cluster` is not HOST:PORT"),
        ("flask-session", r#","cluster":["::1:6379"]"#, "an address in `cluster` is not HOST:PORT"),
        ("flask-session", r#","master":"m","sentinels":["b:26379"],"sentinel_password":"p""#, ""),
        ("flask-session", r#","master":"m","sentinels":["b:"]"#, "an address in `sentinels` is not HOST:PORT"),
        ("flask-session", r#","sentinels":["b:26379"]"#, "`sentinels` says nothing without `master`"),
        ("flask-session", r#","sentinel_password":"p""#, "`sentinel_password` says nothing without `master`"),
        ("flask-session", r#","master":"m","cluster":[]"#, "`cluster` and `master` exclude each other: remove one"),
        ("flask-session", r#","master":"m","session_index":true"#, ""),
        ("spring-session", r#","indexed":false,"session_index":true"#, ""),
        ("spring-session", r#","session_index":true"#, "`session_index` says nothing without `match: ignore_case`"),
        ("flask-session", r#","cluster":[],"session_index":true"#, ""),
        ("flask-session", r#","tls":{"ca":"/x"}"#, "`url` has to begin with rediss://, as there is `tls`"),
    ] {
        assert_eq!(build(layout, more), said, "{layout} {more}");
    }
}

#[test]
fn a_path_has_no_empty_part() {
    for path in ["", ".", "a.", ".a", "a..b"] {
        assert!(Path::parse(path).is_err(), "{path}");
    }
}

#[test]
fn a_prefix_is_taken_literally() {
    let pattern = |before: &str, after: &str| Template::new(before, after).pattern();
    assert_eq!(pattern("sess:", ""), "sess:*");
    assert_eq!(pattern(r"a*[b]?\é", "-z"), r"a\*\[b\]\?\\é*\-z");
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
    assert!(error.contains("unknown variant `rails`, expected one of `connect-redis`, "), "{error}");
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
