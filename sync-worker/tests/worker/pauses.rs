//! Sources that a person stopped from being read.

use std::time::Duration;

use directory::{RequestKind, Role};
use serde_json::{Value, json};

use crate::site::{Site, until};

#[tokio::test]
async fn a_paused_source_is_not_read_until_it_is_resumed() {
    let site = Site::new().await;
    let console = site.directory(Role::Console).await;
    let worker = site.worker("here", Some("* * * * * *")).await;
    let runs = "SELECT count(*) FROM working.runs";
    until("a run", async || (site.count(runs).await > 0).then_some(())).await;
    let ask = async |kind, payload: Value| {
        let id = console.ask(kind, &payload, "jo").await.unwrap();
        worker.directory.wake.requests.ring();
        until("an answer", async || {
            let request = console.request(id).await.unwrap();
            (request.state != "new").then_some(request)
        })
        .await
    };
    let people = json!({"source": "people", "reason": "a broken export"});
    assert_eq!(ask(RequestKind::Pause, people.clone()).await.state, "done");
    let status = async || site.status(&console).await;
    let paused = status().await;
    assert_eq!((paused.state.as_str(), paused.note.as_deref()), ("paused", Some("by jo: a broken export")));
    assert!(paused.next_run.is_none());

    let refused = ask(RequestKind::Sync, people.clone()).await;
    assert_eq!(refused.state, "failed");
    let why = refused.result.unwrap()["error"].as_str().unwrap().to_owned();
    assert!(why.contains("by jo (a broken export)") && why.contains("leaver source resume people"), "{why}");
    assert_eq!(ask(RequestKind::Plan, people.clone()).await.state, "done", "what a run would do may be asked");
    let before = site.count(runs).await;
    let tick = chrono::Utc::now() + Duration::from_millis(2_200);
    until("two ticks", async || (chrono::Utc::now() > tick).then_some(())).await;
    assert_eq!(site.count(runs).await, before, "the schedule does not read it either");

    assert_eq!(ask(RequestKind::Resume, people).await.state, "done");
    until("a run", async || (site.count(runs).await > before).then_some(())).await;
    // It is read every second, so it may just be read again.
    until("all is well", async || (status().await.state == "ok").then_some(())).await;
    worker.end().await;
    console.close().await;
}

#[tokio::test]
async fn a_run_of_a_source_that_is_paused_writes_nothing_more() {
    let site = Site::new().await;
    let sync = site.directory(Role::Sync).await;
    sync.register_sources().await.unwrap();
    let (fence, _) = sync.fence("people").await.unwrap();
    sync.pause("people", "jo", None).await.unwrap();
    let cut = sync
        .mark_absent(&fence, directory::Missing::Silent(&directory::Roll::default()), lifecycle::Standing::Inactive)
        .await;
    assert!(matches!(cut, Err(directory::Error::CheckpointMoved { .. })), "{cut:?}");
    sync.pause("people", "kim", None).await.unwrap();
    assert_eq!(sync.paused("people").await.unwrap().unwrap().by, "jo", "a pause that is there stays as it is");
    assert!(sync.resume("people").await.unwrap() && !sync.resume("people").await.unwrap());
    sync.close().await;
}
