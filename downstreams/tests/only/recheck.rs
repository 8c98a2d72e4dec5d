//! Marks that applications compare their sessions with: left where the configuration says, and never moved back.

use chrono::{DateTime, Duration, Utc};
use downstreams::{Downstream, Error, Mark, Match, Subject};
use lifecycle::Action;
use redis::cmd;
use serde_json::{Value, json};

use crate::stores::{
    Store, build, chain,
    generic::Generic,
    keys::Keys,
    mariadb::{MariaDb, Of},
    redis::Redis,
    sql::Sql,
};

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

async fn mark(adapter: &dyn Downstream, user: &str, before: DateTime<Utc>) -> downstreams::Result<()> {
    let subject = Subject::new([user, ""]);
    adapter.mark(&[Mark { subject: &subject, before, until: Utc::now() + Duration::days(30) }]).await
}

fn key(keys: &Keys, user: &str) -> String {
    format!("{}recheck:{user}", keys.prefix)
}

async fn marked(keys: &Keys, user: &str) -> Option<i64> {
    keys.run(cmd("GET").arg(key(keys, user))).await
}

fn with_key(keys: &Keys) -> Value {
    json!({ "recheck": { "key": format!("{}recheck:{{user}}", keys.prefix) } })
}

#[tokio::test]
async fn a_mark_in_redis_moves_forward_only_and_goes_with_the_sessions_that_it_is_about() {
    let (alone, cluster, own) = (Redis::with_names().await, Generic::of_cluster().await, Generic::create().await);
    let stores: [(&dyn Store, &Keys); 3] = [(&alone, &alone), (&cluster, &cluster.keys), (&own, &own.keys)];
    for (store, keys) in stores {
        let adapter = store.adapter_with(with_key(keys));
        assert!(adapter.capabilities().actions.contains(&Action::Recheck));
        adapter.probe().await.unwrap();
        let nobody: i64 = keys.run(cmd("EXISTS").arg(key(keys, "leaver:probe"))).await;
        assert_eq!(nobody, 0, "to look changes nothing");

        for (second, expected) in [(10, 10), (5, 10), (10, 10), (11, 11)] {
            mark(&*adapter, "ana", at(second)).await.unwrap();
            assert_eq!(marked(keys, "ana").await, Some(at(expected).timestamp_millis()), "{}", store.name());
        }
        let left: i64 = keys.run(cmd("PTTL").arg(key(keys, "ana"))).await;
        let days = Duration::milliseconds(left).num_days();
        assert!((29..=30).contains(&days), "{left} ms");
        mark(&*adapter, "bob", at(1) + Duration::microseconds(1)).await.unwrap();
        assert_eq!(marked(keys, "bob").await, Some(at(1).timestamp_millis() + 1), "not before what it was about");
        assert_eq!(marked(keys, "an").await, None);

        let () = keys.run(cmd("SET").arg(key(keys, "eve")).arg("yes")).await;
        let error = mark(&*adapter, "eve", at(1)).await.unwrap_err();
        assert!(chain(&error).contains("holds something else"), "{}", chain(&error));
    }
    alone.remove().await;
    own.remove().await;
    cluster.remove().await;
}

#[tokio::test]
async fn ignoring_case_the_application_finds_the_mark_in_lower_case_as_well() {
    let store = Redis::with_names().await;
    let adapter = build(store.config(), with_key(&store), Match::IgnoreCase);
    mark(&*adapter, "Ana", at(1)).await.unwrap();
    assert_eq!((marked(&store, "Ana").await, marked(&store, "ana").await).1, Some(at(1).timestamp_millis()));
    store.remove().await;
}

#[tokio::test]
async fn a_right_that_marks_need_and_the_login_lacks_is_named_by_a_look() {
    let store = Redis::with_names().await;
    let commands = ["scan", "mget", "unlink", "eval", "get", "set", "pexpireat"];
    for missing in ["", "eval", "get", "set", "pexpireat"] {
        let rights: Vec<String> =
            commands.iter().filter(|name| **name != missing).map(|name| format!("+{name}")).collect();
        let url = store.url_that_may(&rights.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let mut with = with_key(&store);
        with["url"] = json!(url);
        let looked = store.adapter_with(with).probe().await;
        match looked {
            Ok(_) => assert_eq!(missing, "", "it is not needed"),
            Err(error) => {
                assert!(matches!(error, Error::Unauthorized(_)), "{}", chain(&error));
                assert!(!missing.is_empty() && chain(&error).contains(&format!("'{missing}'")), "{}", chain(&error));
            }
        }
    }
    store.remove().await;
}

#[tokio::test]
async fn a_statement_leaves_marks_in_either_form_of_an_instant() {
    let store = Sql::create("sql", "text", "text").await;
    store.run("create table marks (who text primary key, since timestamptz, ms bigint)").await;
    for (column, cast) in [("since", "since"), ("ms", "to_timestamp(ms / 1000.0)")] {
        let recheck = format!(
            "insert into marks (who, {column}) values ($1, $2)
             on conflict (who) do update set {column} = greatest(marks.{column}, excluded.{column})"
        );
        let adapter = store.adapter_with(json!({ "recheck": recheck }));
        assert!(adapter.capabilities().actions.contains(&Action::Recheck));
        adapter.probe().await.unwrap();
        for second in [10, 5] {
            mark(&*adapter, "ana", at(second)).await.unwrap();
        }
        let instant = at(10).timestamp();
        let all = format!("select who || ' ' || ({cast} = to_timestamp({instant})) from marks");
        assert_eq!(store.strings(&all).await, ["ana true"]);
        store.run("delete from marks").await;
    }
    store.remove().await;
}

#[tokio::test]
async fn a_statement_that_takes_no_instant_is_rejected_in_words_that_help() {
    let store = Sql::create("sql", "text", "text").await;
    store.run("create table marks (who text, day date, three text)").await;
    for (recheck, words) in [
        ("insert into marks (who, day) values ($1, $2)", "it can be timestamptz, or int8"),
        ("insert into marks (who, day, three) values ($1, now(), $2 || $3)", "takes 3 values"),
    ] {
        let error = store.adapter_with(json!({ "recheck": recheck })).probe().await.unwrap_err();
        assert!(chain(&error).contains(words), "{}", chain(&error));
    }
    store.remove().await;
}

#[tokio::test]
async fn on_mariadb_the_last_value_is_the_instant() {
    let store = MariaDb::create(Of::Text).await;
    store.run("create table marks (who varchar(80) primary key, ms bigint)").await;
    let recheck = "insert into marks (who, ms) values (?, ?) on duplicate key update ms = greatest(ms, values(ms))";
    let adapter = store.adapter_with(json!({ "recheck": recheck }));
    assert!(adapter.capabilities().actions.contains(&Action::Recheck));
    adapter.probe().await.unwrap();
    for second in [10, 5] {
        mark(&*adapter, "ana", at(second)).await.unwrap();
    }
    let all = store.strings("select concat(who, ' ', ms) from marks").await;
    assert_eq!(all, [format!("ana {}", at(10).timestamp_millis())]);
    let error = store.adapter_with(json!({ "recheck": "update marks set ms = ?" })).probe().await.unwrap_err();
    assert!(chain(&error).contains("the last is the instant"), "{}", chain(&error));
    store.remove().await;
}

#[tokio::test]
async fn whoever_is_told_of_no_marks_says_that_it_leaves_none() {
    for store in crate::stores::textual().await {
        let adapter = store.adapter();
        assert!(!adapter.capabilities().actions.contains(&Action::Recheck), "{}", store.name());
        let error = mark(&*adapter, "ana", at(1)).await.unwrap_err();
        assert!(matches!(error, Error::Rejected(_)), "{}", store.name());
        store.remove().await;
    }
}
