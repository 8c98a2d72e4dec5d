//! The verbs about what has happened.

use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use lifecycle::EventType;

use super::values::duration;

#[derive(Debug, Subcommand)]
pub enum Events {
    /// Print events as they happen, one CloudEvent per line
    #[command(before_help = examples!(
        "leaver events tail --type identity.suspended",
        "leaver events tail --since 7d --no-follow"
    ))]
    Tail(Tail),
}

#[derive(Debug, Args)]
pub struct Tail {
    /// Only events of this type
    #[arg(long = "type", value_name = "T", hide_possible_values = true,
          value_parser = PossibleValuesParser::new(EventType::ALL.iter().map(|event| event.as_str())))]
    pub event_type: Option<String>,
    /// Begin so long ago, instead of now (with --no-follow: instead of at the first event)
    #[arg(long, value_name = "D", value_parser = duration)]
    pub since: Option<Duration>,
    /// End after the last event there is
    #[arg(long)]
    pub no_follow: bool,
}

#[derive(Debug, Subcommand)]
pub enum Ledger {
    /// Look for broken histories and forgotten work
    #[command(before_help = examples!("leaver ledger check", "leaver ledger check -o json"))]
    Check,
}
