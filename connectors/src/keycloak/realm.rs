//! Single questions to the realm.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;

use super::{
    Config, IN_FLIGHT, VIEW_CLIENTS, VIEW_EVENTS, VIEW_USERS,
    client::Client,
    events::{Event, Position, TYPES},
    mapping::{Group, SERVICE, User},
    refusal::{self, Lacks},
    snapshot::PAGE,
};
use crate::{Error, Result};

/// The realm, as far as one question to it goes.
pub(super) struct Realm {
    pub client: Client,
    pub config: Config,
}

impl Realm {
    /// The groups that one user is directly in; `None`: there is no such user.
    pub(super) async fn direct(&self, user: &str) -> Result<Option<Vec<Group>>> {
        let (path, mut groups) = (["users", user, "groups"], Vec::new());
        loop {
            let page: Option<Vec<Group>> = self.page(&path, groups.len(), &[("briefRepresentation", "true")]).await?;
            let Some(page) = page else { return Ok(None) };
            let full = page.len() == PAGE;
            groups.extend(page);
            if !full {
                return Ok(Some(groups));
            }
        }
    }

    /// The id of our own service account. To find it takes the right to see users.
    pub(super) async fn ourselves(&self) -> Result<String> {
        let name = format!("{SERVICE}{}", self.config.client_id.to_lowercase());
        let query = [("username", name.as_str()), ("exact", "true")];
        let found: Option<Vec<User>> = self.client.get(&["users"], &query, VIEW_USERS).await?;
        let ourselves = found.unwrap_or_default().into_iter().next().map(|user| user.id);
        ourselves.ok_or_else(|| Error::Unauthorized(Box::new(Lacks { role: VIEW_USERS })))
    }

    /// The user ids of service accounts, which no list of users contains.
    pub(super) async fn service_accounts(&self) -> Result<BTreeSet<String>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Registered {
            id: String,
            client_id: String,
            #[serde(default)]
            service_accounts_enabled: bool,
        }
        let (mut clients, mut first) = (Vec::new(), 0);
        loop {
            let (from, max) = (first.to_string(), PAGE.to_string());
            let query = [("first", from.as_str()), ("max", max.as_str())];
            let page: Option<Vec<Registered>> = self.client.get(&["clients"], &query, VIEW_CLIENTS).await?;
            let page = page.ok_or_else(refusal::no_realm)?;
            first += page.len();
            let full = page.len() == PAGE;
            clients.extend(page);
            if !full {
                break;
            }
        }
        // As with users, the list is empty for those who may not see any.
        if !clients.iter().any(|client| client.client_id == self.config.client_id) {
            return Err(Error::Unauthorized(Box::new(Lacks { role: VIEW_CLIENTS })));
        }
        let enabled = clients.into_iter().filter(|client| client.service_accounts_enabled).map(|client| client.id);
        let user = |client: String| async move {
            let path = ["clients", client.as_str(), "service-account-user"];
            let user: Option<User> = self.client.get(&path, &[], VIEW_CLIENTS).await?;
            Ok::<_, Error>(user.map(|user| user.id))
        };
        let users: Vec<Option<String>> =
            stream::iter(enabled.collect::<Vec<_>>()).map(user).buffered(IN_FLIGHT).try_collect().await?;
        Ok(users.into_iter().flatten().collect())
    }

    pub(super) async fn events_are_saved(&self) -> Result<bool> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Settings {
            #[serde(default)]
            admin_events_enabled: bool,
        }
        let settings: Option<Settings> = self.client.get(&["events", "config"], &[], VIEW_EVENTS).await?;
        Ok(settings.is_some_and(|settings| settings.admin_events_enabled))
    }

    /// Where a reader stands who has dealt with everything up to now.
    pub(super) async fn newest_event(&self) -> Result<Position> {
        let newest = self.events("desc", 0, 0, 1).await?;
        let Some(at) = newest.first().map(|event| event.time) else { return Ok(Position::default()) };
        let position = Position { at, ..Position::default() };
        let (read, _) = self.events_since(&position, usize::MAX).await?;
        Ok(position.after(&read))
    }

    /// The events from the position on, oldest first, until `enough` of them are new; and whether there are more.
    pub(super) async fn events_since(&self, position: &Position, enough: usize) -> Result<(Vec<Event>, bool)> {
        let mut read: Vec<Event> = Vec::new();
        loop {
            let page = self.events("asc", position.from(), read.len(), PAGE).await?;
            let full = page.len() == PAGE;
            read.extend(page);
            if !full {
                return Ok((read, false));
            }
            if read.len() >= position.seen.len().saturating_add(enough) {
                return Ok((read, true));
            }
        }
    }

    async fn events(&self, direction: &str, from: i64, first: usize, max: usize) -> Result<Vec<Event>> {
        let (from, first, max) = (from.to_string(), first.to_string(), max.to_string());
        let mut query = vec![("direction", direction), ("first", &first), ("max", &max), ("dateFrom", &from)];
        query.extend(TYPES.map(|kind| ("resourceTypes", kind)));
        Ok(self.client.get(&["admin-events"], &query, VIEW_EVENTS).await?.unwrap_or_default())
    }
}
