//! Held plans beside one another: one that cannot be made anew holds up no other, and a burst alarms once.

use std::convert::Infallible;
use std::time::Duration;

use directory::{AccountRow, Burst, Cause, Directory, RequestKind, Role};
use lifecycle::account::Profile;
use lifecycle::brake::Counts;
use lifecycle::{AccountFacts, Class, Standing};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use serde_json::json;
use sync_worker::{Hops, Metrics, SyncWorker};
use tokio_util::sync::CancellationToken;

use crate::site::{Site, config, until};

fn cause(source: &str) -> Cause {
    Cause {
        source: Some(source.to_owned()),
        class: Class::Prompt,
        effective_at: None,
        received_at: None,
        trace: None,
        via: "test",
    }
}

#[tokio::test]
async fn a_plan_that_cannot_be_made_anew_holds_up_no_other_and_is_left_alone_for_a_while() {
    let site = Site::new().await;
    let (sync, console) = (site.directory(Role::Sync).await, site.directory(Role::Console).await);
    sync.register_sources().await.unwrap();
    let mut sources = config(site.folder.path(), None);
    sources.get_mut("people").unwrap().brake.expires = Duration::ZERO;
    sources.insert("corp".to_owned(), sources["people"].clone());
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry, Hops::new_with_constructor(|| Histogram::new([])));
    let worker = SyncWorker::new(sync.clone(), &sources, metrics, "here".to_owned(), None).unwrap();
    for source in ["corp", "people"] {
        sync.hold(&cause(source), None, &Counts::default(), &[], 0, "f").await.unwrap();
    }
    site.run(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
         CREATE TRIGGER fail BEFORE UPDATE ON directory.plans FOR EACH ROW WHEN (OLD.source = 'corp') EXECUTE FUNCTION fail()",
    )
    .await;
    let failures = || {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let line = text.lines().find(|line| line.starts_with("leaver_replan_failures_total{source=\"corp\"}"));
        line.unwrap().rsplit_once(' ').unwrap().1.to_owned()
    };
    let held = async || {
        let plans = console.plans(true).await.unwrap();
        plans.into_iter().map(|plan| plan.source).collect::<Vec<_>>()
    };
    assert_eq!((held().await.len(), failures()), (2, "0".to_owned()));
    for _ in 0..2 {
        worker.watch_plans().await.unwrap();
        assert_eq!((held().await, failures()), (vec!["corp".to_owned()], "1".to_owned()), "for nobody waits at people");
    }
}

/// Somebody new at the source that pushes.
async fn create(sync: &Directory, name: &str) -> AccountRow {
    let facts = AccountFacts {
        native_id: directory::new_id(),
        external_id: None,
        profile: Profile { user_name: Some(name.to_owned()), ..Profile::default() },
        standing: Standing::Active,
        starts_at: None,
        ends_at: None,
        kind: None,
        attributes: json!({}),
        groups: None,
    };
    sync.create_user(&cause("corp"), Burst { count: 9, window: Duration::from_secs(60) }, &facts).await.unwrap().account
}

/// A deactivation beyond the burst.
async fn deactivate(sync: &Directory, account: &AccountRow) {
    let change = move |row: &AccountRow| {
        Ok::<_, Infallible>(AccountFacts {
            native_id: row.native_id.clone(),
            external_id: None,
            profile: row.profile.clone(),
            standing: Standing::Inactive,
            starts_at: None,
            ends_at: None,
            kind: None,
            attributes: row.attributes.clone(),
            groups: None,
        })
    };
    let none = Burst { count: 0, window: Duration::from_secs(60) };
    sync.change_user(&cause("corp"), none, &account.native_id, change).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn what_a_burst_goes_on_to_say_alarms_once_more_when_its_window_is_over_and_not_with_each_push() {
    let site = Site::new().await;
    let (sync, console) = (site.directory(Role::Sync).await, site.directory(Role::Console).await);
    sync.register_sources().await.unwrap();
    let mut sources = config(site.folder.path(), None);
    let corp = json!({"connector": {"type": "scim", "tokens": []}, "brake": {"burst": {"count": 0, "window": "60s"}}});
    sources.insert("corp".to_owned(), serde_json::from_value(corp).unwrap());
    let metrics = Metrics::register(&mut Registry::default(), Hops::new_with_constructor(|| Histogram::new([])));
    let worker = SyncWorker::new(sync.clone(), &sources, metrics, "here".to_owned(), None).unwrap();
    let (worker, stop) = (std::sync::Arc::new(worker), CancellationToken::new());
    let until_stopped = stop.clone();
    let serving = tokio::spawn(async move { worker.serve_requests(until_stopped).await });
    let mut people = Vec::new();
    for n in 0..4 {
        people.push(create(&sync, &format!("p{n}")).await);
    }
    // Whoever serves requests has looked at everything else as well when the second of two is answered.
    let rounds = async || {
        for _ in 0..2 {
            let stray = console.ask(RequestKind::Sync, &json!({"source": "nobody"}), "jo").await.unwrap();
            sync.wake.requests.ring();
            until("an answer", async || (console.request(stray).await.unwrap().state == "failed").then_some(())).await;
        }
    };
    const TOLD: &str = "SELECT count(*) FROM ledger.events WHERE type = 'source.held'";

    deactivate(&sync, &people[0]).await;
    let first = until("a plan", async || console.held_plan("corp").await.unwrap()).await;
    for person in &people[1..] {
        deactivate(&sync, person).await;
        rounds().await;
    }
    assert_eq!((console.held_plan("corp").await.unwrap(), site.count(TOLD).await), (Some(first), 1));
    assert_eq!(console.unplanned("corp").await.unwrap(), 3);

    site.run("UPDATE directory.plans SET created_at = created_at - interval '61 s'").await;
    let second =
        until("another plan", async || console.held_plan("corp").await.unwrap().filter(|plan| *plan != first)).await;
    rounds().await;
    assert_eq!((console.held_plan("corp").await.unwrap(), site.count(TOLD).await), (Some(second), 2));
    assert_eq!((console.unplanned("corp").await.unwrap(), console.plan_items(second, 0, 9).await.unwrap().1), (0, 4));
    stop.cancel();
    serving.await.unwrap();
}
