//! What cannot work apart is refused at the start, in words that say what is missing.

use tests::world::{Role, Site, World, okta};

use super::stage::usual;

const ROLES: [Role; 3] = [Role::SyncWorker, Role::Revoker, Role::Console];

#[tokio::test]
async fn a_role_alone_without_a_kafka_or_a_database_says_which_section_is_missing() {
    let sources = format!("sources:\n  okta: {}\n", okta(""));
    let without_kafka = Site::new(|_| sources.clone()).await;
    let without_database = Site::embedded(|names| sources.clone() + &names.kafka());
    let without_both = Site::embedded(|_| sources);
    for role in ROLES {
        for (site, missing, there) in [
            (&without_kafka, &["bus.kafka"][..], &["database.url"][..]),
            (&without_database, &["database.url"], &["bus.kafka"]),
            (&without_both, &["bus.kafka", "database.url"], &[]),
        ] {
            let output = site.run(&[role.as_str()]).await.expect_code(2);
            output.expect_words(missing);
            assert!(there.iter().all(|section| !output.stderr.contains(section)), "{output}");
            assert!(!output.stdout.contains("ready"), "{output}");
        }
    }
}

#[tokio::test]
async fn a_second_process_of_a_role_on_the_same_data_is_refused_and_the_first_goes_on() {
    let world = World::apart(Site::new(usual).await, &[(Role::Console, 1), (Role::Revoker, 1)]).await;
    for role in [Role::Console, Role::Revoker] {
        let first = world.member(role, 0);
        let second = world.site().run_on(&[role.as_str()], first.data()).await;
        assert!(matches!(second.code, Some(1 | 2)), "{second}");
        assert!(!second.stdout.contains("ready"), "{second}");
        second.expect_words(&[&first.data().to_string_lossy(), &first.process_id().to_string(), "LEAVER__DATA_DIR"]);
        first.probes().get("/readyz").await.expect_status(200);
    }
}
