//! What an event obliges us to, as one decision that can be written; and what a draft would have made of it.

use chrono::{DateTime, Utc};
use directory::{EVERYWHERE, Made, Ordered, Undecided};
use policy::{Difference, Ruling};
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
        let Ruling { decision, effect, spared } = ruling;
        let mut notes: Vec<String> =
            decision.errors.iter().map(|e| format!("rule {:?}: {}", e.rule, e.error)).collect();
        notes.extend(effect.unsupported.iter().map(|(action, name)| format!("{action} is unsupported by {name}")));
        if spared {
            tracing::warn!(subject.id = %event.subject, event.id = %event.event_id, "a break-glass identity was spared");
            self.metrics.break_glass.inc();
            notes.push("break glass: spared by name".to_owned());
        }
        let ordered = (effect.ends() && !spared).then(|| Ordered {
            scopes: effect
                .scopes
                .into_iter()
                .map(|(scope, actions)| (scope.unwrap_or_else(|| EVERYWHERE.to_owned()), actions.into_iter().collect()))
                .collect(),
            downstreams: effect.downstreams.into_keys().collect(),
            lock_for: effect.lock_for,
        });
        let context = serde_json::to_vec(&event.context).expect("a context is plain data");
        Made {
            published_at,
            policy_digest: self.judge.digest().to_owned(),
            actions: json!(decision.actions),
            rules: decision.rules,
            context_digest: hex::encode(Sha256::digest(context)),
            note: (!notes.is_empty()).then(|| notes.join("; ")),
            ordered,
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
