//! What an event obliges us to, as one decision: policy, break glass, and what each downstream can do.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use directory::{EVERYWHERE, Made, Ordered, Undecided};
use lifecycle::{Action, IdentityView};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::Revoker;

impl Revoker {
    /// Decides one event. Pure but for counters; the result is written by the caller.
    pub(crate) fn judge(&self, event: Undecided, published_at: DateTime<Utc>) -> Made {
        let changed: Vec<String> = event
            .data
            .get("changed")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            .unwrap_or_default();
        let decision = self.policy.decide(event.event_type, &changed, &event.data, &event.context);
        let mut notes: Vec<String> =
            decision.errors.iter().map(|e| format!("rule {:?}: {}", e.rule, e.error)).collect();
        let mut ordered = self.order(&decision.actions, &mut notes);
        if ordered.is_some() && event.context.identity.as_ref().is_some_and(|i| self.is_break_glass(i)) {
            tracing::warn!(subject.id = %event.subject, event.id = %event.event_id, "a break-glass identity was spared");
            self.metrics.break_glass.inc();
            notes.push("break glass: spared by name".to_owned());
            ordered = None;
        }
        let context = serde_json::to_vec(&event.context).expect("a context is plain data");
        Made {
            published_at,
            policy_digest: self.policy.digest(),
            actions: json!(decision.actions),
            rules: decision.rules,
            context_digest: hex::encode(Sha256::digest(context)),
            note: (!notes.is_empty()).then(|| notes.join("; ")),
            ordered,
            event,
        }
    }

    /// Which scopes demand what, and which downstreams can do any of it. What a downstream cannot do is replaced by its `else`
    /// or skipped and noted; never by something stronger that nobody asked for.
    fn order(&self, actions: &[policy::Ordered], notes: &mut Vec<String>) -> Option<Ordered> {
        let mut scopes: BTreeMap<String, BTreeSet<Action>> = BTreeMap::new();
        let mut downstreams: BTreeSet<String> = BTreeSet::new();
        for order in actions {
            let scope_names = order.downstreams.clone().unwrap_or_else(|| vec![EVERYWHERE.to_owned()]);
            for scope in scope_names {
                scopes.entry(scope).or_default().insert(order.action);
            }
            for (name, target) in &self.targets {
                if order.downstreams.as_ref().is_some_and(|names| !names.contains(name)) {
                    continue;
                }
                if target.can(order.action) {
                    downstreams.insert(name.clone());
                    continue;
                }
                let instead: Vec<Action> = order.otherwise.iter().copied().filter(|a| target.can(*a)).collect();
                if instead.is_empty() {
                    notes.push(format!("{} is unsupported by {name}", order.action));
                } else {
                    scopes.entry(name.clone()).or_default().extend(instead);
                    downstreams.insert(name.clone());
                }
            }
        }
        let is_cutoff =
            |a: &Action| matches!(a, Action::RevokeSessions | Action::RevokeRefresh | Action::Recheck | Action::Lock);
        let scopes: Vec<(String, Vec<Action>)> = scopes
            .into_iter()
            .map(|(scope, actions)| (scope, actions.into_iter().filter(is_cutoff).collect::<Vec<_>>()))
            .filter(|(_, actions)| !actions.is_empty())
            .collect();
        // Locks of several rules last as long as the longest.
        let locks = actions.iter().filter(|o| o.action == Action::Lock || o.otherwise.contains(&Action::Lock));
        let lock_for = locks.map(|order| order.lock_for.unwrap_or(policy::LOCK)).max();
        (!scopes.is_empty()).then(|| Ordered { scopes, downstreams: downstreams.into_iter().collect(), lock_for })
    }

    fn is_break_glass(&self, identity: &IdentityView) -> bool {
        let names = [identity.profile.user_name.as_deref(), identity.profile.email.as_deref()];
        names.into_iter().flatten().any(|name| self.break_glass.iter().any(|b| b.to_lowercase() == name.to_lowercase()))
    }
}
