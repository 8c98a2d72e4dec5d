//! What subjects go by at a downstream: the values of its expression now, and those that they had while a session could live on.

use std::collections::{BTreeSet, HashMap, HashSet};

use directory::{Directory, Leased};
use downstreams::Subject;
use lifecycle::IdentityView;
use uuid::Uuid;

use crate::{Metrics, Target};

/// Somebody who is looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sought<'a> {
    pub subject: Uuid,
    /// As expressions see it; `None` where no source knows it.
    pub identity: Option<&'a IdentityView>,
    /// What the downstream calls a stranger.
    pub stranger: Option<&'a str>,
}

impl<'a> From<&'a Leased> for Sought<'a> {
    fn from(leased: &'a Leased) -> Self {
        Self { subject: leased.subject, identity: leased.identity.as_ref(), stranger: leased.stranger.as_deref() }
    }
}

/// The values of each of `sought`, in its order; those of now first. `metrics`: whoever has none is counted there.
///
/// A former value that somebody else goes by now is left out: the sessions under it are most likely theirs.
pub(crate) async fn of(
    target: &Target,
    directory: &Directory,
    metrics: Option<&Metrics>,
    sought: &[Sought<'_>],
) -> directory::Result<Vec<Subject>> {
    let mut subjects: Vec<Vec<String>> = sought.iter().map(|sought| current(target, metrics, sought)).collect();
    let known: Vec<Uuid> = sought.iter().filter(|s| s.identity.is_some()).map(|s| s.subject).collect();
    let former = directory.former_views(&known, target.max_session_life).await?;
    let lost: Vec<BTreeSet<String>> =
        sought.iter().zip(&subjects).map(|(s, now)| lost(target, former.get(&s.subject), now)).collect();
    let all: Vec<String> = lost.iter().flatten().cloned().collect::<BTreeSet<_>>().into_iter().collect();
    if !all.is_empty() {
        let holders = holders(target, &directory.namesakes(&all).await?);
        for ((sought, lost), values) in sought.iter().zip(lost).zip(&mut subjects) {
            let free = |value: &String| {
                holders.get(&value.to_lowercase()).is_none_or(|who| who.iter().all(|id| *id == sought.subject))
            };
            values.extend(lost.into_iter().filter(free));
        }
    }
    Ok(subjects.into_iter().map(Subject::new).collect())
}

fn current(target: &Target, metrics: Option<&Metrics>, sought: &Sought<'_>) -> Vec<String> {
    let values = match sought.identity.map(|identity| target.subject.evaluate(identity)) {
        Some(Ok(values)) => values,
        Some(Err(error)) => {
            tracing::error!(subject.id = %sought.subject, downstream.name = target.name, error = &error as &dyn std::error::Error, "the subject expression failed");
            Vec::new()
        }
        None => sought.stranger.map(str::to_owned).into_iter().collect(),
    };
    if let (true, Some(metrics)) = (values.is_empty(), metrics) {
        tracing::warn!(subject.id = %sought.subject, downstream.name = target.name, "no mapping: the subject has no value at this downstream");
        metrics.unmapped(&target.name);
    }
    values
}

/// The values that a subject had and has no more. Where the expression fails on what was, there was none.
fn lost(target: &Target, former: Option<&Vec<IdentityView>>, now: &[String]) -> BTreeSet<String> {
    let had = former.into_iter().flatten().filter_map(|view| target.subject.evaluate(view).ok()).flatten();
    had.filter(|value| !now.contains(value)).collect()
}

/// Who goes by each value now, in lower case: as identity providers compare names.
fn holders(target: &Target, identities: &[IdentityView]) -> HashMap<String, HashSet<Uuid>> {
    let mut holders: HashMap<String, HashSet<Uuid>> = HashMap::new();
    for identity in identities {
        for value in target.subject.evaluate(identity).into_iter().flatten() {
            holders.entry(value.to_lowercase()).or_default().insert(identity.id);
        }
    }
    holders
}
