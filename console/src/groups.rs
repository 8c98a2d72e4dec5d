//! A revocation by hand of everybody in a group: who that would be, or a request that a revoker writes down.

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use directory::{GroupNamed, GroupSize, RequestKind};
use serde_json::{Value, json};
use tracing::Instrument;

use crate::revocations::Wish;
use crate::{Console, problem::Problem};

impl Console {
    /// Stores what a person orders about a group, or says how many people and which downstreams it would concern.
    pub(crate) async fn order_group(
        &self,
        name: &str,
        wish: &Wish,
        headers: &HeaderMap,
        by: &str,
    ) -> Result<(StatusCode, Json<Value>), Problem> {
        if wish.who.is_some() || wish.subject.is_some() {
            return Err(Problem::new(400, "who, subject and group exclude each other"));
        }
        let group = self.group(name).await?;
        let GroupSize { members, spared } = self.directory.group_size(group.id, &self.judge.break_glass()).await?;
        let second = self.mass.is_some_and(|mass| members > i64::try_from(mass).unwrap_or(i64::MAX));
        let about = json!({"group": group.name, "members": members, "spared": spared, "mass": self.mass,
                           "second_person": second});
        if wish.dry_run {
            let mut answer = about;
            answer["downstreams"] = json!(self.judge.able(&wish.actions(), wish.downstreams.as_deref()));
            return Ok((StatusCode::OK, Json(answer)));
        }
        let (span, trace) = crate::trace::begin(headers, "revoke a group by hand");
        let payload = json!({"group": group.id, "downstreams": wish.downstreams, "reason": wish.reason,
                             "lock_for_ms": wish.lock_for.map(|lasts| lasts.as_millis() as u64), "credentials": wish.credentials,
                             "traceparent": trace});
        let mut answer = about;
        answer["id"] = json!(self.directory.ask(RequestKind::RevokeGroup, &payload, by).instrument(span).await?);
        Ok((StatusCode::ACCEPTED, Json(answer)))
    }

    async fn group(&self, name: &str) -> Result<GroupNamed, Problem> {
        let mut found = self.directory.groups_named(name).await?;
        match (found.pop(), found.is_empty()) {
            (Some(group), true) => Ok(group),
            (None, _) => Err(Problem::new(404, format!("no group is called {name}"))
                .help("a group goes by its name, or by source/name")),
            (Some(last), false) => {
                let names: Vec<String> = found.into_iter().chain([last]).map(|group| group.name).collect();
                Err(Problem::new(409, format!("{name} names several groups: {}", names.join(", ")))
                    .help("name one as source/name, or by its id"))
            }
        }
    }
}
