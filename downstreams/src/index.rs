//! An index of sessions by user that we keep beside a store which has none: quick, in memory, and never the truth.
//!
//! It may lag behind, and it may be wrong. So what it names is read before it is ended, and what it does not name is looked for in the
//! store all the same: nobody is found to have no sessions by it.

use std::{convert::Infallible, time::SystemTime};

use async_trait::async_trait;
use tokio::sync::mpsc::UnboundedSender;
use uuid::Uuid;

use crate::{Result, Session, Subject};

#[async_trait]
pub trait SessionIndex: Send + Sync {
    /// Sessions of each subject, as [`find`](crate::Downstream::find) returns them, of those that the index knows; each was read just
    /// now. That one is missing says nothing.
    async fn known(&self, subjects: &[Subject]) -> Result<Vec<Vec<Session>>>;

    /// Learns from the store what lives in it, until the connection breaks; then it has to be called again. Whatever appears of
    /// somebody who is watched goes to `appeared`.
    async fn follow(&self, appeared: &UnboundedSender<Appeared>) -> Result<Infallible>;

    /// Watches for sessions of `who`, who goes by `subject` there; with `None` no longer.
    fn watch(&self, who: Uuid, subject: Option<&Subject>);

    fn state(&self) -> IndexState;
}

/// A session of somebody who is watched, there or there again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appeared {
    pub who: Uuid,
    pub session: Session,
}

/// How far an index may be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexState {
    /// Sessions in it, or users where the store has a set of sessions for each.
    pub sessions: u64,
    /// Whether the store tells of what is written. Else a session is known when the next walk has come by.
    pub notified: bool,
    /// When it last was complete: the end of the last walk over the whole store.
    pub walked_at: Option<SystemTime>,
}
