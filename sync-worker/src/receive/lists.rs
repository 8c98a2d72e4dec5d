//! Lists: by the parameters of a GET or the body of a POST to `/.search`, by index or by cursor (RFC 7644 §3.4, RFC 9865).

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use directory::{From, LIST_WITHIN, ListQuery};
use scim::limits::USER_BODY;
use scim::list::Cursors;
use scim::{Page, ResourceType};
use serde_json::Value;
use uuid::Uuid;

use super::Shared;
use super::answer::{Refusal, body, scim_json};
use super::cursor::{self, Place};

type Answer = Result<Response, Refusal>;
type Pairs = Query<Vec<(String, String)>>;

pub(super) async fn users(State(shared): State<Shared>, Path(source): Path<String>, Query(pairs): Pairs) -> Answer {
    shared.list(&source, ResourceType::User, &scim::Query::parse(ResourceType::User, pairs)?).await
}

pub(super) async fn groups(State(shared): State<Shared>, Path(source): Path<String>, Query(pairs): Pairs) -> Answer {
    shared.list(&source, ResourceType::Group, &scim::Query::parse(ResourceType::Group, pairs)?).await
}

pub(super) async fn search_users(
    State(shared): State<Shared>,
    Path(source): Path<String>,
    bytes: Result<Bytes, BytesRejection>,
) -> Answer {
    let query = scim::Query::parse_search(ResourceType::User, &body(bytes, USER_BODY)?)?;
    shared.list(&source, ResourceType::User, &query).await
}

pub(super) async fn search_groups(
    State(shared): State<Shared>,
    Path(source): Path<String>,
    bytes: Result<Bytes, BytesRejection>,
) -> Answer {
    let query = scim::Query::parse_search(ResourceType::Group, &body(bytes, USER_BODY)?)?;
    shared.list(&source, ResourceType::Group, &query).await
}

/// Users, then groups. A filter on what only one of them has finds only that one.
pub(super) async fn search_all(
    State(shared): State<Shared>,
    Path(source): Path<String>,
    bytes: Result<Bytes, BytesRejection>,
) -> Answer {
    let body = body(bytes, USER_BODY)?;
    let parsed = [ResourceType::User, ResourceType::Group].map(|kind| (kind, scim::Query::parse_search(kind, &body)));
    let (mut total, mut resources, mut start) = (0_i64, Vec::new(), 1);
    let mut refused = None;
    let mut understood = false;
    for (kind, query) in parsed {
        let query = match query {
            Ok(query) => query,
            Err(error) => {
                refused = refused.or(Some(error));
                continue;
            }
        };
        let Page::Index(first) = query.page else { return Err(scim::Error::invalid_cursor().into()) };
        (start, understood) = (first, true);
        let offset = whole(first.saturating_sub(1)).saturating_sub(total).max(0);
        let count = whole(query.count).saturating_sub(i64::try_from(resources.len()).unwrap_or(i64::MAX));
        let found = shared.find(&source, kind, &query, From::Offset(offset), count).await?;
        total = total.saturating_add(found.total);
        resources.extend(found.resources);
    }
    match refused {
        Some(error) if !understood => Err(error.into()),
        _ => Ok(scim_json(StatusCode::OK, &scim::list::response(total.unsigned_abs(), start, resources))),
    }
}

/// What a page holds.
struct Found {
    resources: Vec<Value>,
    total: i64,
    next: Option<Uuid>,
    previous: Option<Uuid>,
}

impl Shared {
    async fn list(&self, source: &str, kind: ResourceType, query: &scim::Query) -> Answer {
        let digest = cursor::digest(source, kind, query);
        let from = match &query.page {
            Page::Index(start) => From::Offset(whole(start.saturating_sub(1))),
            Page::First => From::Offset(0),
            Page::Cursor(text) => match cursor::read(text, digest)? {
                Place::After(row) => From::After(row),
                Place::Before(row) => From::Before(row),
            },
        };
        let found = self.find(source, kind, query, from, whole(query.count)).await?;
        let total = found.total.unsigned_abs();
        let response = match query.page {
            Page::Index(start) => scim::list::response(total, start, found.resources),
            Page::First | Page::Cursor(_) => {
                let cursors = Cursors {
                    next: found.next.map(|row| cursor::write(Place::After(row), digest)),
                    previous: found.previous.map(|row| cursor::write(Place::Before(row), digest)),
                };
                scim::list::cursor_response(Some(total), cursors, found.resources)
            }
        };
        Ok(scim_json(StatusCode::OK, &response))
    }

    async fn find(
        &self,
        source: &str,
        kind: ResourceType,
        query: &scim::Query,
        from: From,
        count: i64,
    ) -> Result<Found, Refusal> {
        let location = format!("{}{}", self.base(source), kind.endpoint());
        let wanted = ListQuery {
            source,
            filter: query.filter.as_ref(),
            sort: query.sort,
            from,
            count,
            location: &location,
            within: LIST_WITHIN,
        };
        // The cursor is of this query, but not its row: that was of another time.
        let gone = scim::Error::expired_cursor;
        match kind {
            ResourceType::User => {
                let list = self.worker.directory.users(&wanted).await?.ok_or_else(gone)?;
                let rendered = self.render_users(source, &list.rows, query).await?;
                let resources = rendered.into_iter().map(|user| query.project(user)).collect();
                Ok(Found { resources, total: list.total, next: list.next, previous: list.previous })
            }
            ResourceType::Group => {
                let list = self.worker.directory.groups(&wanted).await?.ok_or_else(gone)?;
                let mut resources = Vec::with_capacity(list.rows.len());
                for row in &list.rows {
                    let location = self.group_location(source, row);
                    let body = self.render_group(row, &location, query.returns("members")).await?;
                    resources.push(query.project(body));
                }
                Ok(Found { resources, total: list.total, next: list.next, previous: list.previous })
            }
        }
    }
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
