//! People come, log in, and leave in three ways; each time the next request is refused.

use serde_json::Value;
use tests::world::{Browser, Express, Person, World, person, text};

/// Ana and Ben, known to HR and to the identity provider, each signed in to a real application.
struct Company {
    ana: Browser,
    ben: Browser,
    people: [Person; 2],
    /// The SCIM id of Ana's account.
    account: String,
    // Last, so that the application and the world outlive what uses them.
    _express: Express,
    world: World,
}

impl Company {
    async fn at_work() -> Self {
        let world = World::start(|names| names.usual()).await;
        let people = [person(1001, "ana"), person(1002, "ben")];
        world.hr(&people).await.expect_code(0);
        let account = world.scim("okta").create(&people[0]).await;
        world.scim("okta").create(&people[1]).await;
        let express = world.express().await;
        let (ana, ben) = (express.sign_in("ana").await, express.sign_in("ben").await);
        assert_eq!((ana.me().await.as_deref(), ben.me().await.as_deref()), (Some("ana"), Some("ben")));
        Self { ana, ben, people, account, _express: express, world }
    }

    /// Ana's cookie is refused, every hop of it can be told, and Ben works on.
    async fn ana_has_left(&self, state: &str, hops: &[&str]) {
        self.ana.is_signed_out().await;
        let receipt = self.world.reached("ana", "web", "settled").await;
        assert_eq!((&receipt["found"], &receipt["ended"], &receipt["resurrected"]), (&1.into(), &1.into(), &0.into()));
        assert_eq!(self.world.state_of("ana").await, state);
        told_hop_by_hop(&self.world.ask(&["identity", "trace", "ana"]).await, hops);
        assert_eq!(self.ben.me().await.as_deref(), Some("ben"), "somebody else's session stays");
        assert_eq!(self.world.state_of("ben").await, "active");
    }
}

/// The hops are these, each has an instant no earlier than the one before, and only the first has no distance to one.
fn told_hop_by_hop(trace: &Value, expected: &[&str]) {
    let hops = trace["hops"].as_array().unwrap();
    let names: Vec<String> = hops.iter().map(|hop| text(&hop["hop"])).collect();
    assert_eq!(names, expected, "{trace:#}");
    let instants: Vec<String> = hops.iter().map(|hop| text(&hop["at"])).collect();
    assert!(instants.is_sorted(), "{trace:#}");
    assert!(hops[0]["ms"].is_null() && hops[1..].iter().all(|hop| hop["ms"].as_i64() >= Some(0)), "{trace:#}");
    for hop in hops.iter().filter(|hop| ["applied", "verified", "settled"].contains(&hop["hop"].as_str().unwrap())) {
        assert_eq!(hop["downstream"], "web", "{trace:#}");
    }
}

#[tokio::test]
async fn accounts_of_two_sources_with_one_employee_number_are_one_person() {
    let world = World::start(|names| names.usual()).await;
    let (ana, ben, cleo) = (person(1001, "ana"), person(1002, "ben"), person(1003, "cleo"));
    world.hr(&[ana.clone(), ben]).await.expect_code(0);
    let native = world.scim("okta").create(&ana).await;
    world.scim("okta").create(&cleo).await;

    let identity = world.identity("ana").await;
    let accounts = identity["accounts"].as_array().unwrap();
    let mut sources: Vec<(String, String)> =
        accounts.iter().map(|a| (text(&a["source"]), text(&a["native_id"]))).collect();
    sources.sort();
    assert_eq!(sources, [("okta".to_owned(), native.clone()), ("people".to_owned(), "1001".to_owned())]);
    for who in ["ana@example.com", "people:1001", &format!("okta:{native}"), "okta:ext-1001", &text(&identity["id"])] {
        assert_eq!(world.id_of(who).await, text(&identity["id"]), "{who}");
    }
    assert_eq!(world.identity("ben").await["accounts"].as_array().unwrap().len(), 1);
    assert_eq!(world.ask(&["identity", "list"]).await["items"].as_array().unwrap().len(), 3);
    assert_eq!(world.events_of("ana").await.iter().filter(|t| *t == "identity.created").count(), 1);
}

#[tokio::test]
async fn whom_the_identity_provider_deactivates_is_refused_on_the_next_request() {
    let company = Company::at_work().await;
    company.world.scim("okta").deactivate(&company.account).await;
    let hops = ["effective", "received", "committed", "published", "decided", "applied", "verified", "settled"];
    company.ana_has_left("suspended", &hops).await;
}

#[tokio::test]
async fn whom_hr_reports_as_left_is_refused_on_the_next_request() {
    let company = Company::at_work().await;
    let [ana, ben] = &company.people;
    company.world.hr(&[ana.status("left"), ben.clone()]).await.expect_code(0);
    let hops = ["received", "committed", "published", "decided", "applied", "verified", "settled"];
    company.ana_has_left("departed", &hops).await;
}

#[tokio::test]
async fn who_vanishes_from_a_complete_hr_file_is_refused_on_the_next_request() {
    let company = Company::at_work().await;
    company.world.hr(&company.people[1..]).await.expect_code(0);
    let hops = ["received", "committed", "published", "decided", "applied", "verified", "settled"];
    company.ana_has_left("suspended", &hops).await;
}

#[tokio::test]
async fn leavers_own_postgres_serves_as_well_and_survives_a_kill() {
    let mut world = World::start_embedded(|names| names.usual()).await;
    let (ana, ben) = (person(1001, "ana"), person(1002, "ben"));
    world.hr(&[ana.clone(), ben.clone()]).await.expect_code(0);
    let account = world.scim("okta").create(&ana).await;
    let store = world.store("web").await;
    let (first, other) = (store.sign_in("ana").await, store.sign_in("ben").await);
    world.scim("okta").deactivate(&account).await;
    store.ends(&first).await;
    world.reached("ana", "web", "verified").await;

    world.restart().await;
    assert_eq!(world.state_of("ana").await, "suspended");
    world.hr(&[ana, ben.status("left")]).await.expect_code(0);
    store.ends(&other).await;
    world.reached("ben", "web", "verified").await;
}
