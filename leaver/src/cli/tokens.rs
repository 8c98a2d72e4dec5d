//! `token create`, `list` and `revoke`.

use chrono::Utc;
use serde_json::json;

use crate::client::Client;
use crate::show::Items;
use crate::show::token::{self, Created, Token};

use super::args;
use super::failure::{Exit, Failure};
use super::screen::Screen;

pub async fn run(screen: &Screen, client: &Client, verb: &args::Token) -> Result<Exit, Failure> {
    match verb {
        args::Token::Create { owner, expires } => {
            let mut body = match &owner.source {
                Some(source) => json!({"source": source}),
                None => json!({"admin": owner.admin}),
            };
            if let Some(expires) = expires {
                body["expires"] = json!(humantime::format_duration(*expires).to_string());
            }
            let made = client.post::<Created>(&["tokens"], &body).await?;
            if screen.is_json() {
                screen.document(&made.json)?;
            } else {
                let kind = if owner.source.is_some() { "source" } else { "admin" };
                let name = owner.source.as_ref().or(owner.admin.as_ref()).map_or("", String::as_str);
                screen.answer(&format!("{}\n", made.typed.token))?;
                screen.remark(&token::created(&made.typed, &format!("{kind} {name}")));
            }
        }
        args::Token::List => {
            let found = client.get::<Items<Token>>(&["tokens"], &[]).await?;
            if screen.is_json() {
                screen.document(&found.json)?;
            } else if found.typed.items.is_empty() {
                screen.remark("no tokens\n");
            } else {
                screen.answer(&token::list(&found.typed.items, Utc::now(), screen.out))?;
            }
        }
        args::Token::Revoke { id } => {
            client.delete(&["tokens", &id.to_string()]).await?;
            if screen.is_json() {
                screen.document(&json!({"id": id, "state": "revoked"}))?;
            } else {
                screen.answer(&format!("token {id} is no longer accepted\n"))?;
            }
        }
    }
    Ok(Exit::Done)
}
