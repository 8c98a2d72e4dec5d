//! API keys in a table of their own: found, revoked and looked for again by the operator's statements.

use chrono::{DateTime, Duration, Utc};
use downstreams::{ConfigError, Downstream, Error, Match, Revoked, Subject};
use lifecycle::Action;
use serde_json::{Value, json};

use crate::stores::{
    Store, build, chain, find,
    mariadb::{MariaDb, Of},
    sql::Sql,
};

const KEYS: &str =
    "create table api_keys (id bigint primary key, owner varchar(80), created_at timestamptz, revoked_at timestamptz)";

fn statements() -> Value {
    json!({
        "find": "select id, created_at from api_keys where owner = $1 and revoked_at is null",
        "revoke": "update api_keys set revoked_at = now() where id = $2 and revoked_at is null",
    })
}

/// A store of keys alone.
fn alone(url: &str, credentials: Value) -> Value {
    json!({ "type": "sql", "url": url, "credentials": credentials })
}

fn revoked(found: u64, ended: u64, left: u64) -> Revoked {
    Revoked { found, ended, left }
}

async fn revoke(adapter: &dyn Downstream, user: &str, until: DateTime<Utc>) -> downstreams::Result<Revoked> {
    adapter.revoke_credentials(&Subject::new([user, ""]), until).await
}

async fn good(store: &Sql) -> Vec<String> {
    store.strings("select id::text from api_keys where revoked_at is null order by id").await
}

#[tokio::test]
async fn keys_are_revoked_those_of_others_and_those_of_later_stay_and_so_do_sessions() {
    let store = Sql::create("sql", "text", "text").await;
    store.run(KEYS).await;
    store
        .run(
            "insert into api_keys values (1, 'ana', now() - interval '1 year', null), (2, 'ana', null, null),
             (3, 'bob', now(), null), (4, 'ana', now() + interval '1 hour', null), (5, 'ana', now() - interval '2 years', now())",
        )
        .await;
    let mut credentials = statements();
    credentials["issued_at"] = "created_at".into();
    let adapter = store.adapter_with(json!({ "credentials": credentials }));
    let actions = [Action::RevokeSessions, Action::RevokeCredentials, Action::ShortenTtl, Action::Lock];
    assert_eq!(adapter.capabilities().actions, actions);
    let session = store.sign_in("ana").await;
    adapter.probe().await.unwrap();
    assert_eq!(good(&store).await, ["1", "2", "3", "4"], "to look changes nothing");

    let now = Utc::now() + Duration::minutes(1);
    assert_eq!(revoke(&*adapter, "ana", now).await.unwrap(), revoked(2, 2, 0));
    assert_eq!(good(&store).await, ["3", "4"]);
    assert_eq!(revoke(&*adapter, "ana", now).await.unwrap(), revoked(0, 0, 0), "again");
    assert_eq!(find(&*adapter, "ana").await.unwrap()[0].id.expose(), session, "a key is no session");
    store.remove().await;
}

#[tokio::test]
async fn what_is_still_good_after_it_was_revoked_is_said() {
    let store = Sql::create("sql", "text", "text").await;
    store.run(KEYS).await;
    store.run("insert into api_keys values (1, 'ana', now()), (2, 'ana', now())").await;
    let mut credentials = statements();
    // A statement that only enters an order for some of them.
    credentials["revoke"] = "update api_keys set revoked_at = now() where id = $2 and id < 2".into();
    let adapter = build(alone(&store.url(), credentials), json!({}), Match::Exact);
    assert_eq!(adapter.capabilities().actions, [Action::RevokeCredentials]);
    adapter.probe().await.unwrap();
    assert_eq!(revoke(&*adapter, "ana", Utc::now()).await.unwrap(), revoked(2, 1, 1));
    assert_eq!(adapter.find(&[Subject::new(["ana"])]).await.unwrap(), [vec![]], "no sessions are kept");
    store.remove().await;
}

#[tokio::test]
async fn keys_in_mariadb_are_revoked_alike() {
    let store = MariaDb::create(Of::Text).await;
    store
        .run(
            "create table api_keys (id bigint primary key, owner varchar(80), revoked_at timestamp null);
             insert into api_keys values (1, 'ana', null), (2, 'ana', null), (3, 'bob', null)",
        )
        .await;
    let credentials = json!({
        "find": "select id from api_keys where owner = ? and revoked_at is null",
        "revoke": "update api_keys set revoked_at = now() where owner = ? and id = ?",
    });
    for with in [json!({}), json!({ "find": null, "end": null, "verify": null })] {
        let with =
            [with, json!({ "credentials": credentials })].into_iter().flat_map(|w| w.as_object().unwrap().clone());
        let with = Value::Object(with.collect());
        let adapter = build(store.config(), with.clone(), Match::Exact);
        assert!(adapter.capabilities().actions.contains(&Action::RevokeCredentials));
        adapter.probe().await.unwrap();
        store.run("update api_keys set revoked_at = null").await;
        assert_eq!(revoke(&*adapter, "ana", Utc::now()).await.unwrap(), revoked(2, 2, 0), "{with}");
        let good = store.strings("select cast(id as char) from api_keys where revoked_at is null").await;
        assert_eq!(good, ["3"]);
    }
    store.remove().await;
}

#[tokio::test]
async fn a_right_that_is_missing_is_named_and_a_statement_that_does_not_fit_too() {
    let store = Sql::create("sql", "text", "text").await;
    store.run(KEYS).await;
    store.run("insert into api_keys values (1, 'ana', now())").await;
    let url = store.url_with(&["select on api_keys"]).await;
    let adapter = build(alone(&url, statements()), json!({}), Match::Exact);
    for error in [revoke(&*adapter, "ana", Utc::now()).await.unwrap_err(), adapter.probe().await.unwrap_err()] {
        assert!(matches!(error, Error::Unauthorized(_)), "{}", chain(&error));
    }
    let mut credentials = statements();
    credentials["issued_at"] = "made_at".into();
    let adapter = build(alone(&store.url(), credentials), json!({}), Match::Exact);
    let error = adapter.probe().await.unwrap_err();
    let words = "`credentials.find` returns no column made_at, which `issued_at` names";
    assert!(chain(&error).contains(words), "{}", chain(&error));
    store.remove().await;
}

#[test]
fn keys_that_say_nothing_or_are_missing_are_refused_before_any_connection() {
    let refused = |config: Value| {
        let config = serde_json::from_value::<downstreams::Config>(config).unwrap();
        assert_eq!(config.check(Match::Exact).is_err(), config.build(Match::Exact).is_err());
        config.build(Match::Exact).err().unwrap().to_string()
    };
    let with = |key: &str, value: Value| {
        let mut config = alone("postgres://h/d", statements());
        config[key] = value;
        config
    };
    assert_eq!(refused(with("recheck", json!("call mark($1, $2)"))), "`recheck` says nothing without `find`");
    let laravel = refused(with("layout", json!("laravel")));
    assert_eq!(laravel, "`layout` brings statements of its own: remove `layout` or `credentials`");
    let config = alone("postgres://h/d", json!({ "find": "select 1 where $1 = ''", "revoke": "delete from api_keys" }));
    let error = serde_json::from_value::<downstreams::Config>(config).unwrap().build(Match::Exact).err().unwrap();
    assert!(matches!(error, ConfigError::MissingPlaceholder { statement: "credentials.revoke", placeholder: "$2" }));
    let mut dated = statements();
    dated["issued_at"] = "created_at".into();
    let config = serde_json::from_value::<downstreams::Config>(alone("mysql://h/d", dated)).unwrap();
    assert!(matches!(config.build(Match::Exact), Err(ConfigError::NotThere { key: "issued_at", .. })));
}
