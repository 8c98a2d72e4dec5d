//! What can be typed: verbs, flags and their values.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use lifecycle::EventType;
use organisation::Profile;
use url::Url;
use uuid::Uuid;

/// Two real examples for the help of a verb.
macro_rules! examples {
    ($($line:literal),+) => { concat!($("  ", $line, "\n"),+) };
}

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
    #[arg(value_parser = NonEmptyStringValueParser::new(), required_unless_present = "subject")]
    pub who: Option<String>,
    /// Instead of WHO: what the one downstream calls somebody whom no source knows
    #[arg(long, value_name = "VALUE", value_parser = NonEmptyStringValueParser::new(), requires = "downstreams",
          conflicts_with_all = ["who", "lock_for"])]
    pub subject: Option<String>,
    /// Why; it is kept in the ledger
    #[arg(long, value_name = "R", value_parser = NonEmptyStringValueParser::new())]
    pub reason: String,
    /// Only there; may be given several times
    #[arg(long = "downstream", value_name = "D")]
    pub downstreams: Vec<String>,
    /// Keep them out for so long as well
    #[arg(long = "lock", value_name = "D", value_parser = duration)]
    pub lock_for: Option<Duration>,
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
    pub fn as_str(self) -> &'static str {
        match self {
            Wait::Applied => "applied",
            Wait::Verified => "verified",
            Wait::Settled => "settled",
        }
    }
}

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

#[derive(Debug, Subcommand)]
pub enum Ledger {
    /// Look for broken histories and forgotten work
    #[command(before_help = examples!("leaver ledger check", "leaver ledger check -o json"))]
    Check,
}

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

fn duration(text: &str) -> Result<Duration, InvalidDuration> {
    humantime::parse_duration(text).map_err(InvalidDuration)
}

#[derive(Debug, thiserror::Error)]
#[error("a duration is a number with ms, s, m, h or d behind it, such as 30s")]
struct InvalidDuration(#[source] humantime::DurationError);

fn whole_id(text: &str) -> Result<Uuid, InvalidId> {
    text.parse().map_err(InvalidId)
}

#[derive(Debug, thiserror::Error)]
#[error("what acts takes a whole id, such as 0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8")]
struct InvalidId(#[source] uuid::Error);

fn server(text: &str) -> Result<Url, InvalidServer> {
    // `localhost:8471` is a URL, of the scheme `localhost`.
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.filter(Url::has_host).ok_or(InvalidServer)
}

#[derive(Debug, thiserror::Error)]
#[error("a server is written http://HOST:PORT or https://HOST")]
struct InvalidServer;
