//! In-process wake-ups. They only make things fast: whoever sleeps on one also polls.

use std::time::Duration;

use tokio::sync::watch;

/// A bell that remembers having rung, so that nobody who was busy misses it.
#[derive(Debug, Clone)]
pub struct Bell(watch::Sender<u64>);

impl Default for Bell {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Bell {
    pub fn ring(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    /// Hears every ring from now on.
    pub fn listen(&self) -> Listener {
        Listener(self.0.subscribe())
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

/// One bell for each kind of work; cheap to clone.
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
}
