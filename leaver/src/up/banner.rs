//! What `leaver up` says when it serves: where things are, and what to do next.

use std::io::IsTerminal;
use std::path::Path;

use super::Addresses;
use crate::config::Config;

/// Prints to stderr; stdout is for `ready` alone.
pub fn print(config: &Config, database: &str, addresses: &Addresses) {
    let named = |items: Vec<String>| if items.is_empty() { "none configured".to_owned() } else { items.join(", ") };
    let sources = named(config.sources.iter().map(|(n, s)| format!("{n} ({})", s.connector.kind())).collect());
    let downstreams = named(config.downstreams.iter().map(|(n, d)| format!("{n} ({})", d.adapter.kind())).collect());
    eprintln!("leaver {}, data in {}", env!("CARGO_PKG_VERSION"), short(&config.data_dir));
    eprintln!("  database     {database}");
    eprintln!("  bus          embedded: events reach other processes by the API only");
    eprintln!("  sources      {sources}");
    eprintln!("  downstreams  {downstreams}");
    eprintln!("  scim         http://{}/scim/v2/{{source}}", addresses.public);
    eprintln!(
        "  admin        http://{}/api/v1   token in {}",
        addresses.admin,
        short(&config.data_dir.join("admin.token"))
    );
    eprintln!("  probes       http://{}/readyz, /metrics", addresses.probes);
    if std::io::stderr().is_terminal() {
        eprintln!("next: leaver source list");
    }
}

/// The path as a person would write it from here.
fn short(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    match path.strip_prefix(&here) {
        Ok(rest) if !rest.as_os_str().is_empty() => format!("./{}", rest.display()),
        _ => path.display().to_string(),
    }
}
