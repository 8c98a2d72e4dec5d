//! What the directory promises of its SQL, shown on a real PostgreSQL; each test has a database of its own.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod answers;
mod apply;
mod back_off;
mod bursts;
mod correlation;
mod cut_off;
mod cutoffs;
mod database;
mod dates;
mod decided;
mod deliveries;
mod errands;
mod fan_outs;
mod group_plans;
mod groups;
mod herald;
mod history;
mod holds;
mod ledger;
mod lists;
mod locks;
mod nesting;
mod order;
mod owed;
mod plans;
mod privileges;
mod published;
mod reconcile;
mod restarts;
mod roles;
mod runs;
mod scim;
mod shortenings;
mod strangers;
mod tiers;
mod together;
mod trigger;
mod vanished;
mod world;
