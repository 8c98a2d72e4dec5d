//! Revocation by hand, and who is let in to ask for it.

use serde_json::{Value, json};
use tests::world::{Person, SOON, Wire, World, eventually, okta, person, redis_url, rounds, text, until};

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
async fn a_group_is_revoked_at_once_if_it_is_small_and_else_once_a_second_person_agrees() {
    let world = World::start(|names| {
        let web = names.web();
        format!("sources:\n  okta: {}\ndownstreams:\n  web: {web}\nhands: {{ mass: 1 }}\n", okta(""))
    })
    .await;
    let okta = world.scim("okta");
    let (ana, ben) = (okta.create(&person(1001, "ana")).await, okta.create(&person(1002, "ben")).await);
    for (name, members) in [("both", vec![&ana, &ben]), ("one", vec![&ben])] {
        let members: Vec<Value> = members.into_iter().map(|id| json!({"value": id})).collect();
        let schema = "urn:ietf:params:scim:schemas:core:2.0:Group";
        let group = json!({"schemas": [schema], "displayName": name, "members": members});
        okta.raw("POST", "/Groups", Some(group.to_string())).await.expect_status(201);
    }
    let store = world.store("web").await;
    let (of_ana, of_ben) = (store.sign_in("ana").await, store.sign_in("ben").await);

    let revoke = ["revoke", "--group", "okta/both", "--reason", "phished"];
    let rehearsed = world.cli(&[&revoke[..], &["--dry-run"]].concat()).await.expect_code(0);
    rehearsed.expect_words(&["2 members", "web", "take two people", "nothing was changed"]);
    world.cli(&["revoke", "--group", "nobodys", "--reason", "R"]).await.expect_code(1).expect_words(&["no group"]);
    let held = world.cli(&[&revoke[..], &["--wait", "verified", "-o", "json"]].concat()).await.expect_code(3).json();
    let id = text(&held["id"]);
    world.cli(&["hold", "list", "--held"]).await.expect_code(0).expect_words(&[&id, "okta/both", "phished"]);
    world.cli(&["hold", "show", &id]).await.expect_code(0).expect_words(&["ana", "ben", "decide:"]);
    world.cli(&["hold", "approve", &id]).await.expect_code(3).expect_words(&["another person"]);
    assert!(store.lives(&of_ana).await && store.lives(&of_ben).await);
    assert_eq!(world.metric("leaver_holds_waiting", "kind=\"group\"").await, 1.0);

    let one = ["revoke", "--group", "one", "--reason", "phished", "--wait", "verified"];
    world.cli(&one).await.expect_code(0).expect_words(&["1 verified"]);
    assert!(store.lives(&of_ana).await && !store.lives(&of_ben).await, "few enough for one person");

    let token = text(&world.ask(&["token", "create", "--admin", "kim"]).await["token"]);
    let kim = world.admin_with(&token);
    kim.post(&format!("/api/v1/holds/{id}/approve"), &json!({})).await.expect_status(202);
    store.ends(&of_ana).await;
    eventually(SOON, "all of it is verified", async || {
        let seen = world.ask(&["hold", "show", &id]).await;
        seen["hold"]["state"] == "applied" && seen["progress"]["verified"] == 2
    })
    .await;
    world.cli(&["hold", "reject", &id, "--reason", "late"]).await.expect_code(1).expect_words(&["is applied"]);
}

#[tokio::test]
async fn whoever_asks_after_a_hold_over_and_over_hears_of_it_at_every_moment() {
    let world =
        World::start(|names| format!("sources:\n  okta: {}\ndownstreams:\n  web: {}\n", okta(""), names.web())).await;
    let group = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "few"});
    world.scim("okta").raw("POST", "/Groups", Some(group.to_string())).await.expect_status(201);
    let admin = world.admin();
    for _ in 0..rounds(30) {
        let asked = admin.post("/api/v1/revocations", &json!({"group": "few", "reason": "phished"})).await;
        let hold = format!("/api/v1/holds/{}", text(&asked.expect_status(202).json()["id"]));
        while admin.get(&hold).await.expect_status(200).json()["hold"].is_null() {}
    }
}

/// A source, the downstream `web`, and another one, `cold`, behind this wire.
async fn world_with_a_cold_downstream(wire: &Wire) -> World {
    let world = World::start(|names| {
        let (web, cold) = (names.web(), names.redis("cold", &wire.url(), "[200ms, 1s]"));
        format!("sources:\n  okta: {}\ndownstreams:\n  web: {web}\n  cold: {cold}\n", okta(""))
    })
    .await;
    world.scim("okta").create(&person(1001, "ana")).await;
    world
}

#[tokio::test]
async fn what_is_owed_is_listed_and_tried_at_once_when_somebody_asks() {
    let mut wire = Wire::dead(&redis_url());
    let world = world_with_a_cold_downstream(&wire).await;
    let frozen = world.store("cold").await.sign_in("ana").await;
    world.cli(&["owed", "list"]).await.expect_code(0).expect_words(&["nothing is owed"]);
    let revoke = ["revoke", "ana", "--reason", "stolen laptop", "--downstream", "cold"];
    world.cli(&revoke).await.expect_code(0);
    world.cli(&[&revoke[..], &["--wait", "applied", "--timeout", "1s"]].concat()).await.expect_code(3);

    let listed = until(SOON, "it was tried", async || {
        Some(world.ask(&["owed", "list"]).await).filter(|listed| listed["items"][0]["attempts"].as_u64() >= Some(1))
    })
    .await;
    let row = &listed["items"][0];
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "one subject, one downstream: {listed:#}");
    assert_eq!((&row["userName"], &row["downstream"], &row["state"]), (&json!("ana"), &json!("cold"), &json!("owed")));
    assert!(row["last_error"].is_string(), "{row:#}");
    world.cli(&["owed", "list", "--stuck"]).await.expect_code(0).expect_words(&["nothing is stuck"]);
    let id = text(&row["id"]);
    world.cli(&["owed", "retry", &id]).await.expect_code(3).expect_words(&["still owed", "cold"]);

    wire.revive();
    world.cli(&["owed", "retry", &id]).await.expect_code(0).expect_words(&["answered"]);
    assert!(!world.store("cold").await.lives(&frozen).await);
    world.cli(&["owed", "retry", &id]).await.expect_code(1).expect_words(&["nothing is owed under the id"]);
    assert_eq!(world.ask(&["owed", "list"]).await, json!({"items": []}));
}

#[tokio::test]
async fn looking_at_sessions_and_rehearsing_their_end_shows_no_credential_and_ends_nothing() {
    let wire = Wire::dead(&redis_url());
    let world = world_with_a_cold_downstream(&wire).await;
    let store = world.store("web").await;
    let (first, second) = (store.sign_in("ana").await, store.sign_in("ana").await);
    store.sign_in("somebody-else").await;

    let seen = world.cli(&["identity", "sessions", "ana", "-o", "json"]).await.expect_code(3).json();
    let of = |name: &str| seen["downstreams"].as_array().unwrap().iter().find(|d| d["downstream"] == name).unwrap();
    assert_eq!((&of("web")["found"], &of("web")["error"]), (&json!(2), &Value::Null), "{seen:#}");
    assert_eq!(of("web")["sessions"][0]["ended_before"], false);
    assert!(of("cold")["error"].is_string(), "one that cannot be reached is a row of the answer: {seen:#}");
    for id in [&first, &second] {
        assert!(!seen.to_string().contains(id), "a session id is a credential");
    }
    let shown = world.cli(&["identity", "sessions", "ana"]).await.expect_code(3);
    shown.expect_words(&["2 sessions in 1 of 2 downstreams", "nothing is known of cold"]);

    let revoke = ["revoke", "ana", "--reason", "stolen laptop", "--dry-run"];
    let rehearsed = world.cli(&revoke).await.expect_code(3);
    rehearsed.expect_words(&["would end 2 sessions in 1 of 2 downstreams", "nothing was changed"]);
    let there = [&revoke[..], &["--downstream", "web", "-o", "json"]].concat();
    let rehearsed = world.cli(&there).await.expect_code(0).json();
    assert_eq!(rehearsed["downstreams"][0]["would_end"], 2, "{rehearsed:#}");
    assert!(store.lives(&first).await && store.lives(&second).await);
    assert_eq!(world.receipt("ana", "web").await, Value::Null, "nobody was revoked");
    let pool = world.site().database().pool().await;
    let sql = "SELECT count(*) FROM ledger.requests WHERE result::text LIKE '%session%'";
    let kept: i64 = sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap();
    assert_eq!(kept, 0, "what was seen is not kept with what was asked");
}

#[tokio::test]
async fn a_lock_ends_every_login_until_it_is_ended_by_hand() {
    let world = World::start(|names| {
        let web = names.redis("web", &redis_url(), "[200ms, 4s]");
        format!("sources:\n  okta: {}\ndownstreams:\n  web: {web}\n", okta(""))
    })
    .await;
    world.scim("okta").create(&person(1001, "ana")).await;
    let store = world.store("web").await;
    let before = store.sign_in("ana").await;
    let lock = ["lock", "ana", "--for", "1h", "--reason", "stolen laptop"];
    world.cli(&[&lock[..], &["--wait", "verified"]].concat()).await.expect_code(0);
    assert!(!store.lives(&before).await);
    let during = store.sign_in("ana").await;
    store.ends(&during).await;
    world.cli(&["identity", "show", "ana"]).await.expect_code(0).expect_words(&["locked until", "stolen laptop"]);
    assert_eq!(world.state_of("ana").await, "active", "a lock is no suspension");

    world.cli(&["unlock", "ana"]).await.expect_code(0).expect_words(&["not locked any more"]);
    assert_eq!(world.identity("ana").await["locks"], json!([]));
    let after = store.sign_in("ana").await;
    world.reached("ana", "web", "settled").await;
    assert!(store.lives(&after).await, "who is unlocked may log in");
    world.cli(&["unlock", "ana"]).await.expect_code(0).expect_words(&["was not locked"]);
    world.cli(&["lock", "ana", "--for", "0s", "--reason", "R"]).await.expect_code(2);

    let both = ["revoke", "ana", "--lock", "1h", "--reason", "stolen laptop", "--wait", "verified"];
    world.cli(&both).await.expect_code(0);
    assert!(!store.lives(&after).await);
    assert_eq!(world.identity("ana").await["locks"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn somebody_whom_no_source_knows_is_out_by_what_one_downstream_calls_them() {
    let world = World::start(|names| {
        let (web, shop) = (names.web(), names.redis("shop", &redis_url(), "[200ms, 1s]"));
        format!("sources:\n  okta: {}\ndownstreams:\n  web: {web}\n  shop: {shop}\n", okta(""))
    })
    .await;
    world.scim("okta").create(&person(1001, "ana")).await;
    let (store, shop) = (world.store("web").await, world.store("shop").await);
    let (ghost, ana, elsewhere) =
        (store.sign_in("ghost-42").await, store.sign_in("ana").await, shop.sign_in("ghost-42").await);
    let revoke = ["revoke", "--subject", "ghost-42", "--reason", "left behind"];
    let web = ["--downstream", "web"];
    let rehearsed = world.cli(&[&revoke[..], &web, &["--dry-run"]].concat()).await.expect_code(0);
    rehearsed.expect_words(&["ghost-42", "stranger", "would end 1 session in 1 of 1 downstream"]);
    assert!(store.lives(&ghost).await);

    let there = [&revoke[..], &web, &["--wait", "settled"]].concat();
    world.cli(&there).await.expect_code(0).expect_words(&["ended 1 session in 1 of 1 downstream"]);
    assert!(!store.lives(&ghost).await && store.lives(&ana).await && shop.lives(&elsewhere).await);
    let again = world.ask(&there).await;
    assert_eq!((&again["kind"], &again["known"], &again["identity"]), (&json!("stranger"), &json!([]), &Value::Null));
    let pool = world.site().database().pool().await;
    let strangers: Vec<String> =
        sqlx::query_scalar("SELECT id::text FROM ledger.strangers").fetch_all(&pool).await.unwrap();
    assert_eq!(strangers, [text(&again["subject"])], "the same one each time");
    let everything =
        "SELECT string_agg(query_to_xml(format('TABLE %I.%I', schemaname, tablename), true, true, '')::text, '')
        FROM pg_tables WHERE schemaname IN ('directory', 'ledger', 'working', 'scratch') AND tablename <> 'strangers'";
    let everything: String = sqlx::query_scalar(everything).fetch_one(&pool).await.unwrap();
    assert!(everything.contains(&strangers[0]) && !everything.contains("ghost-42"), "they are called so in one table");
    assert!(!world.logs().contains("ghost-42"), "and in no log");
    assert_eq!(world.ask(&["ledger", "check"]).await["findings"], json!([]));

    let known = [&["revoke", "--subject", "ana", "--reason", "R", "--wait", "verified"][..], &web].concat();
    let told = world.cli(&known).await.expect_code(0);
    told.expect_words(&[&format!("leaver identity show {}", world.id_of("ana").await)]);
    assert!(!store.lives(&ana).await, "it is said, and done");
}

#[tokio::test]
async fn a_stranger_is_named_by_one_downstream_and_by_nothing_else() {
    let world = World::start(|names| names.usual()).await;
    world.scim("okta").create(&person(1001, "ana")).await;
    let revoke = ["revoke", "--reason", "left behind"];
    let subject = ["--subject", "ghost"];
    for (wrong, words) in [
        (&[][..], "WHO"),
        (&[&subject[..], &["ana", "--downstream", "web"]].concat(), "exclude each other"),
        (&subject, "--downstream"),
        (&[&subject[..], &["--downstream", "web", "--downstream", "portal"]].concat(), "one downstream"),
        (&[&subject[..], &["--downstream", "web", "--lock", "1h"]].concat(), "exclude each other"),
        (&[&subject[..], &["--downstream", "nosuch"]].concat(), "no downstream is called nosuch"),
        (&["ana", "--downstream", "nosuch"], "no downstream is called nosuch"),
    ] {
        world.cli(&[&revoke[..], wrong].concat()).await.expect_code(2).expect_words(&[words]);
    }
    for wrong in [
        json!({"reason": "R"}),
        json!({"who": "ana", "subject": "ghost", "downstreams": ["web"], "reason": "R"}),
        json!({"subject": "ghost", "reason": "R"}),
        json!({"subject": "ghost", "downstreams": [], "reason": "R"}),
        json!({"subject": "ghost", "downstreams": ["web", "web"], "reason": "R"}),
        json!({"subject": "ghost", "downstreams": ["web"], "lock_for": "1h", "reason": "R"}),
        json!({"subject": "", "downstreams": ["web"], "reason": "R"}),
        json!({"subject": "gh\u{0}st", "downstreams": ["web"], "reason": "R"}),
        json!({"subject": "g".repeat(2_000), "downstreams": ["web"], "reason": "R"}),
    ] {
        let answer = world.admin().send("POST", "/api/v1/revocations", Some(&wrong)).await;
        assert_eq!(answer.status, 400, "{wrong} {}", answer.body);
    }
    let pool = world.site().database().pool().await;
    let kept = "SELECT (SELECT count(*) FROM ledger.strangers) + (SELECT count(*) FROM ledger.requests)";
    assert_eq!(sqlx::query_scalar::<_, i64>(kept).fetch_one(&pool).await.unwrap(), 0, "nothing came of it");
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
        ("POST", "/api/v1/locks".to_owned()),
        ("POST", "/api/v1/unlocks".to_owned()),
        ("GET", "/api/v1/owed".to_owned()),
        ("GET", format!("/api/v1/owed/{id}")),
        ("POST", format!("/api/v1/owed/{id}/retry")),
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
