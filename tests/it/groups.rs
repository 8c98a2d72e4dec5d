//! Groups as identity providers push them: a replacement that would take most of a group waits for a person, and nothing else does.

use serde_json::{Value, json};
use tests::world::{Answer, SOON, Scim, World, eventually, okta, people, person, text};

const HELD: [&str; 6] = ["plan", "list", "--held", "--output", "json", "--color=never"];
const SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

fn resource(name: &str, members: &[String]) -> Value {
    let members: Vec<Value> = members.iter().map(|id| json!({"value": id})).collect();
    json!({"schemas": [SCHEMA], "displayName": name, "members": members})
}

async fn create(okta: &Scim, name: &str, members: &[String]) -> String {
    let answer = okta.raw("POST", "/Groups", Some(resource(name, members).to_string())).await;
    text(&answer.expect_status(201).json()["id"])
}

async fn put(okta: &Scim, id: &str, name: &str, members: &[String]) -> Answer {
    okta.raw("PUT", &format!("/Groups/{id}"), Some(resource(name, members).to_string())).await
}

async fn patch(okta: &Scim, id: &str, operation: &Value) -> Answer {
    let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation]});
    okta.raw("PATCH", &format!("/Groups/{id}"), Some(body.to_string())).await
}

async fn members(okta: &Scim, id: &str) -> Vec<String> {
    let group = okta.raw("GET", &format!("/Groups/{id}"), None).await.expect_status(200).json();
    let mut ids: Vec<String> =
        group["members"].as_array().into_iter().flatten().map(|member| text(&member["value"])).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn b1_09_a_full_push_that_would_take_most_of_a_group_waits_for_a_person() {
    let world = World::start(|names| {
        let okta = okta(", brake: { max_disable: \"5%\", min: 2 }");
        let groups = "groups: { privileged: [admins] }\n";
        format!("sources:\n  people: {}\n  okta: {okta}\ndownstreams:\n  web: {}\n{groups}", people(""), names.web())
    })
    .await;
    let (okta, store) = (world.scim("okta"), world.store("web").await);
    let (mut ids, mut sessions) = (Vec::new(), Vec::new());
    for n in 0..6 {
        let user = format!("user{n}");
        ids.push(okta.create(&person(1000 + n, &user)).await);
        sessions.push(store.sign_in(&user).await);
    }
    let admins = create(&okta, "admins", &ids[..5]).await;

    // The provider is told that it is done, and reads back what it stated.
    put(&okta, &admins, "admins", &[ids[0].clone(), ids[5].clone()]).await.expect_status(200);
    let mut stated = vec![ids[0].clone(), ids[5].clone()];
    stated.sort();
    assert_eq!(members(&okta, &admins).await, stated);
    let plans = world.cli(&HELD).await.expect_code(0).json();
    let [plan] = &plans["items"].as_array().unwrap()[..] else { panic!("{plans:#}") };
    assert_eq!((&plan["source"], &plan["counts"]["privileged-loss"]), (&json!("okta"), &json!(4)), "{plan:#}");

    // Meanwhile somebody is deactivated, and one is taken out by name: that is not held by it.
    okta.deactivate(&ids[5]).await;
    store.ends(&sessions[5]).await;
    let one = json!({"op": "remove", "path": format!("members[value eq \"{}\"]", ids[4])});
    patch(&okta, &admins, &one).await.expect_status(204);
    store.ends(&sessions[4]).await;
    world.reached("user4", "web", "verified").await;
    for session in &sessions[..4] {
        assert!(store.lives(session).await, "nobody has let it through");
    }
    // And one is taken back.
    let back = json!({"op": "add", "path": "members", "value": [{"value": ids[3]}]});
    patch(&okta, &admins, &back).await.expect_status(204);

    world.cli(&["plan", "approve", &text(&plan["id"])]).await.expect_code(0);
    for n in [1, 2] {
        world.reached(&format!("user{n}"), "web", "verified").await;
        assert!(!store.lives(&sessions[n]).await);
    }
    assert!(store.lives(&sessions[0]).await && store.lives(&sessions[3]).await);
    assert_eq!(world.cli(&HELD).await.expect_code(0).json()["items"], json!([]));
}

#[tokio::test]
async fn whoever_leaves_a_group_within_a_privileged_one_is_out() {
    let world = World::start(|names| {
        let groups = "groups: { privileged: [admins] }\n";
        format!(
            "sources:\n  people: {}\n  okta: {}\ndownstreams:\n  web: {}\n{groups}",
            people(""),
            okta(""),
            names.web()
        )
    })
    .await;
    let (okta, store) = (world.scim("okta"), world.store("web").await);
    let ana = okta.create(&person(1001, "ana")).await;
    let ben = okta.create(&person(1002, "ben")).await;
    let (hers, his) = (store.sign_in("ana").await, store.sign_in("ben").await);
    let ops = create(&okta, "ops", &[ana.clone(), ben.clone()]).await;
    let inner = json!({"op": "add", "path": "members", "value": [{"value": ops, "type": "Group"}]});
    let admins = create(&okta, "admins", &[]).await;
    patch(&okta, &admins, &inner).await.expect_status(204);
    assert_eq!(members(&okta, &admins).await, std::slice::from_ref(&ops), "the provider reads what it wrote");
    let shown = world.cli(&["identity", "show", "ana", "--output", "json"]).await.expect_code(0).json();
    assert_eq!(shown["groups"], json!(["admins", "ops"]), "{shown:#}");

    let leaves = json!({"op": "remove", "path": format!("members[value eq \"{ana}\"]")});
    patch(&okta, &ops, &leaves).await.expect_status(204);
    store.ends(&hers).await;
    world.reached("ana", "web", "verified").await;
    assert!(store.lives(&his).await, "he is in it as before");
    let out = json!({"op": "remove", "path": "members", "value": [{"value": ops}]});
    patch(&okta, &admins, &out).await.expect_status(204);
    store.ends(&his).await;
}

#[tokio::test]
async fn an_extension_makes_a_group_privileged_as_long_as_it_says_so() {
    const CORP: &str = "urn:example:corp:2.0:Group";
    let world = World::start(|names| {
        let by = format!("groups: {{ privileged_by: [{{ attribute: \"{CORP}:tier\", values: [\"0\"] }}] }}\n");
        let sources = format!("sources:\n  people: {}\n  okta: {}\n", people(""), okta(""));
        format!("{sources}downstreams:\n  web: {}\n{by}", names.web())
    })
    .await;
    let (okta, store) = (world.scim("okta"), world.store("web").await);
    let (mut ids, mut sessions) = (Vec::new(), Vec::new());
    for (n, user) in [(1001, "ana"), (1002, "ben"), (1003, "cleo")] {
        ids.push(okta.create(&person(n, user)).await);
        sessions.push(store.sign_in(user).await);
    }
    let ops = create(&okta, "ops", &ids).await;
    let leaves = |id: &str| json!({"op": "remove", "path": format!("members[value eq \"{id}\"]")});
    let tier = async |tier: &str| {
        let extension = json!({"op": "replace", "path": format!("{CORP}:tier"), "value": tier});
        patch(&okta, &ops, &extension).await.expect_status(204);
    };
    tier("1").await;
    patch(&okta, &ops, &leaves(&ids[0])).await.expect_status(204);
    tier("0").await;
    patch(&okta, &ops, &leaves(&ids[1])).await.expect_status(204);
    store.ends(&sessions[1]).await;
    world.reached("ben", "web", "verified").await;

    // A provider that replaces the group without the extension takes the privilege away with whoever it leaves out.
    put(&okta, &ops, "ops", &[]).await.expect_status(200);
    store.ends(&sessions[2]).await;
    world.reached("cleo", "web", "verified").await;
    assert!(world.events_of("ana").await.contains(&"membership.removed".to_owned()));
    assert!(store.lives(&sessions[0]).await, "the group was not privileged when she left it");
}

#[tokio::test]
async fn b1_31_the_etag_of_a_group_changes_with_its_members_and_guards_them() {
    let world = World::start(|names| names.usual()).await;
    let okta = world.scim("okta");
    let (ana, ben) = (okta.create(&person(1001, "ana")).await, okta.create(&person(1002, "ben")).await);
    let staff = create(&okta, "staff", std::slice::from_ref(&ana)).await;
    let path = format!("/Groups/{staff}");
    let version = async || text(&okta.raw("GET", &path, None).await.expect_status(200).json()["meta"]["version"]);
    let first = version().await;
    let add = |id: &str| json!({"op": "add", "path": "members", "value": [{"value": id}]});
    patch(&okta, &staff, &add(&ana)).await.expect_status(204);
    assert_eq!(version().await, first, "she was a member");
    patch(&okta, &staff, &add(&ben)).await.expect_status(204);
    let second = version().await;
    assert_ne!(second, first);

    let all = resource("staff", &[]).to_string();
    okta.if_match(&first).raw("PUT", &path, Some(all.clone())).await.expect_status(412);
    okta.if_match(&first).raw("DELETE", &path, None).await.expect_status(412);
    assert_eq!(members(&okta, &staff).await.len(), 2);
    okta.if_match(&second).raw("PUT", &path, Some(all)).await.expect_status(200);
    assert_eq!(members(&okta, &staff).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_first_push_of_many_members_goes_on_after_a_crash() {
    let mut world = World::start(|names| names.usual()).await;
    let ids: Vec<String> = {
        let okta = world.scim("okta");
        let mut ids = Vec::new();
        for n in 0..1_100 {
            ids.push(okta.create(&person(2000 + n, &format!("user{n}"))).await);
        }
        let staff = create(&okta, "staff", &ids).await;
        assert_eq!(members(&okta, &staff).await.len(), ids.len(), "all are members at once");
        ids
    };
    world.kill9();
    world.restart().await;
    let last = format!("user{}", ids.len() - 1);
    for user in ["user0", last.as_str()] {
        let told = async || world.events_of(user).await.contains(&"membership.added".to_owned());
        eventually(SOON, "the membership is told", told).await;
    }
}
