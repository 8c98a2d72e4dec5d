//! Revocation by hand, and who is let in to ask for it.

use serde_json::{Value, json};
use tests::world::{Person, World, person, text};

#[tokio::test]
async fn a_revocation_by_hand_ends_the_sessions_of_exactly_the_one_who_is_named() {
    let world = World::start(|names| names.usual()).await;
    let (ana, ben) = (person(1001, "ana"), person(1002, "ben"));
    let twin = Person { email: ben.email.clone(), ..person(1003, "benno") };
    world.hr(&[ana, ben, twin]).await.expect_code(0);
    let store = world.store("web").await;
    let (first, second, other) = (store.sign_in("ana").await, store.sign_in("ana").await, store.sign_in("ben").await);

    let wait = ["--reason", "stolen laptop", "--wait", "verified"];
    world.cli(&[&["revoke", "ana"], &wait[..]].concat()).await.expect_code(0);
    assert!(!store.lives(&first).await && !store.lives(&second).await);
    assert_eq!(world.state_of("ana").await, "active", "a revocation is no suspension");
    let third = store.sign_in("ana").await;
    let receipt = world.reached("ana", "web", "settled").await;
    assert_eq!((&receipt["found"], &receipt["ended"]), (&2.into(), &2.into()), "{receipt:#}");
    assert!(store.lives(&third).await, "a login after the revocation stays");

    world.cli(&[&["revoke", "nobody-of-that-name"], &wait[..]].concat()).await.expect_code(1);
    let several = world.cli(&[&["revoke", "ben@example.com"], &wait[..]].concat()).await.expect_code(2);
    several.expect_words(&[&world.id_of("ben").await, &world.id_of("benno").await]);
    world.cli(&["revoke", "ana"]).await.expect_code(2).expect_words(&["--reason"]);
    assert!(store.lives(&other).await);
}

#[tokio::test]
async fn no_admin_route_answers_without_an_admin_token() {
    let world = World::start(|names| names.usual()).await;
    world.scim("okta").create(&person(1001, "ana")).await;
    let id = world.id_of("ana").await;
    let routes = [
        ("GET", "/api/v1/identities".to_owned()),
        ("GET", format!("/api/v1/identities/{id}")),
        ("GET", format!("/api/v1/identities/{id}/sessions")),
        ("GET", format!("/api/v1/identities/{id}/trace")),
        ("POST", "/api/v1/revocations".to_owned()),
        ("GET", format!("/api/v1/revocations/{id}")),
        ("GET", "/api/v1/plans".to_owned()),
        ("POST", format!("/api/v1/plans/{id}/approve")),
        ("POST", format!("/api/v1/plans/{id}/reject")),
        ("GET", "/api/v1/sources".to_owned()),
        ("POST", "/api/v1/sources/people/sync".to_owned()),
        ("POST", "/api/v1/sources/people/plan".to_owned()),
        ("GET", format!("/api/v1/requests/{id}")),
        ("GET", "/api/v1/tokens".to_owned()),
        ("POST", "/api/v1/tokens".to_owned()),
        ("DELETE", format!("/api/v1/tokens/{id}")),
        ("GET", "/api/v1/events".to_owned()),
        ("GET", "/api/v1/ledger/check".to_owned()),
        ("POST", "/api/v1/policy/replay".to_owned()),
        ("GET", "/api/v1/no-such-thing".to_owned()),
    ];
    let body = json!({"who": "ana", "reason": "no token"});
    let (without, of_a_source) = (world.admin_without_token(), world.admin_with(&world.site().names().scim_token()));
    for (method, path) in &routes {
        for admin in [&without, &of_a_source] {
            let answer = admin.send(method, path, (*method == "POST").then_some(&body)).await;
            assert_eq!(answer.status, 401, "{method} {path} {}", answer.body);
            assert!(!answer.body.contains("ana"), "{method} {path} {}", answer.body);
        }
    }
    assert_eq!(world.admin().get("/api/v1/identities").await.status, 200);
    let events = world.events_of("ana").await;
    assert_eq!(events, ["identity.created"], "nothing came of it");
}

#[tokio::test]
async fn scim_lets_in_exactly_the_live_tokens_of_that_source() {
    let world = World::start(|names| names.usual()).await;
    let created = world.ask(&["token", "create", "--source", "okta"]).await;
    let token = text(&created["token"]);
    let list = "/Users?count=1";
    assert_eq!(world.scim("okta").raw("GET", list, None).await.status, 200);
    assert_eq!(world.scim_with("okta", &token).raw("GET", list, None).await.status, 200);
    for (source, wrong) in
        [("okta", "wrong"), ("okta", ""), ("okta", &*world.admin_token()), ("people", &*token), ("nosuch", &*token)]
    {
        let answer = world.scim_with(source, wrong).raw("GET", list, None).await;
        assert_eq!(answer.status, 401, "{source} {}", answer.body);
        assert_eq!(answer.json()["schemas"][0], "urn:ietf:params:scim:api:messages:2.0:Error");
    }
    world.cli(&["token", "revoke", &text(&created["id"])]).await.expect_code(0);
    assert_eq!(world.scim_with("okta", &token).raw("GET", list, None).await.status, 401);
}

#[tokio::test]
async fn a_source_changes_its_token_without_a_moment_in_which_none_is_accepted() {
    let world = World::start(|names| names.usual()).await;
    let old = world.ask(&["token", "create", "--source", "okta"]).await;
    let new = world.ask(&["token", "create", "--source", "okta", "--expires", "90d"]).await;
    let uses = async |token: &Value| {
        world.scim_with("okta", &text(&token["token"])).raw("GET", "/Users?count=1", None).await.status
    };
    let listed = async |token: &Value| {
        let all = world.ask(&["token", "list"]).await;
        all["items"].as_array().unwrap().iter().find(|t| t["id"] == token["id"]).cloned().unwrap()
    };
    assert_eq!((uses(&old).await, uses(&old).await), (200, 200));
    assert!(listed(&old).await["last_used_at"].is_string(), "the old one is still in use");
    assert!(listed(&new).await["last_used_at"].is_null(), "and the new one not yet");

    assert_eq!(uses(&new).await, 200, "both are live");
    assert!(listed(&new).await["last_used_at"].is_string());
    world.cli(&["token", "revoke", &text(&old["id"])]).await.expect_code(0);
    assert_eq!((uses(&old).await, uses(&new).await), (401, 200));
    let short = world.ask(&["token", "create", "--source", "okta", "--expires", "1ms"]).await;
    assert_eq!(uses(&short).await, 401, "it has expired");
}
