//! Disabled is not signed out: on a real Keycloak, whoever leaves loses online and offline sessions, and no token of theirs
//! comes back to life with them.

#[path = "../keycloak/realm.rs"]
pub mod realm;

use std::time::{Duration, SystemTime};

use realm::{Realm, Tokens};
use reqwest::Method;
use serde_json::{Value, json};
use tests::world::{Person, SOON, Site, World, eventually, okta, people, person, rounds};

/// HR, an identity provider that pushes, and Keycloak both as a source and as where people are signed in.
fn yaml(realm: &Realm, schedule: &str) -> String {
    let mut connector = realm.settings("leaver");
    connector["service_accounts"] = false.into();
    let adapter = realm.settings("leaver");
    format!(
        "sources:\n  people: {}\n  okta: {}\n  corp: {{ connector: {connector}, correlate: [employeeNumber]{schedule} }}\n\
         downstreams:\n  sso: {{ adapter: {adapter}, subject: 'account(\"corp\").id', sweeps: [200ms, 1s] }}\n",
        people(""),
        okta("")
    )
}

/// What one person has in hand: a browser at the portal, and a phone that reads mail with an offline token.
struct Hands {
    browser: Tokens,
    phone: Tokens,
}

struct Company {
    people: [Person; 2],
    /// The SCIM id of Ana's account at the pushing identity provider.
    pushed: String,
    /// Their ids in Keycloak.
    ana: String,
    ben: String,
    realm: Realm,
    world: World,
}

impl Company {
    /// Everybody is known to all three, and read.
    async fn at_work() -> Self {
        Self::with("").await
    }

    async fn with(schedule: &str) -> Self {
        let realm = Realm::create().await;
        let world = World::start(|_| yaml(&realm, schedule)).await;
        Self::over(realm, world).await
    }

    async fn over(realm: Realm, world: World) -> Self {
        let people = [person(1001, "ana"), person(1002, "ben")];
        world.hr(&people).await.expect_code(0);
        let pushed = world.scim("okta").create(&people[0]).await;
        world.cli(&["source", "sync", "corp"]).await.expect_code(0);
        let (ana, ben) = (realm.user_id("ana").await, realm.user_id("ben").await);
        let identity = world.identity("ana").await;
        assert_eq!(identity["accounts"].as_array().unwrap().len(), 3, "{identity:#}");
        Self { people, pushed, ana, ben, realm, world }
    }

    async fn sign_in(&self, user: &str) -> Hands {
        let browser = self.realm.sign_in("portal", user, "openid").await.unwrap();
        let phone = self.realm.sign_in("mail", user, "openid offline_access").await.unwrap();
        let hands = Hands { browser, phone };
        assert!(self.work(&hands).await);
        hands
    }

    /// Whether both are let in.
    async fn work(&self, hands: &Hands) -> bool {
        self.realm.is_active("portal", &hands.browser).await
            && self.realm.is_active("mail", &hands.phone).await
            && self.realm.refresh("portal", &hands.browser).await.is_ok()
            && self.realm.refresh("mail", &hands.phone).await.is_ok()
    }

    /// Neither token is good for anything.
    async fn are_dead(&self, hands: &Hands) {
        assert!(!self.realm.is_active("portal", &hands.browser).await);
        assert!(!self.realm.is_active("mail", &hands.phone).await);
        self.realm.refresh("portal", &hands.browser).await.unwrap_err();
        self.realm.refresh("mail", &hands.phone).await.unwrap_err();
    }

    /// Ana's sessions of both kinds were found and ended, and Ben works on.
    async fn ana_is_out(&self, state: &str, ana: &Hands, ben: &Hands) {
        let receipt = self.world.reached("ana", "sso", "settled").await;
        assert_eq!((&receipt["found"], &receipt["ended"], &receipt["resurrected"]), (&2.into(), &2.into(), &0.into()));
        assert_eq!(self.world.state_of("ana").await, state);
        assert_eq!(self.realm.sessions(&[&self.ana]).await, Vec::<String>::new());
        self.are_dead(ana).await;
        assert!(self.work(ben).await, "somebody else's sessions stay");
        assert_eq!(self.realm.sessions(&[&self.ben]).await.len(), 2);
    }

    /// Ana is let in again: what she had stays dead, and what she gets now lives.
    async fn ana_is_back(&self, old: &Hands) {
        eventually(SOON, "ana is back", async || self.world.state_of("ana").await == "active").await;
        // A session states the whole second in which it began, so one of the same second may be taken for an older one.
        let back = SystemTime::now();
        let over = async || back.elapsed().unwrap_or_default() > Duration::from_millis(2_100);
        eventually(SOON, "the second of the return is over", over).await;
        self.are_dead(old).await;
        let new = self.sign_in("ana").await;
        self.world.reached("ana", "sso", "settled").await;
        assert!(self.work(&new).await, "a new login lives");
        self.are_dead(old).await;
    }
}

#[tokio::test]
async fn whom_keycloak_disables_is_signed_out_and_enabling_revives_no_token() {
    let company = Company::with(", schedule: \"* * * * * *\"").await;
    let (ana, ben) = (company.sign_in("ana").await, company.sign_in("ben").await);
    company.realm.enable(&company.ana, false).await;
    company.ana_is_out("suspended", &ana, &ben).await;
    company.realm.enable(&company.ana, true).await;
    company.ana_is_back(&ana).await;
    company.realm.remove().await;
}

#[tokio::test]
async fn whom_another_identity_provider_deactivates_is_signed_out_of_keycloak() {
    let company = Company::at_work().await;
    let (ana, ben) = (company.sign_in("ana").await, company.sign_in("ben").await);
    company.world.scim("okta").deactivate(&company.pushed).await;
    company.ana_is_out("suspended", &ana, &ben).await;
    let active = json!({ "op": "replace", "path": "active", "value": true });
    company.world.scim("okta").patch(&company.pushed, &active).await.expect_status(200);
    company.ana_is_back(&ana).await;
    company.realm.remove().await;
}

#[tokio::test]
async fn whom_hr_reports_as_left_is_signed_out_of_keycloak() {
    let company = Company::at_work().await;
    let (ana, ben) = (company.sign_in("ana").await, company.sign_in("ben").await);
    let [left, other] = &company.people;
    company.world.hr(&[left.status("left"), other.clone()]).await.expect_code(0);
    company.ana_is_out("departed", &ana, &ben).await;
    // Nobody told Keycloak, so she may sign in there; but nothing that began while she was out outlives her return.
    let meanwhile = company.realm.sign_in("mail", "ana", "openid offline_access").await.unwrap();
    company.world.hr(&company.people).await.expect_code(0);
    company.ana_is_back(&ana).await;
    let dead = async || company.realm.refresh("mail", &meanwhile).await.is_err();
    eventually(SOON, "the token from in between is dead", dead).await;
    company.realm.remove().await;
}

#[tokio::test]
async fn what_no_event_tells_is_found_by_the_scheduled_snapshot() {
    let company = Company::with(", snapshot_schedule: \"*/2 * * * * *\"").await;
    let ana = company.sign_in("ana").await;
    // What Leaver's own client does is passed over in the events, and there is no other schedule.
    company.realm.disable_as("leaver", &company.ana).await;
    company.world.reached("ana", "sso", "verified").await;
    company.are_dead(&ana).await;
    company.realm.remove().await;
}

#[tokio::test]
async fn whom_keycloak_deletes_has_departed_and_is_still_known_by_name() {
    let company = Company::at_work().await;
    company.realm.admin(Method::DELETE, &format!("/users/{}", company.ana), Value::Null).await;
    company.world.cli(&["source", "sync", "corp"]).await.expect_code(0);
    assert_eq!(company.world.state_of("ana").await, "departed");
    assert_eq!(company.world.state_of(&format!("corp:{}", company.ana)).await, "departed");
    company.world.reached("ana", "sso", "verified").await;

    // Created and deleted between two reads: nobody has ever known them.
    let dora = company.realm.add_user("dora").await;
    company.realm.admin(Method::DELETE, &format!("/users/{dora}"), Value::Null).await;
    company.world.cli(&["source", "sync", "corp"]).await.expect_code(0);
    company.world.cli(&["identity", "show", "dora"]).await.expect_code(1);
    company.realm.remove().await;
}

#[tokio::test]
async fn whoever_leaves_a_group_that_an_attribute_makes_privileged_is_signed_out_of_keycloak() {
    let realm = Realm::create().await;
    let by = "groups: { privileged_by: [{ attribute: tier, values: [\"0\"] }] }\n";
    let world = World::start(|_| yaml(&realm, "") + by).await;
    let company = Company::over(realm, world).await;
    let (ana, ben) = (company.sign_in("ana").await, company.sign_in("ben").await);
    let realm = &company.realm;
    let staff = realm.group_id("staff").await;
    let tier = json!({ "name": "staff", "attributes": { "tier": ["0"] } });
    realm.admin(Method::PUT, &format!("/groups/{staff}"), tier).await;
    realm.admin(Method::DELETE, &format!("/users/{}/groups/{staff}", company.ana), Value::Null).await;
    company.world.cli(&["source", "sync", "corp"]).await.expect_code(0);
    company.world.reached("ana", "sso", "verified").await;
    realm.refresh("portal", &ana.browser).await.unwrap_err();
    assert!(company.work(&ben).await, "he is in it as before");
    company.realm.remove().await;
}

#[tokio::test]
async fn a_policy_that_asks_for_sessions_only_leaves_offline_tokens() {
    let realm = Realm::create().await;
    let site = Site::new(|_| format!("{}policy: policy.yaml\n", yaml(&realm, ""))).await;
    site.write(
        "policy.yaml",
        "rules:\n  - { name: leaver, on: [identity.suspended, identity.departed], do: [revoke_sessions] }\n",
    );
    let company = Company::over(realm, World::at(site).await).await;
    let ana = company.sign_in("ana").await;
    company.world.scim("okta").deactivate(&company.pushed).await;
    let receipt = company.world.reached("ana", "sso", "settled").await;
    assert_eq!((&receipt["found"], &receipt["ended"]), (&2.into(), &1.into()), "{receipt:#}");
    company.realm.refresh("portal", &ana.browser).await.unwrap_err();
    assert!(company.realm.refresh("mail", &ana.phone).await.is_ok());

    company.world.cli(&["revoke", "ana", "--reason", "the phone too", "--wait", "verified"]).await.expect_code(0);
    company.realm.refresh("mail", &ana.phone).await.unwrap_err();
    company.realm.remove().await;
}

#[tokio::test]
async fn a_held_plan_neither_stops_what_is_told_after_it_nor_is_let_through_by_it() {
    let realm = Realm::create().await;
    let configuration = yaml(&realm, ", brake: { min: 1, max_disable: \"0%\" }");
    let world = World::start(|_| configuration).await;
    let company = Company::over(realm, world).await;
    let cleo = company.realm.user_id("cleo").await;
    for user in [&company.ben, &cleo] {
        company.realm.enable(user, false).await;
    }
    company.world.cli(&["source", "sync", "corp"]).await.expect_code(3);
    assert_eq!(company.world.state_of("ben").await, "active");

    company.realm.enable(&company.ana, false).await;
    company.world.cli(&["source", "sync", "corp"]).await.expect_code(0);
    assert_eq!(company.world.state_of("ana").await, "suspended");
    assert_eq!(
        (company.world.state_of("ben").await, company.world.state_of("cleo").await),
        ("active".into(), "active".into())
    );

    let plans = company.world.ask(&["plan", "list", "--held"]).await;
    let plan = plans["items"][0]["id"].as_str().unwrap().to_owned();
    company.world.cli(&["plan", "approve", &plan]).await.expect_code(0);
    assert_eq!(
        (company.world.state_of("ben").await, company.world.state_of("cleo").await),
        ("suspended".into(), "suspended".into())
    );
    company.realm.remove().await;
}

#[tokio::test]
async fn refreshing_a_token_over_and_over_saves_no_session_that_is_revoked() {
    let company = Company::at_work().await;
    let (realm, scim) = (&company.realm, company.world.scim("okta"));
    let ben = company.sign_in("ben").await;
    for round in 0..rounds(2) {
        let user = format!("user{round}");
        let id = realm.add_user(&user).await;
        let mut known = realm.get(&format!("/users/{id}")).await;
        known["attributes"] = json!({ "employeeNumber": [(2000 + round).to_string()] });
        realm.admin(Method::PUT, &format!("/users/{id}"), known).await;
        let pushed = scim.create(&person(2000 + round, &user)).await;
        company.world.cli(&["source", "sync", "corp"]).await.expect_code(0);

        let first = realm.sign_in("portal", &user, "openid").await.unwrap();
        let refresh = async {
            let mut latest = first;
            while let Ok(next) = realm.refresh("portal", &latest).await {
                latest = next;
            }
            latest
        };
        let (latest, ()) = tokio::join!(refresh, scim.deactivate(&pushed));
        let receipt = company.world.reached(&user, "sso", "settled").await;
        assert_eq!((&receipt["ended"], &receipt["resurrected"]), (&1.into(), &0.into()), "{receipt:#}");
        assert!(!realm.is_active("portal", &latest).await, "the last token that it got is dead, too");
        assert_eq!(realm.sessions(&[&id]).await, Vec::<String>::new());
    }
    assert!(company.work(&ben).await, "somebody else's sessions stay");
    company.realm.remove().await;
}
