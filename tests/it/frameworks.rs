//! The session stores of common frameworks, with real applications: who is deactivated is signed out of each, and a
//! request in flight does not bring anybody back.

use tests::world::{Application, Browser, Database, Framework, World, okta, person};

/// An application with two people signed in.
struct Signed {
    framework: Framework,
    ana: Browser,
    ben: Browser,
    // Last, so that it outlives its browsers.
    _application: Application,
}

/// Ana is deactivated by her identity provider while she has a request in flight in each application, and Ben works on.
/// `ends` says with which status her requests in flight then finish, and whether they write her session back.
async fn leaving_ends_it(ends: &[(Framework, u16, bool)]) {
    // One each: two applications of Django would share a table.
    let mut databases = Vec::new();
    for _ in ends {
        databases.push(Database::create().await);
    }
    // Long enough that the writes come within the series on a busy machine; the last two looks are a second apart.
    let world = World::start(|names| {
        let stores = ends.iter().zip(&databases);
        let downstream = |((framework, ..), database): (&(Framework, u16, bool), _)| {
            framework.downstream(names, database, "[200ms, 1s, 4s, 5s]")
        };
        let downstreams: String = stores.map(downstream).collect();
        format!("sources:\n  okta: {}\ndownstreams:\n{downstreams}", okta(""))
    })
    .await;
    let account = world.scim("okta").create(&person(1001, "ana")).await;
    world.scim("okta").create(&person(1002, "ben")).await;
    let mut signed = Vec::new();
    for ((framework, ..), database) in ends.iter().zip(&databases) {
        let application = Application::start(world.site(), *framework, database).await;
        let (ana, ben) = (application.sign_in("ana").await, application.sign_in("ben").await);
        assert_eq!((ana.me().await.as_deref(), ben.me().await.as_deref()), (Some("ana"), Some("ben")));
        signed.push(Signed { framework: *framework, ana, ben, _application: application });
    }
    let check = world.cli(&["check"]).await.expect_code(0);
    check.expect_words(&ends.iter().map(|(framework, ..)| framework.name()).collect::<Vec<_>>());

    let mut in_flight = Vec::new();
    for application in &signed {
        in_flight.push((application.ana.hold("report").await, application.ben.hold("letter").await));
    }
    world.scim("okta").deactivate(&account).await;
    for application in &signed {
        application.ana.is_signed_out().await;
    }
    for ((ana, ben), (framework, status, _)) in in_flight.into_iter().zip(ends) {
        let answer = ana.finish().await;
        assert_eq!(answer.status, *status, "{framework:?}: {}", answer.body);
        ben.release().await;
    }

    for (application, (framework, _, resurrects)) in signed.iter().zip(ends) {
        application.ana.is_signed_out().await;
        let receipt = world.reached("ana", application.framework.name(), "settled").await;
        let count = |field: &str| receipt[field].as_u64().unwrap();
        // Every request that looks whether she is still signed in may write her session back as well.
        assert_eq!(count("resurrected") > 0, *resurrects, "{framework:?}: {receipt:#}");
        assert_eq!(count("ended"), 1 + count("resurrected"), "{framework:?}: {receipt:#}");
        assert_eq!(application.ana.me().await, None, "{framework:?}");
        assert_eq!(application.ben.me().await.as_deref(), Some("ben"), "{framework:?}");
    }
}

#[tokio::test]
async fn flask_signs_out_although_it_writes_every_session_back() {
    leaving_ends_it(&[(Framework::Flask, 200, true)]).await;
}

#[tokio::test]
async fn django_signs_out_with_and_without_a_cache_before_its_table() {
    leaving_ends_it(&[(Framework::Django, 400, false), (Framework::DjangoCached, 400, false)]).await;
}

#[tokio::test]
async fn authjs_signs_out_whoever_came_by_a_link() {
    leaving_ends_it(&[(Framework::Authjs, 200, false)]).await;
}

#[tokio::test]
async fn spring_signs_out_of_each_of_its_repositories() {
    leaving_ends_it(&[
        (Framework::SpringIndexed, 200, false),
        (Framework::SpringPlain, 500, false),
        (Framework::SpringJdbc, 200, false),
    ])
    .await;
}
