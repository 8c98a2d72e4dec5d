//! The verbs about sources.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::values::duration;

#[derive(Debug, Subcommand)]
pub enum Source {
    /// List the sources and how they do
    #[command(before_help = examples!("leaver source list", "leaver source list -o json"))]
    List,
    /// Show what reading a source would change, and change nothing
    #[command(before_help = examples!("leaver source plan people", "leaver source plan people -o json"))]
    Plan(Run),
    /// Read a source now and apply it
    #[command(before_help = examples!("leaver source sync people", "leaver source sync people --timeout 30m"))]
    Sync(Run),
    /// Stop a source from being read, now
    #[command(before_help = examples!("leaver source pause people", "leaver source pause people --reason upkeep"))]
    Pause {
        /// The source
        name: String,
        /// Why, for whoever asks
        #[arg(long, value_name = "R")]
        reason: Option<String>,
    },
    /// Let a paused source be read again
    #[command(before_help = examples!("leaver source resume people", "leaver source resume people -o json"))]
    Resume {
        /// The source
        name: String,
    },
}

#[derive(Debug, Args)]
pub struct Run {
    /// The source
    pub name: String,
    /// How long to wait for the end
    #[arg(long, value_name = "D", default_value = "10m", value_parser = duration)]
    pub timeout: Duration,
}
