//! A source that keeps failing is told of once, and once more when it is read again.

use std::time::Duration;

use serde_json::json;

use crate::world::{World, cause};

#[tokio::test]
async fn a_source_backs_off_once_for_each_reason_and_recovers_once() {
    let world = World::new().await;
    let source = world.sync.source("hr").await.unwrap().unwrap().id;
    let fail = async |reason: &str| {
        let pause = |failures: i32| Duration::from_secs(failures.unsigned_abs().into());
        world.sync.back_off(&cause("hr"), reason, "a sentence for people", pause).await.unwrap()
    };
    let run = async || world.sync.ran(&cause("hr"), "ok", None, None).await.unwrap();
    run().await;
    let pauses =
        [fail("unavailable").await, fail("unavailable").await, fail("unauthorized").await].map(|pause| pause.as_secs());
    assert_eq!(pauses, [1, 2, 3], "the longer it fails, the longer it is left alone");
    // That somebody looks at it, or reads it now, is no recovery.
    world.sync.set_source_status("hr", "running", None, None).await.unwrap();
    assert_eq!(world.history(source).await.len(), 2);
    run().await;
    run().await;
    let told = world.told_of(source).await;
    let what: Vec<_> = told.iter().map(|told| (told.what.as_str(), told.data().clone())).collect();
    let expected = [
        ("source.backed_off", json!({"source": "hr", "reason": "unavailable"})),
        ("source.backed_off", json!({"source": "hr", "reason": "unauthorized"})),
        ("source.recovered", json!({"source": "hr", "failures": 3})),
    ];
    assert_eq!(what, expected);
    assert_eq!(fail("unavailable").await.as_secs(), 1, "and counts anew");
    assert_eq!(world.history(source).await.last().unwrap(), "source.backed_off");
    world.assert_clean_ledger().await;
}

#[tokio::test]
async fn the_state_of_a_source_and_its_event_are_one_transaction() {
    let world = World::new().await;
    let refuse = "ALTER TABLE ledger.events ADD CHECK (type <> 'source.backed_off')";
    sqlx::query(refuse).execute(&world.owner).await.unwrap();
    assert!(world.sync.back_off(&cause("hr"), "unavailable", "x", |_| Duration::ZERO).await.is_err());
    assert_eq!(world.ask::<i64>("SELECT count(*) FROM working.source_status WHERE source = 'hr'").await, 0);
}
