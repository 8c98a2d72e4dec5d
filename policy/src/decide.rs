//! What a policy makes of one event.

use std::time::Duration;

use lifecycle::{Action, Context, EventType};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::EvaluationError;
use crate::facts::{Facts, Happening};
use crate::policy::{Policy, Rule};

/// The answer of a policy to one event. It is stored, so that a redelivered event is answered alike, whatever the policy is then.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Names of the rules that matched, in their order.
    pub rules: Vec<String>,
    /// What is to be done, in the order of the rules.
    pub actions: Vec<Ordered>,
    /// Rules that could not be decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<RuleError>,
}

/// An action that a rule ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ordered {
    /// The first rule that ordered it.
    pub rule: String,
    pub action: Action,
    /// Where; `None` is everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downstreams: Option<Vec<String>>,
    /// What to do where the action is unsupported; empty is nothing.
    #[serde(default, rename = "else", skip_serializing_if = "Vec::is_empty")]
    pub otherwise: Vec<Action>,
    /// How long, of a lock.
    #[serde(default, rename = "lock_for_ms", skip_serializing_if = "Option::is_none", with = "milliseconds")]
    pub lock_for: Option<Duration>,
    /// How long sessions may still live, where they are shortened.
    #[serde(default, rename = "shorten_to_ms", skip_serializing_if = "Option::is_none", with = "milliseconds")]
    pub shorten_to: Option<Duration>,
}

/// A rule whose `when` has no result for the facts at hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleError {
    pub rule: String,
    /// Whether the rule was counted as matched.
    pub matched: bool,
    pub error: EvaluationError,
}

impl Policy {
    /// What this event obliges us to do. `changed` and `data` are `event.changed` and `event.data` in expressions.
    ///
    /// A rule whose `when` cannot be evaluated fails closed: it counts as matched if all that it may order, `else` included,
    /// is `revoke_sessions`, `revoke_refresh` and `shorten_ttl`, since a session ended for nothing costs a login and one kept for
    /// nothing may cost the company. Everything else does harm or lasts when it is done for nothing (`lock`, `revoke_credentials`), or
    /// saves nobody (`notify`); such a rule does not match. Either way [`Decision::errors`] says so.
    pub fn decide(&self, event: EventType, changed: &[String], data: &Value, context: &Context) -> Decision {
        let facts = Facts {
            happening: Some(Happening { event, changed, data }),
            identity: context.identity.as_ref(),
            group: context.group.as_ref(),
            credential: context.credential.as_ref(),
            ..Facts::default()
        };
        let mut decision = Decision::default();
        for rule in self.rules().iter().filter(|rule| rule.on.contains(&event)) {
            let matched = rule.condition.as_ref().map_or(Ok(true), |condition| condition.holds(&facts));
            let matched = matched.unwrap_or_else(|error| {
                let matched = rule.fails_closed();
                decision.errors.push(RuleError { rule: rule.name.clone(), matched, error });
                matched
            });
            if matched {
                decision.rules.push(rule.name.clone());
                orders(rule).for_each(|order| join(&mut decision.actions, order));
            }
        }
        decision
    }
}

impl Rule {
    /// Whether the rule counts as matched when nobody can say.
    pub(crate) fn fails_closed(&self) -> bool {
        let ends_only =
            |action: &Action| matches!(action, Action::RevokeSessions | Action::RevokeRefresh | Action::ShortenTtl);
        self.actions.iter().chain(&self.otherwise).all(ends_only)
    }
}

pub(crate) fn orders(rule: &Rule) -> impl Iterator<Item = Ordered> {
    let may_be = |action: Action, wanted| action == wanted || rule.otherwise.contains(&wanted);
    rule.actions.iter().map(move |action| Ordered {
        rule: rule.name.clone(),
        action: *action,
        downstreams: rule.downstreams.clone(),
        otherwise: rule.otherwise.iter().copied().filter(|other| other != action).collect(),
        lock_for: rule.lock_for.filter(|_| may_be(*action, Action::Lock)),
        shorten_to: rule.shorten_to.filter(|_| may_be(*action, Action::ShortenTtl)),
    })
}

/// A duration as JSON has it.
mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(lasts: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        lasts.map(|lasts| lasts.as_millis() as u64).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_millis))
    }
}

/// Adds an order, into one of the same action where that means the same: the same `else` in more downstreams, or more `else` in
/// the same downstreams. Two orders that differ in both stay two, or an `else` would spread to downstreams it was not meant for.
pub(crate) fn join(orders: &mut Vec<Ordered>, new: Ordered) {
    let same = |order: &&mut Ordered| {
        (order.action, order.lock_for, order.shorten_to) == (new.action, new.lock_for, new.shorten_to)
    };
    for order in orders.iter_mut().filter(same) {
        if order.otherwise == new.otherwise {
            order.downstreams = match (order.downstreams.take(), new.downstreams) {
                (Some(these), Some(those)) => Some(union(these, those)),
                _ => None,
            };
            return;
        }
        if order.downstreams == new.downstreams {
            order.otherwise = union(std::mem::take(&mut order.otherwise), new.otherwise);
            return;
        }
    }
    orders.push(new);
}

/// Both lists as one in order, each item once.
fn union<T: Ord>(mut these: Vec<T>, those: Vec<T>) -> Vec<T> {
    these.extend(those);
    these.sort_unstable();
    these.dedup();
    these
}
