//! What the answers of a server look like to people: pure functions from its JSON to text.

pub mod check;
pub mod hold;
pub mod identity;
pub mod ledger;
pub mod owed;
pub mod parked;
pub mod plan;
pub mod replay;
pub mod revocation;
pub mod run;
pub mod sessions;
pub mod source;
pub mod table;
#[cfg(test)]
mod tests;
pub mod text;
pub mod token;
pub mod trace;

use serde::Deserialize;

/// A page of a list.
#[derive(Debug, Deserialize)]
pub struct Items<T> {
    pub items: Vec<T>,
}
