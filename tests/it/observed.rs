//! What operators see: probes and metrics answer, and nothing that they see tells who people are.

use sqlx::{Connection, PgConnection};
use tests::world::{Person, SOON, Site, World, eventually, person};

#[tokio::test]
async fn probes_and_metrics_answer_and_show_how_long_a_revocation_took() {
    let world = World::start(|names| names.usual()).await;
    for path in ["/healthz", "/readyz"] {
        world.probes().get(path).await.expect_status(200);
    }
    let account = world.scim("okta").create(&person(1001, "ana")).await;
    world.scim("okta").deactivate(&account).await;
    world.reached("ana", "web", "verified").await;
    // A receipt is read as soon as it is durable, and measured just after that.
    let measured = async || world.metric("leaver_revocation_seconds_count", "downstream=\"web\"").await == 1.0;
    eventually(SOON, "the revocation is measured", measured).await;
}

#[tokio::test]
async fn the_metrics_tell_how_long_each_hop_took() {
    let world = World::start(|names| names.usual()).await;
    let people = [person(1001, "ana"), person(1002, "ben")];
    world.hr(&people).await.expect_code(0);
    let account = world.scim("okta").create(&people[0]).await;
    world.scim("okta").deactivate(&account).await;
    world.reached("ana", "web", "settled").await;
    let probes = world.probes();
    let count = async |labels: &str| probes.metric("leaver_hop_seconds_count", labels).await;
    let sum = async |labels: &str| probes.metric("leaver_hop_seconds_sum", labels).await;
    // A receipt is read as soon as it is durable, and measured just after that.
    let settled = async || count("hop=\"settled\",downstream=\"web\"").await == 1.0;
    eventually(SOON, "the last hop is measured", settled).await;
    for (labels, expected) in [
        ("hop=\"received\",source=\"okta\"", 2.0),
        ("hop=\"committed\",source=\"okta\"", 2.0),
        ("hop=\"committed\",source=\"people\"", 1.0),
        ("hop=\"published\",lane=\"urgent\"", 1.0),
        ("hop=\"decided\",lane=\"urgent\"", 1.0),
        ("hop=\"applied\",downstream=\"web\"", 1.0),
        ("hop=\"verified\",downstream=\"web\"", 1.0),
    ] {
        assert_eq!(count(labels).await, expected, "{labels}");
    }
    let whole = probes.metric("leaver_revocation_seconds_sum", "downstream=\"web\"").await;
    let (applied, verified) = (sum("hop=\"applied\"").await, sum("hop=\"verified\"").await);
    assert!(applied > 0.0 && applied + verified <= whole, "{applied} and {verified} are parts of {whole}");
    assert!(sum("hop=\"published\"").await <= whole);
    // The series ends a second after the first pass.
    assert!(sum("hop=\"settled\"").await >= 1.0);
}

#[tokio::test]
async fn no_name_address_or_token_is_in_logs_metrics_or_events() {
    const CANARY: &str = "zzcanary";
    let mut site = Site::new(|names| names.usual()).await;
    site.set("LEAVER_LOG", "debug");
    let world = World::at(site).await;
    let odd =
        Person { email: format!("{CANARY}+odd@Ünïcode.example"), ..person(1001, &format!("{CANARY}.O'Ñandú")) };
    let other = person(1002, &format!("{CANARY}-ben"));
    let okta = world.scim("okta");
    world.hr(&[odd.clone(), other.clone()]).await.expect_code(0);
    let account = okta.create(&odd).await;
    let store = world.store("web").await;
    let session = store.sign_in(&odd.user).await;

    // What goes wrong is what is written about most.
    okta.post(&Person { number: "1003".to_owned(), ..odd.clone() }, true).await.expect_status(409);
    okta.raw("POST", "/Users", Some(format!("{{\"userName\": {CANARY}"))).await.expect_status(400);
    okta.raw("GET", &format!("/Users?filter=userName%20zz%20%22{CANARY}%22"), None).await.expect_status(400);
    world.scim_with("okta", &format!("wrong-{CANARY}")).get(&account).await.expect_status(401);
    world.admin_with(&format!("wrong-{CANARY}")).get(&format!("/api/v1/identities/{CANARY}")).await.expect_status(401);
    world.admin().get(&format!("/api/v1/identities/{CANARY}")).await.expect_status(404);
    world
        .site()
        .write("people.csv", &format!("employeeNumber,userName,status\n1001,{CANARY},active\n,{CANARY}-x,left\n"));
    world.cli(&["source", "sync", "people"]).await.expect_code(1);
    world.cli(&["revoke", &other.user, "--reason", CANARY, "--wait", "verified"]).await.expect_code(0);

    okta.deactivate(&account).await;
    store.ends(&session).await;
    world.reached(&odd.user, "web", "settled").await;

    let mut database = PgConnection::connect(world.site().database().url()).await.unwrap();
    let events = sqlx::query_scalar::<_, String>("SELECT coalesce(string_agg(body, E'\\n'), '') FROM ledger.events");
    let events = events.fetch_one(&mut database).await.unwrap();
    assert!(events.contains("identity.suspended"), "{events}");
    let metrics = world.probes().get("/metrics").await.expect_status(200).body;
    let (scim_token, admin_token) = (world.site().names().scim_token(), world.admin_token());
    for (place, text) in [("the log", world.logs()), ("the metrics", metrics), ("the events", events)] {
        for secret in [CANARY, "Ünïcode", &*scim_token, &*admin_token, &*session] {
            let line = text.lines().find(|line| line.to_lowercase().contains(&secret.to_lowercase()));
            assert!(line.is_none(), "{secret} is in {place}: {line:?}");
        }
    }
}

#[tokio::test]
async fn every_instant_is_rfc_3339_in_utc_with_milliseconds() {
    let world = World::start(|names| names.usual()).await;
    let account = world.scim("okta").create(&person(1001, "ana")).await;
    world.scim("okta").deactivate(&account).await;
    let receipt = world.reached("ana", "web", "verified").await;
    let trace = world.ask(&["identity", "trace", "ana"]).await;
    let hops = trace["hops"].as_array().unwrap().iter().map(|hop| &hop["at"]);
    let receipts = receipt["at"].as_object().unwrap().values().filter(|at| !at.is_null());
    for at in hops.chain(receipts).chain([&receipt["asked"]]) {
        let text = at.as_str().unwrap();
        let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{text}");
    }
}

#[tokio::test]
async fn a_resource_is_located_where_sources_reach_it() {
    let mut site = Site::new(|names| names.usual()).await;
    site.set("LEAVER__HTTP__PUBLIC_URL", "https://scim.example.com");
    let world = World::at(site).await;
    let user = world.scim("okta").post(&person(1001, "ana"), true).await.expect_status(201).json();
    let location = user["meta"]["location"].as_str().unwrap();
    assert_eq!(location, format!("https://scim.example.com/scim/v2/okta/Users/{}", user["id"].as_str().unwrap()));
}

#[tokio::test]
async fn what_is_configured_is_counted_from_zero() {
    let world = World::start(|names| names.usual()).await;
    let metrics = world.probes().get("/metrics").await.expect_status(200).body;
    for series in [
        "leaver_deliveries_owed{downstream=\"web\"} 0",
        "leaver_revocation_seconds_count{downstream=\"web\"} 0",
        "leaver_sessions_resurrected_total{downstream=\"web\"} 0",
        "leaver_hop_seconds_count{hop=\"decided\",lane=\"urgent\"} 0",
        "leaver_hop_seconds_count{hop=\"settled\",downstream=\"web\"} 0",
        "leaver_plans_held_total{source=\"people\"} 0",
        "leaver_source_runs_total{source=\"people\",outcome=\"failed\"} 0",
        "leaver_scim_requests_total{source=\"okta\",outcome=\"refused\"} 0",
        "leaver_relay_failures_total{topic=\"lifecycle.urgent.v1\"} 0",
    ] {
        assert!(metrics.lines().any(|line| line == series), "{series} is missing\n{metrics}");
    }
}
