//! Ends sessions: decides what an event obliges us to, finds, ends, looks again, and keeps a receipt.

mod announce;
mod breaker;
mod carry_out;
mod config;
mod consume;
mod deliver;
mod errands;
mod follow;
mod judge;
mod look;
pub mod metrics;
mod pass;
mod reconcile;
mod requests;
mod shorten;
mod spans;
mod values;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use directory::Directory;
use downstreams::{Downstream, Finds};
use lifecycle::Action;
use policy::{Judge, SubjectExpression};

pub use announce::publishing;
pub use breaker::Breaker;
pub use config::Config;
pub use metrics::{Hops, Metrics};
pub use watch::Watch;

/// The bus group of the revoker.
pub const GROUP: &str = "revoker";

/// One downstream, ready to be worked on.
pub struct Target {
    pub name: String,
    pub adapter: Arc<dyn Downstream>,
    pub subject: SubjectExpression,
    pub sweeps: Vec<Duration>,
    pub max_session_life: Duration,
    pub skew: chrono::Duration,
    pub workers: usize,
    pub breaker: Breaker,
    pub watch: Watch,
}

impl Target {
    /// How many passes are at work at once; half of them take only what is urgent. A store that is read as a whole has two:
    /// more would read it more often for the same people.
    pub fn workers(&self) -> usize {
        match self.adapter.capabilities().finds {
            Finds::ScanOnly => self.workers.min(2),
            Finds::ByUserIndex | Finds::Opaque => self.workers,
        }
    }

    fn can(&self, action: Action) -> bool {
        self.adapter.capabilities().actions.contains(&action)
    }

    /// Whether there is anything that a cutoff would end.
    fn keeps_sessions(&self) -> bool {
        self.adapter.capabilities().actions.iter().any(|action| action.is_cutoff())
    }

    /// Whether it does anything besides.
    fn runs_errands(&self) -> bool {
        self.adapter.capabilities().actions.iter().any(|action| !action.is_cutoff())
    }
}

/// Everything that the revoker's loops share.
pub struct Revoker {
    pub directory: Directory,
    pub targets: BTreeMap<String, Arc<Target>>,
    pub judge: Judge,
    /// A draft that is decided beside the policy, and does nothing.
    pub shadow: Option<Judge>,
    /// More orders at once than this take two people, where they are by hand.
    pub mass: Option<u64>,
    pub metrics: Metrics,
}

/// What each downstream can do, as the policy has to know it.
pub fn abilities(targets: &BTreeMap<String, Arc<Target>>) -> BTreeMap<String, Vec<Action>> {
    targets.iter().map(|(name, target)| (name.clone(), target.adapter.capabilities().actions.to_vec())).collect()
}
