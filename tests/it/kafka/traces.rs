//! One trace from the identity provider's request to the receipt, through every process that had a part in it.

use tests::world::{Collector, Role, Site, World, eventually, person, rounds};

use super::stage::{ONE_EACH, PATIENTLY, nothing_is_pending, usual};

const CALLER: &str = "00f067aa0ba902b7";

/// The trace of an identity provider, as in W3C Trace Context §3.2.
fn trace_of(number: u32) -> String {
    format!("4bf92f3577b34da6a3ce929d0e0e{number:04x}")
}

/// Whether every process has sent its part of a trace.
async fn is_whole(collector: &Collector, trace: &str) -> bool {
    let has = |service: &str, name: &str| {
        collector.of(trace).iter().any(|span| span.service.starts_with(service) && span.name == name)
    };
    has("leaver-sync-worker", "scim request")
        && has("leaver-", "publish")
        && ["decide", "deliver web", "sweep web"].iter().all(|name| has("leaver-revoker", name))
}

#[tokio::test]
async fn the_trace_of_a_request_goes_on_over_kafka_to_the_receipt_and_is_named_by_the_histogram() {
    let collector = Collector::start().await;
    let traces = format!("traces: {{ otlp: \"{}\", ratio: 0 }}\n", collector.url());
    let mut site = Site::new(|names| usual(names) + &traces).await;
    // Where lines tell more of one part, libraries are asked for what they have to say of all: none of it hides a span.
    site.set("LEAVER_LOG", "info,relay=debug");
    let world = World::apart(site, &ONE_EACH).await;
    let okta = world.scim("okta");
    let ben = okta.create(&person(1, "ben")).await;
    let store = world.store("web").await;
    let his = store.sign_in("ben").await;
    assert!(collector.spans().is_empty(), "nothing is traced unless its caller does");
    okta.deactivate(&ben).await;
    store.ends(&his).await;

    let traces: Vec<String> = (0..rounds(3)).map(trace_of).collect();
    for (number, trace) in (1001..).zip(&traces) {
        let user = format!("ana{number}");
        let account = okta.create(&person(number, &user)).await;
        let session = store.sign_in(&user).await;
        okta.clone().within(&format!("00-{trace}-{CALLER}-01")).deactivate(&account).await;
        store.ends(&session).await;
        assert_eq!(world.reached(&user, "web", "settled").await["ended"], 1);
        eventually(PATIENTLY, "every process has sent its part", async || is_whole(&collector, trace).await).await;
    }
    nothing_is_pending(&world).await;

    let (trace, user) = (&traces[0], "ana1001");
    let spans = collector.of(trace);
    let request = spans.iter().find(|span| span.name == "scim request").unwrap();
    assert_eq!(request.parent, CALLER, "the request goes on where its caller was: {request:#?}");
    assert_eq!(request.attributes["http.route"], "/scim/v2/{source}/Users/{id}");
    for span in spans.iter().filter(|span| span.name != "scim request") {
        assert_eq!(span.parent, request.id, "whatever was caused by the request is below it: {span:#?}");
    }
    let delivery = spans.iter().find(|span| span.name == "deliver web").unwrap();
    assert_eq!((&*delivery.attributes["sessions.ended"], &*delivery.attributes["receipt.state"]), ("1", "verified"));
    assert!(collector.spans().iter().all(|span| traces.contains(&span.trace)), "nobody traces ben");

    let topics = world.site().names().topics();
    let id = world.id_of(user).await;
    let all = [topics.read("lifecycle.urgent.v1").await, topics.read("receipts.v1").await].concat();
    let hers: Vec<_> = all.iter().filter(|message| message.key == id).collect();
    assert!(hers.len() >= 4, "a suspension, and three steps of its receipt: {hers:#?}");
    for message in hers {
        let told = message.body["traceparent"].as_str().unwrap_or_default();
        assert!(told.contains(trace) && message.headers["traceparent"] == told, "{message:#?}");
    }
    let metrics = world.member(Role::Revoker, 0).probes().get("/metrics").await.expect_status(200).body;
    let named = metrics.lines().any(|line| {
        line.starts_with("leaver_revocation_seconds_bucket")
            && traces.iter().any(|trace| line.contains(&format!("# {{trace_id=\"{trace}\"}}")))
    });
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
