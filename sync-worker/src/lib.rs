//! Brings what sources say into the directory: pulled on a schedule, or received as it is pushed.

mod alone;
mod budget;
mod config;
mod fan_out;
pub mod metrics;
mod pause;
mod plans;
mod read;
pub mod receive;
mod rehearse;
mod requests;
mod run;
mod schedule;
mod spread;
mod trace;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use connectors::{Budget, Connector, Pull};
use directory::{Burst, Directory};
use governor::{Quota, RateLimiter};
use lifecycle::Secret;
use lifecycle::brake::Limits;

pub use budget::Allowance;
pub use config::{Absence, Brake, Config, Lifecycle, Share};
pub use metrics::{Hops, Metrics};
pub use run::{Error as RunError, Outcome, RunReport};
pub use schedule::{next_after, parse as parse_schedule};

/// A source that is read.
pub struct Pulled {
    pub name: String,
    pub config: Config,
    pub connector: Box<dyn Pull>,
    /// Of the configuration that selects what is read.
    pub fingerprint: String,
}

/// A source that pushes, with the tokens that its configuration names.
pub struct Pushed {
    pub name: String,
    pub tokens: Vec<Secret>,
    /// How many deactivations apply within how long; more wait for a person.
    pub burst: Burst,
    /// How often each token may call.
    pub rates: Rates,
    /// Who it seems to be.
    pub dialect: receive::Seen,
    /// What one call may take from a group at once.
    pub limits: Limits,
    /// How long a held plan may wait before it is made anew.
    pub expires: Duration,
}

/// What each token has left, by its digest. Only tokens that were accepted are in it.
pub type Rates = governor::DefaultKeyedRateLimiter<Vec<u8>>;

/// Everything that the worker's loops share.
pub struct SyncWorker {
    pub directory: Directory,
    pub pulled: BTreeMap<String, Arc<Pulled>>,
    pub pushed: BTreeMap<String, Pushed>,
    pub metrics: Metrics,
    /// Names this process in leases.
    pub holder: String,
    /// A plan of more rows than this is applied only once two people have approved it.
    pub mass: Option<u64>,
    pub(crate) postponed: plans::Postponed,
}

impl SyncWorker {
    /// Builds each source's connector.
    pub fn new(
        directory: Directory,
        sources: &BTreeMap<String, Config>,
        metrics: Metrics,
        holder: String,
        mass: Option<u64>,
    ) -> Result<Self, connectors::Error> {
        let (mut pulled, mut pushed) = (BTreeMap::new(), BTreeMap::new());
        for (name, config) in sources {
            let budget = config
                .connector
                .budget()
                .map(|(of, rate)| -> Arc<dyn Budget> { Arc::new(Allowance::new(directory.clone(), of, rate)) });
            match config.connector.build_within(config.timezone, budget)? {
                Connector::Pull(connector) => {
                    metrics.pulls(name);
                    let fingerprint = config.connector.fingerprint();
                    let source = Pulled { name: name.clone(), config: config.clone(), connector, fingerprint };
                    pulled.insert(name.clone(), Arc::new(source));
                }
                Connector::Push(push) => {
                    metrics.receives(name);
                    let (Brake { burst, expires, .. }, limits) = (&config.brake, config.brake.limits());
                    let expires = *expires;
                    let burst = Burst { count: burst.count, window: burst.window };
                    let quota = Quota::per_second(push.rate.per_second).allow_burst(push.rate.burst);
                    let rates = RateLimiter::keyed(quota);
                    let dialect = receive::Seen::new(push.dialect);
                    pushed.insert(
                        name.clone(),
                        Pushed { name: name.clone(), tokens: push.tokens, burst, limits, expires, rates, dialect },
                    );
                }
            }
        }
        Ok(Self { directory, pulled, pushed, metrics, holder, mass, postponed: plans::Postponed::default() })
    }
}
