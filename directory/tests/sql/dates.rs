//! First and last days: scheduled facts that act when the clock passes them, and only then.

use chrono::{Duration, Utc};
use lifecycle::{AccountFacts, Standing};

use crate::world::{World, person, standing};

#[tokio::test]
async fn a_joiner_is_staged_until_the_first_day_and_activated_on_it() {
    let world = World::new().await;
    let first_day = Utc::now() + Duration::hours(1);
    let ana = AccountFacts { starts_at: Some(first_day), ..person("ana") };
    world.pull("hr", std::slice::from_ref(&ana)).await;
    assert_eq!(world.who("ana").await.state, "staged");

    let run = world.begin("hr").await;
    world.sync.pass_dates(&run.cause, &run.fence, first_day - Duration::seconds(1)).await.unwrap();
    assert_eq!(world.who("ana").await.state, "staged", "a second before");
    world.sync.pass_dates(&run.cause, &run.fence, first_day).await.unwrap();
    let active = world.who("ana").await;
    assert_eq!(active.state, "active");
    assert_eq!(world.history(active.id).await, ["identity.created", "identity.activated"]);
    world.sync.pass_dates(&run.cause, &run.fence, first_day + Duration::hours(1)).await.unwrap();
    assert_eq!(world.who("ana").await.version, active.version, "a date acts once");
}

#[tokio::test]
async fn the_end_of_the_last_day_is_a_departure_that_the_brake_sees_first() {
    let world = World::new().await;
    let last_instant = Utc::now() + Duration::hours(1);
    let ana = AccountFacts { ends_at: Some(last_instant), ..person("ana") };
    world.pull("hr", std::slice::from_ref(&ana)).await;
    assert_eq!(world.who("ana").await.state, "active");

    let run = world.begin("hr").await;
    world.sync.pass_dates(&run.cause, &run.fence, last_instant).await.unwrap();
    assert_eq!(world.who("ana").await.state, "active", "it waits for the verdict");
    assert_eq!(world.waiting("hr").await.delete, 1);
    world.sync.release_all(&run.cause, &run.fence).await.unwrap();
    assert_eq!(world.who("ana").await.state, "departed");
}

#[tokio::test]
async fn a_last_day_that_is_rescinded_never_acts() {
    let world = World::new().await;
    let last_instant = Utc::now() + Duration::hours(1);
    world.pull("hr", &[AccountFacts { ends_at: Some(last_instant), ..person("ana") }]).await;
    world.pull("hr", &[person("ana")]).await;
    let run = world.begin("hr").await;
    world.sync.pass_dates(&run.cause, &run.fence, last_instant + Duration::days(1)).await.unwrap();
    assert_eq!(world.waiting("hr").await.dangerous(), 0);
}

#[tokio::test]
async fn a_date_never_softens_what_the_source_denies() {
    let world = World::new().await;
    let start = Utc::now() + Duration::hours(1);
    let ana = AccountFacts { starts_at: Some(start), ..standing(Standing::Inactive, person("ana")) };
    world.pull("hr", std::slice::from_ref(&ana)).await;
    let run = world.begin("hr").await;
    world.sync.pass_dates(&run.cause, &run.fence, start + Duration::hours(1)).await.unwrap();
    assert_eq!(world.who("ana").await.state, "suspended");
}
