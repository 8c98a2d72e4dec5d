//! A stop is orderly, and one folder of data has one Leaver.

use tests::world::{World, person};

#[tokio::test]
async fn sigterm_ends_it_in_order_with_exit_code_0() {
    let mut world = World::start(|names| names.usual()).await;
    let account = world.scim("okta").create(&person(1001, "ana")).await;
    world.scim("okta").deactivate(&account).await;
    assert_eq!(world.terminate().await, Some(0));
    world.leave_ledger_unchecked();
    assert_eq!(world.stdout(), ["ready"], "the only stdout");

    let gone = world.admin().base().to_owned();
    world.cli(&["identity", "list", "--server", &gone]).await.expect_code(1).expect_words(&["nobody answers", &gone]);
    world.cli(&["identity", "list"]).await.expect_code(1).expect_words(&["nobody answers", "http.admin"]);
}

#[tokio::test]
async fn a_second_leaver_on_the_same_data_is_refused_and_the_first_goes_on() {
    let world = World::start(|names| names.usual()).await;
    let second = world.cli(&["up"]).await;
    assert!(matches!(second.code, Some(1 | 2)), "{second}");
    assert!(!second.stdout.contains("ready"), "{second}");
    let data = world.site().path("data");
    second.expect_words(&[&data.to_string_lossy()]);
    world.probes().get("/readyz").await.expect_status(200);
    assert_eq!(world.ask(&["identity", "list"]).await["items"], serde_json::json!([]));
}
