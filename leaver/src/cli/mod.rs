//! The command line: from what was typed to an exit code.

mod args;
mod events;
mod failure;
mod generate;
mod help;
mod holds;
mod identities;
mod ledger;
mod owed;
mod pages;
mod parked;
mod plans;
mod policy;
mod progress;
mod replay;
mod revoke;
mod screen;
mod server;
mod setup;
mod sources;
mod tokens;
mod usage;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::FromArgMatches as _;
use clap::builder::StyledStr;
use clap::error::ErrorKind;

use crate::client::Client;
use crate::config::{self, Config, Environment};
use crate::roles::{self, Hosted, Role};
use crate::style::View;
use crate::telemetry;

pub use args::Output;
use args::{Arguments, Colour, Verb};
pub use failure::{Exit, Failure};
pub use screen::Screen;

/// Carries out what the arguments of the process say.
pub async fn run() -> ExitCode {
    let environment: Environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let typed: Vec<OsString> = std::env::args_os().collect();
    let matches = help::command().try_get_matches_from(&typed);
    let (screen, done) = match matches.and_then(|matches| Arguments::from_arg_matches(&matches)) {
        Ok(arguments) => {
            let screen = Screen::new(arguments.global.color, arguments.global.output, &environment);
            (screen, carry_out(&screen, &arguments, &environment).await)
        }
        Err(error) => {
            let screen = Screen::new(wanted_colour(&typed), Output::Text, &environment);
            (screen, told(&screen, &error, typed.len() == 1).map(ExitCode::from))
        }
    };
    done.unwrap_or_else(|failure| {
        screen.remark(&failure.render(screen.err));
        failure.exit().into()
    })
}

/// Help and versions, which are no errors to anybody but the parser; and errors.
fn told(screen: &Screen, error: &clap::Error, alone: bool) -> Result<Exit, Failure> {
    let text = |view: View, text: &StyledStr| if view.colour { text.ansi().to_string() } else { text.to_string() };
    let shown = |view| text(view, &error.render());
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => screen.answer(&shown(screen.out)).map(|()| Exit::Done),
        // `leaver` alone asks what there is; `leaver source` alone has forgotten something.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand if alone => {
            screen.answer(&text(screen.out, &help::command().render_help())).map(|()| Exit::Done)
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            screen.remark(&shown(screen.err));
            Ok(Exit::Usage)
        }
        _ => Err(usage::failure(error)),
    }
}

/// What `--color` says in a command line that cannot be understood as a whole.
fn wanted_colour(typed: &[OsString]) -> Colour {
    let words: Vec<&str> = typed.iter().filter_map(|word| word.to_str()).collect();
    let value = words.iter().enumerate().find_map(|(i, word)| match word.strip_prefix("--color") {
        Some("") => words.get(i + 1).copied(),
        Some(rest) => rest.strip_prefix('='),
        None => None,
    });
    match value {
        Some("always") => Colour::Always,
        Some("never") => Colour::Never,
        _ => Colour::Auto,
    }
}

async fn carry_out(screen: &Screen, arguments: &Arguments, environment: &Environment) -> Result<ExitCode, Failure> {
    let global = &arguments.global;
    let config = || config::load(&global.config, environment);
    let without_secrets = || config::load_without_secrets(&global.config, environment);
    let client = || -> Result<Client, Failure> { server::connect(global, environment) };
    let log =
        |filter, traced| telemetry::start(Some(environment.get("LEAVER_LOG").map_or(filter, String::as_str)), traced);
    let exit = match &arguments.verb {
        Verb::Up | Verb::SyncWorker | Verb::Revoker | Verb::Console => {
            let hosted = match &arguments.verb {
                Verb::SyncWorker => Hosted::Alone(Role::SyncWorker),
                Verb::Revoker => Hosted::Alone(Role::Revoker),
                Verb::Console => Hosted::Alone(Role::Console),
                _ => Hosted::Up,
            };
            let config: Config = config()?;
            setup::may_start(hosted, &config, &global.config)?;
            let telemetry = log("info,sqlx=warn", config.traces.as_ref().map(|traces| (hosted.name(), traces)))?;
            let ended = roles::run(hosted, config).await;
            telemetry.end().await;
            return Ok(ended?);
        }
        Verb::Demo(demo) => {
            // The story is what it prints.
            log("warn", None)?;
            return Ok(setup::demo(screen, demo).await?);
        }
        Verb::Check => setup::check(screen, &config()?, &global.config).await?,
        Verb::Migrate => {
            let config: Config = config()?;
            log("info,sqlx=warn", None)?;
            setup::migrate(screen, &config).await?
        }
        Verb::Identity(verb) => identities::run(screen, &client()?, verb).await?,
        Verb::Revoke(wish) => revoke::run(screen, &client()?, wish).await?,
        Verb::Lock(wish) => revoke::lock(screen, &client()?, wish).await?,
        Verb::Unlock { who, reason } => revoke::unlock(screen, &client()?, &who.who, reason.as_deref()).await?,
        Verb::Events(args::Events::Tail(tail)) => events::tail(screen, &client()?, tail).await?,
        Verb::Source(verb) => sources::run(screen, &client()?, verb).await?,
        Verb::Plan(verb) => plans::run(screen, &client()?, verb).await?,
        Verb::Hold(verb) => holds::run(screen, &client()?, verb).await?,
        Verb::Owed(verb) => owed::run(screen, &client()?, verb).await?,
        Verb::Parked(verb) => parked::run(screen, &client()?, verb).await?,
        Verb::Token(verb) => tokens::run(screen, &client()?, verb).await?,
        Verb::Ledger(args::Ledger::Check) => ledger::check(screen, &client()?).await?,
        Verb::Policy(args::Policy::Test { policy: None }) => policy::test(screen, &without_secrets()?)?,
        Verb::Policy(args::Policy::Test { policy: Some(draft) }) => {
            replay::read(draft)?;
            policy::test(screen, &config::load_with_draft(&global.config, environment, draft)?)?
        }
        Verb::Policy(args::Policy::Replay(wish)) => replay::run(screen, &client()?, wish).await?,
        Verb::Config(args::Config::Schema) => screen.document(&config::schema()).map(|()| Exit::Done)?,
        Verb::Generate(wish) => generate::run(screen, wish)?,
        Verb::Completions { shell } => setup::completions(screen, *shell)?,
    };
    Ok(exit.into())
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// A path as people know it: relative to the folder they are in, if it is in there.
pub fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let near =
        here.as_deref().and_then(|here| path.strip_prefix(here).ok()).filter(|near| !near.as_os_str().is_empty());
    near.unwrap_or(path).display().to_string()
}
