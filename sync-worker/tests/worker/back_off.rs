//! A source that cannot be read is told of without a word of what stands in the error, and again when it can.

use directory::{RequestKind, Role};
use serde_json::{Value, json};

use crate::site::{Site, until};

#[tokio::test]
async fn a_source_that_cannot_be_read_is_backed_off_until_it_can() {
    let site = Site::new().await;
    let console = site.directory(Role::Console).await;
    let worker = site.worker("here", None).await;
    let sync = async || {
        let id = console.ask(RequestKind::Sync, &json!({"source": "people"}), "jo").await.unwrap();
        worker.directory.wake.requests.ring();
        until("an answer", async || {
            let request = console.request(id).await.unwrap();
            (request.state != "new").then_some(request)
        })
        .await
    };
    let filter = directory::EventFilter { limit: 100, ..Default::default() };
    let told = async || {
        let page = console.events(&filter).await.unwrap();
        let events = page.items.iter().map(|body| serde_json::from_str::<Value>(body).unwrap());
        let of_source = events.filter(|event| event["type"].as_str().unwrap().starts_with("source."));
        of_source.map(|event| (event["type"].as_str().unwrap().to_owned(), event["data"].clone())).collect::<Vec<_>>()
    };
    std::fs::remove_file(site.folder.path().join("people.csv")).unwrap();
    for _ in 0..2 {
        assert_eq!(sync().await.state, "failed");
    }
    assert_eq!(site.status(&console).await.state, "backed_off");
    site.write("employeeNumber,userName,status\n1,ana,active\n");
    assert_eq!(sync().await.state, "done");
    assert_eq!(site.status(&console).await.state, "ok");
    let expected = [
        ("source.backed_off".to_owned(), json!({"source": "people", "reason": "unavailable"})),
        ("source.baselined".to_owned(), json!({"source": "people", "rows": 1})),
        ("source.recovered".to_owned(), json!({"source": "people", "failures": 2})),
    ];
    // A page ends before the oldest transaction in flight, also in another database of the server.
    let all = until("everything can be read", async || Some(told().await).filter(|told| told.len() >= expected.len()));
    assert_eq!(all.await, expected);
    worker.end().await;
    console.close().await;
}
