//! What a process says when it serves: where things are, and what to do next.

use std::io::IsTerminal;

use super::{Addresses, Hosted, Role};
use crate::cli::shown;
use crate::config::Config;

/// Prints to stderr; stdout is for `ready` alone.
pub fn print(hosted: Hosted, config: &Config, database: &str, addresses: &Addresses) {
    let named = |items: Vec<String>| if items.is_empty() { "none configured".to_owned() } else { items.join(", ") };
    let role = match hosted {
        Hosted::Up => String::new(),
        Hosted::Alone(role) => format!(" {}", role.as_str()),
    };
    eprintln!("leaver {}{role}, data in {}", env!("CARGO_PKG_VERSION"), shown(&config.data_dir));
    eprintln!("  database     {database}");
    match &config.bus.kafka {
        None => eprintln!("  bus          embedded: events reach other processes by the API only"),
        Some(kafka) => {
            eprintln!("  bus          Kafka at {}, topics {}.*", kafka.brokers.as_str(), kafka.prefix.as_str());
        }
    }
    if hosted.hosts(Role::SyncWorker) {
        let sources = config.sources.iter().map(|(n, s)| format!("{n} ({})", s.connector.kind()));
        eprintln!("  sources      {}", named(sources.collect()));
    }
    if hosted.hosts(Role::Revoker) {
        let downstreams = config.downstreams.iter().map(|(n, d)| format!("{n} ({})", d.adapter.kind()));
        eprintln!("  downstreams  {}", named(downstreams.collect()));
    }
    if let Some(public) = addresses.public {
        eprintln!("  scim         http://{public}/scim/v2/{{source}}");
    }
    if let Some(admin) = addresses.admin {
        let token = config.data_dir.join("admin.token");
        eprintln!("  admin        http://{admin}/api/v1   token in {}", shown(&token));
    }
    eprintln!("  probes       http://{}/readyz, /metrics", addresses.probes);
    if addresses.admin.is_some() && std::io::stderr().is_terminal() {
        eprintln!("next: leaver source list");
    }
}
