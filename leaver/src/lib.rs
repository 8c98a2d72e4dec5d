//! The program: command line, configuration, supervision, and its own PostgreSQL.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod check;
pub mod cli;
pub mod client;
pub mod config;
pub mod demo;
pub mod postgres;
pub mod probes;
pub mod roles;
pub mod show;
pub mod style;
pub mod supervise;
pub mod telemetry;
