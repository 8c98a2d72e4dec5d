//! One trace from the identity provider's request to the receipt, through every process that had a part in it.

use tests::world::{Collector, Role, Site, World, eventually, person};

use super::stage::{ONE_EACH, PATIENTLY, nothing_is_pending, usual};

/// The trace of the identity provider, by the example of W3C Trace Context §3.2.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

#[tokio::test]
async fn the_trace_of_a_request_goes_on_over_kafka_to_the_receipt_and_is_named_by_the_histogram() {
    let collector = Collector::start().await;
    let traces = format!("traces: {{ otlp: \"{}\", ratio: 0 }}\n", collector.url());
    let world = World::apart(Site::new(|names| usual(names) + &traces).await, &ONE_EACH).await;
    let okta = world.scim("okta");
    let (ana, ben) = (okta.create(&person(1001, "ana")).await, okta.create(&person(1002, "ben")).await);
    let store = world.store("web").await;
    let (hers, his) = (store.sign_in("ana").await, store.sign_in("ben").await);
    assert!(collector.spans().is_empty(), "nothing is traced unless its caller does");

    let traced = okta.clone().within(&format!("00-{TRACE}-{CALLER}-01"));
    traced.deactivate(&ana).await;
    okta.deactivate(&ben).await;
    store.ends(&hers).await;
    store.ends(&his).await;
    let receipt = world.reached("ana", "web", "settled").await;
    assert_eq!(receipt["ended"], 1);
    nothing_is_pending(&world).await;

    let names = |service: &str| {
        let spans = collector.of(TRACE).into_iter().filter(|span| span.service == service);
        spans.map(|span| span.name).collect::<Vec<_>>()
    };
    let whole = async || {
        let sent = names("leaver-sync-worker");
        let ended = names("leaver-revoker");
        sent.iter().any(|name| name == "scim request")
            && ["decide", "deliver web", "sweep web"].iter().all(|name| ended.iter().any(|n| n == name))
            && collector.of(TRACE).iter().any(|span| span.name == "publish")
    };
    eventually(PATIENTLY, "every process has sent its part", whole).await;

    let spans = collector.of(TRACE);
    let request = spans.iter().find(|span| span.name == "scim request").unwrap();
    assert_eq!(request.parent, CALLER, "the request goes on where its caller was: {request:#?}");
    assert_eq!(request.attributes["http.route"], "/scim/v2/{source}/Users/{id}");
    for span in spans.iter().filter(|span| span.name != "scim request") {
        assert_eq!(span.parent, request.id, "whatever was caused by the request is below it: {span:#?}");
    }
    let delivery = spans.iter().find(|span| span.name == "deliver web").unwrap();
    assert_eq!((&*delivery.attributes["sessions.ended"], &*delivery.attributes["receipt.state"]), ("1", "verified"));
    assert_eq!(collector.spans().len(), spans.len(), "nobody traces ben, who left at the same time");

    let topics = world.site().names().topics();
    let id = world.id_of("ana").await;
    let all = [topics.read("lifecycle.urgent.v1").await, topics.read("receipts.v1").await].concat();
    let hers: Vec<_> = all.iter().filter(|message| message.key == id).collect();
    assert!(hers.len() >= 4, "a suspension, and three steps of its receipt: {hers:#?}");
    for message in hers {
        let trace = message.body["traceparent"].as_str().unwrap_or_default();
        assert!(trace.contains(TRACE) && message.headers["traceparent"] == trace, "{message:#?}");
    }
    let metrics = world.member(Role::Revoker, 0).probes().get("/metrics").await.expect_status(200).body;
    let exemplar = format!("# {{trace_id=\"{TRACE}\"}}");
    let named =
        metrics.lines().any(|line| line.starts_with("leaver_revocation_seconds_bucket") && line.contains(&exemplar));
    assert!(named, "{metrics}");
}

#[tokio::test]
async fn a_collector_that_is_not_there_delays_nobody() {
    let nobody = Collector::start().await;
    let traces = format!("traces: {{ otlp: \"{}\" }}\n", nobody.url());
    drop(nobody);
    let world = World::apart(Site::new(|names| usual(names) + &traces).await, &ONE_EACH).await;
    let account = world.scim("okta").create(&person(1001, "ana")).await;
    let store = world.store("web").await;
    let session = store.sign_in("ana").await;
    world.scim("okta").deactivate(&account).await;
    store.ends(&session).await;
    world.cli(&["revoke", "ana", "--reason", "once more", "--wait", "verified"]).await.expect_code(0);
}
