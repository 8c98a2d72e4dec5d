//! Stories that cross crates: the real program, a real database, real sessions.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod architecture;
mod bad_input;
mod brake;
mod by_hand;
mod commands;
mod frameworks;
mod groups;
mod guides;
mod in_flight;
mod kafka;
mod keycloak;
mod leaving;
mod observed;
mod parked;
mod policy;
mod providers;
mod races;
mod redis_outage;
mod rehire;
mod renamed;
mod roles;
mod scim_tester;
mod shapes;
mod stopping;
