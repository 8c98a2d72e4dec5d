//! Laravel: sessions in a table, and in the table of users the token by which a browser is remembered.
//!
//! A remembered browser whose session is gone is signed in again without a word, so the sessions alone end nothing for whoever
//! has to stay out. The token is what new access is obtained with: a session of the kind refresh. There is one for each user,
//! shared by all browsers. Taking it away ends just that; the framework takes nothing for no token, and makes a new one at the
//! next login that asks to be remembered.

use super::{client::Client, config::Config, of_user, sessions, statements::Statements, statements::Texts};
use crate::{ConfigError, Match, SessionKind};

/// The token itself never leaves the database: its hash says as well whether it is still the same.
const HASH: &str = "encode(sha256(convert_to(remember_token, 'UTF8')), 'hex')";

pub(super) fn build(
    config: &Config,
    client: Client,
    table: &str,
    remember: Option<String>,
    matching: Match,
) -> Result<Statements, ConfigError> {
    let users = config.users.as_deref();
    let find = format!("select id from {table} where {}", of_user("user_id", users)?);
    let end = format!("delete from {table} where id = $2");
    let remember = remember.unwrap_or_default();
    let of = of_user("id", users)?;
    let find_token = format!("select {HASH} from {remember} where {of} and remember_token <> ''");
    let end_token = format!("update {remember} set remember_token = null where {of} and {HASH} = $2");
    let tokens = Texts { kind: SessionKind::Refresh, ..sessions(&find_token, &end_token) };
    // Tokens first: between the two, a browser would be signed in again.
    let places = [tokens, sessions(&find, &end)];
    // A row is written back by no request that has read it. But one that renews the id of its session, as each login does, by
    // a token too, inserts that under the new one.
    Statements::new(client, if remember.is_empty() { &places[1..] } else { &places }, true, matching)
}
