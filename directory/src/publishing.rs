//! What subscribers outside are told: cutoffs, receipts, and under which names. Unless somebody reads them, nothing is written.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lifecycle::{IdentityView, Published};

use crate::Directory;

/// The names of an identity as it is or was, by `publish.subjects`. It is called while rows are locked, so it does not wait.
pub type Naming = Arc<dyn Fn(&IdentityView) -> Published + Send + Sync>;

/// Somebody reads the topics of revocations and receipts.
#[derive(Clone)]
pub struct Publishing {
    /// `None`: subjects go by their ids alone.
    pub names: Option<Naming>,
    /// How long a former name is told: no session anywhere lives longer.
    pub life: Duration,
}

impl fmt::Debug for Publishing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publishing").field("named", &self.names.is_some()).field("life", &self.life).finish()
    }
}

impl Directory {
    /// The same for a part that writes for subscribers: changed cutoffs become pending, and so do records of receipts.
    #[must_use]
    pub fn publishing(self, publishing: Publishing) -> Self {
        Self { publishing: Some(Arc::new(publishing)), ..self }
    }

    pub(crate) fn publishes(&self) -> bool {
        self.publishing.is_some()
    }

    pub(crate) fn naming(&self) -> Option<(&Naming, Duration)> {
        self.publishing.as_ref().and_then(|p| Some((p.names.as_ref()?, p.life)))
    }
}
