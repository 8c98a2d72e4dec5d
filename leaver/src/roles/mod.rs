//! A process: the roles that it hosts, joined with those of other processes by the database and the bus only.

mod banner;
mod database;
mod home;
mod hops;
mod listeners;
mod lock;
mod loops;
mod parts;
mod role;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;

use crate::config::Config;
use crate::probes::Probes;
use crate::supervise::{Signals, Supervisor};

pub use home::Home;
pub use listeners::Addresses;
pub use parts::Parts;
pub use role::{Hosted, Role};

use database::Database;
use listeners::Listeners;

/// How long a stop may take.
const GRACE: Duration = Duration::from_secs(30);

/// Runs until a signal. Prints `ready` on stdout once everything serves; all else goes to stderr.
pub async fn run(hosted: Hosted, config: Config) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new().context("signals cannot be listened for")?;
    let mut running = tokio::select! {
        started = Running::start(hosted, &config) => started?,
        name = signals.next() => {
            tracing::info!(signal = name, "stopped while starting");
            return Ok(ExitCode::SUCCESS);
        }
    };
    banner::print(hosted, &config, &running.database.shown, &running.addresses);
    println!("ready");
    let ended = running.supervisor.run(&mut signals, GRACE).await;
    running.end().await?;
    Ok(ended?)
}

/// A running process.
pub struct Running {
    pub supervisor: Supervisor,
    pub parts: Parts,
    pub home: Home,
    pub addresses: Addresses,
    database: Database,
}

impl Running {
    /// Starts every part and returns when all of them serve. The bus need not be there: what it cannot take yet stays pending.
    pub async fn start(hosted: Hosted, config: &Config) -> anyhow::Result<Self> {
        let home = Home::open(&config.data_dir, hosted)?;
        let mut supervisor = Supervisor::default();
        let database = Database::open(config, &mut supervisor).await?;
        let (parts, registry) = Parts::connect(hosted, config, &database.url, &home).await?;
        if let Some(console) = &parts.console {
            home.admin_token(console).await?;
        }
        let listeners = Listeners::bind(hosted, &config.http).await?;
        let addresses = listeners.addresses()?;
        parts.spawn(&mut supervisor);
        listeners.serve(&parts, config, Probes::new(&parts, config, registry), &mut supervisor)?;
        home.announce(&addresses)?;
        Ok(Self { supervisor, parts, home, addresses, database })
    }

    /// Stops every part without a signal, then ends.
    pub async fn halt(mut self, grace: Duration) -> anyhow::Result<()> {
        self.supervisor.halt(grace).await;
        self.end().await
    }

    /// Ends what the parts stood on, after all of them.
    pub async fn end(self) -> anyhow::Result<()> {
        self.home.retire();
        self.parts.close().await;
        self.database.close().await
    }
}
