//! What is wrong is refused in words that say where and how to mend it, and ends nobody's access.

use serde_json::Value;
use tests::world::{Output, Site, Wire, World, okta, people, person, redis_url};

/// `leaver up` with this configuration, which must not start.
async fn refused(yaml: &str, code: i32) -> Output {
    let site = Site::embedded(|_| yaml.to_owned());
    site.write("policy.yaml", "rules:\n  - { name: leaver, on: [identity.suspended], when: 'identity.departement == \"Q\"', do: [revoke_sessions] }\n");
    let output = site.run(&["up"]).await.expect_code(code);
    assert!(!output.stdout.contains("ready"), "{output}");
    assert!(!output.stderr.contains("hunter2"), "{output}");
    output
}

#[tokio::test]
async fn an_unknown_key_stops_the_start_with_its_line_and_the_known_keys() {
    let people = people(", brake: { max_disabled: \"5%\" }");
    let output = refused(&format!("sources:\n  people: {people}\n"), 2).await;
    output.expect_words(&["max_disabled", "leaver.yaml:4:", "known:", "burst", "max_disable", "min"]);
}

#[tokio::test]
async fn a_secret_that_is_not_there_stops_the_start_and_is_named() {
    let yaml = okta("").replace("SCIM_TOKEN", "NOT_SET_ANYWHERE");
    refused(&format!("sources:\n  okta: {yaml}\n"), 2).await.expect_words(&["NOT_SET_ANYWHERE", "leaver.yaml:4:"]);
}

#[tokio::test]
async fn an_error_in_the_policy_stops_the_start_with_its_position() {
    refused("policy: policy.yaml\n", 2).await.expect_words(&["departement", "policy.yaml:2:", "department"]);
}

#[tokio::test]
async fn a_database_that_nobody_serves_is_named_without_its_password() {
    let wire = Wire::dead(&redis_url());
    let address = wire.address();
    let output = refused(&format!("database: {{ url: \"postgres://leaver:hunter2@{address}/leaver\" }}\n"), 1).await;
    output.expect_words(&[&address.to_string()]);
}

#[tokio::test]
async fn a_malformed_hr_file_backs_the_source_off_and_nobody_is_missing() {
    let world = World::start(|names| names.usual()).await;
    let staff = [person(1001, "ana"), person(1002, "ben"), person(1003, "cleo")];
    world.hr(&staff).await.expect_code(0);
    let store = world.store("web").await;
    let session = store.sign_in("ben").await;

    let broken =
        "employeeNumber,userName,email,department,status\n1001,ana,ana@example.com,Finance,active\n,ben,,,left\n";
    world.site().write("people.csv", broken);
    world.cli(&["source", "sync", "people"]).await.expect_code(1).expect_words(&["row 3", "employeeNumber"]);
    assert_eq!(state_of_people(&world).await, "backed_off");
    for one in &staff {
        assert_eq!(world.state_of(&one.user).await, "active", "{}", one.user);
    }

    world.hr(&[staff[0].clone(), staff[2].clone(), staff[1].status("left")]).await.expect_code(0);
    assert_eq!(state_of_people(&world).await, "ok");
    store.ends(&session).await;
    world.reached("ben", "web", "verified").await;
}

async fn state_of_people(world: &World) -> Value {
    let sources = world.ask(&["source", "list"]).await;
    let all = sources["items"].as_array().unwrap();
    all.iter().find(|source| source["name"] == "people").unwrap()["state"].clone()
}

#[tokio::test]
async fn scim_that_cannot_be_understood_is_answered_400_with_its_scim_type_and_changes_nothing() {
    let world = World::start(|names| names.usual()).await;
    let okta = world.scim("okta");
    let id = okta.create(&person(1001, "ana")).await;
    let user = format!("/Users/{id}");
    let patch = |operation: &str| {
        Some(format!(r#"{{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{operation}]}}"#))
    };
    let cases = [
        ("POST", "/Users", Some("{ this is no JSON".to_owned()), "invalidSyntax"),
        ("PATCH", &*user, Some("[]".to_owned()), "invalidSyntax"),
        ("PATCH", &*user, patch(r#"{"op":"explode","path":"active","value":false}"#), "invalidSyntax"),
        ("PATCH", &*user, patch(r#"{"op":"replace","path":"active","value":"perhaps"}"#), "invalidValue"),
        ("GET", "/Users?filter=userName%20zz%20%22ana%22", None, "invalidFilter"),
        ("GET", "/Users?filter=userName%20eq", None, "invalidFilter"),
    ];
    for (method, path, body, scim_type) in cases {
        let answer = okta.raw(method, path, body).await.expect_status(400);
        let error = answer.json();
        assert_eq!(error["schemas"][0], "urn:ietf:params:scim:api:messages:2.0:Error", "{method} {path}");
        assert_eq!(
            (&error["scimType"], &error["status"]),
            (&scim_type.into(), &"400".into()),
            "{method} {path} {error:#}"
        );
    }
    assert_eq!(world.state_of("ana").await, "active");
    assert_eq!(world.events_of("ana").await, ["identity.created"]);
}
