//! The revoker on a real directory and bus, over stores that may misbehave.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

#[path = "../../../directory/tests/sql/database.rs"]
#[allow(dead_code, reason = "shared with the tests of the directory, which use all of it")]
mod database;
mod decisions;
mod errands;
mod failures;
mod holds;
mod index;
mod locks;
mod passes;
mod published;
mod rechecked;
mod shortened;
mod store;
mod strangers;
mod wire;
mod world;
