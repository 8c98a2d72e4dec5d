//! What only the layout of Django has to bear.

use downstreams::{Error, Match};
use serde_json::json;

use crate::stores::{
    Store, build, chain,
    django::{Django, signed},
    end, find, ids,
};

#[tokio::test]
async fn a_table_of_many_pages_is_read_whole_and_expired_rows_are_not() {
    let store = Django::create(false).await;
    let (ana, bob) = (signed(&json!({ "_auth_user_id": "7" })), signed(&json!({ "_auth_user_id": "8" })));
    let insert = "insert into django_session select 's' || to_char(n, 'FM00000'), case n % 2 when 0 then";
    store
        .database
        .run(&format!("{insert} '{ana}' else '{bob}' end, now() + interval '1 day' from generate_series(1, 2500) n"))
        .await;
    store.insert("expired", &ana, "-1 second").await;
    let adapter = store.adapter();
    let found = find(&*adapter, "7").await.unwrap();
    assert_eq!(ids(&found), (1..=1250).map(|n| format!("s{:05}", n * 2)).collect::<Vec<_>>());
    assert_eq!(end(&*adapter, "7", &found).await.unwrap(), 1250);
    assert_eq!(store.ids().await.len(), 1251);
    store.remove().await;
}

#[tokio::test]
async fn both_the_row_and_the_cached_copy_go_and_either_counts_once() {
    let store = Django::create(true).await;
    let (both, row_only) = (store.sign_in("7").await, store.sign_in("7").await);
    let cache = store.cache.as_ref().unwrap();
    redis::cmd("DEL").arg(store.key(&row_only)).exec_async(&mut cache.connection.clone()).await.unwrap();
    let adapter = store.adapter();
    let found = find(&*adapter, "7").await.unwrap();
    assert_eq!(end(&*adapter, "7", &found).await.unwrap(), 2);
    assert!(!store.is_cached(&both).await);

    // A request had read the row before it was deleted, and fills the cache after.
    store.fill_cache(&both).await;
    let found = find(&*adapter, "7").await.unwrap();
    assert_eq!(ids(&found), std::slice::from_ref(&both));
    assert_eq!(find(&*adapter, "77").await.unwrap(), []);
    assert_eq!(end(&*adapter, "7", &found).await.unwrap(), 1);
    assert!(!store.is_cached(&both).await);
    store.remove().await;
}

#[tokio::test]
async fn users_are_found_by_their_names_where_a_statement_says_how() {
    let store = Django::create(false).await;
    store.database.run("create table auth_user (id int primary key, username text)").await;
    store.database.run("insert into auth_user values (7, 'Ana'), (77, 'ben')").await;
    let (ana, _ben) = (store.sign_in("7").await, store.sign_in("77").await);
    let by = |statement: &str, matching| build(store.config(), json!({ "users": statement }), matching);
    let exact = by("select id from auth_user where username = $1", Match::Exact);
    assert_eq!(ids(&find(&*exact, "Ana").await.unwrap()), std::slice::from_ref(&ana));
    for nobody in ["ana", "7", "cem"] {
        assert_eq!(find(&*exact, nobody).await.unwrap(), [], "{nobody}");
    }
    let folded = by("select id from auth_user where lower(username) = lower($1)", Match::IgnoreCase);
    assert_eq!(ids(&find(&*folded, "ANA").await.unwrap()), [ana]);

    let url =
        store.database.url_with(&["select, delete on django_session", "select (id, username) on auth_user"]).await;
    let least = json!({ "url": url, "users": "select id from auth_user where username = $1" });
    build(store.config(), least, Match::Exact).probe().await.unwrap();
    let url = store.database.url_with(&["select, delete on django_session"]).await;
    let less = json!({ "url": url, "users": "select id from auth_user where username = $1" });
    let error = build(store.config(), less, Match::Exact).probe().await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized(_)) && chain(&error).contains("auth_user"), "{}", chain(&error));
    store.remove().await;
}

#[tokio::test]
async fn the_rights_that_the_manual_names_suffice() {
    let store = Django::create(true).await;
    store.sign_in("7").await;
    let url = store.database.url_with(&["select, delete on django_session"]).await;
    let cache = store.cache.as_ref().unwrap();
    for missing in ["", "exists", "unlink"] {
        let granted: Vec<&str> = ["+exists", "+unlink"].into_iter().filter(|right| right[1..] != *missing).collect();
        let login = cache.url_with(&[&["-@all"], &granted[..]].concat()).await;
        let adapter = store.adapter_with(json!({ "url": url, "cache": { "url": login, "prefix": store.key("") } }));
        match adapter.probe().await {
            Ok(probe) => assert!(missing.is_empty() && probe.notes.is_empty(), "{missing} {probe:?}"),
            Err(error) => assert!(
                matches!(error, Error::Unauthorized(_)) && chain(&error).contains(&format!("'{missing}'")),
                "{missing} {}",
                chain(&error)
            ),
        }
    }
    store.remove().await;
}

#[tokio::test]
async fn a_probe_says_what_looks_wrong() {
    let store = Django::create(true).await;
    store.insert("pickled", "gASVCgAAAAAAAAB9lC4:1vMJbe:GFMOBb3r", "1 day").await;
    let notes = store.adapter().probe().await.unwrap().notes;
    assert_eq!(
        notes,
        [
            "None of 1 sessions looked at is signed JSON, as Django writes it.",
            "None of 1 sessions looked at is in the cache: is its `prefix` right?"
        ]
    );
    store.remove().await;
}
