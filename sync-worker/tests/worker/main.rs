//! What a sync worker does with sources that misbehave, beside other workers, and when it is cut off.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod back_off;
mod crashes;
mod faults;
mod page_faults;
mod pauses;
mod plans;
mod proxy;
#[path = "../../../tests/keycloak/realm.rs"]
mod realm;
mod site;
mod spread;
mod turns;
mod unchanged;
