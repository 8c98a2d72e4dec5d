//! The one question that a pulled source is asked, and the shape of its answer.

use async_trait::async_trait;
use lifecycle::{Change, GroupFacts};
use serde::{Deserialize, Serialize};

use crate::Result;

/// A source that is asked.
#[async_trait]
pub trait Pull: Send + Sync {
    /// What changed after `since`; `None` asks for a full snapshot.
    ///
    /// # Errors
    /// See [`crate::Error`]: after an error nothing may be concluded about anybody.
    async fn pull(&self, since: Option<&Checkpoint>) -> Result<Batch>;

    /// Tries the source without any effect and says in one sentence what was found.
    ///
    /// # Errors
    /// The same as [`Pull::pull`].
    async fn probe(&self) -> Result<String>;
}

/// Where a source was read to. Only the connector that made it understands it; the worker stores it with the rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Checkpoint(pub serde_json::Value);

/// One page of what a source says.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    pub changes: Vec<Change>,
    pub coverage: Coverage,
    /// What could not be understood, for a person to mend.
    pub parked: Vec<Parked>,
    /// Native ids of those whose record was parked as a whole: there is no fact about them, but they are not missing.
    pub seen_only: Vec<String>,
    /// The groups that the source has, also those that nobody is in, with what it says of them; none where it names them only with
    /// their members. With the first page they come before those who are in them; a later list takes the place of an earlier one.
    pub groups: Vec<GroupFacts>,
    pub next: Checkpoint,
    /// Whether `next` is to be pulled at once, because this was not the last page.
    pub more: bool,
}

/// What may be concluded from somebody not being in a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Coverage {
    /// With the last page (`more == false`) everybody was named, in [`Batch::changes`] or in [`Batch::seen_only`]:
    /// whoever was not is missing.
    Snapshot,
    /// Nothing: those not named did not change.
    #[default]
    Delta,
    /// The snapshot that was given to its end at the checkpoint that was asked for, but for what these pages name. With the last
    /// page everybody who is not as then was named, in [`Batch::changes`], in [`Batch::seen_only`] or in `gone`.
    Since {
        /// Of the whole snapshot as it is now.
        rows: u64,
        /// Native ids of those who were in it then and are missing now.
        gone: Vec<String>,
    },
}

/// Something that the connector could not understand. Holds no personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Parked {
    /// A place, such as `row 17, column startDate`.
    pub at: String,
    /// What is wrong there, and how to mend it.
    pub reason: String,
}
