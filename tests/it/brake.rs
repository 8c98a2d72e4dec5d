//! A file that was cut between two rows: the brake holds, and a person lets exactly that plan through.

use tests::world::{Person, World, okta, people, person, text};

const HELD: [&str; 6] = ["plan", "list", "--held", "--output", "json", "--color=never"];

#[tokio::test]
async fn a_file_cut_in_half_ends_nobody_until_a_person_approves_exactly_that_plan() {
    let world = World::start(|names| {
        let people = people(", brake: { max_disable: \"5%\", min: 2 }");
        // The department is the identity provider's to say, so that what it says changes the person.
        let okta = okta(", authority: [department]");
        format!("sources:\n  people: {people}\n  okta: {okta}\ndownstreams:\n  web: {}\n", names.web())
    })
    .await;
    let okta = world.scim("okta");
    let staff: Vec<Person> = (1..=8).map(|n| person(1000 + n, &format!("user{n}"))).collect();
    let (kept, cut) = staff.split_at(4);
    world.hr(&staff).await.expect_code(0);
    let also_at_okta = okta.create(&cut[0]).await;
    let elsewhere = okta.create(&person(2001, "zoe")).await;
    let store = world.store("web").await;
    let mut sessions = Vec::new();
    for one in &staff {
        sessions.push(store.sign_in(&one.user).await);
    }

    // Cut, and then something unrelated is said about one of those who are held.
    world.hr(kept).await.expect_code(3).expect_words(&["held"]);
    okta.set_department(&also_at_okta, "Research").await;
    assert_eq!(world.identity(&cut[0].user).await["department"], "Research");
    // Zoe was deactivated last: what came before her has been seen when her revocation is verified.
    okta.deactivate(&elsewhere).await;
    world.reached("zoe", "web", "verified").await;
    for (one, session) in staff.iter().zip(&sessions) {
        assert_eq!(world.state_of(&one.user).await, "active", "{}", one.user);
        assert!(store.lives(session).await, "{}", one.user);
    }

    // The file is a mistake that will be made again: nothing waits by it any more, and it ends nobody.
    let wrong = text(&world.cli(&HELD).await.expect_code(0).json()["items"][0]["id"]);
    world.cli(&["plan", "show", &wrong[..13]]).await.expect_code(0).expect_words(&["disable", "inactive"]);
    world
        .cli(&["plan", "reject", &wrong, "--reason", "cut"])
        .await
        .expect_code(0)
        .expect_words(&["4 changes rejected"]);
    world.cli(&["plan", "approve", &wrong]).await.expect_code(1).expect_words(&["is rejected"]);
    world.hr(kept).await.expect_code(0);
    assert_eq!(world.state_of(&cut[0].user).await, "active");
    // Once they were there again, the same word is judged anew.
    world.hr(&staff).await.expect_code(0);
    world.hr(kept).await.expect_code(3);

    let plans = world.cli(&HELD).await.expect_code(0).json();
    let [plan] = &plans["items"].as_array().unwrap()[..] else { panic!("{plans:#}") };
    assert_eq!(
        (&plan["source"], &plan["state"], &plan["counts"]["disable"]),
        (&"people".into(), &"held".into(), &4.into())
    );

    // The file says something else by now, but nobody has read it: what was shown is what is approved.
    world.hr_file(&kept[..1]);
    world.cli(&["plan", "approve", &text(&plan["id"])]).await.expect_code(0);
    for one in cut {
        world.reached(&one.user, "web", "verified").await;
        assert_eq!(world.state_of(&one.user).await, "suspended", "{}", one.user);
    }
    for session in &sessions[4..] {
        assert!(!store.lives(session).await);
    }
    for (one, session) in kept.iter().zip(&sessions) {
        assert_eq!(world.state_of(&one.user).await, "active", "{}", one.user);
        assert!(store.lives(session).await, "{}", one.user);
    }
    assert_eq!(world.cli(&HELD).await.expect_code(0).json()["items"], serde_json::json!([]));
}
