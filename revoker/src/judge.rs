//! What an event obliges us to, as one decision that can be written; and what a draft would have made of it.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use directory::{Braked, EVERYWHERE, Made, Ordered, Shortened, Undecided};
use lifecycle::Action;
use policy::{Difference, Effect, Ruling};
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::Revoker;

/// Decisions that are to be written, and where the draft differs from them.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    pub made: Vec<Made>,
    pub compared: u64,
    pub differences: Vec<(Uuid, Difference)>,
}

impl Revoker {
    /// What the policy makes of one event. Pure, as is [`Self::compare`].
    pub(crate) fn rule(&self, event: &Undecided) -> Ruling {
        self.judge.rule(event.event_type, &event.data, &event.context)
    }

    /// Decides the same event by the draft, if there is one. `live` is what is decided really; nothing, where nobody listens.
    pub(crate) fn compare(&self, event: &Undecided, live: &Ruling, judged: &mut Judged) {
        let Some(shadow) = &self.shadow else { return };
        judged.compared += 1;
        let draft = shadow.rule(event.event_type, &event.data, &event.context);
        judged.differences.extend(live.differs(&draft).map(|difference| (event.event_id, difference)));
    }

    /// The ruling as it is written.
    pub(crate) fn make(&self, event: Undecided, ruling: Ruling, published_at: DateTime<Utc>) -> Made {
        let Ruling { decision, effect, braking, spared } = ruling;
        let mut notes: Vec<String> =
            decision.errors.iter().map(|e| format!("rule {:?}: {}", e.rule, e.error)).collect();
        notes.extend(effect.unsupported.iter().map(|(action, name)| format!("{action} is unsupported by {name}")));
        if spared {
            tracing::warn!(subject.id = %event.subject, event.id = %event.event_id, "a break-glass identity was spared");
            self.metrics.break_glass.inc();
            notes.push("break glass: spared by name".to_owned());
        }
        let (effect, braking) = if spared { (effect.spared(), None) } else { (effect, braking) };
        let (free, parts) = braking.map_or_else(|| (effect, Vec::new()), |braking| (braking.free, braking.parts));
        let at_once = free.acts().then(|| ordered(free));
        let recorded = event.recorded_at.timestamp();
        let instant = |seconds| DateTime::from_timestamp(seconds, 0).unwrap_or(event.recorded_at);
        let braked = parts.into_iter().map(|part| {
            let (begins, lasts) = (part.brake.window_of(recorded), part.brake.window);
            Braked {
                rule: part.rule,
                bound: part.brake.count,
                window_begins: instant(begins),
                window_ends: instant(begins) + lasts,
                ordered: ordered(part.effect),
            }
        });
        let braked = braked.collect();
        let context = serde_json::to_vec(&event.context).expect("a context is plain data");
        Made {
            published_at,
            policy_digest: self.judge.digest().to_owned(),
            actions: json!(decision.actions),
            rules: decision.rules,
            context_digest: hex::encode(Sha256::digest(context)),
            note: (!notes.is_empty()).then(|| notes.join("; ")),
            ordered: at_once,
            braked,
            event,
        }
    }

    /// Counts and tells where the draft differs, once what was decided really is durable. One line however many there are: who
    /// it is about is shown by `leaver policy replay --shadow`, from what the ledger keeps anyway.
    pub(crate) fn tell_differences(&self, judged: &Judged) {
        self.metrics.compared.inc_by(judged.compared);
        for (_, difference) in &judged.differences {
            self.metrics.differs(*difference);
        }
        if let Some((event, difference)) = judged.differences.first() {
            let (differences, difference) = (judged.differences.len(), difference.as_str());
            tracing::info!(differences, event.id = %event, difference, "the shadow would have decided otherwise");
        }
    }
}

/// The effect as it is written.
fn ordered(effect: Effect) -> Ordered {
    let Effect { scopes, downstreams, lock_for, shorten_to, .. } = effect;
    let scopes = scopes.into_iter().map(|(scope, actions)| (scope.unwrap_or_else(|| EVERYWHERE.to_owned()), actions));
    let Apart { at_once: scopes, later, .. } = apart(scopes);
    let Apart { at_once, later: where_later, errands } = apart(downstreams);
    let name = |(name, _)| name;
    Ordered {
        scopes: scopes.into_iter().map(|(scope, actions)| (scope, actions.into_iter().collect())).collect(),
        downstreams: at_once.into_iter().map(name).collect(),
        lock_for,
        errands,
        shortened: shorten_to.map(|to| Shortened { to, scopes: later, downstreams: where_later }),
    }
}

/// What is ordered of some places.
#[derive(Default)]
struct Apart {
    /// The cutoffs of now, by place.
    at_once: Vec<(String, BTreeSet<Action>)>,
    /// The places of what ends later.
    later: Vec<String>,
    /// What is done once.
    errands: Vec<(String, Action)>,
}

fn apart(places: impl IntoIterator<Item = (String, BTreeSet<Action>)>) -> Apart {
    let mut apart = Apart::default();
    for (name, mut actions) in places {
        if actions.remove(&Action::ShortenTtl) {
            apart.later.push(name.clone());
        }
        let (cutoffs, errands): (BTreeSet<Action>, BTreeSet<Action>) =
            actions.into_iter().partition(|action| action.is_cutoff());
        apart.errands.extend(errands.into_iter().map(|action| (name.clone(), action)));
        if !cutoffs.is_empty() {
            apart.at_once.push((name, cutoffs));
        }
    }
    apart
}
