//! Logs go to stderr: short lines on a terminal, JSON elsewhere. They hold ids, never names, addresses, tokens or payloads.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Migrations say on every start what is there already.
const DEFAULT: &str = "info,sqlx::postgres::notice=warn";

/// Starts logging; `filter` in the form of `tracing`'s directives, such as `info,relay=debug`.
pub fn start(filter: Option<&str>) {
    let filter = filter.and_then(|text| EnvFilter::try_new(text).ok()).unwrap_or_else(|| EnvFilter::new(DEFAULT));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start in one process (tests) keeps the first.
    let started = if std::io::stderr().is_terminal() {
        builder.compact().with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
    if let Err(error) = started {
        eprintln!("logging was started already: {error}");
    }
}
