//! The words of Leaver and their pure rules. Nothing here does I/O, reads a clock or knows a vendor.

pub mod account;
pub mod action;
pub mod brake;
pub mod context;
pub mod correlate;
pub mod cutoff;
pub mod delivery;
pub mod effective;
pub mod event;
pub mod lock;
pub mod must_end;
pub mod receipt;
pub mod redact;
pub mod revocations;

pub use account::{AccountFacts, Change, GroupFacts, Standing, Tombstone};
pub use action::Action;
pub use context::{AccountView, Context, GroupView, IdentityView};
pub use cutoff::Cutoff;
pub use effective::State;
pub use event::{Class, Event, EventType, Lane, SubjectKind};
pub use redact::Secret;
pub use revocations::{Published, Revocations};
