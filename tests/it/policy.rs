//! What a policy will do is known beforehand: a draft is tried on what has happened, and beside the policy on what happens.

use serde_json::{Value, json};
use tests::world::{Person, SOON, Site, World, eventually, okta, people, person, text};

/// Spares whom HR suspends, asks less of those who left, and asks something of whoever moved.
const DRAFT: &str = r#"rules:
  - { name: gone, on: [identity.departed], do: [revoke_sessions] }
  - { name: mover, on: [identity.updated], when: '"department" in event.changed', do: [recheck], else: revoke_sessions }
"#;

fn moved(person: &Person) -> Person {
    Person { department: "Research".to_owned(), ..person.clone() }
}

/// Ana has left, Ben has moved, Cleo is suspended, and so are two whom `break_glass` names: one moved, one left.
async fn history(world: &World) {
    let names = ["ana", "ben", "cleo", "root", "rest"];
    let staff: Vec<Person> = (1001..).zip(names).map(|(number, name)| person(number, name)).collect();
    world.hr(&staff).await.expect_code(0);
    let [ana, ben, cleo, root, rest] = &staff[..] else { panic!("five") };
    let now = [ana.status("left"), moved(ben), cleo.status("suspended"), moved(root), rest.status("left")];
    world.hr(&now).await.expect_code(0);
    world.reached("ana", "web", "verified").await;
    world.reached("cleo", "web", "verified").await;
    eventually(SOON, "everything is decided", async || world.ask(&["ledger", "check"]).await["pending"] == json!(0))
        .await;
}

fn differences(replay: &Value) -> Vec<(String, String)> {
    let all = replay["differences"].as_array().unwrap().iter();
    let mut named: Vec<_> = all.map(|one| (text(&one["user_name"]), text(&one["difference"]))).collect();
    named.sort();
    named
}

fn expected() -> Vec<(String, String)> {
    let all = [("ana", "other_actions"), ("ben", "more"), ("cleo", "fewer")];
    all.map(|(who, difference)| (who.to_owned(), difference.to_owned())).to_vec()
}

fn spared(names: &tests::world::Names) -> String {
    names.usual() + "break_glass: [root, rest]\n"
}

#[tokio::test]
async fn a_draft_is_tried_on_what_has_happened_and_nothing_is_decided_by_it() {
    let world = World::start(spared).await;
    history(&world).await;
    world.site().write("draft.yaml", DRAFT);
    let pool = world.site().database().pool().await;
    let written = async || -> Vec<i64> {
        sqlx::query_scalar(
            "SELECT count(*) FROM ledger.decisions UNION ALL SELECT count(*) FROM ledger.revocations
             UNION ALL SELECT sum(revision)::int8 FROM ledger.cutoff_subjects",
        )
        .fetch_all(&pool)
        .await
        .unwrap()
    };
    let before = written().await;

    let same = world.ask(&["policy", "replay", "--since", "1h"]).await;
    assert_eq!(same["differences"], json!([]), "the policy that decided decides alike: {same:#}");
    assert_eq!((&same["ended"]["was"], &same["ended"]["would"]), (&json!(2), &json!(2)), "{same:#}");
    assert_eq!((&same["spared"]["was"], &same["spared"]["would"]), (&json!(1), &json!(1)), "{same:#}");

    let replay = world.ask(&["policy", "replay", "--since", "1h", "--policy", "draft.yaml"]).await;
    assert_eq!(differences(&replay), expected(), "{replay:#}");
    assert_eq!(replay["rules"]["leaver"], json!({"was": 3, "would": 0}));
    assert_eq!(replay["rules"]["mover"], json!({"was": 0, "would": 2}), "also of whom is spared");
    assert_eq!(replay["spared"], json!({"was": 1, "would": 2}));
    let web = json!({"was": 2, "would": 2, "replaced": 1, "unsupported": 0});
    assert_eq!(replay["downstreams"]["web"], web, "{replay:#}");
    let ben = &replay["differences"].as_array().unwrap().iter().find(|one| one["user_name"] == "ben").unwrap()["would"];
    assert_eq!(ben["downstreams"], json!({"web": ["revoke_sessions"]}));
    assert_eq!(ben["replaced"], json!({"web": ["recheck"]}));
    let braked = DRAFT.replace("else: revoke_sessions }", "else: revoke_sessions, brake: { count: 0, window: 60s } }");
    world.site().write("braked.yaml", &braked);
    let shown = world.cli(&["policy", "replay", "--policy", "braked.yaml"]).await.expect_code(0);
    shown.expect_words(&["the brake of mover would hold 1 of these in 1 window"]);
    let shown = world.cli(&["policy", "replay", "--policy", "draft.yaml"]).await.expect_code(0);
    shown.expect_words(&["3 differences: 1 more, 1 fewer, 1 other actions", "cleo", "nothing was changed"]);

    let none = world.ask(&["policy", "replay", "--since", "0s", "--policy", "draft.yaml"]).await;
    assert_eq!((&none["events"], &none["differences"]), (&json!(0), &json!([])));

    // What is erased cannot be decided again, and that is said.
    let erase =
        "DELETE FROM ledger.event_context c USING ledger.events e JOIN directory.identities d ON d.id = e.subject_id
                 WHERE c.event = e.id AND d.user_name = 'ana' AND e.type = 'identity.departed'";
    sqlx::query(erase).execute(&pool).await.unwrap();
    let replay = world.ask(&["policy", "replay", "--policy", "draft.yaml"]).await;
    assert_eq!((differences(&replay), &replay["erased"]), (expected()[1..].to_vec(), &json!(1)), "{replay:#}");
    assert_eq!(written().await, before, "nothing was written");
}

#[tokio::test]
async fn privileged_people_stand_before_others_in_a_replay() {
    let world = World::start(|names| names.usual() + "groups: { privileged: [admins] }\n").await;
    let okta = world.scim("okta");
    for (number, name) in [(1001, "ana"), (1002, "zoe")] {
        let id = okta.create(&person(number, name)).await;
        if name == "zoe" {
            let schemas = ["urn:ietf:params:scim:schemas:core:2.0:Group"];
            let group = json!({"schemas": schemas, "displayName": "admins", "members": [{"value": id}]});
            okta.raw("POST", "/Groups", Some(group.to_string())).await.expect_status(201);
        }
        okta.deactivate(&id).await;
        world.reached(name, "web", "verified").await;
    }
    world.site().write("draft.yaml", "rules: []\n");
    let replay = world.ask(&["policy", "replay", "--policy", "draft.yaml"]).await;
    let of =
        |at: usize| (text(&replay["differences"][at]["user_name"]), replay["differences"][at]["privileged"].clone());
    assert_eq!((of(0), of(1)), (("zoe".to_owned(), json!(true)), ("ana".to_owned(), json!(false))), "{replay:#}");
    assert_eq!(replay["differences"][0]["privileged_groups"], json!(["admins"]));
}

#[tokio::test]
async fn an_error_in_a_draft_is_shown_with_its_rule_and_place_by_test_and_by_replay_alike() {
    let world = World::start(|names| names.usual()).await;
    world.site().write(
        "draft.yaml",
        "rules:
  - { name: a, on: [identity.updated], when: 'identity.departement == \"Q\"', do: [recheck] }
",
    );
    let mut told = Vec::new();
    for verb in ["test", "replay"] {
        let output = world.cli(&["policy", verb, "--policy", "draft.yaml"]).await.expect_code(2);
        output.expect_words(&["rule \"a\"", "draft.yaml:2:", "a similar field is `department`", "^^^"]);
        told.push(output.stderr);
    }
    assert_eq!(told[0], told[1]);
    world.site().write(
        "draft.yaml",
        "rules:
  - { name: b, on: [identity.updated], when: 'account(\"otka\").id != null', do: [recheck], downstreams: [wbe] }
",
    );
    for verb in ["test", "replay"] {
        let output = world.cli(&["policy", verb, "--policy", "draft.yaml"]).await.expect_code(2);
        output.expect_words(&[
            "rule \"b\": there is no source `otka`",
            "draft.yaml:2:",
            "there is no downstream `wbe`",
        ]);
        told.push(output.stderr);
    }
    assert_eq!(told[2], told[3]);
    world.cli(&["policy", "replay", "--policy", "nowhere.yaml"]).await.expect_code(2).expect_words(&["nowhere.yaml"]);
    world.site().write("draft.yaml", &"#".repeat(1_100_000));
    world.cli(&["policy", "replay", "--policy", "draft.yaml"]).await.expect_code(2).expect_words(&["larger than"]);
    world.cli(&["policy", "replay", "--shadow"]).await.expect_code(1).expect_words(&["no draft is configured"]);
}

#[tokio::test]
async fn a_shadow_is_decided_beside_the_policy_and_does_nothing() {
    let site = Site::new(|names| spared(names) + "shadow: draft.yaml\n").await;
    site.write("draft.yaml", DRAFT);
    let world = World::at(site).await;
    history(&world).await;
    for (difference, many) in [("more", 1.0), ("fewer", 1.0), ("other_actions", 1.0), ("other_downstreams", 0.0)] {
        let label = format!("difference=\"{difference}\"");
        assert_eq!(world.metric("leaver_shadow_differences_total", &label).await, many, "{difference}");
    }
    let replay = world.ask(&["policy", "replay", "--since", "1h", "--shadow"]).await;
    assert_eq!(differences(&replay), expected(), "who it was is read from the ledger: {replay:#}");
    let ben = text(&world.identity("ben").await["id"]);
    let revoked: i64 = sqlx::query_scalar("SELECT count(*) FROM ledger.revocations WHERE subject_id::text = $1")
        .bind(ben)
        .fetch_one(&world.site().database().pool().await)
        .await
        .unwrap();
    assert_eq!(revoked, 0, "the draft alone would have ended something");
    assert!(world.logs().contains("the shadow would have decided otherwise"));
    for name in ["ana", "ben", "cleo"] {
        assert!(!world.logs().lines().any(|line| line.contains("shadow") && line.contains(name)), "{name}");
    }
}

#[tokio::test]
async fn a_failing_example_of_the_policy_or_of_the_shadow_stops_the_start_with_its_line() {
    let example =
        "rules: []\nexamples:\n  - { given: { event: { type: identity.departed } }, expect: [revoke_sessions] }\n";
    for key in ["policy", "shadow"] {
        let site = Site::embedded(|_| format!("{key}: tried.yaml\n"));
        site.write("tried.yaml", example);
        let output = site.run(&["up"]).await.expect_code(2);
        output.expect_words(&["expects revoke_sessions, and the rules order nothing", "tried.yaml:3:5"]);
        site.run(&["check"]).await.expect_code(1).expect_words(&["1 of 1 example failed"]);
        site.write("tried.yaml", "rules: [{ name: a, on: nothing, do: recheck }]\n");
        let output = site.run(&["up"]).await.expect_code(2);
        output.expect_words(&["unknown event type `nothing`", "tried.yaml:1:"]);
        site.run(&["check"]).await.expect_code(2).expect_words(&["tried.yaml:1:"]);
    }
    let site = Site::embedded(|_| format!("sources:\n  p: {}\n  okta: {}\nshadow: none.yaml\n", people(""), okta("")));
    site.run(&["up"]).await.expect_code(2).expect_words(&["the draft cannot be read", "leaver.yaml:"]);
}

#[tokio::test]
async fn what_no_downstream_can_do_for_the_shadow_is_said_by_check() {
    let site = Site::embedded(|names| format!("downstreams:\n  web: {}\nshadow: draft.yaml\n", names.web()));
    site.write("draft.yaml", "rules: [{ name: mover, on: identity.updated, do: recheck }]\n");
    let output = site.run(&["check"]).await.expect_code(0);
    output.expect_words(&["rule \"mover\" of draft.yaml", "recheck is unsupported by web"]);
}

/// The blocks of a language in the guide, in its order.
fn blocks(language: &str) -> Vec<String> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/guides/policy.md")).unwrap();
    let begin = format!("```{language}\n");
    page.split(&begin).skip(1).map(|rest| rest.split_once("```").expect("the block ends").0.to_owned()).collect()
}

#[tokio::test]
async fn every_command_of_the_guide_does_what_it_says() {
    let site = Site::new(|names| names.usual() + "policy: policy.yaml\nshadow: draft.yaml\n").await;
    for block in blocks("yaml") {
        let named = block.strip_prefix("# ").and_then(|block| block.split_once('\n'));
        if let Some((file, _)) = named {
            site.write(file, &block);
        }
    }
    let world = World::at(site).await;
    history(&world).await;
    let mut run = 0;
    for line in blocks("sh").iter().flat_map(|block| block.lines()) {
        let words: Vec<&str> = line.strip_prefix("leaver ").expect("a command of ours").split_whitespace().collect();
        let output = world.cli(&words).await.expect_code(0);
        match (words.contains(&"replay"), words.contains(&"--policy") || words.contains(&"--shadow")) {
            // Ben and the root have moved, and are both people.
            (true, true) => output.expect_words(&["2 differences: 2 more", "mover", "else at web"]),
            (true, false) => output.expect_words(&["no differences"]),
            _ => {}
        }
        run += 1;
    }
    assert_eq!(run, 7, "the guide has these commands");
}
