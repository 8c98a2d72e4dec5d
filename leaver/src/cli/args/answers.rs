//! The verbs about what waits: for a person who approves or rejects it, for a downstream that answers, for somebody who mends it.

use std::time::Duration;

use clap::Subcommand;
use clap::builder::NonEmptyStringValueParser;
use uuid::Uuid;

use super::values::{duration, whole_id};

#[derive(Debug, Subcommand)]
pub enum Plan {
    /// List plans
    #[command(before_help = examples!("leaver plan list --held", "leaver plan list -o json"))]
    List {
        /// Only those that wait for a person
        #[arg(long)]
        held: bool,
    },
    /// Show a plan with its rows, those of privileged people first
    #[command(before_help = examples!("leaver plan show 0193a0f2", "leaver plan show 0193a0f2 --all -o json"))]
    Show {
        /// An id, or the beginning of one: 8 characters at least
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        id: String,
        /// All rows, instead of the first 50
        #[arg(long)]
        all: bool,
    },
    /// Apply exactly what a held plan says
    #[command(before_help = examples!(
        "leaver plan approve 0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8",
        "leaver plan approve 0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8 --timeout 1h"
    ))]
    Approve {
        /// The whole id
        #[arg(value_parser = whole_id)]
        id: Uuid,
        /// How long to wait for the end
        #[arg(long, value_name = "D", default_value = "10m", value_parser = duration)]
        timeout: Duration,
    },
    /// Refuse exactly what a held plan says
    #[command(before_help = examples!(
        "leaver plan reject 0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8 --reason cut-export",
        "leaver plan reject 0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8 --reason CUT -o json"
    ))]
    Reject {
        /// The whole id
        #[arg(value_parser = whole_id)]
        id: Uuid,
        /// Why; it is kept with the plan
        #[arg(long, value_name = "R", value_parser = NonEmptyStringValueParser::new())]
        reason: String,
        /// How long to wait for the end
        #[arg(long, value_name = "D", default_value = "10m", value_parser = duration)]
        timeout: Duration,
    },
}

#[derive(Debug, Subcommand)]
pub enum Hold {
    /// List orders about many people that wait, or did
    #[command(before_help = examples!("leaver hold list --held", "leaver hold list -o json"))]
    List {
        /// Only those that wait for a person
        #[arg(long)]
        held: bool,
    },
    /// Show a hold with its people, privileged ones first
    #[command(before_help = examples!("leaver hold show 0193a0f2", "leaver hold show 0193a0f2 --all -o json"))]
    Show {
        /// An id, or the beginning of one: 8 characters at least
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        id: String,
        /// All rows, instead of the first 50
        #[arg(long)]
        all: bool,
    },
    /// Carry out exactly what is held
    #[command(before_help = examples!(
        "leaver hold approve 0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8",
        "leaver hold approve 0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8 --timeout 1h"
    ))]
    Approve {
        /// The whole id
        #[arg(value_parser = whole_id)]
        id: Uuid,
        /// How long to wait until everybody is ordered
        #[arg(long, value_name = "D", default_value = "10m", value_parser = duration)]
        timeout: Duration,
    },
    /// Never carry out what is held
    #[command(before_help = examples!(
        "leaver hold reject 0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8 --reason wrong-rule",
        "leaver hold reject 0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8 --reason R -o json"
    ))]
    Reject {
        /// The whole id
        #[arg(value_parser = whole_id)]
        id: Uuid,
        /// Why; it is kept with the hold
        #[arg(long, value_name = "R", value_parser = NonEmptyStringValueParser::new())]
        reason: String,
        /// How long to wait for the end
        #[arg(long, value_name = "D", default_value = "10m", value_parser = duration)]
        timeout: Duration,
    },
}

#[derive(Debug, Subcommand)]
pub enum Owed {
    /// List what no downstream has answered yet, longest first
    #[command(before_help = examples!("leaver owed list", "leaver owed list --stuck -o json"))]
    List {
        /// Only what needs a person's help
        #[arg(long)]
        stuck: bool,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
        limit: u64,
    },
    /// Try again now what is owed, and see whether it is answered
    #[command(before_help = examples!(
        "leaver owed retry 8f14e45f-ceea-467f-9d0b-6a3b1c5d7e92",
        "leaver owed retry 8f14e45f-ceea-467f-9d0b-6a3b1c5d7e92 --timeout 5s"
    ))]
    Retry {
        /// The whole id, as in `leaver owed list`
        #[arg(value_parser = whole_id)]
        id: Uuid,
        /// How long to wait for the answer
        #[arg(long, value_name = "D", default_value = "30s", value_parser = duration)]
        timeout: Duration,
    },
}

#[derive(Debug, Subcommand)]
pub enum Parked {
    /// List what sources sent and nobody could understand
    #[command(before_help = examples!("leaver parked list", "leaver parked list -o json"))]
    List,
    /// Carry out again what a source sent, once that is mended
    #[command(before_help = examples!(
        "leaver parked retry 0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8",
        "leaver parked retry 0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8 -o json"
    ))]
    Retry {
        /// The whole id, as in `leaver parked list`
        #[arg(value_parser = whole_id)]
        id: Uuid,
        /// How long to wait for the end
        #[arg(long, value_name = "D", default_value = "1m", value_parser = duration)]
        timeout: Duration,
    },
}
