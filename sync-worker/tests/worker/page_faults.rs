//! Success with missing data, and every other way in which a page can be wrong: nobody leaves because of it, and what comes after
//! it is as if it had not been.

use std::sync::atomic::AtomicUsize;

use connectors::Connector;
use directory::Role;
use serde_json::json;
use sync_worker::{Outcome, Pulled, RunError, RunReport, SyncWorker};

use crate::faults::{Fault, Paged};
use crate::proxy::{Damage, Proxy};
use crate::realm::Realm;
use crate::site::Site;

const PEOPLE: &str = "employeeNumber,userName,status,groups\n1,ana,active,staff;admins\n2,ben,active,staff\n\"3\",cleo,active,\n\
                      4,\"Dan, the \"\"man\"\"\",active,staff\n5,eve,active,staff\n";
const EVERYBODY: [&str; 5] = ["1", "2", "3", "4", "5"];

const LOST: &str = "SELECT count(*) FROM ledger.events WHERE type IN ('identity.suspended', 'identity.departed')";

struct World {
    site: Site,
    worker: std::sync::Arc<SyncWorker>,
}

impl World {
    async fn new() -> Self {
        let site = Site::new().await;
        site.write(PEOPLE);
        let sync = site.directory(Role::Sync).await;
        sync.register_sources().await.unwrap();
        let worker = site.idle("here", sync, None);
        Self { site, worker }
    }

    /// The source with another connector, or none other.
    fn source(&self, wrap: impl FnOnce(Box<dyn connectors::Pull>) -> Box<dyn connectors::Pull>) -> Pulled {
        let source = &self.worker.pulled["people"];
        let Connector::Pull(inner) = source.config.connector.build(None).unwrap() else { panic!("a pushed source") };
        Pulled {
            name: source.name.clone(),
            config: source.config.clone(),
            connector: wrap(inner),
            fingerprint: source.fingerprint.clone(),
        }
    }

    async fn run(&self) -> Result<RunReport, RunError> {
        self.worker.run(&self.source(|inner| inner), true).await
    }

    async fn assert_nobody_left(&self, after: &str) {
        assert_eq!(self.site.active("people").await, EVERYBODY, "{after}");
        assert_eq!(self.site.count(LOST).await, 0, "{after}");
    }

    /// What comes next is as if nothing had been.
    async fn assert_well(&self, after: &str) {
        self.site.write(PEOPLE);
        let report = self.run().await.unwrap();
        assert_eq!((report.outcome, report.counts.dangerous()), (Outcome::Complete, 0), "{after}: {report:?}");
        self.assert_nobody_left(after).await;
    }
}

#[tokio::test]
async fn a_file_cut_at_any_byte_ends_nobody() {
    let world = World::new().await;
    world.run().await.unwrap();
    for cut in 0..PEOPLE.len() {
        world.site.write(&PEOPLE.as_bytes()[..cut]);
        let after = format!("a file cut at byte {cut}");
        if let Ok(report) = world.run().await {
            assert_eq!(report.outcome, Outcome::Held, "{after}: {report:?}");
        }
        world.assert_nobody_left(&after).await;
    }
    world.assert_well("all the cuts").await;
}

#[tokio::test]
async fn a_file_that_is_another_one_ends_nobody() {
    let world = World::new().await;
    world.run().await.unwrap();
    for (what, text) in [
        ("a page of errors", "<html><body>503 Service Unavailable</body></html>\n".to_owned()),
        ("an object of JSON", "{\"error\": \"quota exceeded\"}\n".to_owned()),
        ("another delimiter", PEOPLE.replace(',', ";")),
        ("no header", PEOPLE.split_once('\n').unwrap().1.to_owned()),
        ("another key column", PEOPLE.replace("employeeNumber", "number")),
        ("one key many times", PEOPLE.replace("\n2,", "\n1,").replace("\n5,", "\n1,")),
        ("nobody", PEOPLE.lines().next().unwrap().to_owned() + "\n"),
        ("everybody has left", PEOPLE.replace(",active,", ",left,")),
        ("everybody is suspended", PEOPLE.replace(",active,", ",suspended,")),
        ("no words for the status", PEOPLE.replace(",active,", ",,")),
        ("words that nobody knows", PEOPLE.replace(",active,", ",aktiv,")),
        ("bytes of another charset", "\u{fffd}".repeat(40)),
    ] {
        world.site.write(&text);
        let ran = world.run().await;
        world.assert_nobody_left(what).await;
        if let Ok(report) = ran {
            let harmless = report.counts.dangerous() == 0;
            assert!(harmless || report.outcome == Outcome::Held, "{what}: {report:?}");
        }
    }
    world.assert_well("all the wrong files").await;
}

#[tokio::test]
async fn a_file_with_the_keys_of_another_system_ends_nobody() {
    let world = World::new().await;
    world.run().await.unwrap();
    world.site.write(PEOPLE.replace("\n1,", "\n91,").replace("\n2,", "\n92,").replace("\n5,", "\n95,"));
    let report = world.run().await.unwrap();
    assert_eq!((report.outcome, report.counts.disable), (Outcome::Held, 3), "{report:?}");
    let active = world.site.active("people").await;
    assert!(EVERYBODY.iter().all(|id| active.iter().any(|a| a == id)), "{active:?}");
}

#[tokio::test]
async fn a_page_that_is_wrong_in_any_way_ends_nobody() {
    let world = World::new().await;
    world.run().await.unwrap();
    let faults = [
        Fault::Unauthorized,
        Fault::Throttled,
        Fault::Unavailable,
        Fault::Malformed,
        Fault::Expired,
        Fault::Empty,
        Fault::Last,
        Fault::Stuck,
    ];
    for fault in faults {
        for at in 0..3 {
            let after = format!("{fault:?} at page {at}");
            let paged = |inner| -> Box<dyn connectors::Pull> {
                Box::new(Paged { inner, size: 2, fault, at, asked: AtomicUsize::new(0) })
            };
            let ran = world.worker.run(&world.source(paged), true).await;
            world.assert_nobody_left(&after).await;
            match (fault, ran) {
                (Fault::Empty, Ok(report)) => assert_eq!(report.outcome, Outcome::Held, "{after}: {report:?}"),
                // It was the last page anyhow.
                (Fault::Last, Ok(report)) if at == 2 => assert_eq!(report.outcome, Outcome::Complete, "{after}"),
                (Fault::Last, Ok(report)) => assert_eq!(report.outcome, Outcome::Held, "{after}: {report:?}"),
                // From the beginning again, and whole; without a checkpoint there is none that could expire.
                (Fault::Expired, Ok(report)) => {
                    assert!(at > 0);
                    assert_eq!((report.outcome, report.rows), (Outcome::Complete, 5), "{after}");
                }
                (Fault::Expired, Err(_)) => assert_eq!(at, 0, "{after}"),
                (_, Ok(report)) => panic!("{after}: {report:?}"),
                (_, Err(_)) => {}
            }
            world.assert_well(&after).await;
        }
    }
}

#[tokio::test]
async fn what_keycloak_answers_may_be_damaged_in_any_way() {
    let realm = Realm::create().await;
    let site = Site::new().await;
    let proxy = Proxy::before(&realm.url).await;
    let sync = site.directory(Role::Sync).await;
    sync.register_sources().await.unwrap();
    let mut settings = realm.settings("leaver");
    settings["url"] = json!(proxy.url);
    settings["timeout"] = json!("2s");
    let config: sync_worker::Config = serde_json::from_value(
        json!({ "connector": settings, "correlate": ["userName"], "brake": { "max_disable": "0%", "min": 0 } }),
    )
    .unwrap();
    let worker = site.idle("here", sync.clone(), None);
    // Each run signs in anew.
    let source = || {
        let Connector::Pull(connector) = config.connector.build(None).unwrap() else { panic!("a pushed source") };
        let fingerprint = config.connector.fingerprint();
        Pulled { name: "corp".to_owned(), config: config.clone(), connector, fingerprint }
    };
    worker.run(&source(), true).await.unwrap();
    let everybody = site.active("corp").await;
    assert_eq!(everybody.len(), 5);

    for place in ["/token", "/users/count", "/groups", "/members", "/users", "/events/config", "/admin-events"] {
        for damage in Damage::ALL {
            let after = format!("{damage:?} at {place}");
            proxy.damage(place, damage);
            let ran = worker.run(&source(), true).await;
            assert_eq!(site.active("corp").await, everybody, "{after}: {ran:?}");
            assert_eq!(site.count(LOST).await, 0, "{after}");
            if (place, damage) == ("/members", Damage::Status(404)) {
                assert!(ran.is_err(), "a group that was deleted meanwhile is not one that nobody is in");
            }
            if let Ok(report) = ran {
                assert!(report.counts.dangerous() == 0 || report.outcome == Outcome::Held, "{after}: {report:?}");
            }
        }
        proxy.mend();
        let report = worker.run(&source(), true).await.unwrap();
        assert_eq!((report.outcome, report.counts.dangerous()), (Outcome::Complete, 0), "after {place}: {report:?}");
        assert_eq!(site.active("corp").await, everybody, "after {place}");
    }
    sync.close().await;
    realm.remove().await;
}
