//! What only the layout of Spring Session JDBC has to bear.

use serde_json::json;

use crate::stores::{Store, end, find, spring_jdbc::SpringJdbc, unique};

#[tokio::test]
async fn the_rights_that_the_manual_names_suffice_and_attributes_go_along() {
    let store = SpringJdbc::create().await;
    store.sign_in("ana").await;
    let adapter =
        store.adapter_with(json!({ "url": store.database.url_with(&["select, delete on spring_session"]).await }));
    adapter.probe().await.unwrap();
    let found = find(&*adapter, "ana").await.unwrap();
    assert_eq!(end(&*adapter, "ana", &found).await.unwrap(), 1);
    let left = store.database.strings("select session_primary_id::text from spring_session_attributes").await;
    assert_eq!(left, Vec::<String>::new());
    store.remove().await;
}

#[tokio::test]
async fn both_statements_use_their_indexes() {
    let store = SpringJdbc::create().await;
    store.database.run("set enable_seqscan = off").await;
    for (statement, index) in [
        ("select primary_id::text from spring_session where principal_name = 'ana'", "spring_session_ix3"),
        ("delete from spring_session where primary_id = 'x'::text::bpchar", "spring_session_pk"),
    ] {
        let plan = store.database.strings(&format!("explain {statement}")).await.join("\n");
        assert!(plan.contains(index), "{plan}");
    }
    store.remove().await;
}

#[tokio::test]
async fn another_table_may_be_named() {
    let store = SpringJdbc::create().await;
    let web = format!("web_{}", unique());
    store.sign_in("ana").await;
    store.database.run(&format!("create schema {web}; alter table spring_session set schema {web}")).await;
    store.database.run(&format!("alter table {web}.spring_session rename to Web_Session")).await;
    let adapter = store.adapter_with(json!({ "table": format!("{web}.Web_Session") }));
    assert_eq!(find(&*adapter, "ana").await.unwrap().len(), 1);
    store.database.run(&format!("drop schema {web} cascade")).await;
    store.remove().await;
}
