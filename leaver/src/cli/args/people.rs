//! The verbs about somebody: looking at them, ending their sessions, keeping them out.

use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand, ValueEnum};

use super::values::duration;

/// Somebody, as an operator names them.
#[derive(Debug, Args)]
pub struct Who {
    /// An id, a userName, an e-mail address, or source:X with a native id or externalId
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub who: String,
}

#[derive(Debug, Subcommand)]
pub enum Identity {
    /// List who is known
    #[command(before_help = examples!("leaver identity list --query finance", "leaver identity list --limit 1000 -o json"))]
    List {
        /// Only those whose name, address, number or department contains this
        #[arg(long, value_name = "Q")]
        query: Option<String>,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
        limit: u64,
    },
    /// Show somebody's state, and why it is so
    #[command(before_help = examples!("leaver identity show ana@example.com", "leaver identity show people:1042"))]
    Show(Who),
    /// Show somebody's live sessions in every downstream
    #[command(before_help = examples!("leaver identity sessions ana@example.com", "leaver identity sessions okta:00u1x9 -o json"))]
    Sessions(Who),
    /// Show every hop of somebody's latest change
    #[command(before_help = examples!("leaver identity trace ana@example.com", "leaver identity trace 5d1cbb0e -o json"))]
    Trace(Who),
}

#[derive(Debug, Args)]
pub struct Revoke {
    /// An id, a userName, an e-mail address, or source:X with a native id or externalId
    #[arg(value_parser = NonEmptyStringValueParser::new(), required_unless_present_any = ["subject", "group"])]
    pub who: Option<String>,
    /// Instead of WHO: what the one downstream calls somebody whom no source knows
    #[arg(long, value_name = "VALUE", value_parser = NonEmptyStringValueParser::new(), requires = "downstreams",
          conflicts_with_all = ["who", "lock_for"])]
    pub subject: Option<String>,
    /// Instead of WHO: everybody in this group now; source/NAME where several are called so
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new(), conflicts_with_all = ["who", "subject"])]
    pub group: Option<String>,
    /// Why; it is kept in the ledger
    #[arg(long, value_name = "R", value_parser = NonEmptyStringValueParser::new())]
    pub reason: String,
    /// Only there; may be given several times
    #[arg(long = "downstream", value_name = "D")]
    pub downstreams: Vec<String>,
    /// Keep them out for so long as well
    #[arg(long = "lock", value_name = "D", value_parser = duration)]
    pub lock_for: Option<Duration>,
    /// Revoke credentials, such as API keys, as well, where a downstream can
    #[arg(long, conflicts_with = "subject")]
    pub credentials: bool,
    /// Show what would end, and end nothing
    #[arg(long, conflicts_with = "wait")]
    pub dry_run: bool,
    #[command(flatten)]
    pub until: Until,
}

#[derive(Debug, Args)]
pub struct Lock {
    #[command(flatten)]
    pub who: Who,
    /// For how long
    #[arg(long = "for", value_name = "D", value_parser = duration)]
    pub lasts: Duration,
    /// Why; it is kept in the ledger
    #[arg(long, value_name = "R", value_parser = NonEmptyStringValueParser::new())]
    pub reason: String,
    /// Only there; may be given several times
    #[arg(long = "downstream", value_name = "D")]
    pub downstreams: Vec<String>,
    #[command(flatten)]
    pub until: Until,
}

/// How long to follow what was asked for.
#[derive(Debug, Args)]
pub struct Until {
    /// Wait until every downstream is in this state: ended, looked again, or quiet for good
    #[arg(long, value_enum, value_name = "STATE")]
    pub wait: Option<Wait>,
    /// How long to wait
    #[arg(long, value_name = "D", default_value = "30s", value_parser = duration, requires = "wait")]
    pub timeout: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Wait {
    Applied,
    Verified,
    Settled,
}

impl Wait {
    /// Of how many it is, as a noun.
    pub fn people(self) -> &'static str {
        match self {
            Wait::Applied => "people applied",
            Wait::Verified => "people verified",
            Wait::Settled => "people settled",
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Wait::Applied => "applied",
            Wait::Verified => "verified",
            Wait::Settled => "settled",
        }
    }
}
