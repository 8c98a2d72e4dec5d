//! Under which names subscribers are told of people, and the topic that is new to them: it is filled with every cutoff.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use directory::{Naming, Publishing};
use lifecycle::IdentityView;
use policy::Names;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{Revoker, Target};

/// Subjects in one transaction.
const CHUNK: i64 = 1_000;
/// How long to wait for somebody else who fills the same topic, and after a failure.
const POLL: Duration = Duration::from_secs(1);
/// How many names are looked at in one round of reconcile.
const ROUND: i64 = 2_000;
/// Former names are told for as long as the default of `max_session_life` where no downstream says how long.
const LIFE: Duration = Duration::from_secs(30 * 86_400);

/// What the revoker's directory has to know where somebody reads the topics: see [`directory::Directory::publishing`].
pub fn publishing(names: Arc<Names>, targets: &BTreeMap<String, Arc<Target>>) -> Publishing {
    let life = targets.values().map(|target| target.max_session_life).max().unwrap_or(LIFE);
    let naming = (!names.is_empty()).then(|| -> Naming { Arc::new(move |identity| evaluate(&names, identity)) });
    Publishing { names: naming, life }
}

fn evaluate(names: &Names, identity: &IdentityView) -> lifecycle::Published {
    let (published, errors) = names.of(identity);
    for failed in errors {
        tracing::error!(
            subject.id = %identity.id,
            name = failed.name,
            error = &failed.error as &dyn std::error::Error,
            "subscribers are not told of somebody by a name whose expression failed"
        );
    }
    published
}

impl Revoker {
    /// Fills `topic` with the cutoffs of every subject, unless that was done for `digest` already: it stands for the bus and
    /// for `publish.subjects`, so it differs where either does. Of several processes one does it; begun again after a crash.
    /// Returns when it is done, or at `stop`.
    pub async fn announce(&self, topic: &str, digest: &str, holder: &str, stop: CancellationToken) {
        let lease = format!("announce/{topic}");
        let mut told = false;
        while !stop.is_cancelled() {
            let done = tokio::select! {
                () = stop.cancelled() => break,
                done = self.fill(topic, digest, &lease, holder) => done,
            };
            match done {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) if !told => {
                    told = true;
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        topic,
                        "a topic could not be filled; trying again"
                    );
                }
                Err(_) => {}
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
        if let Err(error) = self.directory.release_lease(&lease, holder).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a lease could not be given back");
        }
    }

    /// Whether the topic is filled; `false` while somebody else is at it.
    async fn fill(&self, topic: &str, digest: &str, lease: &str, holder: &str) -> directory::Result<bool> {
        if self.directory.publication(topic).await?.as_deref() == Some(digest) {
            return Ok(true);
        }
        let (mut position, mut subjects) = (Uuid::nil(), 0);
        loop {
            // Renewed with each chunk: whoever is slower than it lasts does a part twice, which does no harm.
            if !self.directory.lease(lease, holder).await? {
                return Ok(false);
            }
            let Some((last, count)) = self.directory.publish_after(position, CHUNK).await? else { break };
            (position, subjects) = (last, subjects + count);
            tracing::info!(topic, subjects, "cutoffs become pending for a topic that has not had them all");
        }
        self.directory.published(topic, digest).await?;
        tracing::info!(topic, subjects, "every cutoff is pending for the topic, or on it");
        Ok(true)
    }

    /// Compares the names of the next subjects after `position` with those that subscribers know, as a part of reconcile: an
    /// account that was linked or changed tells of no event unless the person changed.
    pub(crate) async fn reconcile_names(&self, position: &mut Uuid) -> directory::Result<()> {
        match self.directory.rename_after(*position, ROUND).await? {
            Some((last, changed)) => {
                *position = last;
                if changed > 0 {
                    tracing::info!(changed, "subscribers are told of people under other names");
                }
            }
            None => *position = Uuid::nil(),
        }
        Ok(())
    }
}
