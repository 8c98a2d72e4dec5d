//! The verbs about what was written to steer Leaver: the policy and the configuration.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::values::duration;

#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Decide the examples of the policy
    #[command(before_help = examples!("leaver policy test", "leaver policy test --policy draft.yaml -o json"))]
    Test {
        /// A draft, instead of the configured policy
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
    },
    /// Show what a policy would have made of what has happened
    #[command(before_help = examples!(
        "leaver policy replay --since 7d --policy draft.yaml",
        "leaver policy replay --since 1d --shadow -o json"
    ))]
    Replay(Replay),
}

#[derive(Debug, Args)]
pub struct Replay {
    /// From how long ago on
    #[arg(long, value_name = "D", default_value = "7d", value_parser = duration)]
    pub since: Duration,
    /// A draft, instead of the policy that is in force
    #[arg(long, value_name = "FILE", conflicts_with = "shadow")]
    pub policy: Option<PathBuf>,
    /// The draft that the server runs as `shadow`
    #[arg(long)]
    pub shadow: bool,
    /// All differences, instead of the first 50
    #[arg(long)]
    pub all: bool,
}

#[derive(Debug, Subcommand)]
pub enum Config {
    /// Print the JSON schema of the configuration
    #[command(before_help = examples!("leaver config schema", "leaver config schema > leaver.schema.json"))]
    Schema,
}
