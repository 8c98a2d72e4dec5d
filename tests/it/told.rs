//! Somebody leaves: whoever asked to be told is told, and API keys are revoked, once for each decision and until it is done.

use serde_json::{Value, json};
use sqlx::PgPool;
use tests::world::{Names, Portal, Receiver, SOON, Site, World, eventually, people, person, text, until};

const POLICY: &str = r#"rules:
  - { name: leaver, on: [identity.suspended, identity.departed], do: [revoke_sessions, revoke_credentials, notify] }
examples:
  - { given: { event: { type: identity.departed } }, expect: [revoke_sessions, revoke_credentials, notify] }
"#;

const KEYS: &str = "{ adapter: { type: sql, url: \"env:DATABASE_URL\", credentials: {
    find: \"select id from api_keys where owner = $1 and revoked_at is null\",
    revoke: \"update api_keys set revoked_at = now() where id = $2\" } }, subject: identity.userName }";

/// A company whose scripts have keys, and where somebody wants to hear who leaves.
struct Company {
    world: World,
    receiver: Receiver,
    portal: Portal,
    tables: PgPool,
}

impl Company {
    async fn start() -> Self {
        let receiver = Receiver::start().await;
        let configuration = |_: &Names| {
            let (hook, portal) = (receiver.downstream(), Portal::downstream("portal", "[200ms, 1s]"));
            let sources = format!("sources:\n  people: {}\n", people(""));
            format!("{sources}downstreams:\n  hook: {hook}\n  keys: {KEYS}\n  portal: {portal}\npolicy: policy.yaml\n")
        };
        let mut site = Site::new(configuration).await;
        site.set("HOOK_SECRET", Receiver::SECRET);
        site.write("policy.yaml", POLICY);
        let tables = site.database().pool().await;
        let create = "create table api_keys (id bigint generated always as identity primary key, owner text, revoked_at timestamptz)";
        sqlx::query(create).execute(&tables).await.unwrap();
        sqlx::query("insert into api_keys (owner) values ('ana'), ('ana'), ('ben')").execute(&tables).await.unwrap();
        let world = World::at(site).await;
        let portal = Portal::open(&world, "portal").await;
        world.hr(&[person(1001, "ana"), person(1002, "ben")]).await.expect_code(0);
        Self { world, receiver, portal, tables }
    }

    async fn ana_leaves(&self) {
        self.world.hr(&[person(1001, "ana").status("left"), person(1002, "ben")]).await.expect_code(0);
    }

    /// The owners of keys that are good.
    async fn owners(&self) -> Vec<String> {
        let good = "select owner from api_keys where revoked_at is null order by id";
        sqlx::query_scalar(good).fetch_all(&self.tables).await.unwrap()
    }

    /// The receipt of what is no end of sessions, once it is in this state.
    async fn reached(&self, downstream: &str, state: &str) -> Value {
        let world = &self.world;
        until(SOON, &format!("{downstream} is {state}"), async || {
            let receipts = world.identity("ana").await["receipts"].clone();
            let there = |r: &&Value| r["downstream"] == downstream && r["action"].is_string() && r["state"] == state;
            receipts.as_array().unwrap().iter().find(there).cloned()
        })
        .await
    }
}

#[tokio::test]
async fn whoever_asked_is_told_though_at_first_nothing_was_taken_and_keys_are_revoked() {
    let company = Company::start().await;
    let Company { world, receiver, portal, .. } = &company;
    world.cli(&["policy", "test"]).await.expect_code(0);
    let check = world.cli(&["check"]).await.expect_code(0);
    check.expect_words(&["a receiver at 127.0.0.1:"]);
    let check = world.ask(&["check"]).await;
    assert_eq!(check["warnings"], 0, "each order is carried out somewhere: {check:#}");
    let can: Vec<_> = check["downstreams"].as_array().unwrap().iter().map(|d| d["actions"].clone()).collect();
    assert_eq!(can[..2], [json!(["notify"]), json!(["revoke_credentials"])]);

    receiver.answers(500);
    let session = portal.sign_in("ana").await;
    company.ana_leaves().await;
    portal.ends(&session).await;
    let revoked = company.reached("keys", "verified").await;
    assert_eq!((&revoked["action"], &revoked["ended"]), (&json!("revoke_credentials"), &json!(2)));
    assert_eq!(company.owners().await, ["ben"]);
    eventually(SOON, "it was tried twice", async || receiver.signals().len() >= 2).await;
    let owed = world.ask(&["owed", "list"]).await;
    let [row] = &owed["items"].as_array().unwrap()[..] else { panic!("{owed:#}") };
    assert_eq!((&row["downstream"], &row["action"], &row["state"]), (&json!("hook"), &json!("notify"), &json!("owed")));
    receiver.answers(202);
    company.reached("hook", "handed_over").await;

    let signals = receiver.signals();
    let signal = signals.last().unwrap();
    let ana = world.id_of("ana").await;
    assert!(signals.iter().all(|other| other.id == signal.id), "one signal, however often");
    assert_eq!((&signal.event["type"], &signal.event["subject"]), (&json!("identity.departed"), &json!(ana)));
    assert_eq!((&signal.event["id"], &signal.event["data"]["subjects"]), (&json!(signal.id), &json!([ana])));
    assert!(!signal.text.contains("ana"), "nothing personal: {}", signal.text);
    let answer = world.admin().get(&format!("/api/v1/revocations/{}", signal.id)).await.expect_status(200).json();
    assert_ne!(answer["state"], "handed_over", "it says nothing of what else was done");
    world.cli(&["identity", "show", "ana"]).await.expect_code(0).expect_words(&["hook (notify)", "handed over"]);
    world.cli(&["identity", "trace", "ana"]).await.expect_code(0).expect_words(&["handed over", "hook (notify)"]);

    let told = signals.len();
    world.hr(&[person(1001, "ana").status("left"), person(1002, "ben")]).await.expect_code(0);
    world.cli(&["policy", "replay", "--since", "1d"]).await.expect_code(0);
    assert_eq!(receiver.signals().len(), told);
}

#[tokio::test]
async fn keys_are_revoked_by_hand_where_somebody_asks_for_that_as_well() {
    let company = Company::start().await;
    let Company { world, portal, .. } = &company;
    let session = portal.sign_in("ana").await;
    let revoke = ["revoke", "ana", "--reason", "a key in a public repository"];
    let with = [&revoke[..], &["--credentials"]].concat();
    let rehearsed = world.cli(&[&with[..], &["--dry-run"]].concat()).await.expect_code(0);
    rehearsed.expect_words(&["keys", "credentials would be revoked"]);
    let there = [&with[..], &["--downstream", "portal"]].concat();
    world.cli(&there).await.expect_code(2).expect_words(&["can revoke credentials", "leaver check"]);
    assert!(portal.lives(&session).await && company.owners().await == ["ana", "ana", "ben"]);

    world.cli(&[&revoke[..], &["--wait", "verified"]].concat()).await.expect_code(0);
    assert_eq!(company.owners().await, ["ana", "ana", "ben"], "nobody asked for it");
    let settled = world.cli(&[&with[..], &["--wait", "settled"]].concat()).await.expect_code(0);
    settled.expect_words(&["keys (revoke_credentials)"]);
    assert_eq!(company.owners().await, ["ben"]);
    assert_eq!(world.state_of("ana").await, "active", "that is no suspension");
}

#[tokio::test]
async fn a_receiver_that_is_gone_needs_a_person_and_is_told_once_it_is_back() {
    let company = Company::start().await;
    let Company { world, receiver, .. } = &company;
    receiver.answers(410);
    company.ana_leaves().await;
    let row = until(SOON, "it is stuck", async || {
        world.ask(&["owed", "list", "--stuck"]).await["items"].as_array().unwrap().first().cloned()
    })
    .await;
    assert!(text(&row["last_error"]).contains("410 Gone"), "{row:#}");
    world.cli(&["owed", "list", "--stuck"]).await.expect_code(0).expect_words(&["hook (notify)", "410 Gone"]);
    company.reached("keys", "verified").await;
    receiver.answers(204);
    world.cli(&["owed", "retry", &text(&row["id"])]).await.expect_code(0);
    company.reached("hook", "handed_over").await;
    eventually(SOON, "nothing is owed", async || world.ask(&["owed", "list"]).await["items"] == json!([])).await;
}

#[tokio::test]
async fn what_was_told_without_a_receipt_is_told_again_after_a_crash_under_the_same_id() {
    let mut company = Company::start().await;
    company.receiver.hangs();
    company.ana_leaves().await;
    eventually(SOON, "it is told", async || !company.receiver.signals().is_empty()).await;
    company.world.kill9();
    company.receiver.answers(200);
    company.world.restart().await;
    company.reached("hook", "handed_over").await;
    let signals = company.receiver.signals();
    assert!(signals.len() >= 2 && signals.iter().all(|signal| signal.id == signals[0].id), "{signals:?}");
    company.reached("keys", "verified").await;
    assert_eq!(company.owners().await, ["ben"]);
}
