//! The parts of a process and how they are joined: each with its own pool in its own role, by Postgres and the bus only.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use bus::kafka::{self, Kafka};
use bus::{Bus, Local, Topic};
use directory::{Directory, GroupAttribute, Herald, SourceRules, Sources, Wake};
use lifecycle::Lane;
use policy::{Judge, Names, PublishExpression, SubjectExpression};
use prometheus_client::registry::Registry;
use relay::Relay;
use revoker::{GROUP, Revoker, Target};
use sha2::{Digest, Sha256};
use sync_worker::{Lifecycle, SyncWorker};

use super::{Home, Hosted, Role, hops};
use crate::config::{Config, Publish};

/// Connections of each pool: about 16 are as fast as more, and far steadier.
const SYNC: u32 = 16;
const REVOKER: u32 = 16;
const RELAY: u32 = 4;
const CONSOLE: u32 = 8;

/// Everything that works in a process.
pub struct Parts {
    pub sync: Option<Arc<SyncWorker>>,
    pub revoker: Option<Arc<Revoker>>,
    pub console: Option<Directory>,
    /// Every process has one; a lease says whose works.
    pub relay: Arc<Relay>,
    pub bus: Arc<dyn Bus>,
    /// What decides, and the draft beside it.
    pub(super) judge: Judge,
    pub(super) shadow: Option<Judge>,
    /// Where there are other processes to tell.
    pub(super) herald: Option<Arc<Herald>>,
    pub(super) subscribers: Option<Subscribers>,
    pub(super) holder: String,
}

/// What subscribers outside are told. There are none of an embedded bus.
pub struct Subscribers {
    /// The whole name of the topic that holds the state of revocation.
    pub topic: String,
    /// Differs where that topic may lack cutoffs: on other brokers, and under other names of people.
    pub digest: String,
    names: Arc<Names>,
}

impl Subscribers {
    fn of(config: &Config) -> anyhow::Result<Option<Self>> {
        let Some(kafka) = &config.bus.kafka else { return Ok(None) };
        let names = names(&config.publish)?;
        let mut brokers: Vec<&str> = kafka.brokers.as_str().split(',').map(str::trim).collect();
        brokers.sort_unstable();
        let digest = hex::encode(Sha256::digest(format!("{} {}", brokers.join(","), names.digest())));
        let topic = format!("{}.{}", kafka.prefix.as_str(), Topic::Revocations.as_str());
        Ok(Some(Self { topic, digest, names: Arc::new(names) }))
    }
}

impl Parts {
    /// Opens the pools and builds connectors and adapters. No source, no downstream and no broker is contacted yet.
    pub async fn connect(hosted: Hosted, config: &Config, url: &str, home: &Home) -> anyhow::Result<(Self, Registry)> {
        let sources = Arc::new(sources(config)?);
        let wake = Wake::default();
        let open = async |role: directory::Role, connections: u32| {
            Directory::connect(url, role, connections, sources.clone(), wake.clone())
                .await
                .with_context(|| format!("the database refuses the role of {role:?}"))
        };
        let mut registry = Registry::default();
        let hops = hops::register(&mut registry);
        let bus = bus(config, home, &mut registry);
        let subscribers = Subscribers::of(config)?;
        let targets = targets(config)?;
        let judge = Judge::new(config.rules.clone(), revoker::abilities(&targets), &config.break_glass);
        let shadow = config.draft.clone().map(|draft| judge.under(draft));
        let sync = if hosted.hosts(Role::SyncWorker) {
            let directory = open(directory::Role::Sync, SYNC).await?;
            directory.register_sources().await?;
            let metrics = sync_worker::Metrics::register(&mut registry, hops.clone());
            let worker = SyncWorker::new(directory, &config.sources, metrics, home.holder(), config.hands.mass)?;
            Some(Arc::new(worker))
        } else {
            None
        };
        let revoker = if hosted.hosts(Role::Revoker) {
            let mut directory = open(directory::Role::Revoker, REVOKER).await?.held_by(&home.holder());
            directory.take_back_leases().await?;
            if let Some(subscribers) = &subscribers {
                directory = directory.publishing(revoker::publishing(subscribers.names.clone(), &targets));
            }
            Some(Arc::new(Revoker {
                directory,
                targets,
                judge: judge.clone(),
                shadow: shadow.clone(),
                mass: config.hands.mass,
                metrics: revoker::Metrics::register(&mut registry, hops).of(config.downstreams.keys()),
            }))
        } else {
            None
        };
        let relay = Relay {
            directory: open(directory::Role::Relay, RELAY).await?,
            bus: bus.clone(),
            holder: home.holder(),
            metrics: relay::metrics::Metrics::register(&mut registry),
        };
        let console =
            if hosted.hosts(Role::Console) { Some(open(directory::Role::Console, CONSOLE).await?) } else { None };
        let herald = match subscribers {
            Some(_) => Some(Arc::new(Herald::new(url, wake.clone())?)),
            None => None,
        };
        let relay = Arc::new(relay);
        let holder = home.holder();
        Ok((Self { sync, revoker, console, relay, bus, judge, shadow, herald, subscribers, holder }, registry))
    }

    /// The pool of what this process is for.
    pub fn serving(&self) -> &Directory {
        let sync = self.sync.as_ref().map(|sync| &sync.directory);
        let revoker = self.revoker.as_ref().map(|revoker| &revoker.directory);
        self.console.as_ref().or(sync).or(revoker).unwrap_or(&self.relay.directory)
    }

    /// A pool that may read what is owed, if this process has one.
    pub fn owing(&self) -> Option<&Directory> {
        self.console.as_ref().or(self.revoker.as_ref().map(|revoker| &revoker.directory))
    }

    /// Closes the pools.
    pub async fn close(&self) {
        let sync = self.sync.iter().map(|sync| &sync.directory);
        let revoker = self.revoker.iter().map(|revoker| &revoker.directory);
        for directory in sync.chain(revoker).chain(&self.console).chain([&self.relay.directory]) {
            directory.close().await;
        }
    }
}

/// Kafka if it is configured; else the revoker of this process is the only one who follows.
fn bus(config: &Config, home: &Home, registry: &mut Registry) -> Arc<dyn Bus> {
    match &config.bus.kafka {
        Some(kafka) => {
            let metrics = kafka::Metrics::register(registry);
            Arc::new(Kafka::new(kafka.clone(), &home.instance()).measured(metrics))
        }
        None => Arc::new(Local::new(Lane::ALL.map(|lane| (GROUP, Topic::Lifecycle(lane))))),
    }
}

/// What subscribers are told people are called.
pub(crate) fn names(publish: &Publish) -> anyhow::Result<Names> {
    let expressions = publish.subjects.iter().map(|(name, written)| {
        let expression = PublishExpression::parse(written)
            .map_err(|problems| anyhow::anyhow!("publish.subjects.{name}: {}", problems[0].message))?;
        Ok((name.clone(), expression))
    });
    Ok(Names::new(expressions.collect::<anyhow::Result<_>>()?, publish.hmac_key.as_ref())?)
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
    let attributes = config.groups.privileged_by.iter().map(|by| {
        let (name, values) = (by.attribute.clone(), by.values.clone());
        GroupAttribute { name, values }
    });
    Ok(Sources::new(rules, &config.groups.privileged)?.privileged_by(attributes.collect()))
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
                breaker: revoker::Breaker::default(),
                watch: revoker::Watch::default(),
            };
            Ok((name.clone(), Arc::new(target)))
        })
        .collect()
}
