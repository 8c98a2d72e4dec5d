//! What leaves Leaver over Kafka tells nobody who people are, and is as its schemas say.

use serde_json::Value;
use tests::world::{Message, Person, Role, Site, World, person, text, until};

use super::stage::{PATIENTLY, all_end, nothing_is_pending, signed_in, usual};

const CANARY: &str = "zzcanary";

/// The names that subscribers know: an opaque id, and a keyed hash.
const PUBLISH: &str = "publish: { hmac_key: \"env:PUBLISH_KEY\", subjects: \
     { okta: 'account(\"okta\").id', mail: 'hmac(identity.email)' } }\n";

/// The published schema of a topic.
fn schema(topic: &str) -> jsonschema::Validator {
    let file = format!("{}/../docs/reference/schemas/{topic}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    jsonschema::options().should_validate_formats(true).build(&serde_json::from_str(&text).unwrap()).unwrap()
}

/// Waits until what was done to the subject stands there in this order.
async fn is_told_on_receipts(world: &World, subject: &str, types: &[&str]) {
    let topics = world.site().names().topics();
    until(PATIENTLY, "every lock is on the topic", async || {
        let all = topics.read("receipts.v1").await;
        let of = |m: &&Message| m.key == subject && m.body["type"].as_str().is_some_and(|t| t.starts_with("lock."));
        let told: Vec<&str> = all.iter().filter(of).filter_map(|m| m.body["type"].as_str()).collect();
        (told == types).then_some(())
    })
    .await;
}

#[tokio::test]
async fn no_name_address_or_token_is_in_topics_logs_or_metrics_and_every_record_is_as_its_schema_says() {
    let key = format!("key-{}", tests::world::unique());
    let mut site = Site::new(|names| usual(names) + PUBLISH).await;
    site.set("LEAVER_LOG", "debug");
    site.set("PUBLISH_KEY", &key);
    let world = World::apart(site, &[(Role::Console, 1), (Role::SyncWorker, 1), (Role::Revoker, 1)]).await;
    let odd =
        Person { email: format!("{CANARY}+odd@Ünïcode.example"), ..person(1001, &format!("{CANARY}.O'Ñandú")) };
    let other = person(1002, &format!("{CANARY}-ben"));
    let gone = person(1003, &format!("{CANARY}-cleo"));
    world.hr(&[odd.clone(), other.clone(), gone.clone()]).await.expect_code(0);
    let (okta, store) = (world.gateway("okta"), world.store("web").await);
    let account = okta.create(&odd).await;
    let session = store.sign_in(&odd.user).await;

    okta.set_active(&account, false).await;
    store.ends(&session).await;
    world.reached(&odd.user, "web", "settled").await;
    okta.set_active(&account, true).await;
    world.cli(&["revoke", &other.user, "--reason", CANARY, "--wait", "settled"]).await.expect_code(0);
    let ghost = format!("{CANARY}-ghost");
    let unknown =
        ["revoke", "--subject", &ghost, "--downstream", "web", "--reason", "left behind", "--wait", "settled"];
    let stranger = world.ask(&unknown).await;
    let locked = world.id_of(&other.user).await;
    for time in ["1h", "1s"] {
        world.cli(&["lock", &other.user, "--for", time, "--reason", CANARY]).await.expect_code(0);
        if time == "1h" {
            world.cli(&["unlock", &other.user]).await.expect_code(0);
        }
    }
    is_told_on_receipts(&world, &locked, &["lock.set", "lock.cleared", "lock.set", "lock.expired"]).await;
    world.hr(&[odd.clone(), other.clone(), gone.status("left")]).await.expect_code(0);
    world.reached(&gone.user, "web", "settled").await;
    let rest = signed_in(&okta, &store, 2001, 2).await;
    okta.set_active(&rest[0].account, false).await;
    all_end(&store, &rest[..1]).await;
    world.reached(&rest[0].person.user, "web", "settled").await;
    nothing_is_pending(&world).await;

    let topics = world.site().names().topics();
    let mut names = topics.names().await;
    names.sort();
    assert_eq!(names, ["lifecycle.bulk.v1", "lifecycle.urgent.v1", "receipts.v1", "revocations.v1"]);
    let (lifecycle, revocations, receipts) =
        (topics.events().await, topics.read("revocations.v1").await, topics.read("receipts.v1").await);
    for (topic, messages) in
        [("lifecycle.v1", &lifecycle), ("revocations.v1", &revocations), ("receipts.v1", &receipts)]
    {
        assert!(!messages.is_empty(), "{topic}");
        let schema = schema(topic);
        for message in messages {
            let problems: Vec<String> = schema.iter_errors(&message.body).map(|e| e.to_string()).collect();
            assert!(problems.is_empty(), "{topic}: {problems:?}\n{:#}", message.body);
            assert_eq!(message.body["subject"], *message.key, "the key is the subject: {message:#?}");
        }
    }
    let told = topics.revocations().await;
    let nobody = &told[&text(&stranger["subject"])];
    assert_eq!((&nobody["kind"], &nobody["subjects"]), (&"stranger".into(), &serde_json::json!({})), "{nobody:#}");
    let names = &told[&world.id_of(&odd.user).await]["subjects"];
    assert_eq!(names["okta"], serde_json::json!([account]), "{names:#}");
    let hashes: Vec<&Value> = names["mail"].as_array().unwrap().iter().collect();
    assert!(!hashes.is_empty(), "{names:#}");
    for hash in hashes {
        let hash = hash.as_str().unwrap();
        assert!(hash.len() == 64 && hash.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')), "{names:#}");
    }

    let on_the_wire = |messages: &[Message]| messages.iter().map(|m| format!("{m:?}\n")).collect::<String>();
    let mut places = vec![
        ("the lifecycle topics", on_the_wire(&lifecycle)),
        ("the revocations topic", on_the_wire(&revocations)),
        ("the receipts topic", on_the_wire(&receipts)),
        ("the log", world.logs()),
    ];
    for member in world.members() {
        places.push(("the metrics", member.probes().get("/metrics").await.expect_status(200).body));
    }
    let (scim_token, admin_token) = (world.site().names().scim_token(), world.admin_token());
    for (place, text) in places {
        for secret in [CANARY, "Ünïcode", "user2001", &*scim_token, &*admin_token, &*session, &*key] {
            let line = text.lines().find(|line| line.to_lowercase().contains(&secret.to_lowercase()));
            assert!(line.is_none(), "{secret} is in {place}: {line:?}");
        }
    }
}
