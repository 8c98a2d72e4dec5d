#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod bulk;
mod canonical;
pub mod dialect;
pub mod discovery;
mod edit;
mod error;
pub mod filter;
mod group;
mod json;
pub mod limits;
pub mod list;
pub mod patch;
mod path;
pub mod query;
pub mod redact;
pub mod render;
pub mod schema;
mod user;

pub use bulk::Bulk;
pub use dialect::{Dialect, Quirk};
pub use error::{Error, Result, ScimType};
pub use filter::Filter;
pub use group::{Group, MemberRef};
pub use limits::check_json;
pub use patch::{GroupPatch, Ids, MembersOp, Patch, Selection};
pub use path::{AttributePath, Path};
pub use query::{Page, Query, Sort};
pub use schema::ResourceType;
pub use user::User;
