//! What can be typed: verbs, flags and their values. Here are the verbs and the flags that all of them have.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use url::Url;

/// Two real examples for the help of a verb.
macro_rules! examples {
    ($($line:literal),+) => { concat!($("  ", $line, "\n"),+) };
}

mod answers;
mod people;
mod record;
mod rules;
mod setup;
mod sources;
mod values;

pub use answers::{Hold, Owed, Parked, Plan};
pub use people::{Identity, Lock, Revoke, Until, Wait, Who};
pub use record::{Events, Ledger, Tail};
pub use rules::{Config, Policy, Replay};
pub use setup::{Demo, Generate, Token};
pub use sources::{Run, Source};
use values::server;

/// When someone leaves, their sessions end
#[derive(Debug, Parser)]
#[command(name = "leaver", version, subcommand_value_name = "VERB", disable_help_subcommand = true)]
pub struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// The configuration
    #[arg(short, long, global = true, value_name = "FILE", default_value = "leaver.yaml")]
    pub config: PathBuf,
    /// The server to talk to, instead of the configured one
    #[arg(long, global = true, value_name = "URL", env = "LEAVER_SERVER", hide_env_values = true, value_parser = server)]
    pub server: Option<Url>,
    /// How answers are written; json is one document on stdout
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// auto: on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Colour::Auto)]
    pub color: Colour,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run every part in one process, in the foreground
    #[command(before_help = examples!("leaver up", "leaver up -c /etc/leaver/leaver.yaml"))]
    Up,
    /// Read sources and receive SCIM, in a process of its own
    #[command(before_help = examples!(
        "leaver sync-worker -c /etc/leaver/leaver.yaml",
        "leaver sync-worker --config leaver.yaml"
    ))]
    SyncWorker,
    /// Decide and end sessions, in a process of its own
    #[command(before_help = examples!(
        "leaver revoker -c /etc/leaver/leaver.yaml",
        "leaver revoker --config leaver.yaml"
    ))]
    Revoker,
    /// Serve the admin API, in a process of its own
    #[command(before_help = examples!(
        "leaver console -c /etc/leaver/leaver.yaml",
        "leaver console --config leaver.yaml"
    ))]
    Console,
    /// Watch people leave a small company, and their sessions end
    #[command(before_help = examples!("leaver demo", "leaver demo --output json"))]
    Demo(Demo),
    /// Validate configuration and policy, and try every connection
    #[command(before_help = examples!("leaver check", "leaver check -c staging.yaml --output json"))]
    Check,
    /// Bring the database to the newest schema
    #[command(before_help = examples!("leaver migrate", "leaver migrate -c /etc/leaver/leaver.yaml"))]
    Migrate,
    /// People and machines
    #[command(subcommand)]
    Identity(Identity),
    /// End somebody's sessions now
    #[command(before_help = examples!(
        "leaver revoke ana@example.com --reason 'stolen laptop'",
        "leaver revoke okta:00u1x9 --reason INC-7 --downstream web --wait verified"
    ))]
    Revoke(Revoke),
    /// Keep somebody out for a while, also by ending what begins
    #[command(before_help = examples!(
        "leaver lock ana@example.com --for 1h --reason 'stolen laptop'",
        "leaver lock okta:00u1x9 --for 30m --reason INC-7 --wait verified"
    ))]
    Lock(Lock),
    /// Let somebody in again who is locked
    #[command(before_help = examples!(
        "leaver unlock ana@example.com",
        "leaver unlock okta:00u1x9 --reason INC-7"
    ))]
    Unlock {
        #[command(flatten)]
        who: Who,
        /// Why; it is kept with the lock
        #[arg(long, value_name = "R", value_parser = NonEmptyStringValueParser::new())]
        reason: Option<String>,
    },
    /// What happened, as CloudEvents
    #[command(subcommand)]
    Events(Events),
    /// The systems that know who may have access
    #[command(subcommand)]
    Source(Source),
    /// What is held until a person approves it
    #[command(subcommand)]
    Plan(Plan),
    /// Orders that wait for a person before sessions end
    #[command(subcommand)]
    Hold(Hold),
    /// What no downstream has answered yet
    #[command(subcommand)]
    Owed(Owed),
    /// What nobody could understand
    #[command(subcommand)]
    Parked(Parked),
    /// Bearer tokens for sources and administrators
    #[command(subcommand)]
    Token(Token),
    /// The record of everything that was decided and done
    #[command(subcommand)]
    Ledger(Ledger),
    /// The rules
    #[command(subcommand)]
    Policy(Policy),
    /// The configuration
    #[command(subcommand)]
    Config(Config),
    /// Write the personnel file of a made-up organisation
    #[command(before_help = examples!(
        "leaver generate small-10k --out org",
        "leaver generate isp-1m --people 50000 --day 30 --out org"
    ))]
    Generate(Generate),
    /// Print completions for a shell
    #[command(before_help = examples!(
        "leaver completions bash > /etc/bash_completion.d/leaver",
        "leaver completions zsh > ~/.zfunc/_leaver"
    ))]
    Completions { shell: Shell },
}
