//! `leaver demo`: a small company on embedded parts. People leave, sessions end, and every hop is measured.

mod company;
mod portal;
mod timeline;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use directory::{Directory, RequestKind};
use serde_json::{Value, json};

use crate::config::{Config, Database, Environment};
use crate::postgres;
use crate::roles::{Hosted, Running};
use crate::style::View;

use company::Company;
use portal::Portal;
use timeline::{Story, Timeline};

/// How the demo is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where its files go; absent: a temporary folder that is removed at the end.
    pub data_dir: Option<PathBuf>,
    pub json: bool,
    pub view: View,
}

/// How long anything here may take before the demo gives up.
const LIMIT: Duration = Duration::from_secs(60);
const GRACE: Duration = Duration::from_secs(10);

/// Runs the whole story. Exit code 1 if a leaver's sessions did not settle.
pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    // Open to the account that PostgreSQL runs as when root starts the demo; else its data would be kept elsewhere.
    let open = std::fs::Permissions::from_mode(0o755);
    let temporary = match options.data_dir {
        Some(_) => None,
        None => {
            let made = tempfile::Builder::new().prefix("leaver-demo-").permissions(open).tempdir();
            Some(made.context("cannot make a temporary folder")?)
        }
    };
    let folder =
        options.data_dir.clone().or_else(|| temporary.as_ref().map(|t| t.path().to_path_buf())).unwrap_or_default();
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    eprintln!("starting PostgreSQL below {}", folder.display());
    let server = postgres::start(&postgres::Options::new(&folder)).await?;
    let told = tell(&folder, server.url(), &options).await;
    server.stop().await?;
    told
}

async fn tell(folder: &Path, url: &str, options: &Options) -> anyhow::Result<ExitCode> {
    let portal = Portal::create(url).await?;
    let mut company = Company::new(folder.join("people.csv"));
    company.write()?;
    let config = configure(folder, url, portal.url())?;
    let running = Running::start(Hosted::Up, &config).await?;
    let console = running.parts.console.as_ref().context("the demo hosts a console")?;
    let outcome = Tale { console, portal: &portal, company: &mut company }.play().await;
    let timeline = match outcome {
        Ok(timeline) => timeline,
        Err(error) => {
            running.halt(GRACE).await?;
            return Err(error);
        }
    };
    running.halt(GRACE).await?;
    portal.close().await;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&timeline)?);
    } else {
        print!("{}", timeline.render(options.view));
    }
    Ok(if timeline.all_settled() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The configuration that the demo runs, as a person would write it.
fn configure(folder: &Path, url: &str, portal: &str) -> anyhow::Result<Config> {
    let path = folder.join("leaver.yaml");
    std::fs::write(&path, company::CONFIGURATION).with_context(|| format!("cannot write {}", path.display()))?;
    let environment = Environment::from([("PORTAL_DB".to_owned(), portal.to_owned())]);
    let mut config = crate::config::load(&path, &environment).map_err(|problems| {
        anyhow::anyhow!("the demo's own configuration is wrong:\n{}", problems.render(View::PLAIN))
    })?;
    config.database = Some(Database { url: lifecycle::Secret::new(url) });
    Ok(config)
}

struct Tale<'a> {
    console: &'a Directory,
    portal: &'a Portal,
    company: &'a mut Company,
}

impl Tale<'_> {
    async fn play(&mut self) -> anyhow::Result<Timeline> {
        self.sync().await?;
        let sessions = self.portal.log_everybody_in(self.company.names()).await?;
        eprintln!(
            "{} people from a CSV, {sessions} sessions in portal (sql); sweeps 200ms, 1s",
            self.company.names().count()
        );

        for name in ["ana", "ben", "cleo", "finn"] {
            self.company.set(name, "status", "left");
        }
        self.company.set("dora", "department", "Marketing");
        self.company.set("emil", "groups", "staff");
        self.company.write()?;
        self.sync().await?;
        for name in ["ana", "ben", "cleo", "emil", "finn"] {
            self.settled(name).await?;
        }
        let mut stories = Vec::new();
        for (name, what) in [
            ("ana", "left"),
            ("ben", "left"),
            ("cleo", "left"),
            ("dora", "moved"),
            ("emil", "lost admins"),
            ("finn", "left, rehired"),
        ] {
            stories.push(self.story(name, what).await?);
        }

        self.company.set("finn", "status", "active");
        self.company.write()?;
        self.sync().await?;
        self.until("finn to be active again", async |tale: &Self| {
            let reinstated = tale.identity("finn").await?;
            Ok((reinstated["state"] == "active" && tale.nothing_is_owed().await?).then_some(()))
        })
        .await?;
        self.portal.log_in("finn").await?;
        for story in &mut stories {
            story.kept = self.portal.count(&story.who).await?;
        }
        let ended: u64 = stories.iter().map(|s| s.ended).sum();
        Ok(Timeline { people: self.company.names().count(), sessions, ended, stories })
    }

    async fn sync(&self) -> anyhow::Result<()> {
        let request = self.console.ask(RequestKind::Sync, &json!({"source": "people"}), "demo").await?;
        self.until("the HR file to be read", async |tale: &Self| {
            let request = tale.console.request(request).await?;
            match request.state.as_str() {
                "new" => Ok(None),
                "done" => Ok(Some(())),
                _ => bail!("the HR file could not be read: {}", request.result.unwrap_or(Value::Null)),
            }
        })
        .await
    }

    async fn identity(&self, name: &str) -> anyhow::Result<Value> {
        let who = match self.console.resolve(name, false).await? {
            directory::Resolved::One(id) => id,
            _ => bail!("{name} is not known"),
        };
        Ok(json!(self.console.identity_detail(who).await?))
    }

    async fn nothing_is_owed(&self) -> anyhow::Result<bool> {
        Ok(self.console.owed().await?.values().all(|(owed, _)| *owed == 0))
    }

    async fn settled(&self, name: &str) -> anyhow::Result<()> {
        self.until("every session to settle", async |tale: &Self| {
            let identity = tale.identity(name).await?;
            Ok((identity["receipts"][0]["state"] == "settled").then_some(()))
        })
        .await
    }

    async fn story(&self, name: &str, what: &'static str) -> anyhow::Result<Story> {
        let identity = self.identity(name).await?;
        let id = serde_json::from_value(identity["id"].clone()).context("an identity has an id")?;
        let hops = self.console.trace(id).await?;
        let ended = identity["receipts"][0]["ended"].as_u64().unwrap_or(0);
        let came_back = identity["receipts"][0]["resurrected"].as_u64().unwrap_or(0);
        Ok(Story::new(name, what, &hops, ended, came_back))
    }

    /// Waits for a condition, not for a time.
    async fn until<T>(
        &self,
        what: &str,
        condition: impl AsyncFn(&Self) -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let deadline = tokio::time::Instant::now() + LIMIT;
        let mut bell = self.console.wake.progress.listen();
        loop {
            if let Some(value) = condition(self).await? {
                return Ok(value);
            }
            if tokio::time::Instant::now() >= deadline {
                bail!("waited {} s for {what}", LIMIT.as_secs());
            }
            bell.heard_or(Duration::from_millis(50)).await;
        }
    }
}
