//! Groups as a pulled source lists them, whoever is in them: what it says of a group may make it privileged.

use std::collections::HashMap;

use futures::FutureExt;
use lifecycle::{EventType, GroupFacts, GroupView};
use serde_json::{Value, json};
use sqlx::PgConnection;

use crate::apply::{CHUNK, Cause};
use crate::checkpoints::{self, Fence};
use crate::groups::{self, GroupRow};
use crate::{Directory, Result, memberships};

/// When a run stores what its source says of groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before its people: whoever leaves a group that has become privileged loses a privilege. No group ceases to be privileged.
    BeforePeople,
    /// Once what people lose is weighed: a group that ceases to be privileged still was for whoever left it in this run.
    AfterPeople,
}

impl Directory {
    /// Stores what a source says of its groups. Those that nobody has been in are not there yet, unless they are privileged. Says how
    /// many are otherwise than before.
    pub async fn list_groups(
        &self,
        cause: &Cause,
        fence: &Fence,
        listed: &[GroupFacts],
        moment: Moment,
    ) -> Result<usize> {
        let mut all = 0;
        for chunk in listed.chunks(CHUNK) {
            all += self.retrying(|| self.list_chunk(cause, fence, chunk, moment).boxed()).await?;
        }
        if all > 0 {
            self.wake.pending.ring();
        }
        Ok(all)
    }

    async fn list_chunk(&self, cause: &Cause, fence: &Fence, listed: &[GroupFacts], moment: Moment) -> Result<usize> {
        let mut tx = self.begin().await?;
        checkpoints::hold(&mut tx, fence).await?;
        let changed = store(&mut tx, self, cause, listed, moment).await?;
        tx.commit().await?;
        Ok(changed)
    }
}

/// Writes what is otherwise than before, at most [`CHUNK`].
pub(crate) async fn store(
    tx: &mut PgConnection,
    directory: &Directory,
    cause: &Cause,
    listed: &[GroupFacts],
    moment: Moment,
) -> Result<usize> {
    let privileged = |facts: &GroupFacts| directory.sources.is_privileged(&facts.display_name, &facts.attributes);
    let first: Vec<&GroupFacts> = listed.iter().filter(|facts| privileged(facts)).collect();
    let mut stored = memberships::create_groups(tx, directory, cause, &first).await?;

    let facts: HashMap<&str, &GroupFacts> = listed.iter().map(|facts| (facts.native_id.as_str(), facts)).collect();
    let (names, attributes): (Vec<String>, Vec<Value>) =
        facts.values().map(|facts| (facts.native_id.clone(), facts.attributes.clone())).unzip();
    let changed = sqlx::query_as!(
        GroupRow,
        "SELECT g.id, g.source, g.native_id, g.external_id, g.display_name, g.privileged, g.attributes, g.version, g.revision,
                g.last_urgent, g.last_bulk, g.recorded_at, g.created_at, g.changed_at
         FROM UNNEST($2::text[], $3::jsonb[]) AS l(native_id, attributes)
         JOIN directory.groups g ON g.source = $1 AND g.native_id = l.native_id AND g.attributes <> l.attributes
         WHERE g.tombstone IS NULL ORDER BY g.id FOR NO KEY UPDATE OF g",
        cause.source(),
        &names,
        &attributes
    )
    .fetch_all(&mut *tx)
    .await?;
    for row in &changed {
        let facts = GroupFacts { attributes: facts[row.native_id.as_str()].attributes.clone(), ..row.facts() };
        let privileged = privileged(&facts);
        if row.privileged && !privileged && moment == Moment::BeforePeople {
            continue;
        }
        let view = GroupView { privileged, ..row.view() };
        let data = json!({"source": cause.source, "privileged": privileged, "via": cause.via});
        directory.tell_of_group(tx, cause, row, groups::draft(EventType::GroupUpdated, data, view)).await?;
        sqlx::query!(
            "UPDATE directory.groups SET privileged = $2, attributes = $3, content_hash = $4, revision = revision + 1,
                 changed_at = clock_timestamp() WHERE id = $1",
            row.id,
            privileged,
            facts.attributes,
            groups::content_hash(&facts)
        )
        .execute(&mut *tx)
        .await?;
        stored += 1;
    }
    Ok(stored)
}
