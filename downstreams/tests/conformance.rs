//! What every adapter must do, on real stores.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod only;
mod stores;

use std::time::Duration;

use downstreams::{Ending, Error, Match, SessionId, Subject};
use serde_json::json;
use stores::{Rights, Store, all, build, chain, end, find, ids, sorted, textual, wire::Wire};
use tokio::net::TcpListener;

/// A deadline for what takes less than a second on an idle machine.
const SOON: Duration = Duration::from_secs(30);

fn server(store: &dyn Store) -> String {
    let url = url::Url::parse(&store.url()).unwrap();
    format!("{}:{}", url.host_str().unwrap(), url.port().unwrap())
}

#[tokio::test]
async fn a_revocation_finds_ends_and_verifies_and_neighbours_survive() {
    for store in all().await {
        let [ana, an, bob] = store.users();
        let adapter = store.adapter();
        let mine = sorted([store.sign_in(ana).await, store.sign_in(ana).await]);
        let others = sorted([store.sign_in(an).await, store.sign_in(bob).await]);

        let found = find(&*adapter, ana).await.unwrap();
        assert_eq!(ids(&found), mine, "{}", store.name());
        assert_eq!(end(&*adapter, ana, &found).await.unwrap(), 2, "{}", store.name());
        assert_eq!(adapter.verify(&[Subject::new([ana])]).await.unwrap(), [vec![]], "{}", store.name());
        assert_eq!(store.ids().await, others, "{}", store.name());
        store.remove().await;
    }
}

#[tokio::test]
async fn revoking_twice_is_success() {
    for store in all().await {
        let [ana, ..] = store.users();
        let adapter = store.adapter();
        store.sign_in(ana).await;
        let found = find(&*adapter, ana).await.unwrap();
        assert_eq!(end(&*adapter, ana, &found).await.unwrap(), 1, "{}", store.name());
        assert_eq!(end(&*adapter, ana, &found).await.unwrap(), 0, "{}", store.name());
        assert_eq!(end(&*adapter, ana, &[]).await.unwrap(), 0, "{}", store.name());
        assert_eq!(find(&*adapter, ana).await.unwrap(), [], "{}", store.name());
        store.remove().await;
    }
}

#[tokio::test]
async fn one_pass_answers_each_subject_in_its_place() {
    for store in all().await {
        let [ana, an, bob] = store.users();
        let adapter = store.adapter();
        let (a1, a2, b) = (store.sign_in(ana).await, store.sign_in(an).await, store.sign_in(bob).await);
        let subjects = [
            Subject::new([bob]),
            Subject::new([ana, an]),
            Subject::new(Vec::<String>::new()),
            Subject::new([bob, ana]),
        ];

        let found = adapter.find(&subjects).await.unwrap();
        let found_ids: Vec<_> = found.iter().map(|sessions| ids(sessions)).collect();
        let expected = [vec![b.clone()], sorted([a1.clone(), a2]), vec![], sorted([b, a1])];
        assert_eq!(found_ids, expected, "{}", store.name());

        let sessions: Vec<Vec<SessionId>> =
            found.iter().map(|sessions| sessions.iter().map(|session| session.id.clone()).collect()).collect();
        let endings: Vec<_> =
            subjects.iter().zip(&sessions).map(|(subject, sessions)| Ending { subject, sessions }).collect();
        let ended = adapter.end(&endings).await.unwrap();
        assert_eq!((ended.len(), ended.iter().sum::<u64>()), (4, 3), "a session of two subjects ends once");
        assert_eq!((ended[1], ended[2]), (2, 0), "{}", store.name());
        assert_eq!(store.ids().await, Vec::<String>::new(), "{}", store.name());
        assert!(adapter.find(&[]).await.unwrap().is_empty() && adapter.end(&[]).await.unwrap().is_empty());
        store.remove().await;
    }
}

#[tokio::test]
async fn a_session_that_was_written_back_is_seen_by_verify_wherever_that_can_happen() {
    for store in all().await {
        let [ana, ..] = store.users();
        let adapter = store.adapter();
        let id = store.sign_in(ana).await;
        let found = find(&*adapter, ana).await.unwrap();
        end(&*adapter, ana, &found).await.unwrap();
        store.write_back(&id, ana).await;
        let seen = adapter.verify(&[Subject::new([ana])]).await.unwrap();
        let resurrects = adapter.capabilities().resurrects && store.can_write_back();
        let back = if resurrects { vec![store.comes_back_as(&id)] } else { vec![] };
        assert_eq!(ids(&seen[0]), back, "{}", store.name());
        end(&*adapter, ana, &seen[0]).await.unwrap();
        assert_eq!(store.ids().await, Vec::<String>::new(), "{}", store.name());
        store.remove().await;
    }
}

#[tokio::test]
async fn a_user_may_have_any_name() {
    let names = [
        "o'brien",
        "a\"b\"",
        "*",
        "an?",
        "[ab]",
        "a%",
        "a_a",
        "a\\",
        "a:b",
        "user:{x}",
        "$1",
        "a b",
        "'; drop table sessions; --",
        "zoë",
        "ZOË",
        "名前",
        "🦀",
        "{\"passport\":{\"user\":\"x\"}}",
        "a\nb",
        "null",
        "42",
    ];
    for store in textual().await {
        let adapter = store.adapter();
        let mut expected = Vec::new();
        for name in names {
            expected.push(vec![store.sign_in(name).await]);
        }
        let subjects = names.map(|name| Subject::new([name]));
        let found = adapter.find(&subjects).await.unwrap();
        assert_eq!(found.iter().map(|found| ids(found)).collect::<Vec<_>>(), expected, "{}", store.name());
        for (name, found) in names.iter().zip(&found) {
            assert_eq!(end(&*adapter, name, found).await.unwrap(), 1, "{} {name}", store.name());
        }
        store.remove().await;
    }
}

#[tokio::test]
async fn an_empty_value_is_nobody() {
    for store in textual().await {
        store.sign_in("").await;
        assert_eq!(find(&*store.adapter(), "").await.unwrap(), [], "{}", store.name());
        store.remove().await;
    }
}

#[tokio::test]
async fn case_is_heeded_unless_the_configuration_says_otherwise() {
    for store in textual().await {
        let folded = build(store.folded(), json!({}), Match::IgnoreCase);
        let all = sorted([store.sign_in("Zoë").await, store.sign_in("ZOË").await, store.sign_in("zoë").await]);
        assert_eq!(find(&*store.adapter(), "Zoë").await.unwrap().len(), 1, "{}", store.name());
        let found = find(&*folded, "zOË").await.unwrap();
        // template0 of a cluster in the C locale folds ASCII only, so ask for what every locale can.
        assert!(!found.is_empty() && ids(&found).iter().all(|id| all.contains(id)), "{}", store.name());

        let bob = sorted([store.sign_in("Bob").await, store.sign_in("BOB").await]);
        let found = find(&*folded, "bOb").await.unwrap();
        assert_eq!(ids(&found), bob, "{}", store.name());
        assert_eq!(end(&*folded, "bOb", &found).await.unwrap(), 2, "{}", store.name());
        store.remove().await;
    }
}

#[tokio::test]
async fn a_refused_connection_is_reported_at_once() {
    for store in all().await {
        // Nothing listens on port 1.
        let adapter = store.adapter_with(json!({ "url": store.url_at(([127, 0, 0, 1], 1).into()) }));
        let error = find(&*adapter, store.users()[0]).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{}: {}", store.name(), chain(&error));
        assert!(chain(&error).contains("refused"), "and not that it took too long: {}", chain(&error));
        store.remove().await;
    }
}

#[tokio::test]
async fn what_was_unreachable_works_again_with_the_next_call() {
    for store in all().await {
        let wire = Wire::to(server(&*store)).await;
        let adapter = store.adapter_with(json!({ "url": store.url_at(wire.address) }));
        let [ana, ..] = store.users();
        store.sign_in(ana).await;

        wire.cut();
        for _ in 0..2 {
            let error = find(&*adapter, ana).await.unwrap_err();
            assert!(matches!(error, Error::Unavailable(_)), "{}: {}", store.name(), chain(&error));
        }
        wire.mend();
        assert_eq!(find(&*adapter, ana).await.unwrap().len(), 1, "{}", store.name());

        // The connection of that call was idle while the server went away and came back.
        wire.cut();
        wire.mend();
        let found = find(&*adapter, ana).await.unwrap();
        wire.cut();
        wire.mend();
        assert_eq!(end(&*adapter, ana, &found).await.unwrap(), 1, "{}", store.name());
        store.remove().await;
    }
}

#[tokio::test]
async fn a_wrong_login_is_unauthorized_and_its_password_not_repeated() {
    for store in all().await {
        let adapter = store.adapter_with(json!({ "url": store.url_as("leaver-nobody", "wr0ng-passw0rd") }));
        let subject = [Subject::new([store.users()[0]])];
        for error in [adapter.find(&subject).await.unwrap_err(), adapter.probe().await.unwrap_err()] {
            assert!(matches!(error, Error::Unauthorized(_)), "{}: {}", store.name(), chain(&error));
            assert!(!chain(&error).contains("wr0ng"), "{}", chain(&error));
        }
        store.remove().await;
    }
}

#[tokio::test]
async fn a_missing_right_is_unauthorized_and_found_by_the_probe() {
    for store in all().await {
        let [ana, ..] = store.users();
        let id = store.sign_in(ana).await;
        let adapter = store.adapter_with(json!({ "url": store.url_that_may_only_read().await }));
        let found = find(&*adapter, ana).await.unwrap();
        assert_eq!(found.len(), 1, "{}", store.name());
        for error in [end(&*adapter, ana, &found).await.unwrap_err(), adapter.probe().await.unwrap_err()] {
            assert!(matches!(error, Error::Unauthorized(_)), "{}: {}", store.name(), chain(&error));
            assert!(!chain(&error).contains(&id), "{}", chain(&error));
        }
        assert_eq!(store.ids().await.len(), 1, "{}", store.name());
        // The refusal has not spoilt the connection.
        assert_eq!(find(&*adapter, ana).await.unwrap().len(), 1, "{}", store.name());
        store.remove().await;
    }
}

#[tokio::test]
async fn a_silent_server_is_given_up_after_the_timeout() {
    for store in all().await {
        // The kernel accepts; nobody answers.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = store.url_at(silent.local_addr().unwrap());
        let [hasty, patient] =
            ["200ms", "1h"].map(|timeout| store.adapter_with(json!({ "url": url, "timeout": timeout })));
        let error = tokio::select! {
            given_up = find(&*hasty, store.users()[0]) => given_up.unwrap_err(),
            found = find(&*patient, store.users()[0]) => panic!("{}: {found:?} before the hour is over", store.name()),
            () = tokio::time::sleep(SOON) => panic!("{}: still waiting", store.name()),
        };
        assert!(matches!(error, Error::Unavailable(_)), "{}: {}", store.name(), chain(&error));
        store.remove().await;
    }
}

#[tokio::test]
async fn a_probe_names_the_store_and_changes_nothing() {
    for store in all().await {
        for user in store.users() {
            store.sign_in(user).await;
        }
        let before = store.ids().await;
        let probe = store.adapter().probe().await.unwrap();
        // Keycloak tells its version to nobody who has only the rights that Leaver needs.
        let (name, version) = probe.store.split_once(' ').unwrap_or((&probe.store, "0"));
        assert!(["Keycloak", "MariaDB", "Redis", "Valkey", "PostgreSQL"].contains(&name), "{}", probe.store);
        assert!(version.starts_with(|c: char| c.is_ascii_digit()), "{}", probe.store);
        assert_eq!(probe.notes, Vec::<String>::new(), "{}", store.name());
        assert_eq!(store.ids().await, before, "{}", store.name());
        store.remove().await;
    }
}

#[tokio::test]
async fn the_rights_that_the_manual_names_suffice_and_each_is_needed() {
    for store in all().await {
        let Some(Rights { keys, commands }) = store.rights() else { continue };
        let [ana, ..] = store.users();
        store.sign_in(ana).await;
        let allowed = |missing: &str| {
            let granted = commands.iter().filter(|command| **command != missing).map(|command| format!("+{command}"));
            std::iter::once("-@all".to_owned()).chain(granted).collect::<Vec<_>>()
        };
        for missing in commands {
            let granted = allowed(missing);
            let url = keys.url_that_may(&granted.iter().map(String::as_str).collect::<Vec<_>>()).await;
            let error = store.adapter_with(json!({ "url": url })).probe().await.unwrap_err();
            let named = chain(&error).to_lowercase().contains(&format!("'{missing}'"));
            assert!(matches!(error, Error::Unauthorized(_)) && named, "{} {missing}: {}", store.name(), chain(&error));
        }
        // What finding the servers takes is part of it.
        for missing in keys.rights() {
            let url = keys.url_with(&allowed("").iter().map(String::as_str).collect::<Vec<_>>()).await;
            let error = store.adapter_with(json!({ "url": url })).probe().await.unwrap_err();
            let named = chain(&error).to_lowercase().contains(&format!("'{missing}'"));
            assert!(matches!(error, Error::Unauthorized(_)) && named, "{} {missing}: {}", store.name(), chain(&error));
        }
        let granted = allowed("");
        let url = keys.url_that_may(&granted.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let adapter = store.adapter_with(json!({ "url": url }));
        assert_eq!(adapter.probe().await.unwrap().store, "Redis", "the version is not ours to ask for");
        let found = find(&*adapter, ana).await.unwrap();
        assert_eq!(end(&*adapter, ana, &found).await.unwrap(), 1, "{}", store.name());
        assert_eq!(find(&*adapter, ana).await.unwrap(), [], "{}", store.name());
        store.remove().await;
    }
}
