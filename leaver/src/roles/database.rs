//! The database of a process: the configured one, or one that it brings along; its schema current before anything works on it.

use anyhow::Context;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::postgres;
use crate::supervise::Supervisor;

/// A database that can be worked on.
pub struct Database {
    pub url: String,
    /// Which server it is and where, as the banner says it.
    pub shown: String,
    embedded: Option<Embedded>,
}

struct Embedded {
    server: JoinHandle<Result<(), postgres::Error>>,
    stop: CancellationToken,
}

impl Database {
    /// Starts the embedded one if none is configured, and brings the schema up to date. Several processes may do that at once.
    pub async fn open(config: &Config, supervisor: &mut Supervisor) -> anyhow::Result<Self> {
        let Some(database) = &config.database else { return Self::embedded(config, supervisor).await };
        let url = database.url.expose().to_owned();
        let shown = current(&url).await?;
        Ok(Self { url, shown, embedded: None })
    }

    async fn embedded(config: &Config, supervisor: &mut Supervisor) -> anyhow::Result<Self> {
        let options = postgres::Options {
            binaries: config.postgres.binaries.clone(),
            archive: config.postgres.archive.clone(),
            ..postgres::Options::new(&config.data_dir)
        };
        let server = postgres::start(&options).await?;
        let (url, place) = (server.url().to_owned(), server.location().display().to_string());
        let stop = CancellationToken::new();
        let embedded = Embedded { server: watch(server, stop.clone(), supervisor), stop };
        let version = current(&url).await?;
        Ok(Self { url, shown: format!("embedded {version}, {place}"), embedded: Some(embedded) })
    }

    /// Stops the embedded one, after everything that uses it.
    pub async fn close(self) -> anyhow::Result<()> {
        if let Some(Embedded { server, stop }) = self.embedded {
            stop.cancel();
            server.await.context("the task of the embedded database ended badly")??;
        }
        Ok(())
    }
}

/// Which server it is, once its schema is the newest that this program knows.
async fn current(url: &str) -> anyhow::Result<String> {
    let failed = |error: directory::Error| {
        let at = url.parse::<sqlx::postgres::PgConnectOptions>();
        let place = at.map_or_else(
            |_| "the address of the database".to_owned(),
            |at| format!("the database at {}:{}", at.get_host(), at.get_port()),
        );
        let what = match error {
            directory::Error::NotOwner(_) => {
                format!("{place} lacks migrations: run `leaver migrate` with the login of the schema's owner")
            }
            _ => format!("{place} is not usable"),
        };
        anyhow::Error::new(error).context(what)
    };
    directory::migrate(url).await.map_err(failed)
}

/// Watches the embedded server: should it end by itself, Leaver ends too; told to stop, it is stopped last.
fn watch(
    mut server: postgres::Server,
    stop: CancellationToken,
    supervisor: &mut Supervisor,
) -> JoinHandle<Result<(), postgres::Error>> {
    let (crash, crashed) = oneshot::channel::<String>();
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
