//! Wake-ups: bells that loops of one process listen to. They only make things fast: whoever sleeps on one also polls.

use std::time::Duration;

use tokio::sync::watch;

/// A bell that remembers having rung, so that nobody who was busy misses it.
#[derive(Debug, Clone)]
pub struct Bell {
    /// Every ring.
    all: watch::Sender<u64>,
    /// The rings of this process: those that others have not heard.
    own: watch::Sender<u64>,
}

impl Default for Bell {
    fn default() -> Self {
        Self { all: watch::Sender::new(0), own: watch::Sender::new(0) }
    }
}

impl Bell {
    pub fn ring(&self) {
        self.own.send_modify(|count| *count += 1);
        self.all.send_modify(|count| *count += 1);
    }

    /// Rings for what another process did; it is not passed on.
    pub(crate) fn ring_here(&self) {
        self.all.send_modify(|count| *count += 1);
    }

    /// Hears every ring from now on.
    pub fn listen(&self) -> Listener {
        Listener(self.all.subscribe())
    }

    /// Sees a change for every ring of this process from now on.
    pub(crate) fn own(&self) -> watch::Receiver<u64> {
        self.own.subscribe()
    }
}

/// One listener of a [`Bell`].
#[derive(Debug)]
pub struct Listener(watch::Receiver<u64>);

impl Listener {
    /// Returns when the bell has rung since the last call, or after `limit`.
    pub async fn heard_or(&mut self, limit: Duration) {
        // Without a ringer left there is nothing to hear: the limit alone counts.
        if let Ok(Err(_)) = tokio::time::timeout(limit, self.0.changed()).await {
            tokio::time::sleep(limit).await;
        }
    }
}

/// One bell for each kind of work; cheap to clone. A [`Herald`](crate::Herald) carries the rings to other processes.
#[derive(Debug, Clone, Default)]
pub struct Wake {
    /// Events or cutoffs were committed that the bus has not got.
    pub pending: Bell,
    /// A delivery became due.
    pub deliveries: Bell,
    /// A request of a person was stored.
    pub requests: Bell,
    /// A request or receipt reached a new state.
    pub progress: Bell,
    /// A fan-out was stored. Whoever stores one also works them off, so no other process needs to hear it.
    pub fan_outs: Bell,
}

impl Wake {
    /// Every bell that other processes hear, with the channel that stands for it in PostgreSQL.
    pub(crate) fn bells(&self) -> [(&'static str, &Bell); 4] {
        [
            ("leaver_pending", &self.pending),
            ("leaver_deliveries", &self.deliveries),
            ("leaver_requests", &self.requests),
            ("leaver_progress", &self.progress),
        ]
    }
}
