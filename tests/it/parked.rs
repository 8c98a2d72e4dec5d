//! What an identity provider sent and was refused is shown without its content, and can be carried out again.

use serde_json::{Value, json};
use tests::world::{World, person, text};

/// The one parked record of `okta`.
async fn parked(world: &World) -> Value {
    let records = world.ask(&["parked", "list"]).await;
    let [record] = &records["items"].as_array().unwrap()[..] else { panic!("{records:#}") };
    record.clone()
}

#[tokio::test]
async fn b1_36_a_refused_request_is_kept_redacted_and_carried_out_again_once_the_cause_is_mended() {
    let world = World::start(|names| names.usual()).await;
    let okta = world.scim("okta");
    let first = okta.create(&person(1001, "ana")).await;
    let second = okta.create(&person(1002, "ben")).await;

    // Two people of one name in one source: the second is refused until the first is renamed.
    let rename = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [
        {"op": "replace", "path": "userName", "value": "ana"},
        {"op": "replace", "path": "password", "value": "hunter2"},
        {"op": "Replace", "path": "active", "value": "False"},
    ]});
    let path = format!("/Users/{second}");
    for _twice in 0..2 {
        okta.raw("PATCH", &path, Some(rename.to_string())).await.expect_status(409);
    }
    let record = parked(&world).await;
    assert_eq!((&record["place"], &record["times"], &record["kept"]), (&"PATCH /Users".into(), &2.into(), &1.into()));
    assert_eq!(
        record["example"]["Operations"],
        json!([
            {"op": "replace", "path": "userName", "value": "(string)"},
            {"op": "replace", "path": "password", "value": "(string)"},
            {"op": "Replace", "path": "active", "value": "False"},
        ])
    );
    let id = text(&record["id"]);

    // The cause is still there.
    world.cli(&["parked", "retry", &id]).await.expect_code(1).expect_words(&["userName"]);
    assert!(parked(&world).await["retry_error"].as_str().unwrap().contains("userName"));
    assert_eq!(world.state_of("ben").await, "active");

    okta.patch(&first, &json!({"op": "replace", "path": "userName", "value": "anna"})).await.expect_status(200);
    world.cli(&["parked", "retry", &id]).await.expect_code(0).expect_words(&["1 request carried out"]);
    assert_eq!(world.state_of("ana").await, "suspended");
    assert_eq!(world.ask(&["parked", "list"]).await["items"], json!([]));
    assert_eq!(okta.get(&second).await.json()["userName"], "ana");
    world.cli(&["parked", "retry", &id]).await.expect_code(1).expect_words(&["carried out already"]);

    // What the source has said since is newer, and wins.
    let wrong = json!({"op": "replace", "path": "active", "value": "perhaps"});
    okta.patch(&first, &wrong).await.expect_status(400);
    okta.set_department(&first, "Research").await;
    let id = text(&parked(&world).await["id"]);
    world.cli(&["parked", "retry", &id]).await.expect_code(1).expect_words(&["newer"]);

    // What is read is read again; nobody has to send it.
    world.site().write("people.csv", "employeeNumber,userName,email,department,status\n");
    world.cli(&["parked", "retry", "0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8"]).await.expect_code(1);
    world.cli(&["parked", "retry", "0193a0f2"]).await.expect_code(2);
}

#[tokio::test]
async fn a_retry_about_a_group_is_held_to_the_version_that_its_readers_see() {
    let world = World::start(|names| names.usual()).await;
    let okta = world.scim("okta");
    let ana = okta.create(&person(1001, "ana")).await;
    let group = json!({"displayName": "admins", "members": [{"value": ana}]});
    let group = text(&okta.raw("POST", "/Groups", Some(group.to_string())).await.expect_status(201).json()["id"]);
    let patch = |operation: Value| json!({"Operations": [operation]}).to_string();
    // Its members count for its version, not for its own events.
    let leaves = patch(json!({"op": "remove", "path": format!("members[value eq \"{ana}\"]")}));
    okta.raw("PATCH", &format!("/Groups/{group}"), Some(leaves)).await.expect_status(204);
    let unreadable = patch(json!({"op": "add", "path": "members", "value": [{"display": "nobody"}]}));
    okta.raw("PATCH", &format!("/Groups/{group}"), Some(unreadable)).await.expect_status(400);

    let id = text(&parked(&world).await["id"]);
    world.cli(&["parked", "retry", &id]).await.expect_code(1).expect_words(&["members.value"]);
}
