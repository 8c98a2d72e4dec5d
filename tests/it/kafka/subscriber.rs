//! A proxy that follows the revocations topic with the sample subscriber refuses whoever must be out, and nobody else.

use std::time::SystemTime;

use tests::world::{Broker, Person, SOON, Scim, Site, Subscriber, World, eventually, kafka_brokers, person};

use super::stage::{nothing_is_pending, usual};

const KEY: &str = "a key that is long enough";
const PUBLISH: &str = "publish: { hmac_key: \"env:PUBLISH_KEY\", subjects: \
     { okta: 'account(\"okta\").id', mail: 'hmac(identity.email)' } }\n";
const KNOWS: [(&str, &str); 2] = [("NAMES", "okta:X-Okta mail:X-Mail:hmac"), ("PUBLISH_KEY", KEY)];

/// Further from now than clocks differ, and than a second is rounded.
const LATER: i64 = 5;

fn now() -> i64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs().try_into().unwrap()
}

/// Waits until the subscriber gives this answer for these headers.
async fn answers(subscriber: &Subscriber, header: &str, name: &str, signed_in: i64, status: u16, why: &str) {
    let what = format!("{header} {name} of {signed_in} is answered {status} {why}");
    eventually(SOON, &what, async || {
        let answer = subscriber.check(header, name, signed_in).await;
        answer.status == status && answer.body.trim() == why
    })
    .await;
}

async fn set_active(okta: &Scim, account: &str, active: bool) {
    let operation = serde_json::json!({"op": "replace", "path": "active", "value": active});
    okta.patch(account, &operation).await.expect_status(200);
}

#[tokio::test]
async fn a_subscriber_refuses_what_began_before_the_cutoff_by_any_name_and_knows_it_from_the_topic_alone() {
    let mut site = Site::new(|names| usual(names) + PUBLISH).await;
    site.set("PUBLISH_KEY", KEY);
    let subscriber = Subscriber::start(&site, &kafka_brokers(), &KNOWS).await;
    assert_eq!(subscriber.check("x-okta", "anybody", now()).await.status, 503, "it has not read the topic");
    let mut world = World::at(site).await;
    // Ends before its folder, which is the world's.
    let subscriber = subscriber;
    let (okta, old) = (world.scim("okta"), now() - 60);

    // She leaves, and comes back.
    let ana = person(1001, "ana");
    let account = okta.create(&ana).await;
    eventually(SOON, "the subscriber is ready", async || subscriber.is_ready().await).await;
    for (header, name) in [("x-okta", &account), ("x-mail", &ana.email)] {
        answers(&subscriber, header, name, old, 200, "ok").await;
    }
    set_active(&okta, &account, false).await;
    for (header, name) in [("x-okta", &account), ("x-mail", &ana.email)] {
        answers(&subscriber, header, name, old, 401, "disabled").await;
        answers(&subscriber, header, name, now() + LATER, 401, "disabled").await;
    }
    set_active(&okta, &account, true).await;
    answers(&subscriber, "x-okta", &account, old, 401, "signed in before the cutoff").await;
    answers(&subscriber, "x-okta", &account, now() + LATER, 200, "ok").await;

    // He is revoked by hand, then gets an account that knows more of him, and then an address in other case than before.
    let ben = person(1002, "ben");
    let known = Person { department: String::new(), ..ben.clone() };
    world.hr(std::slice::from_ref(&known)).await.expect_code(0);
    world.cli(&["revoke", "ben", "--reason", "stolen laptop", "--wait", "verified"]).await.expect_code(0);
    answers(&subscriber, "x-mail", &ben.email, old, 401, "signed in before the cutoff").await;
    let first = okta.create(&ben).await;
    answers(&subscriber, "x-okta", &first, old, 401, "signed in before the cutoff").await;
    let renamed = Person { email: "Bén.Other@Example.com".to_owned(), ..known };
    world.hr(std::slice::from_ref(&renamed)).await.expect_code(0);
    for email in [&renamed.email, &renamed.email.to_lowercase(), &ben.email, &ben.email.to_uppercase()] {
        answers(&subscriber, "x-mail", email, old, 401, "signed in before the cutoff").await;
        answers(&subscriber, "x-mail", email, now() + LATER, 200, "ok").await;
    }
    let cleo = person(1003, "cleo");
    let other = okta.create(&cleo).await;
    answers(&subscriber, "x-okta", &other, old, 200, "ok").await;

    // Another one starts when there is nothing but the topic.
    nothing_is_pending(&world).await;
    world.cli(&["ledger", "check"]).await.expect_code(0);
    world.leave_ledger_unchecked();
    world.kill9();
    let again = Subscriber::start(world.site(), &kafka_brokers(), &KNOWS).await;
    eventually(SOON, "the second subscriber is ready", async || again.is_ready().await).await;
    let soon = now() + LATER;
    for (header, name, signed_in) in [
        ("x-okta", &account, old),
        ("x-okta", &account, soon),
        ("x-mail", &ana.email, old),
        ("x-okta", &first, old),
        ("x-mail", &ben.email, old),
        ("x-mail", &renamed.email, old),
        ("x-mail", &renamed.email, soon),
        ("x-okta", &other, old),
        ("x-mail", &cleo.email, old),
    ] {
        let [one, two] = [&subscriber, &again].map(|subscriber| subscriber.check(header, name, signed_in));
        let (one, two) = (one.await, two.await);
        assert_eq!((one.status, one.body), (two.status, two.body), "{header} {name} of {signed_in}");
    }
}

#[tokio::test]
async fn a_subscriber_that_cannot_hear_of_revocations_refuses_everybody_until_it_can() {
    let mut broker = Broker::start().await;
    let mut site = Site::new(|names| names.usual() + &names.kafka_at(&broker.address()) + PUBLISH).await;
    site.set("PUBLISH_KEY", KEY);
    let variables = [&KNOWS[..], &[("MAX_STALENESS", "3")]].concat();
    let world = World::at(site).await;
    let subscriber = Subscriber::start(world.site(), &broker.address(), &variables).await;
    let (okta, signed_in) = (world.scim("okta"), now());
    let (ana, ben) = (okta.create(&person(1001, "ana")).await, okta.create(&person(1002, "ben")).await);
    eventually(SOON, "the subscriber is ready", async || subscriber.is_ready().await).await;
    answers(&subscriber, "x-okta", &ana, signed_in, 200, "ok").await;

    broker.stop();
    okta.deactivate(&ana).await;
    for account in [&ana, &ben] {
        answers(&subscriber, "x-okta", account, signed_in, 503, "revocations may be missing").await;
    }

    broker.start_again().await;
    answers(&subscriber, "x-okta", &ana, signed_in, 401, "disabled").await;
    answers(&subscriber, "x-okta", &ben, signed_in, 200, "ok").await;
}
