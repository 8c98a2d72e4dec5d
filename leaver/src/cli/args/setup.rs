//! The verbs of whoever sets Leaver up or tries it.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser};
use clap::{Args, Subcommand};
use organisation::Profile;
use uuid::Uuid;

use super::values::{duration, whole_id};

#[derive(Debug, Args)]
pub struct Demo {
    /// Keep everything here, instead of in a folder that is removed at the end
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Generate {
    /// How large it is, and how restless
    #[arg(value_parser = PossibleValuesParser::new(Profile::ALL.map(|profile| profile.name)))]
    pub profile: String,
    /// Another number is another organisation
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// The organisation so many days later
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=36_500))]
    pub day: u32,
    /// How many people, instead of as many as the profile has
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub people: Option<u64>,
    /// The folder; a file that is there is replaced, but never leaver.yaml
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

#[derive(Debug, Subcommand)]
pub enum Token {
    /// Make a token and print it, this once
    #[command(before_help = examples!("leaver token create --source okta", "leaver token create --admin jo --expires 90d"))]
    Create {
        #[command(flatten)]
        owner: Owner,
        /// For so long, instead of for ever
        #[arg(long, value_name = "D", value_parser = duration)]
        expires: Option<Duration>,
    },
    /// List tokens: whose, and until when
    #[command(before_help = examples!("leaver token list", "leaver token list -o json"))]
    List,
    /// Accept a token no longer
    #[command(before_help = examples!(
        "leaver token revoke 0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8",
        "leaver token revoke 0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8 -o json"
    ))]
    Revoke {
        /// The whole id, as in `leaver token list`
        #[arg(value_parser = whole_id)]
        id: Uuid,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Owner {
    /// For a source, which may push by SCIM with it
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub source: Option<String>,
    /// For a person, who may use this command line and the admin API with it
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub admin: Option<String>,
}
