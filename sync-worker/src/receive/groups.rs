//! `/Groups`: members are a set in the database, changed by operations; the list is never read to be written.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use directory::{Cause, GroupBrake, GroupChange, GroupRow, MemberChange};
use lifecycle::GroupFacts;
use scim::limits::GROUP_BODY;
use scim::render::Meta;
use scim::{Group, MemberRef, MembersOp, Patch, ResourceType};
use serde_json::Value;

use super::answer::{Refusal, body, changed_without_content, check_version, found, no_content, resource};
use super::{Shared, cause};

type Answer = Result<Response, Refusal>;

pub(super) async fn create(
    State(shared): State<Shared>,
    Path(source): Path<String>,
    Query(asked): Query<Vec<(String, String)>>,
    bytes: Result<Bytes, BytesRejection>,
) -> Answer {
    let query = scim::Query::parse(ResourceType::Group, asked)?;
    let group = Group::parse(&body(bytes, GROUP_BODY)?)?;
    let members = pairs(group.members.as_deref().unwrap_or_default());
    let facts = GroupFacts {
        native_id: directory::new_id(),
        external_id: group.external_id,
        display_name: group.display_name,
        attributes: group.resource,
    };
    let cause = cause(&source, "SCIM POST");
    let row = shared.worker.directory.create_group(&cause, &facts, &members).await?;
    shared.worker.metrics.committed(&cause);
    shared.group(&source, &row, StatusCode::CREATED, &query).await
}

pub(super) async fn replace(
    State(shared): State<Shared>,
    Path((source, id)): Path<(String, String)>,
    Query(asked): Query<Vec<(String, String)>>,
    headers: HeaderMap,
    bytes: Result<Bytes, BytesRejection>,
) -> Answer {
    let query = scim::Query::parse(ResourceType::Group, asked)?;
    let group = Group::parse(&body(bytes, GROUP_BODY)?)?;
    let members: Vec<MemberChange> = group.members.iter().map(|m| MemberChange::Replace(pairs(m))).collect();
    let becomes = move |current: &GroupRow| {
        check_version(&headers, &current.revision.to_string())?;
        Ok(GroupFacts {
            native_id: current.native_id.clone(),
            external_id: group.external_id.clone(),
            display_name: group.display_name.clone(),
            attributes: group.resource.clone(),
        })
    };
    let row = shared.change_group(&source, &id, "SCIM PUT", becomes, &members).await?;
    shared.group(&source, &row, StatusCode::OK, &query).await
}

/// Answers 204, unless the caller says what it wants to see (RFC 7644 §3.5.2): a member list is never loaded for an answer that nobody
/// asked for.
pub(super) async fn patch(
    State(shared): State<Shared>,
    Path((source, id)): Path<(String, String)>,
    Query(asked): Query<Vec<(String, String)>>,
    headers: HeaderMap,
    bytes: Result<Bytes, BytesRejection>,
) -> Answer {
    let query = scim::Query::parse(ResourceType::Group, asked)?;
    let patch = Patch::parse(&body(bytes, GROUP_BODY)?)?.for_group()?;
    let members: Vec<MemberChange> = patch.members.iter().map(change).collect();
    let becomes = move |current: &GroupRow| {
        check_version(&headers, &current.revision.to_string())?;
        Ok(GroupFacts {
            native_id: current.native_id.clone(),
            external_id: patch.external_id.clone().unwrap_or_else(|| current.external_id.clone()),
            display_name: patch.display_name.clone().unwrap_or_else(|| current.display_name.clone()),
            attributes: patch.apply_to(&current.attributes)?,
        })
    };
    let row = shared.change_group(&source, &id, "SCIM PATCH", becomes, &members).await?;
    if query.attributes.is_empty() && query.excluded_attributes.is_empty() {
        return Ok(changed_without_content(&row.revision.to_string()));
    }
    shared.group(&source, &row, StatusCode::OK, &query).await
}

pub(super) async fn delete(
    State(shared): State<Shared>,
    Path((source, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    let cause = cause(&source, "SCIM DELETE");
    let check = |current: &GroupRow| check_version(&headers, &current.revision.to_string());
    let gone = shared.worker.directory.delete_group(&cause, shared.group_brake(&source), &id, check).await?;
    shared.changed_group(&cause, &gone.ok_or_else(Refusal::not_found)??);
    Ok(no_content())
}

pub(super) async fn read(
    State(shared): State<Shared>,
    Path((source, id)): Path<(String, String)>,
    Query(pairs): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Answer {
    let query = scim::Query::parse(ResourceType::Group, pairs)?;
    let row = shared.worker.directory.group(&source, &id).await?.ok_or_else(Refusal::not_found)?;
    let location = shared.group_location(&source, &row);
    let body = shared.render_group(&row, &location, query.returns("members")).await?;
    Ok(found(&headers, &query.project(body), &row.revision.to_string(), &location))
}

impl Shared {
    /// How much one call may take from a group of a source whose token was accepted.
    fn group_brake(&self, source: &str) -> GroupBrake {
        let (limits, burst) = self.worker.pushed.get(source).map(|p| (p.limits, p.burst.count)).unwrap_or_default();
        GroupBrake { limits, burst }
    }

    async fn change_group(
        &self,
        source: &str,
        id: &str,
        via: &'static str,
        becomes: impl Fn(&GroupRow) -> Result<GroupFacts, scim::Error> + Send + Sync + 'static,
        members: &[MemberChange],
    ) -> Result<GroupRow, Refusal> {
        let cause = cause(source, via);
        let brake = self.group_brake(source);
        let changed = self.worker.directory.change_group(&cause, brake, id, becomes, members).await?;
        let changed = changed.ok_or_else(Refusal::not_found)??;
        self.changed_group(&cause, &changed);
        Ok(changed.row)
    }

    /// A plan that waits is no error of the client: what it stated is stored, and read back.
    fn changed_group(&self, cause: &Cause, changed: &GroupChange) {
        self.worker.metrics.committed(cause);
        if let (Some(plan), Some(source)) = (changed.held, &cause.source) {
            self.worker.metrics.held(source);
            let group = changed.row.id;
            tracing::warn!(source.name = source, plan.id = %plan, group.id = %group, "a plan is held for a person");
        }
    }

    pub(super) fn group_location(&self, source: &str, row: &GroupRow) -> String {
        format!("{}/Groups/{}", self.base(source), row.native_id)
    }

    pub(super) async fn render_group(&self, row: &GroupRow, location: &str, members: bool) -> Result<Value, Refusal> {
        let members: Option<Vec<MemberRef>> = if members {
            let all = self.worker.directory.members(row.id).await?;
            Some(all.into_iter().map(|(value, nested)| MemberRef { value, nested }).collect())
        } else {
            None
        };
        let version = row.revision.to_string();
        let meta = Meta {
            id: &row.native_id,
            version: &version,
            created: row.created_at,
            last_modified: row.changed_at,
            location,
        };
        Ok(scim::render::group(&row.attributes, &meta, members.as_deref()))
    }

    /// What became of a group, as far as the caller asks for it.
    async fn group(&self, source: &str, row: &GroupRow, status: StatusCode, query: &scim::Query) -> Answer {
        let location = self.group_location(source, row);
        let body = self.render_group(row, &location, query.returns("members")).await?;
        Ok(resource(status, &query.project(body), &row.revision.to_string(), &location))
    }
}

fn pairs(members: &[MemberRef]) -> Vec<(String, bool)> {
    members.iter().map(|m| (m.value.clone(), m.nested)).collect()
}

fn change(operation: &MembersOp) -> MemberChange {
    match operation {
        MembersOp::Add(members) => MemberChange::Add(pairs(members)),
        MembersOp::Remove(references) => MemberChange::Remove(references.clone()),
        MembersOp::RemoveSelected(selection) => MemberChange::RemoveSelected(selection.clone()),
        MembersOp::RemoveAll => MemberChange::RemoveAll,
        MembersOp::Replace(members) => MemberChange::Replace(pairs(members)),
    }
}
