//! What a SCIM client does: create, change, delete, come back.

use directory::Error;
use lifecycle::{AccountFacts, Standing};

use crate::world::{PLENTY, World, cause, person, standing};

fn fresh(facts: AccountFacts) -> AccountFacts {
    AccountFacts { native_id: directory::new_id(), ..facts }
}

#[tokio::test]
async fn a_deleted_user_is_gone_for_the_client_and_departed_for_us() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    assert_eq!(ana.id.to_string(), ana.native_id, "the SCIM id is the account's own");
    assert!(world.delete("okta", PLENTY, &ana.native_id).await);
    assert!(!world.delete("okta", PLENTY, &ana.native_id).await, "once");
    assert!(world.sync.user("okta", &ana.native_id).await.unwrap().is_none());
    assert_eq!(world.found("okta", "id pr").await, 0);
    assert_eq!(world.identity(ana.identity_id).await.state, "departed");
}

#[tokio::test]
async fn a_user_who_returns_gets_the_id_and_the_identity_of_before() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    world.delete("okta", PLENTY, &ana.native_id).await;
    let back = world.create("okta", person("ANA")).await;
    assert_eq!((back.native_id, back.identity_id), (ana.native_id.clone(), ana.identity_id));
    let identity = world.identity(ana.identity_id).await;
    assert_eq!((identity.state.as_str(), identity.generation), ("active", 2));

    world.set("okta", &ana.native_id, Standing::Inactive).await;
    let again = world.create("okta", person("ana")).await;
    assert_eq!(again.native_id, ana.native_id, "a deactivated user who is posted anew, as Okta does it");
    assert_eq!(world.identity(ana.identity_id).await.generation, 2, "nobody departed");
}

#[tokio::test]
async fn a_user_name_in_use_is_taken_whatever_its_case() {
    let world = World::new().await;
    world.create("okta", person("ana")).await;
    let bob = world.create("okta", person("bob")).await;
    let taken = world.sync.create_user(&cause("okta"), PLENTY, &fresh(person("Ana"))).await.unwrap_err();
    assert!(matches!(taken, Error::Taken { what: "userName" }), "{taken:?}");
    let rename = |row: &directory::AccountRow| {
        Ok::<_, std::convert::Infallible>(AccountFacts { native_id: row.native_id.clone(), ..person("ANA") })
    };
    let taken = world.sync.change_user(&cause("okta"), PLENTY, &bob.native_id, rename).await.unwrap_err();
    assert!(matches!(taken, Error::Taken { what: "userName" }), "{taken:?}");
    world.create("partner", person("ana")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_user_posted_many_times_at_once_becomes_one_account() {
    let world = World::new().await;
    for round in 0..5 {
        let name = format!("ana{round}");
        let posts = (0..8).map(|_| {
            let (facts, cause) = (fresh(person(&name)), cause("okta"));
            let sync = &world.sync;
            async move { sync.create_user(&cause, PLENTY, &facts).await }
        });
        let answers = futures::future::join_all(posts).await;
        assert_eq!(answers.iter().filter(|a| a.is_ok()).count(), 1, "round {round}");
        let refused = answers.iter().filter(|a| matches!(a, Err(Error::Taken { .. }))).count();
        assert_eq!(refused, 7, "round {round}: {answers:?}");
    }
    assert_eq!(world.ask::<i64>("SELECT count(*) FROM directory.accounts").await, 5);
    assert_eq!(world.ask::<i64>("SELECT count(*) FROM directory.identities").await, 5);
    world.assert_clean_ledger().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_returning_user_posted_twice_at_once_comes_back_once() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    world.delete("okta", PLENTY, &ana.native_id).await;
    let (one, two) = (fresh(person("ana")), fresh(person("ana")));
    let okta = cause("okta");
    let (one, two) =
        tokio::join!(world.sync.create_user(&okta, PLENTY, &one), world.sync.create_user(&okta, PLENTY, &two));
    assert_eq!([&one, &two].iter().filter(|r| r.is_ok()).count(), 1, "{one:?} {two:?}");
    assert_eq!(world.identity(ana.identity_id).await.generation, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_one_user_at_once_lose_nothing_of_each_other() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    let changes = (0..8).map(|n| {
        let (world, id) = (&world, &ana.native_id);
        async move { world.change("okta", id, move |f| f.attributes[format!("by {n}")] = n.into()).await }
    });
    futures::future::join_all(changes).await;
    let account = world.sync.user("okta", &ana.native_id).await.unwrap().unwrap();
    assert_eq!(account.attributes.as_object().unwrap().len(), 8, "{}", account.attributes);
    assert_eq!(account.version, 9);
}

#[tokio::test]
async fn a_source_sees_its_own_users_only() {
    let world = World::new().await;
    let ana = world.create("okta", person("ana")).await;
    world.create("partner", person("bob")).await;
    assert!(world.sync.user("partner", &ana.native_id).await.unwrap().is_none());
    assert!(!world.delete("partner", PLENTY, &ana.native_id).await);
    assert_eq!(world.found("okta", "id pr").await, 1);
}

#[tokio::test]
async fn filters_compare_names_without_case_and_ids_as_they_stand() {
    let world = World::new().await;
    let facts = AccountFacts {
        external_id: Some("X-1".to_owned()),
        attributes: serde_json::json!({"emails": [{"value": "Ana@example.com", "type": "work"}]}),
        ..person("Ana")
    };
    let ana = world.create("okta", facts).await;
    for (filter, found) in [
        ("userName eq \"aNA\"".to_owned(), 1),
        ("externalId eq \"X-1\"".to_owned(), 1),
        ("externalId eq \"x-1\"".to_owned(), 0),
        (format!("id eq \"{}\"", ana.native_id), 1),
        ("emails eq \"ana@EXAMPLE.com\"".to_owned(), 1),
        ("emails[type eq \"work\"].value eq \"ana@example.com\"".to_owned(), 1),
        ("emails[type eq \"home\" and value eq \"ana@example.com\"]".to_owned(), 0),
    ] {
        assert_eq!(world.found("okta", &filter).await, found, "{filter}");
    }
}

#[tokio::test]
async fn a_held_deactivation_reads_back_as_the_fact() {
    let world = World::new().await;
    world.pull("hr", &[person("ana")]).await;
    world.pull_and_hold("hr", &[standing(Standing::Inactive, person("ana"))]).await;
    let account = world.sync.user("hr", "ana").await.unwrap().unwrap();
    assert_eq!((account.fact, account.counted), (Standing::Inactive, Standing::Active));
}
