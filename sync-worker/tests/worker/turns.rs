//! Two sync workers over one database: each source has one reader at a time, and a request is answered once, by whoever reads.

use std::time::Duration;

use directory::{RequestKind, Role};
use serde_json::{Value, json};
use sqlx::{Connection, Executor};
use sync_worker::RunError;

use crate::site::{FOR_AN_HOUR, Site, until};

#[tokio::test]
async fn a_request_waits_for_the_worker_that_has_the_source_and_does_not_fail() {
    let site = Site::new().await;
    let console = site.directory(Role::Console).await;
    let elsewhere = site.directory(Role::Sync).await;
    assert!(elsewhere.lease("source/people", "elsewhere").await.unwrap());
    site.run(FOR_AN_HOUR).await;
    let worker = site.worker("here", None).await;

    let sync = console.ask(RequestKind::Sync, &json!({"source": "people"}), "jo").await.unwrap();
    let plan = console.ask(RequestKind::Plan, &json!({"source": "people"}), "jo").await.unwrap();
    // Every worker answers this one at once, and looks at the requests in their order.
    let stray = console.ask(RequestKind::Sync, &json!({"source": "nobody"}), "jo").await.unwrap();
    until("the stray request", async || (console.request(stray).await.unwrap().state == "failed").then_some(())).await;
    worker.directory.wake.requests.ring();
    let again = console.ask(RequestKind::Sync, &json!({"source": "nobody"}), "jo").await.unwrap();
    until("another one", async || (console.request(again).await.unwrap().state == "failed").then_some(())).await;
    for request in [sync, plan] {
        assert_eq!(console.request(request).await.unwrap().state, "new", "it is left to whoever has the source");
    }

    elsewhere.release_lease("source/people", "elsewhere").await.unwrap();
    for request in [sync, plan] {
        let done = until("an answer", async || {
            let request = console.request(request).await.unwrap();
            (request.state != "new").then_some(request)
        })
        .await;
        assert_eq!(done.state, "done", "{:?}", done.result);
    }
    worker.end().await;
    elsewhere.close().await;
    console.close().await;
}

#[tokio::test]
async fn of_two_workers_one_carries_out_a_request() {
    let site = Site::new().await;
    let console = site.directory(Role::Console).await;
    let workers = [site.worker("one", None).await, site.worker("other", None).await];
    let mut answers: Vec<Value> = Vec::new();
    for _ in 0..5 {
        let id = console.ask(RequestKind::Sync, &json!({"source": "people"}), "jo").await.unwrap();
        workers.iter().for_each(|worker| worker.directory.wake.requests.ring());
        let request = until("an answer", async || {
            let request = console.request(id).await.unwrap();
            (request.state != "new").then_some(request)
        })
        .await;
        assert_eq!(request.state, "done", "{:?}", request.result);
        answers.extend(request.result);
    }
    assert_eq!(answers.len(), 5);
    assert_eq!(site.count("SELECT count(*) FROM working.runs").await, 5, "one run for each request");
    for worker in workers {
        worker.end().await;
    }
    console.close().await;
}

#[tokio::test]
async fn of_two_workers_with_one_schedule_one_reads_each_time() {
    let site = Site::new().await;
    let workers = [site.worker("one", Some("* * * * * *")).await, site.worker("other", Some("* * * * * *")).await];
    until("some ticks", async || (site.count("SELECT count(*) FROM working.runs").await >= 4).then_some(())).await;
    for worker in workers {
        worker.end().await;
    }
    let twice = "SELECT count(*) - count(DISTINCT date_trunc('second', started_at)) FROM working.runs";
    assert_eq!(site.count(twice).await, 0, "at no tick twice");
    assert_eq!(site.count("SELECT count(*) FROM working.runs WHERE outcome = 'failed'").await, 0);
}

#[tokio::test]
async fn a_worker_that_starts_does_not_hide_that_another_one_reads() {
    let site = Site::new().await;
    let console = site.directory(Role::Console).await;
    let elsewhere = site.directory(Role::Sync).await;
    elsewhere.register_sources().await.unwrap();
    assert!(elsewhere.lease("source/people", "elsewhere").await.unwrap());
    site.run(FOR_AN_HOUR).await;
    elsewhere.set_source_status("people", "running", None, None).await.unwrap();
    let state = async || site.status(&console).await.state;

    let note = async |holder: &str| elsewhere.note_start("people", "ok", None, None, holder).await.unwrap();
    note("here").await;
    assert_eq!(state().await, "running");
    note("elsewhere").await;
    assert_eq!(state().await, "ok", "whoever was reading has started anew");

    elsewhere.set_source_status("people", "running", None, None).await.unwrap();
    elsewhere.release_lease("source/people", "elsewhere").await.unwrap();
    note("here").await;
    assert_eq!(state().await, "ok", "nobody reads it any more");

    let later = chrono::Utc::now() + Duration::from_secs(60);
    elsewhere.set_source_status("people", "backed_off", Some("gone"), Some(later)).await.unwrap();
    note("here").await;
    assert_eq!(state().await, "backed_off", "it is left alone for a while, by every worker");
    elsewhere.close().await;
    console.close().await;
}

#[tokio::test]
async fn why_a_run_failed_that_another_worker_overtook_is_not_the_sources_fault() {
    let site = Site::new().await;
    let directory = site.directory(Role::Sync).await;
    directory.register_sources().await.unwrap();
    let worker = site.idle("late", directory.clone(), None);
    let mut owner = site.owner().await;
    let mut before_it_reads = owner.begin().await.unwrap();
    before_it_reads.execute("LOCK TABLE working.runs IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let late = worker.clone();
    let run = tokio::spawn(async move { late.run(&late.pulled["people"], false).await });
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'working.runs'::regclass";
    until("the run is about to read", async || (site.count(waits).await == 1).then_some(())).await;

    site.write("nothing that HR ever sends\n");
    before_it_reads.execute("UPDATE working.checkpoints SET turn = turn + 1").await.unwrap();
    before_it_reads.commit().await.unwrap();
    let failed = run.await.unwrap().unwrap_err();
    assert!(matches!(failed, RunError::Directory(directory::Error::CheckpointMoved { .. })), "{failed:?}");

    let failed = worker.run(&worker.pulled["people"], false).await.unwrap_err();
    assert!(matches!(failed, RunError::Connector(_)), "nobody has overtaken this one: {failed:?}");
    directory.close().await;
}
