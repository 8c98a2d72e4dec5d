//! `leaver check`: tries every connection without changing anything, and says what the parts can do together.

mod bus;
mod policy;

use std::path::Path;
use std::time::{Duration, Instant};

use directory::Schema;
use downstreams::{Capabilities, Downstream, Finds};
use futures::future::join_all;
use lifecycle::Action;
use serde::Serialize;

use crate::config::Config;

/// No single look may take longer.
const PATIENCE: Duration = Duration::from_secs(15);

/// Everything that was looked at.
#[derive(Debug, Serialize)]
pub struct Report {
    pub checks: Vec<Check>,
    pub downstreams: Vec<Ability>,
    pub failed: usize,
    pub warnings: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    Warning,
    Failed,
}

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// `configuration`, `policy`, `rule`, `database`, `bus`, `topic`, `publish`, `source` or `downstream`.
    pub what: &'static str,
    pub name: String,
    pub state: State,
    /// What was seen, or what is wrong.
    pub detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// How long the look took, where it went over a connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
}

impl Check {
    fn new(what: &'static str, name: impl Into<String>, state: State, detail: impl Into<String>) -> Self {
        let (name, detail) = (name.into(), detail.into());
        Self { what, name, state, detail, causes: Vec::new(), help: None, ms: None }
    }

    fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// `error` as what is wrong, and all that lies beneath it as causes.
    fn failed(what: &'static str, name: &str, error: &dyn std::error::Error) -> Self {
        let causes = std::iter::successors(error.source(), |cause| cause.source());
        let mut causes: Vec<String> = causes.map(|cause| cause.to_string()).collect();
        // Some libraries pass on what lies beneath as their own.
        causes.dedup();
        Self { causes, ..Self::new(what, name, State::Failed, error.to_string()) }
    }
}

/// What a downstream can do.
#[derive(Debug, Clone, Serialize)]
pub struct Ability {
    pub name: String,
    pub adapter: &'static str,
    /// `index`, `scan` or `opaque`: how the sessions of one person are found.
    pub finds: &'static str,
    pub resurrects: bool,
    pub knows_auth_time: bool,
    pub actions: &'static [Action],
}

impl Ability {
    fn of(name: &str, adapter: &'static str, capabilities: Capabilities) -> Self {
        let Capabilities { finds, resurrects, knows_auth_time, actions } = capabilities;
        let finds = match finds {
            Finds::ByUserIndex => "index",
            Finds::ScanOnly => "scan",
            Finds::Opaque => "opaque",
        };
        Self { name: name.to_owned(), adapter, finds, resurrects, knows_auth_time, actions }
    }
}

/// Looks at everything that `config`, read from the file shown as `file`, names. Connections are tried at the same time.
pub async fn run(config: &Config, file: &Path) -> Report {
    let file = file.display().to_string();
    let (mut abilities, mut built, mut unfit) = (Vec::new(), Vec::new(), Vec::new());
    for (name, downstream) in &config.downstreams {
        match downstream.adapter.build(downstream.compare) {
            Ok(adapter) => {
                abilities.push(Ability::of(name, downstream.adapter.kind(), adapter.capabilities()));
                built.push((name, adapter));
            }
            Err(error) => {
                unfit
                    .push(Check::failed("downstream", name, &error).help(format!("mend downstreams.{name} in {file}")));
            }
        }
    }
    let sources = join_all(config.sources.iter().map(|(name, source)| look_at_source(name, source, &file)));
    let downstreams = join_all(built.iter().map(|(name, adapter)| look_at_downstream(name, adapter.as_ref(), &file)));
    let (database, bus, sources, downstreams) =
        tokio::join!(look_at_database(config), bus::look(config, &file), sources, downstreams);

    let mut checks = vec![configuration(config, &file)];
    checks.extend(policy::look(config, &abilities));
    checks.push(database);
    checks.extend(bus);
    checks.extend(bus::names(config));
    checks.extend(sources);
    checks.extend(unfit);
    checks.extend(downstreams);
    let number = |state| checks.iter().filter(|check| check.state == state).count();
    let (failed, warnings) = (number(State::Failed), number(State::Warning));
    Report { checks, downstreams: abilities, failed, warnings }
}

/// It was read before, as a whole; so there is only good to say.
fn configuration(config: &Config, file: &str) -> Check {
    let number = |many: usize, one| crate::show::text::count(many as u64, one);
    let parts =
        format!("{}, {}", number(config.sources.len(), "source"), number(config.downstreams.len(), "downstream"));
    Check::new("configuration", file, State::Ok, format!("{parts}, all secrets found"))
}

async fn look_at_database(config: &Config) -> Check {
    let Some(database) = &config.database else {
        let home = config.data_dir.join("postgres");
        let lives = if home.exists() { "lives" } else { "will live" };
        let detail = format!("embedded PostgreSQL, {lives} in {}", crate::cli::shown(&home));
        return Check::new("database", "database", State::Ok, detail);
    };
    timed(async {
        match tokio::time::timeout(PATIENCE, directory::schema(database.url.expose())).await {
            Err(_) => silent("database", "database"),
            Ok(Err(error @ directory::Error::NotOwner(_))) => Check::failed("database", "database", &error)
                .help("`leaver migrate` with the login of the schema's owner lets others look"),
            Ok(Err(error)) => {
                // What the layers above say of themselves is no more than that.
                let chain = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
                let beneath = chain.last().unwrap_or(&error);
                let check = Check::failed("database", "database", beneath);
                Check { detail: format!("PostgreSQL cannot be used: {}", check.detail), ..check }
                    .help("start it, or mend database.url")
            }
            Ok(Ok(Schema { server, behind: 0, ahead: 0 })) => {
                Check::new("database", "database", State::Ok, format!("{server}, migrations current"))
            }
            Ok(Ok(Schema { server, behind: 0, .. })) => {
                Check::new("database", "database", State::Ok, format!("{server}, migrated by a newer leaver"))
            }
            Ok(Ok(Schema { server, behind, .. })) => {
                let detail = format!("{server}, {} to come", crate::show::text::count(behind as u64, "migration"));
                Check::new("database", "database", State::Warning, detail).help("`leaver migrate` applies them")
            }
        }
    })
    .await
}

async fn look_at_source(name: &str, source: &sync_worker::Config, file: &str) -> Check {
    timed(async {
        let probe = async { source.connector.build(source.timezone)?.probe().await };
        match tokio::time::timeout(PATIENCE, probe).await {
            Err(_) => silent("source", name),
            Ok(Ok(found)) => Check::new("source", name, State::Ok, found),
            Ok(Err(error)) => Check::failed("source", name, &error).help(format!("mend sources.{name} in {file}")),
        }
    })
    .await
}

async fn look_at_downstream(name: &str, adapter: &dyn Downstream, file: &str) -> Check {
    timed(async {
        match tokio::time::timeout(PATIENCE, adapter.probe()).await {
            Err(_) => silent("downstream", name),
            Ok(Ok(probe)) if probe.notes.is_empty() => Check::new("downstream", name, State::Ok, probe.store),
            Ok(Ok(probe)) => {
                let notes = probe.notes.join(" ");
                Check::new("downstream", name, State::Warning, probe.store).help(notes)
            }
            Ok(Err(error)) => {
                let start = if matches!(error, downstreams::Error::Unavailable(_)) { "start it, or " } else { "" };
                let help = format!("{start}mend downstreams.{name} in {file}");
                Check::failed("downstream", name, &error).help(help)
            }
        }
    })
    .await
}

async fn timed(look: impl Future<Output = Check>) -> Check {
    let start = Instant::now();
    let check = look.await;
    Check { ms: Some(u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)), ..check }
}

fn silent(what: &'static str, name: &str) -> Check {
    Check::new(what, name, State::Failed, format!("no answer within {}s", PATIENCE.as_secs()))
}
