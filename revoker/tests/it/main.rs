//! The revoker on a real directory and bus, over stores that may misbehave.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

#[path = "../../../directory/tests/sql/database.rs"]
mod database;
mod decisions;
mod failures;
mod passes;
mod store;
mod world;
