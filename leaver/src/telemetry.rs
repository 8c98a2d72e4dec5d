//! Logs go to stderr: short lines on a terminal, JSON elsewhere. They hold ids, never names, addresses, tokens or payloads.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging; `filter` in the form of `tracing`'s directives, such as `info,relay=debug`.
pub fn start(filter: Option<&str>) {
    let filter = EnvFilter::try_new(filter.unwrap_or("info")).unwrap_or_else(|_| EnvFilter::new("info"));
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
