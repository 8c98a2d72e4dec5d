//! What only the SQL adapter has to bear.

use std::sync::Arc;

use crate::stores::{Store, build, chain, end, find, ids, sql::Sql};
use chrono::{DateTime, Utc};
use downstreams::{Downstream, Error, Match};
use serde_json::{Value, json};

fn adapter(store: &Sql, with: Value) -> Arc<dyn Downstream> {
    build(store.config(), with, Match::Exact)
}

#[tokio::test]
async fn an_end_that_uses_the_user_spares_what_another_user_took_over() {
    let store = Sql::create("sql", "text", "int4").await;
    let adapter = adapter(&store, json!({ "end": "delete from sessions where user_name = $1 and id = $2" }));
    store.sign_in("ana").await;
    let found = find(&*adapter, "ana").await.unwrap();
    store.run("update sessions set user_name = 'bob'").await;
    assert_eq!(end(&*adapter, "ana", &found).await.unwrap(), 0);
    assert_eq!(end(&*adapter, "bob", &found).await.unwrap(), 1);
    store.remove().await;
}

#[tokio::test]
async fn an_end_may_be_an_update_or_a_procedure() {
    let store = Sql::create("sql", "text", "int8").await;
    store.run("alter table sessions add revoked bool default false").await;
    store.run("create procedure finish(who text, which int8) language sql as 'update sessions set revoked = true where id = which'").await;
    for statement in ["update sessions set revoked = true where id = $2", "call finish($1, $2)"] {
        let find_live = "select id from sessions where user_name = $1 and not revoked";
        let adapter = adapter(&store, json!({ "find": find_live, "verify": null, "end": statement }));
        store.sign_in("ana").await;
        adapter.probe().await.unwrap();
        let found = find(&*adapter, "ana").await.unwrap();
        assert_eq!(found.len(), 1);
        end(&*adapter, "ana", &found).await.unwrap();
        assert_eq!(find(&*adapter, "ana").await.unwrap(), []);
    }
    store.remove().await;
}

#[tokio::test]
async fn a_store_can_know_when_its_users_signed_in() {
    let store = Sql::create("sql", "text", "text").await;
    let statement = "select id, created_at from sessions where user_name = $1";
    let adapter = adapter(&store, json!({ "find": statement, "verify": null, "auth_time": "created_at" }));
    assert!(adapter.capabilities().knows_auth_time);
    store.sign_in("ana").await;
    store.run("update sessions set created_at = '2026-01-02 03:04:05.678+01'").await;
    let expected: DateTime<Utc> = "2026-01-02T02:04:05.678Z".parse().unwrap();
    assert_eq!(find(&*adapter, "ana").await.unwrap()[0].auth_time, Some(expected));
    store.run("update sessions set created_at = null").await;
    assert_eq!(find(&*adapter, "ana").await.unwrap()[0].auth_time, None);
    store.remove().await;
}

#[tokio::test]
async fn statements_that_do_not_fit_are_rejected_in_words_that_help() {
    let store = Sql::create("sql", "text", "text").await;
    store.run("alter table sessions add seen timestamp, add code char(4), add big numeric").await;
    for (with, words) in [
        (json!({ "find": "select code from sessions where user_name = $1" }), "session id of type CHAR"),
        (json!({ "find": "select big from sessions where user_name = $1" }), "session id of type NUMERIC"),
        (json!({ "find": "select id from sessions where big = $1" }), "compares $1 with type NUMERIC"),
        (json!({ "find": "select id from sessions where user_name = $1 and id = $2" }), "`find` takes more than $1"),
        (
            json!({ "find": "select id, created_at auth_time from sessions where user_name = $1" }),
            "set `auth_time: auth_time`",
        ),
        (json!({ "auth_time": "created_at" }), "`find` returns no column created_at"),
        (
            json!({ "find": "select id, seen from sessions where user_name = $1", "auth_time": "seen" }),
            "returns seen as TIMESTAMP: what `auth_time` names has to be timestamptz",
        ),
        (json!({ "find": "select id from session where user_name = $1" }), "42P01"),
    ] {
        let adapter = adapter(&store, with);
        let error = find(&*adapter, "ana").await.unwrap_err();
        assert!(matches!(error, Error::Rejected(_)) && chain(&error).contains(words), "{words}: {}", chain(&error));
        assert!(adapter.probe().await.is_err(), "{words}");
    }
    for (with, words) in [
        (json!({ "verify": "select 1 from sessions where user_name = $1" }), "ids of different types"),
        (json!({ "end": "delete from sessions where big = $2" }), "42883"),
        (json!({ "end": "delete from sessions where nothing = $2" }), "42703"),
    ] {
        let error = adapter(&store, with).probe().await.unwrap_err();
        assert!(matches!(error, Error::Rejected(_)) && chain(&error).contains(words), "{words}: {}", chain(&error));
    }
    store.remove().await;
}

#[tokio::test]
async fn a_name_where_numbers_are_kept_is_rejected_rather_than_not_found() {
    let store = Sql::create("sql", "int4", "int4").await;
    store.sign_in("42").await;
    for value in ["ana@example.com", "042", "+42", " 42", "42.0", "99999999999"] {
        let error = find(&*adapter(&store, json!({})), value).await.unwrap_err();
        assert!(matches!(error, Error::Rejected(_)), "{}", chain(&error));
        assert!(!chain(&error).contains(value), "{}", chain(&error));
    }
    store.remove().await;
}

#[tokio::test]
async fn a_locked_table_is_given_up_after_the_timeout() {
    let store = Sql::create("sql", "text", "text").await;
    store.sign_in("ana").await;
    let adapter = adapter(&store, json!({ "timeout": "3s" }));
    let found = find(&*adapter, "ana").await.unwrap();
    store.run("begin; lock table sessions").await;
    let error = end(&*adapter, "ana", &found).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{}", chain(&error));
    store.run("rollback").await;
    assert_eq!(end(&*adapter, "ana", &found).await.unwrap(), 1);
    store.remove().await;
}

#[tokio::test]
async fn a_table_that_changes_under_a_connection_is_back_with_the_next_call() {
    let store = Sql::create("sql", "text", "int4").await;
    let id = store.sign_in("ana").await;
    let adapter = adapter(&store, json!({}));
    assert_eq!(find(&*adapter, "ana").await.unwrap().len(), 1);
    store.run("alter table sessions alter id type int8").await;
    let error = find(&*adapter, "ana").await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{}", chain(&error));
    assert_eq!(ids(&find(&*adapter, "ana").await.unwrap()), [id]);
    store.remove().await;
}

#[tokio::test]
async fn a_read_only_server_is_unavailable_to_the_probe_as_to_an_end() {
    let store = Sql::create("sql", "text", "text").await;
    let url = format!("{}%20-c%20default_transaction_read_only%3Don", store.config()["url"].as_str().unwrap());
    store.sign_in("ana").await;
    let adapter = adapter(&store, json!({ "url": url }));
    let found = find(&*adapter, "ana").await.unwrap();
    for error in [end(&*adapter, "ana", &found).await.unwrap_err(), adapter.probe().await.unwrap_err()] {
        assert!(matches!(error, Error::Unavailable(_)), "{}", chain(&error));
    }
    store.remove().await;
}

#[tokio::test]
async fn callers_beyond_the_number_of_connections_wait_their_turn() {
    let store = Sql::create("sql", "text", "text").await;
    store.sign_in("ana").await;
    let url = store.url_with(&["select, delete on sessions"]).await;
    let login = url::Url::parse(&url).unwrap().username().to_owned();
    let adapter = adapter(&store, json!({ "url": url }));
    let found = futures::future::join_all((0..20).map(|_| find(&*adapter, "ana"))).await;
    assert!(found.into_iter().all(|found| found.unwrap().len() == 1));
    let open = store.strings(&format!("select count(*)::text from pg_stat_activity where usename = '{login}'")).await;
    assert!(open[0].parse::<u32>().unwrap() <= 4, "{open:?}");
    store.remove().await;
}
