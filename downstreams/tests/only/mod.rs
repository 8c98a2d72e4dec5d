//! What a single adapter has to bear beyond the table.

mod redis;
mod sql;
