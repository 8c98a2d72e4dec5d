//! The parts and how they are joined: each with its own pool in its own role, by Postgres and the bus only.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use bus::{Bus, Local, Topic};
use directory::{Directory, Role, SourceRules, Sources, Wake};
use lifecycle::Lane;
use policy::SubjectExpression;
use prometheus_client::registry::Registry;
use relay::Relay;
use revoker::{GROUP, Revoker, Target};
use sync_worker::{Lifecycle, SyncWorker};

use super::Home;
use crate::config::Config;
use crate::supervise::Supervisor;

/// Connections of each pool: about 16 are as fast as more, and far steadier.
const SYNC: u32 = 16;
const REVOKER: u32 = 16;
const RELAY: u32 = 4;
const CONSOLE: u32 = 8;

/// Everything that works.
pub struct Parts {
    pub sync: Arc<SyncWorker>,
    pub revoker: Arc<Revoker>,
    pub relay: Arc<Relay>,
    pub bus: Arc<dyn Bus>,
    pub console: Directory,
}

impl Parts {
    /// Opens the pools and builds connectors and adapters. No source and no downstream is contacted yet.
    pub async fn connect(config: &Config, url: &str, home: &Home) -> anyhow::Result<(Self, Registry)> {
        let sources = Arc::new(sources(config)?);
        let wake = Wake::default();
        let open = async |role: Role, connections: u32| {
            Directory::connect(url, role, connections, sources.clone(), wake.clone())
                .await
                .with_context(|| format!("the database refuses the role of {role:?}"))
        };
        let mut registry = Registry::default();
        let sync = open(Role::Sync, SYNC).await?;
        sync.register_sources().await?;
        let worker =
            SyncWorker::new(sync, &config.sources, sync_worker::Metrics::register(&mut registry), home.holder())?;
        let revoker = Revoker {
            directory: open(Role::Revoker, REVOKER).await?.held_by(&home.holder()),
            policy: config.rules.clone(),
            targets: targets(config)?,
            break_glass: config.break_glass.clone(),
            metrics: revoker::Metrics::register(&mut registry),
        };
        revoker.directory.take_back_leases().await?;
        let bus: Arc<dyn Bus> = Arc::new(Local::new(Lane::ALL.map(|lane| (GROUP, Topic::Lifecycle(lane)))));
        let relay = Relay {
            directory: open(Role::Relay, RELAY).await?,
            bus: bus.clone(),
            holder: home.holder(),
            metrics: relay::metrics::Metrics::register(&mut registry),
        };
        let console = open(Role::Console, CONSOLE).await?;
        let parts = Self { sync: Arc::new(worker), revoker: Arc::new(revoker), relay: Arc::new(relay), bus, console };
        Ok((parts, registry))
    }

    /// What the admin API needs.
    pub fn console_state(&self, config: &Config) -> console::Console {
        console::Console { directory: self.console.clone(), downstreams: config.downstreams.keys().cloned().collect() }
    }

    /// Starts every loop under its name.
    pub fn spawn(&self, supervisor: &mut Supervisor) {
        for lane in Lane::ALL {
            let (relay, stop) = (self.relay.clone(), supervisor.stop_signal());
            supervisor.spawn(format!("relay {}", lane.as_str()), async move {
                relay.run(lane, stop).await;
                Ok(())
            });
            let (revoker, bus, stop) = (self.revoker.clone(), self.bus.clone(), supervisor.stop_signal());
            supervisor.spawn(format!("decide {}", lane.as_str()), async move {
                revoker.consume(&*bus, lane, stop).await.map_err(Into::into)
            });
        }
        let (relay, stop) = (self.relay.clone(), supervisor.stop_signal());
        supervisor.spawn("relay revocations", async move {
            relay.run_cutoffs(stop).await;
            Ok(())
        });
        for target in self.revoker.targets.values() {
            for worker in 0..target.workers() {
                let (revoker, target, stop) = (self.revoker.clone(), target.clone(), supervisor.stop_signal());
                supervisor.spawn(format!("deliver {} {worker}", target.name), async move {
                    revoker.deliver(target, worker, stop).await;
                    Ok(())
                });
            }
        }
        let (revoker, stop) = (self.revoker.clone(), supervisor.stop_signal());
        supervisor.spawn("reconcile", async move {
            revoker.reconcile(stop).await;
            Ok(())
        });
        let (revoker, stop) = (self.revoker.clone(), supervisor.stop_signal());
        supervisor.spawn("requests of the revoker", async move {
            revoker.serve_requests(stop).await;
            Ok(())
        });
        let (sync, stop) = (self.sync.clone(), supervisor.stop_signal());
        supervisor.spawn("requests of the sync worker", async move {
            sync.serve_requests(stop).await;
            Ok(())
        });
        for source in self.sync.pulled.values() {
            let (sync, source, stop) = (self.sync.clone(), source.clone(), supervisor.stop_signal());
            supervisor.spawn(format!("pull {}", source.name), async move {
                sync.follow(source, stop).await;
                Ok(())
            });
        }
    }

    /// Closes the pools.
    pub async fn close(&self) {
        for directory in [&self.sync.directory, &self.revoker.directory, &self.relay.directory, &self.console] {
            directory.close().await;
        }
    }
}

fn sources(config: &Config) -> anyhow::Result<Sources> {
    let rules: BTreeMap<String, SourceRules> = config
        .sources
        .iter()
        .map(|(name, source)| {
            let rules = SourceRules {
                kind: source.connector.kind().to_owned(),
                correlate: source.correlate.clone(),
                authority: source.authority.clone(),
                ignores_lifecycle: source.lifecycle == Lifecycle::Ignore,
            };
            (name.clone(), rules)
        })
        .collect();
    Ok(Sources::new(rules, &config.groups.privileged)?)
}

fn targets(config: &Config) -> anyhow::Result<BTreeMap<String, Arc<Target>>> {
    config
        .downstreams
        .iter()
        .map(|(name, downstream)| {
            let adapter =
                downstream.adapter.build(downstream.compare).with_context(|| format!("downstreams.{name}"))?;
            let subject = SubjectExpression::parse(&downstream.subject)
                .map_err(|problems| anyhow::anyhow!("downstreams.{name}.subject: {}", problems[0].message))?;
            let target = Target {
                name: name.clone(),
                adapter,
                subject,
                sweeps: downstream.sweeps.clone(),
                max_session_life: downstream.max_session_life,
                skew: chrono::Duration::from_std(downstream.skew).context("skew is too long")?,
                workers: downstream.workers.max(1),
            };
            Ok((name.clone(), Arc::new(target)))
        })
        .collect()
}
