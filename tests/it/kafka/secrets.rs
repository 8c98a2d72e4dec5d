//! Secrets are nowhere that people look, whatever goes wrong: every one of them is wrong once, refused once, or on its way to
//! somebody who does not answer, with every crate of ours telling all it knows.

use redis::cmd;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tests::world::{Collector, Database, Output, Redis, SOON, Site, Wire, World, eventually, person, redis_at, unique};
use url::Url;

use super::stage::{ONE_EACH, nothing_is_pending, provider};
use crate::keycloak::realm::Realm;

const LOG: &str = "debug,bus=trace,connectors=trace,console=trace,directory=trace,downstreams=trace,leaver=trace,lifecycle=trace,\
     policy=trace,relay=trace,revoker=trace,scim=trace,sync_worker=trace";

/// Secrets, each with what it is for.
#[derive(Default)]
struct Secrets(Vec<(&'static str, String)>);

impl Secrets {
    fn add(&mut self, what: &'static str, secret: &str) -> String {
        self.0.push((what, secret.to_owned()));
        secret.to_owned()
    }

    fn make(&mut self, what: &'static str) -> String {
        self.add(what, &format!("zz{}", unique()))
    }

    #[track_caller]
    fn are_not_in(&self, place: &str, text: &str) {
        // What Keycloak gives for a secret, too: the beginning of every JSON Web Token.
        for (what, secret) in self.0.iter().map(|(what, secret)| (*what, &**secret)).chain([("a token", "eyJhbGciOi")])
        {
            let line = text.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "{what} is in {place}: {}", line.unwrap_or_default());
        }
    }
}

fn login(url: &str, user: &str, password: &str) -> String {
    let mut url = Url::parse(url).unwrap();
    url.set_username(user).unwrap();
    url.set_password(Some(password)).unwrap();
    url.into()
}

/// What the program has said to somebody who called it.
fn said(output: &Output) -> String {
    format!("{output}")
}

#[tokio::test]
async fn no_secret_is_in_logs_answers_topics_spans_or_metrics_whatever_fails() {
    let mut secrets = Secrets::default();
    let (redis, portal, realm, collector) =
        (Redis::start().await, Database::create().await, Realm::create().await, Collector::start().await);
    let (no_redis, no_portal, no_keycloak) =
        (Wire::dead(&redis.url()), Wire::dead(portal.url()), Wire::dead(&realm.url));
    let (web, wrong) = (secrets.make("the password of Redis"), secrets.make("a wrong secret"));
    let mut connection = redis_at(&redis.url()).await.unwrap();
    for (user, rights) in [("web", &["~*", "+@all"][..]), ("looks", &["~*", "+scan", "+mget"])] {
        let mut acl = cmd("ACL");
        acl.arg("SETUSER").arg(user).arg("on").arg(format!(">{web}")).arg(rights);
        acl.exec_async(&mut connection).await.unwrap();
    }
    let (role, password) = (format!("leaver_{}", unique()), secrets.make("the password of the portal"));
    let mut admin = PgConnection::connect(portal.url()).await.unwrap();
    let tables = format!(
        "CREATE TABLE sessions (id text PRIMARY KEY, user_name text); CREATE ROLE {role} LOGIN PASSWORD '{password}';
         GRANT SELECT, DELETE ON sessions TO {role}; INSERT INTO sessions VALUES ('s1', 'ana')"
    );
    admin.execute(AssertSqlSafe(tables)).await.unwrap();
    let client = format!("zz{}", unique());
    realm.add_client(&client, &["manage-users", "view-events", "view-clients"]).await;
    secrets.add("the secret of a client", &format!("{client}-secret"));

    let yaml = |names: &tests::world::Names| {
        let keycloak = |url: &str, secret: &str| {
            format!(
                "type: keycloak, url: \"{url}\", realm: {}, client_id: {client}, client_secret: \"env:{secret}\"",
                realm.name
            )
        };
        let corp = |url: &str, secret: &str| {
            format!(
                "{{ connector: {{ {}, service_accounts: false }}, correlate: [employeeNumber] }}",
                keycloak(url, secret)
            )
        };
        let store = |name: &str, url: &str, user: &str, password: &str| {
            names.redis(name, &login(url, user, password), "[200ms, 1s]")
        };
        let sql = |url: &str, password: &str, table: &str| {
            let url = login(url, &role, password);
            format!(
                "{{ adapter: {{ type: sql, url: \"{url}\", find: \"select id from {table} where user_name = $1\", \
                 end: \"delete from {table} where id = $2\" }}, subject: identity.userName, sweeps: [200ms, 1s] }}"
            )
        };
        let sso = |url: &str, secret: &str| {
            format!(
                "{{ adapter: {{ {} }}, subject: 'account(\"corp\").id', sweeps: [200ms, 1s] }}",
                keycloak(url, secret)
            )
        };
        let (good, dead) = (&*realm.url, &*no_keycloak.url());
        format!(
            "sources:\n  okta: {}\n  corp: {}\n  corp-wrong: {}\n  corp-away: {}\n\
             downstreams:\n  web: {}\n  web-looks: {}\n  web-wrong: {}\n  web-away: {}\n  portal: {}\n  portal-wrong: {}\n  \
             portal-broken: {}\n  portal-away: {}\n  sso: {}\n  sso-wrong: {}\n  sso-away: {}\n\
             publish: {{ hmac_key: \"env:PUBLISH_KEY\", subjects: {{ mail: 'hmac(identity.email)' }} }}\n\
             traces: {{ otlp: \"{}\" }}\n{}",
            provider(),
            corp(good, "KC_SECRET"),
            corp(good, "WRONG"),
            corp(dead, "KC_SECRET"),
            store("web", &redis.url(), "web", &web),
            store("web-looks", &redis.url(), "looks", &web),
            store("web", &redis.url(), "web", &wrong),
            store("web", &no_redis.url(), "web", &web),
            sql(portal.url(), &password, "sessions"),
            sql(portal.url(), &wrong, "sessions"),
            sql(portal.url(), &password, "nothing"),
            sql(&no_portal.url(), &password, "sessions"),
            sso(good, "KC_SECRET"),
            sso(good, "WRONG"),
            sso(dead, "KC_SECRET"),
            collector.url(),
            names.kafka()
        )
    };
    let mut site = Site::new(yaml).await;
    site.set("LEAVER_LOG", LOG);
    site.set("PUBLISH_KEY", &secrets.make("the key of hashes"));
    site.set("KC_SECRET", &format!("{client}-secret"));
    site.set("WRONG", &wrong);
    secrets.add("the token of a source", &site.names().scim_token());
    let database = Url::parse(site.database().url()).unwrap().password().map(str::to_owned);
    secrets.add("the password of the database", &database.expect("the database of the tests asks for one"));
    let mut world = World::apart(site, &ONE_EACH).await;
    secrets.add("the admin token", &world.admin_token());

    let mut answers = String::new();
    let store = world.store_at("web", &redis.url()).await;
    let session = store.sign_in("ana").await;
    // Its own, so that nobody else ends it before it is refused to end it.
    world.store_at("web-looks", &redis.url()).await.sign_in("ana").await;
    let ana = world.scim("okta").create(&person(1001, "ana")).await;
    answers += &said(&world.cli(&["source", "sync", "corp"]).await.expect_code(0));
    for source in ["corp-wrong", "corp-away"] {
        answers += &said(&world.cli(&["source", "sync", source, "--timeout", "5s"]).await);
    }
    realm.sign_in("portal", "ana", "openid").await.unwrap();
    world.scim("okta").deactivate(&ana).await;
    store.ends(&session).await;
    for downstream in ["web", "portal", "sso"] {
        assert_eq!(world.reached("ana", downstream, "verified").await["ended"], 1, "{downstream}");
    }
    for downstream in ["web-looks", "web-wrong", "portal-wrong", "portal-broken", "sso-wrong"] {
        let refused = async || world.receipt("ana", downstream).await["state"] == "stuck";
        eventually(SOON, &format!("{downstream} refuses"), refused).await;
    }
    for downstream in ["web-away", "portal-away", "sso-away"] {
        let label = format!("downstream=\"{downstream}\"");
        let failed = async || world.metric("leaver_delivery_failures_total", &label).await > 0.0;
        eventually(SOON, &format!("{downstream} does not answer"), failed).await;
    }

    // Whoever calls us with a secret that is wrong, or too much of one.
    let (stranger, made) = (
        secrets.make("a token that nobody gave"),
        world.cli(&["token", "create", "--source", "okta", "-o", "json"]).await,
    );
    let made = secrets.add("a token that was made", made.expect_code(0).json()["token"].as_str().unwrap());
    answers += &world.scim_with("okta", &stranger).get(&ana).await.expect_status(401).body;
    answers += &world.scim_with("corp", &made).get(&ana).await.body;
    answers += &world.scim_with("okta", &made).get(&ana).await.expect_status(200).body;
    answers += &world.admin_with(&stranger).get("/api/v1/identities").await.expect_status(401).body;
    answers += &world.admin_with(&made).get("/api/v1/identities").await.expect_status(401).body;
    for path in ["/api/v1/identities", "/api/v1/tokens", "/api/v1/sources", "/api/v1/events?limit=1000"] {
        answers += &world.admin().get(path).await.body;
    }
    for arguments in [
        &["check"][..],
        &["check", "-o", "json"],
        &["source", "list", "-o", "json"],
        &["token", "list"],
        &["identity", "show", "ana", "-o", "json"],
        &["identity", "trace", "ana", "-o", "json"],
        &["revoke", "ana", "--reason", "again", "--wait", "verified", "--timeout", "2s"],
        &["revoke", "ana", "--reason", "again", "--server", &no_keycloak.url()],
    ] {
        answers += &said(&world.cli(arguments).await);
    }
    world.site_mut().set("LEAVER_TOKEN", &stranger);
    answers += &said(&world.cli(&["source", "list"]).await.expect_code(1));
    let admin_token = world.admin_token();
    world.site_mut().set("LEAVER_TOKEN", &admin_token);
    nothing_is_pending(&world).await;
    let spans = async || collector.spans().iter().any(|span| span.name == "deliver sso-wrong");
    eventually(SOON, "spans of what failed have been sent", spans).await;

    secrets.are_not_in("an answer", &answers);
    let logs = world.logs();
    assert!(logs.contains("\"level\":\"DEBUG\""), "the log tells all it knows");
    secrets.are_not_in("the log", &logs);
    secrets.are_not_in("the spans", &collector.received());
    let topics = world.site().names().topics();
    for topic in topics.names().await {
        secrets.are_not_in(&topic, &topics.read(&topic).await.iter().map(|m| format!("{m:?}\n")).collect::<String>());
    }
    for member in world.members() {
        secrets.are_not_in("the metrics", &member.probes().get("/metrics").await.expect_status(200).body);
    }
    drop(world);
    admin.execute(AssertSqlSafe(format!("DROP OWNED BY {role}; DROP ROLE {role}"))).await.unwrap();
    realm.remove().await;
}

#[tokio::test]
async fn no_secret_is_in_what_a_start_says_that_fails() {
    let mut secrets = Secrets::default();
    let secret = secrets.make("a secret of the configuration");
    let nobody = Wire::dead("http://127.0.0.1:1").address();
    let keycloak = |more: &str| format!("type: keycloak, realm: corp, client_id: leaver, {more}");
    let downstream =
        |adapter: &str| format!("downstreams:\n  web: {{ adapter: {{ {adapter} }}, subject: identity.userName }}\n");
    let redis = |url: &str| downstream(&format!("type: redis, url: \"{url}\", layout: connect-redis, path: user"));
    let sql = |url: &str| downstream(&format!("type: sql, url: \"{url}\", layout: spring-session-jdbc"));
    let source = |connector: &str| {
        format!("sources:\n  corp: {{ connector: {{ {connector} }}, correlate: [employeeNumber] }}\n")
    };
    for yaml in [
        format!("database: {{ url: \"postgres://leaver:{secret}@{nobody}/leaver\" }}\n"),
        format!("database: {{ url: \"postgres://leaver:{secret}@127.0.0.1:port/leaver\" }}\n"),
        format!("database: {{ url: \"{secret}\" }}\n"),
        format!("database: {{ urll: \"postgres://leaver:{secret}@{nobody}/leaver\" }}\n"),
        format!("database: \"postgres://leaver:{secret}@{nobody}/leaver\"\n"),
        redis(&format!("redis://:{secret}@{nobody}")),
        redis(&format!("redis://:{secret}@127.0.0.1:port")),
        redis(&secret),
        sql(&format!("postgres://web:{secret}@{nobody}/web")),
        sql(&format!("postgres://web:{secret}@127.0.0.1:port/web")),
        sql(&format!("mysql://web:{secret}@{nobody}/web")),
        downstream(&keycloak(&format!("url: \"http://{nobody}\", client_secret: \"{secret}\""))),
        downstream(&keycloak(&format!("url: \"http://leaver:{secret}@{nobody}\", client_secret: x"))),
        source(&keycloak(&format!("url: \"http://{nobody}\", client_secret: \"{secret}\""))),
        source(&keycloak(&format!("url: \"http://leaver:{secret}@{nobody}\", client_secret: x"))),
        source(&keycloak(&format!("url: \"http://{nobody}\", client_secrets: \"{secret}\""))),
        source(&keycloak(&format!("url: \"http://{nobody}\", client_secret: [\"{secret}\"]"))),
        source(&format!("type: scim, tokens: \"{secret}\"")),
        source(&format!("type: scim, token: [\"{secret}\"]")),
        format!("publish: {{ hmac_key: [\"{secret}\"] }}\n"),
        format!("publish: {{ hmac: \"{secret}\" }}\n"),
        format!("traces: {{ otlp: \"http://leaver:{secret}@127.0.0.1:port\" }}\n"),
        format!(
            "bus: {{ kafka: {{ brokers: \"{nobody}\", sasl: {{ mechanism: PLAIN, username: leaver, password: \"{secret}\" }} }} }}\n"
        ),
        format!(
            "bus: {{ kafka: {{ brokers: \"{nobody}\", sasl: {{ mechanism: NO, username: leaver, password: \"{secret}\" }} }} }}\n"
        ),
    ] {
        let mut site = Site::new(|_| String::new()).await;
        site.set("LEAVER_LOG", LOG);
        let database = if yaml.starts_with("database") { "" } else { tests::world::DATABASE };
        site.configure(&format!("{database}{yaml}"));
        for arguments in [&["check"][..], &["check", "-o", "json"]] {
            let output = site.run(arguments).await;
            assert_ne!(output.code, Some(0), "{yaml}\n{output}");
            secrets.are_not_in(&format!("what is said of\n{yaml}"), &said(&output));
        }
    }
}
