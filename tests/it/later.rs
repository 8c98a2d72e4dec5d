//! Somebody moves: nothing ends at once, but the application asks again who it is, and old sessions end after a while.

use serde_json::json;
use tests::world::{Names, Person, Portal, SOON, World, eventually, people, person, until};

const POLICY: &str = r#"rules:
  - { name: gone, on: [identity.departed], do: [revoke_sessions] }
  - { name: asked, on: [identity.updated], when: '"department" in event.changed', do: [recheck], downstreams: [web] }
  - name: mover
    on: [identity.updated]
    when: '"department" in event.changed'
    do: [shorten_ttl]
    shorten_to: 6s
    downstreams: [portal]
examples:
  - { given: { event: { type: identity.updated, changed: [department] } }, expect: [recheck, shorten_ttl] }
"#;

fn mark(names: &Names, user: &str) -> String {
    format!("{}{user}", names.prefix("recheck"))
}

fn configuration(names: &Names) -> String {
    let recheck = format!("recheck: {{ key: \"{}\" }}, layout:", mark(names, "{user}"));
    let web = names.web().replacen("layout:", &recheck, 1);
    let portal = Portal::downstream("portal", "[200ms, 1s]");
    let sources = format!("sources:\n  people: {}\n", people(""));
    format!("{sources}downstreams:\n  portal: {portal}\n  web: {web}\npolicy: policy.yaml\n")
}

#[tokio::test]
async fn a_mover_is_asked_again_and_old_sessions_end_when_their_time_has_come() {
    let site = tests::world::Site::new(configuration).await;
    site.write("policy.yaml", POLICY);
    let world = World::at(site).await;
    let (web, portal) = (world.store("web").await, Portal::open(&world, "portal").await);
    let (ana, ben) = (person(1001, "ana"), person(1002, "ben"));
    world.hr(&[ana.clone(), ben.clone()]).await.expect_code(0);
    world.cli(&["policy", "test"]).await.expect_code(0);
    let check = world.ask(&["check"]).await;
    let can: Vec<_> = check["downstreams"].as_array().unwrap().iter().map(|d| d["actions"].clone()).collect();
    let portal_can = json!(["revoke_sessions", "shorten_ttl", "lock"]);
    assert_eq!(can, [portal_can, json!(["revoke_sessions", "shorten_ttl", "lock", "recheck"])]);

    let (browser, old, other) = (web.sign_in("ana").await, portal.sign_in("ana").await, portal.sign_in("ben").await);
    portal.later().await;
    let moved = Person { department: "Research".to_owned(), ..ana };
    world.hr(&[moved, ben]).await.expect_code(0);

    let key = mark(world.site().names(), "ana");
    let asked = until(SOON, "the mark is left", async || web.value(&key).await).await;
    let shown = world.identity("ana").await;
    let shortened = shown["shortened"][0].clone();
    assert_eq!(shortened["scopes"], json!(["portal"]), "{shown:#}");
    world.cli(&["identity", "show", "ana"]).await.expect_code(0).expect_words(&["shortened: sessions from before"]);
    let before: chrono::DateTime<chrono::Utc> = serde_json::from_value(shortened["sessions_before"].clone()).unwrap();
    let asked: i64 = asked.parse().unwrap();
    assert!((0..=1).contains(&(asked - before.timestamp_millis())), "{asked} and {before} are one instant");

    portal.later().await;
    let fresh = portal.sign_in("ana").await;
    portal.ends(&old).await;
    let due: chrono::DateTime<chrono::Utc> = serde_json::from_value(shortened["due_at"].clone()).unwrap();
    assert_eq!(due - before, chrono::Duration::seconds(6));
    let revocation = format!("/api/v1/revocations/{}", shortened["revocation"].as_str().unwrap());
    let receipt = until(SOON, "the receipt is settled", async || {
        let answer = world.admin().get(&revocation).await;
        let receipt = (answer.status == 200).then(|| answer.json()["receipts"][0].clone())?;
        (receipt["state"] == "settled").then_some(receipt)
    })
    .await;
    let applied: chrono::DateTime<chrono::Utc> = serde_json::from_value(receipt["at"]["applied"].clone()).unwrap();
    assert!(applied >= due, "until then it may live: {receipt:#}");
    assert_eq!((&receipt["downstream"], &receipt["ended"]), (&json!("portal"), &json!(1)));
    assert!(portal.lives(&fresh).await && portal.lives(&other).await && web.lives(&browser).await);
    let left = async || world.identity("ana").await["shortened"] == json!([]);
    eventually(SOON, "nothing is left to end", left).await;
}

#[tokio::test]
async fn a_mover_whom_a_restart_meets_loses_the_old_sessions_all_the_same() {
    let site = tests::world::Site::new(configuration).await;
    site.write("policy.yaml", POLICY);
    let mut world = World::at(site).await;
    let portal = Portal::open(&world, "portal").await;
    let ana = person(1001, "ana");
    world.hr(std::slice::from_ref(&ana)).await.expect_code(0);
    let old = portal.sign_in("ana").await;
    world.hr(&[Person { department: "Research".to_owned(), ..ana }]).await.expect_code(0);
    eventually(SOON, "it is decided", async || world.identity("ana").await["shortened"][0].is_object()).await;
    world.restart().await;
    portal.ends(&old).await;
}
