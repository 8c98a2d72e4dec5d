//! Postgres, the source of truth: the only crate with SQL.
//!
//! Each part of Leaver opens its own pool in its own database role, so what a part must not write, Postgres refuses.

mod accounts;
mod apply;
mod bursts;
mod check;
mod checkpoints;
mod connect;
mod cutoffs;
mod decide;
mod deliveries;
mod error;
mod events;
mod groups;
mod identities;
mod leases;
mod link;
mod memberships;
mod pending;
mod people;
mod plans;
mod reconcile;
mod requests;
mod runs;
mod scim;
mod settle;
mod sources;
mod status;
mod tokens;
mod trace;
mod wake;

pub use accounts::AccountRow;
pub use apply::{Applied, Cause, Mode, Page};
pub use bursts::Burst;
pub use check::Finding;
pub use checkpoints::Fence;
pub use connect::{Directory, MIGRATOR, Role, migrate};
pub use cutoffs::EVERYWHERE;
pub use decide::{Made, Ordered, Undecided};
pub use deliveries::{Answer, Leased, Outcome};
pub use error::{Error, Result};
pub use events::{EventFilter, EventPage};
pub use groups::{GroupRow, MemberChange};
pub use leases::TTL;
pub use pending::{PendingCutoff, PendingEvent, SHARDS};
pub use people::{AccountBrief, IdentityDetail, IdentityRow, ReceiptRow, Resolved};
pub use plans::{PlanRow, PlanVerdict};
pub use reconcile::Reconciled;
pub use requests::{Request, RequestKind};
pub use runs::RunEnd;
pub use scim::{UserFilter, new_id};
pub use sources::{SourceRow, SourceRules, Sources};
pub use status::{RevocationRow, SourceStatus};
pub use tokens::{TokenKind, TokenRow, generate as generate_token, hash as hash_token};
pub use trace::Hop;
pub use wake::{Bell, Listener, Wake};
