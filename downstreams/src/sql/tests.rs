//! What the configuration refuses before any connection, and what Django writes; the rest needs a server and stands in the conformance suite.

use super::signed::{Seen, user};
use crate::{Config, ConfigError, Match};

fn build(find: &str, end: &str, url: &str) -> Result<(), ConfigError> {
    let json = serde_json::json!({ "type": "sql", "url": url, "find": find, "end": end });
    serde_json::from_value::<Config>(json).unwrap().build(Match::Exact).map(drop)
}

const SHORT: &str = "eyJfYXV0aF91c2VyX2lkIjoiNDIifQ:1xUf5i:bsOktQWBp2_mtCcyEesaUZIA-sM5eUl-u-u1np9hdRk";
const LONG: &str = ".eJyrVopPLC3JiC8tTi2Kz0xRslIyV9JBFktKTM5OzQNJpGQl5qXn6yXn55UUZSbpgZToQWWL9XzzU1JznKBqUQzISCzOAOo2oBAADU1KLM5OLVGyilaKKTUwSLUECg0ZRmwtAAQQYu8:1xUf5i:41GdER9E0JONcd8e6CB4J4j_sL1K1LoycQ5YjyP6uNo";
const FIND: &str = "select id from sessions where user_name = $1";
const END: &str = "delete from sessions where id = $2";
const URL: &str = "postgres://leaver:pw@localhost/portal";

#[test]
fn a_statement_that_would_act_on_nobody_or_everybody_is_refused() {
    assert!(build(FIND, END, URL).is_ok());
    let error = build("select id from sessions", END, URL).unwrap_err();
    assert_eq!(error.to_string(), "`find` has to use $1");
    let error = build(FIND, "delete from sessions where user_name = $1", URL).unwrap_err();
    assert_eq!(error.to_string(), "`end` has to use $2");
}

#[test]
fn an_address_of_another_database_is_refused_and_not_printed() {
    for url in ["oracle://leaver:pw@localhost/portal", "postgres://leaver:pw@localhost:port/portal"] {
        let error = build(FIND, END, url).unwrap_err();
        assert!(!format!("{error:?}").contains("pw"), "{error:?}");
    }
}

#[test]
fn a_layout_and_statements_exclude_each_other() {
    let build = |more: serde_json::Value| {
        let mut json = serde_json::json!({ "type": "sql", "url": URL });
        json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let built = serde_json::from_value::<Config>(json).unwrap().build(Match::Exact);
        built.err().map(|error| error.to_string()).unwrap_or_default()
    };
    for (more, said) in [
        (serde_json::json!({}), "`find` is needed, unless there is a `layout`"),
        (serde_json::json!({ "find": FIND }), "`end` is needed, unless there is a `layout`"),
        (
            serde_json::json!({ "find": FIND, "end": END, "table": "t" }),
            "`table` belongs to a `layout`, and there is none",
        ),
        (serde_json::json!({ "layout": "django" }), ""),
        (serde_json::json!({ "layout": "django", "table": "web.django_session" }), ""),
        (
            serde_json::json!({ "layout": "django", "end": END }),
            "`layout` brings statements of its own: remove `layout` or `end`",
        ),
        (
            serde_json::json!({ "layout": "django", "table": "t; drop table t" }),
            "`table` can be letters, digits and underscores, with a dot between schema and table",
        ),
        (serde_json::json!({ "layout": "django", "users": "select 1" }), "`users` has to use $1"),
        (serde_json::json!({ "layout": "spring-session-jdbc" }), ""),
        (serde_json::json!({ "layout": "authjs", "users": "select id from users where email = $1" }), ""),
        (serde_json::json!({ "layout": "authjs", "users": "select 1" }), "`users` has to use $1"),
        (serde_json::json!({ "layout": "laravel" }), ""),
        (serde_json::json!({ "layout": "laravel", "remember": "none" }), ""),
        (
            serde_json::json!({ "layout": "laravel", "remember": "users; --" }),
            "`remember` can be letters, digits and underscores, with a dot between schema and table",
        ),
        (
            serde_json::json!({ "layout": "authjs", "cache": { "url": "redis://h" } }),
            "layout authjs has no use for `cache`: remove it",
        ),
        (
            serde_json::json!({ "layout": "spring-session-jdbc", "users": "select $1" }),
            "layout spring-session-jdbc has no use for `users`: remove it",
        ),
    ] {
        assert_eq!(build(more.clone()), said, "{more}");
    }
}

#[test]
fn another_server_has_another_placeholder_and_not_every_layout() {
    let build = |url: &str, more: serde_json::Value| {
        let mut json = serde_json::json!({ "type": "sql", "url": url });
        json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let built = serde_json::from_value::<Config>(json).unwrap().build(Match::Exact);
        built.err().map(|error| error.to_string()).unwrap_or_default()
    };
    let find = "select id from sessions where user_name = ?";
    for (url, more, said) in [
        ("mysql://h/d", serde_json::json!({ "find": find, "end": "delete from sessions where id = ?" }), ""),
        ("mysql://h/d", serde_json::json!({ "find": FIND, "end": END }), "`find` has to use ?"),
        (
            "mysql://h/d",
            serde_json::json!({ "find": find, "end": "delete from sessions where id = ?", "auth_time": "at" }),
            "`auth_time` is not there on MariaDB or MySQL: remove it, or say `find` and `end` yourself",
        ),
        (
            "mysql://h/d",
            serde_json::json!({ "layout": "django" }),
            "`layout: django` is not there on MariaDB or MySQL: remove it, or say `find` and `end` yourself",
        ),
        ("mysql://h/d", serde_json::json!({ "layout": "laravel", "users": "select 1" }), "`users` has to use ?"),
        (
            URL,
            serde_json::json!({ "find": FIND, "end": END, "numbers": true }),
            "`numbers` is for MariaDB or MySQL only: remove it",
        ),
    ] {
        assert_eq!(build(url, more.clone()), said, "{url} {more}");
    }
}

/// `django.core.signing.dumps` of Django 5.2 wrote these, with and without compression.
#[test]
fn a_session_of_django_tells_whose_it_is() {
    for (data, expected) in [
        (SHORT, Seen::Somebody("42".to_owned())),
        (LONG, Seen::Somebody("7".to_owned())),
        ("e30:1vMJbe:GFMOBb3ruX8ldeh2xdJY23HQ1wZAYFOK4yb6iiGbVyk", Seen::Nobody),
        ("gASVCgAAAAAAAAB9lC4:1vMJbe:GFMOBb3r", Seen::Unreadable),
        (".e30:1vMJbe:GFMOBb3r", Seen::Unreadable),
        ("e30", Seen::Unreadable),
        ("", Seen::Unreadable),
    ] {
        assert_eq!(user(data), expected, "{data}");
    }
}
