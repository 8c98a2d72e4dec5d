//! `identity list`, `show`, `sessions` and `trace`.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::Client;
use crate::show::identity::{self, Detail};
use crate::show::sessions::{self, Look};
use crate::show::trace::{self, Trace};

use super::args;
use super::failure::{Exit, Failure};
use super::progress;
use super::screen::Screen;

/// The largest page that is asked for.
const PAGE: u64 = 500;

pub async fn run(screen: &Screen, client: &Client, verb: &args::Identity) -> Result<Exit, Failure> {
    match verb {
        args::Identity::List { query, limit } => list(screen, client, query.as_deref(), *limit).await?,
        args::Identity::Show(args::Who { who }) => {
            let found = client.get::<Detail>(&["identities", who], &[]).await?;
            if screen.is_json() {
                screen.document(&found.json)?;
            } else {
                screen.answer(&identity::detail(&found.typed, screen.out))?;
                if !found.typed.receipts.is_empty() {
                    screen.next(&format!("leaver identity trace {}", found.typed.identity.id));
                }
            }
        }
        args::Identity::Sessions(args::Who { who }) => {
            let path = ["identities", who, "sessions"];
            let look = client.get::<Look>(&path, &[]);
            let found = progress::during(screen, "a look at every downstream", Duration::from_secs(15), look).await?;
            if screen.is_json() {
                screen.document(&found.json)?;
            } else {
                screen.answer(&sessions::list(&found.typed, screen.out))?;
            }
            if let Some(silent) = sessions::silent(&found.typed) {
                progress::unfinished(screen, &silent);
                return Ok(Exit::Held);
            }
        }
        args::Identity::Trace(args::Who { who }) => {
            let found = client.get::<Trace>(&["identities", who, "trace"], &[]).await?;
            if screen.is_json() {
                screen.document(&found.json)?;
            } else if found.typed.hops.is_empty() {
                screen.remark("nothing has happened to them yet\n");
            } else {
                screen.answer(&trace::show(&found.typed, screen.out))?;
            }
        }
    }
    Ok(Exit::Done)
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Value>,
    next: Option<String>,
}

/// Pages, until there are `limit` identities or no more.
async fn list(screen: &Screen, client: &Client, query: Option<&str>, limit: u64) -> Result<(), Failure> {
    let gather = async {
        let mut all = Page { items: Vec::new(), next: None };
        loop {
            let left = limit - all.items.len() as u64;
            let query = [
                ("q", query.map(str::to_owned)),
                ("after", all.next.take()),
                ("limit", Some(left.min(PAGE).to_string())),
            ];
            let page = client.get::<Page>(&["identities"], &query).await?.typed;
            all.next = page.next.filter(|_| !page.items.is_empty());
            all.items.extend(page.items.into_iter().take(usize::try_from(left).unwrap_or(usize::MAX)));
            if all.next.is_none() || all.items.len() as u64 >= limit {
                return Ok::<_, Failure>(all);
            }
        }
    };
    let found = progress::during(screen, "the list", Duration::from_secs(30), gather).await?;
    if screen.is_json() {
        return match found.next {
            Some(next) => screen.document(&json!({"items": found.items, "next": next})),
            None => screen.document(&json!({"items": found.items})),
        };
    }
    if found.items.is_empty() {
        screen.remark("nobody was found\n");
        return Ok(());
    }
    let number = found.items.len();
    let identities: Vec<identity::Identity> =
        Deserialize::deserialize(Value::from(found.items)).map_err(anyhow::Error::from)?;
    screen.answer(&identity::list(&identities, screen.out))?;
    if found.next.is_some() {
        screen.remark(&format!("{number} are shown; there are more: --limit {}\n", number * 10));
    }
    Ok(())
}
