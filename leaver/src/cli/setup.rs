//! Verbs that need no server: `check`, `migrate`, `demo`, `completions`.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap_complete::Shell;

use crate::config::{self, Config};
use crate::roles::Hosted;
use crate::{check, demo, postgres, show};

use super::args;
use super::failure::{Exit, Failure, Message};
use super::screen::Screen;
use super::{help, progress};

pub async fn check(screen: &Screen, config: &Config, file: &Path) -> Result<Exit, Failure> {
    let report = progress::during(screen, "every connection", Duration::from_secs(15), check::run(config, file)).await;
    if screen.is_json() {
        screen.document(&report)?;
    } else {
        screen.answer(&show::check::show(&report, screen.out))?;
    }
    Ok(if report.failed == 0 { Exit::Done } else { Exit::Failed })
}

/// Whether a process may start with what `file` says.
///
/// # Errors
/// Examples of its policies that fail; what it lacks without which it could not meet the other processes.
pub fn may_start(hosted: Hosted, config: &Config, file: &Path) -> Result<(), Failure> {
    for (path, policy) in config.policies() {
        // Whoever wrote an example wanted to be told before the policy ends anything.
        if let Some(problems) = path.and_then(|path| config::failing(Path::new(&super::shown(path)), policy)) {
            return Err(problems.into());
        }
    }
    let lacks = hosted.lacks(config);
    if lacks.is_empty() {
        return Ok(());
    }
    let (keys, edits): (Vec<&str>, Vec<String>) =
        lacks.into_iter().map(|(key, edit)| (key, format!("`{edit}`"))).unzip();
    let what = format!(
        "`leaver {}` shares its work with other processes, and {} has no {}",
        hosted.name(),
        file.display(),
        keys.join(" and no ")
    );
    let help = format!("add {}; or run everything in one process: `leaver up`", edits.join(" and "));
    Err(Message::new(Exit::Usage, what).help(help).into())
}

/// The configured database, or the embedded one, which is started for it.
pub async fn migrate(screen: &Screen, config: &Config) -> Result<Exit, Failure> {
    let server = match &config.database {
        Some(database) => migrated(database.url.expose()).await?,
        None => {
            let options = postgres::Options {
                binaries: config.postgres.binaries.clone(),
                archive: config.postgres.archive.clone(),
                ..postgres::Options::new(&config.data_dir)
            };
            let server = postgres::start(&options).await.map_err(anyhow::Error::from)?;
            let version = migrated(server.url()).await;
            server.stop().await.map_err(anyhow::Error::from)?;
            format!("embedded {}", version?)
        }
    };
    if screen.is_json() {
        screen.document(&serde_json::json!({"database": server, "migrations": "current"}))?;
    } else {
        screen.answer(&format!("{server}, migrations current\n"))?;
    }
    Ok(Exit::Done)
}

async fn migrated(url: &str) -> anyhow::Result<String> {
    directory::migrate(url).await.context("the database could not be migrated")
}

pub async fn demo(screen: &Screen, wish: &args::Demo) -> anyhow::Result<ExitCode> {
    demo::run(demo::Options { data_dir: wish.data_dir.clone(), json: screen.is_json(), view: screen.out }).await
}

pub fn completions(screen: &Screen, shell: Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut help::command(), "leaver", &mut script);
    screen.answer(&String::from_utf8_lossy(&script)).map(|()| Exit::Done)
}
