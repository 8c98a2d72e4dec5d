//! A policy where it applies: what an event comes to at the downstreams that there are, and whom it spares.
//!
//! What decides live, what replays history and what runs in the shadow is this code.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lifecycle::{Action, Context, EventType, IdentityView};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::decide::{Decision, Ordered};
use crate::policy::Policy;

/// A policy with what it depends on besides facts: what each downstream can do, and who is spared by name.
#[derive(Debug, Clone)]
pub struct Judge {
    policy: Arc<Policy>,
    digest: Arc<str>,
    /// By the name of the downstream.
    abilities: Arc<BTreeMap<String, Vec<Action>>>,
    /// In lower case.
    break_glass: Arc<BTreeSet<String>>,
}

/// What is to be done about one event.
#[derive(Debug, Clone, Default)]
pub struct Ruling {
    pub decision: Decision,
    pub effect: Effect,
    /// It would have ended something, had the person not been named in `break_glass`.
    pub spared: bool,
}

/// What orders come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effect {
    /// The cutoffs that are demanded: of one downstream, or under `None` of all that there are and will be.
    pub scopes: BTreeMap<Option<String>, BTreeSet<Action>>,
    /// What each downstream carries out, what it does instead included. Those that can do nothing of it are absent.
    pub downstreams: BTreeMap<String, BTreeSet<Action>>,
    /// How long a lock among them lasts: as long as the longest of several.
    pub lock_for: Option<Duration>,
    /// (downstream, action) replaced by its `else`.
    pub replaced: BTreeSet<(String, Action)>,
    /// (action, downstream) that can be neither done nor replaced, in the order in which they were asked for.
    pub unsupported: Vec<(Action, String)>,
}

/// How two rulings on one event differ. The first that fits, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// The second ends something, the first nothing.
    More,
    /// The first ends something, the second nothing.
    Fewer,
    OtherActions,
    /// The same actions, but not at the same places.
    OtherDownstreams,
}

impl Judge {
    /// `abilities` says what each downstream can do, by its name; `break_glass` are userNames and e-mail addresses.
    pub fn new(policy: Arc<Policy>, abilities: BTreeMap<String, Vec<Action>>, break_glass: &[String]) -> Self {
        let break_glass = break_glass.iter().map(|name| name.to_lowercase()).collect();
        Self {
            digest: policy.digest().into(),
            policy,
            abilities: Arc::new(abilities),
            break_glass: Arc::new(break_glass),
        }
    }

    /// The same downstreams and the same people spared, under another policy.
    #[must_use]
    pub fn under(&self, policy: Arc<Policy>) -> Self {
        Self { digest: policy.digest().into(), policy, ..self.clone() }
    }

    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// [`Policy::digest`] of the policy.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The names of the downstreams that there are.
    pub fn downstreams(&self) -> Vec<String> {
        self.abilities.keys().cloned().collect()
    }

    /// What this event comes to. `data` is the event's own; `changed` is taken from it.
    pub fn rule(&self, event: EventType, data: &Value, context: &Context) -> Ruling {
        let changed: Vec<String> = data
            .get("changed")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            .unwrap_or_default();
        let decision = self.policy.decide(event, &changed, data, context);
        let effect = self.effect(&decision.actions);
        let spared = effect.ends() && context.identity.as_ref().is_some_and(|identity| self.spares(identity));
        Ruling { decision, effect, spared }
    }

    /// A decision that was made before, and whether something was ended by it, as if it were made where we are now.
    pub fn recall(&self, decision: Decision, ended: bool) -> Ruling {
        let effect = self.effect(&decision.actions);
        Ruling { spared: effect.ends() && !ended, decision, effect }
    }

    /// Which scopes demand what, and which downstreams can do any of it. What a downstream cannot do is replaced by its `else`
    /// or skipped and noted; never by something stronger that nobody asked for.
    fn effect(&self, orders: &[Ordered]) -> Effect {
        let mut effect = Effect::default();
        let mut scopes: BTreeMap<Option<String>, BTreeSet<Action>> = BTreeMap::new();
        for order in orders {
            let scope_names =
                order.downstreams.clone().map_or_else(|| vec![None], |n| n.into_iter().map(Some).collect());
            for scope in scope_names {
                scopes.entry(scope).or_default().insert(order.action);
            }
            let concerned = |name: &String| order.downstreams.as_ref().is_none_or(|names| names.contains(name));
            for (name, able) in self.abilities.iter().filter(|(name, _)| concerned(name)) {
                let mut carries_out = |actions: &[Action]| {
                    effect.downstreams.entry(name.clone()).or_default().extend(actions);
                };
                if able.contains(&order.action) {
                    carries_out(&[order.action]);
                    continue;
                }
                let instead: Vec<Action> = order.otherwise.iter().copied().filter(|a| able.contains(a)).collect();
                if instead.is_empty() {
                    effect.unsupported.push((order.action, name.clone()));
                } else {
                    carries_out(&instead);
                    scopes.entry(Some(name.clone())).or_default().extend(instead);
                    effect.replaced.insert((name.clone(), order.action));
                }
            }
        }
        let is_cutoff =
            |a: &Action| matches!(a, Action::RevokeSessions | Action::RevokeRefresh | Action::Recheck | Action::Lock);
        scopes.values_mut().for_each(|actions| actions.retain(is_cutoff));
        scopes.retain(|_, actions| !actions.is_empty());
        effect.scopes = scopes;
        let locks = orders.iter().filter(|o| o.action == Action::Lock || o.otherwise.contains(&Action::Lock));
        effect.lock_for = locks.map(|order| order.lock_for.unwrap_or(crate::LOCK)).max();
        effect
    }

    fn spares(&self, identity: &IdentityView) -> bool {
        let names = [identity.profile.user_name.as_deref(), identity.profile.email.as_deref()];
        names.into_iter().flatten().any(|name| self.break_glass.contains(&name.to_lowercase()))
    }
}

impl Effect {
    /// Whether any cutoff is demanded.
    pub fn ends(&self) -> bool {
        !self.scopes.is_empty()
    }
}

impl Ruling {
    /// Whether anything ends by it.
    pub fn ends(&self) -> bool {
        self.effect.ends() && !self.spared
    }

    /// How `other` differs from this one in what it does; the names of the rules do not matter.
    pub fn differs(&self, other: &Ruling) -> Option<Difference> {
        match (self.ends(), other.ends()) {
            (false, true) => return Some(Difference::More),
            (true, false) => return Some(Difference::Fewer),
            // Whatever was ordered, nothing came of it.
            (false, false) if self.spared || other.spared => return None,
            _ => {}
        }
        if self.actions() != other.actions() || self.effect.lock_for != other.effect.lock_for {
            return Some(Difference::OtherActions);
        }
        let places = |ruling: &Ruling| (ruling.effect.scopes.clone(), ruling.effect.downstreams.clone());
        (places(self) != places(other)).then_some(Difference::OtherDownstreams)
    }

    /// Everything that is ordered or done instead, each once.
    pub fn actions(&self) -> BTreeSet<Action> {
        let ordered = self.decision.actions.iter().map(|order| order.action);
        ordered.chain(self.effect.scopes.values().flatten().copied()).collect()
    }
}

impl Difference {
    pub const ALL: [Difference; 4] =
        [Difference::More, Difference::Fewer, Difference::OtherActions, Difference::OtherDownstreams];

    /// The word used in JSON and as a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Difference::More => "more",
            Difference::Fewer => "fewer",
            Difference::OtherActions => "other_actions",
            Difference::OtherDownstreams => "other_downstreams",
        }
    }
}
