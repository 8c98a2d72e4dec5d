//! Every role in one process: database, relay, revoker, sync worker, console, probes.

mod banner;
mod home;
mod parts;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;

use crate::config::Config;
use crate::postgres;
use crate::probes;
use crate::supervise::{Signals, Supervisor};

pub use home::Home;
pub use parts::Parts;

/// How long a stop may take.
const GRACE: Duration = Duration::from_secs(30);

/// Runs until a signal. Prints `ready` on stdout once everything serves; all else goes to stderr.
pub async fn run(config: Config) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new().context("signals cannot be listened for")?;
    let mut running = tokio::select! {
        started = Running::start(&config) => started?,
        name = signals.next() => {
            tracing::info!(signal = name, "stopped while starting");
            return Ok(ExitCode::SUCCESS);
        }
    };
    running.banner(&config);
    println!("ready");
    let code = running.supervisor.run(&mut signals, GRACE).await;
    running.end().await?;
    Ok(code)
}

/// A running Leaver.
pub struct Running {
    pub supervisor: Supervisor,
    pub parts: Parts,
    pub home: Home,
    pub addresses: Addresses,
    database: String,
    server: Option<tokio::task::JoinHandle<Result<(), postgres::Error>>>,
    stop_server: tokio_util::sync::CancellationToken,
}

/// Where it listens.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Addresses {
    pub public: std::net::SocketAddr,
    pub admin: std::net::SocketAddr,
    pub probes: std::net::SocketAddr,
}

impl Running {
    /// Starts every part and returns when all of them serve.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        let home = Home::open(&config.data_dir)?;
        let stop_server = tokio_util::sync::CancellationToken::new();
        let (url, database, server) = match &config.database {
            Some(database) => (database.url.expose().to_owned(), None, None),
            None => {
                let options = postgres::Options {
                    binaries: config.postgres.binaries.clone(),
                    archive: config.postgres.archive.clone(),
                    ..postgres::Options::new(&config.data_dir)
                };
                let server = postgres::start(&options).await?;
                let (url, place) = (server.url().to_owned(), server.location().display().to_string());
                (url, Some(place), Some(server))
            }
        };
        let mut supervisor = Supervisor::default();
        let server = server.map(|server| watch(server, stop_server.clone(), &mut supervisor));
        let version =
            directory::migrate(&url).await.with_context(|| match url.parse::<sqlx::postgres::PgConnectOptions>() {
                Ok(at) => format!("the database at {}:{} is not usable", at.get_host(), at.get_port()),
                Err(_) => "the address of the database is not usable".to_owned(),
            })?;
        let database = match database {
            Some(place) => format!("embedded {version}, {place}"),
            None => version,
        };
        let (parts, registry) = Parts::connect(config, &url, &home).await?;
        home.admin_token(&parts.console).await?;

        let bind = async |address: std::net::SocketAddr, key: &str| {
            TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address} (http.{key})"))
        };
        let public = bind(config.http.public, "public").await?;
        let admin = bind(config.http.admin, "admin").await?;
        let probe = bind(config.http.probes, "probes").await?;
        let addresses =
            Addresses { public: public.local_addr()?, admin: admin.local_addr()?, probes: probe.local_addr()? };
        parts.spawn(&mut supervisor);
        let probes = probes::Probes::new(parts.console.clone(), registry);
        let base = format!("http://{}", addresses.public);
        let stop = supervisor.stop_signal();
        let serve = |name: &str, listener: TcpListener, routes: axum::Router, supervisor: &mut Supervisor| {
            let stop = stop.clone();
            supervisor.spawn(name, async move {
                let stopped = async move { stop.cancelled().await };
                axum::serve(listener, routes).with_graceful_shutdown(stopped).await.map_err(Into::into)
            });
        };
        serve("public", public, sync_worker::receive::routes(parts.sync.clone(), &base), &mut supervisor);
        let admin_routes = console::routes(parts.console_state(config)).merge(probes::routes(probes.clone()));
        serve("admin", admin, admin_routes, &mut supervisor);
        serve("probes", probe, probes::routes(probes), &mut supervisor);
        home.announce("up", &addresses)?;
        Ok(Self { supervisor, parts, home, addresses, database, server, stop_server })
    }

    /// Stops every part without a signal, then ends.
    pub async fn halt(mut self, grace: Duration) -> anyhow::Result<()> {
        self.supervisor.halt(grace).await;
        self.end().await
    }

    /// Stops the embedded database, after everything that uses it.
    pub async fn end(self) -> anyhow::Result<()> {
        self.home.retire("up");
        self.parts.close().await;
        self.stop_server.cancel();
        if let Some(server) = self.server {
            server.await.context("the task of the embedded database ended badly")??;
        }
        Ok(())
    }

    fn banner(&self, config: &Config) {
        banner::print(config, &self.database, &self.addresses);
    }
}

/// Watches the embedded server: should it end by itself, Leaver ends too; told to stop, it is stopped last.
fn watch(
    mut server: postgres::Server,
    stop: tokio_util::sync::CancellationToken,
    supervisor: &mut Supervisor,
) -> tokio::task::JoinHandle<Result<(), postgres::Error>> {
    let (crash, crashed) = tokio::sync::oneshot::channel::<String>();
    let stopping = supervisor.stop_signal();
    supervisor.spawn("postgres", async move {
        tokio::select! {
            () = stopping.cancelled() => Ok(()),
            status = crashed => Err(format!("the embedded PostgreSQL ended: {}", status.unwrap_or_default()).into()),
        }
    });
    tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => server.stop().await,
            status = server.exited() => {
                let status = status?;
                if crash.send(status.to_string()).is_err() {
                    tracing::debug!("the embedded PostgreSQL ended while Leaver was stopping");
                }
                Ok(())
            }
        }
    })
}
