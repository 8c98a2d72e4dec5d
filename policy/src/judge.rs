//! A policy where it applies: what an event comes to at the downstreams that there are, and whom it spares.
//!
//! What decides live, what replays history and what runs in the shadow is this code.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lifecycle::{Action, Context, EventType, IdentityView};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::brake::{Braked, Braking, Sorted};
use crate::decide::{Decision, Ordered, join, orders};
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
    /// All that the rules order, as if no brake held.
    pub effect: Effect,
    /// How that is split, where rules with a brake have a part in it that others do not order anyway.
    pub braking: Option<Braking>,
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
    /// How long sessions may still live, where they are shortened: no longer than the shortest of several.
    pub shorten_to: Option<Duration>,
    /// (downstream, action) replaced by its `else`.
    pub replaced: BTreeSet<(String, Action)>,
    /// (action, downstream) that can be neither done nor replaced, in the order in which they were asked for; without those of which
    /// nobody expects it ([`concerns`]).
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
        let braking = self.braking(event, &decision);
        let spared = effect.ends() && context.identity.as_ref().is_some_and(|identity| self.spares(identity));
        Ruling { decision, effect, braking, spared }
    }

    /// A decision that was made before, and whether something was ended by it, as if it were made where we are now.
    pub fn recall(&self, decision: Decision, ended: bool) -> Ruling {
        let effect = self.effect(&decision.actions);
        Ruling { spared: effect.ends() && !ended, decision, effect, braking: None }
    }

    /// What the brakes of the rules that matched are asked about.
    fn braking(&self, event: EventType, decision: &Decision) -> Option<Braking> {
        let Sorted { braked, free: others } = self.policy.braked(event, &decision.rules)?;
        let mut unbraked = Vec::new();
        others.into_iter().flat_map(orders).for_each(|order| join(&mut unbraked, order));
        let free = self.effect(&unbraked);
        let parts = braked.into_iter().map(|(rule, brake)| Braked {
            rule: rule.name.clone(),
            brake,
            effect: self.effect(&orders(rule).collect::<Vec<_>>()),
        });
        let parts: Vec<Braked> = parts.filter(|part| part.effect.acts() && !free.covers(&part.effect)).collect();
        if parts.is_empty() { None } else { Some(Braking { free, parts }) }
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
            let somewhere = self.abilities.values().any(|able| able.contains(&order.action));
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
                    if order.downstreams.is_some() || concerns(order.action, able, somewhere) {
                        effect.unsupported.push((order.action, name.clone()));
                    }
                } else {
                    carries_out(&instead);
                    scopes.entry(Some(name.clone())).or_default().extend(instead);
                    effect.replaced.insert((name.clone(), order.action));
                }
            }
        }
        scopes.values_mut().for_each(|actions| actions.retain(|action| action.is_cutoff()));
        scopes.retain(|_, actions| !actions.is_empty());
        effect.scopes = scopes;
        effect.without_what_ends_at_once();
        let locks = orders.iter().filter(|o| o.action == Action::Lock || o.otherwise.contains(&Action::Lock));
        effect.lock_for = locks.map(|order| order.lock_for.unwrap_or(crate::LOCK)).max();
        if effect.shortens() {
            let asked = |o: &&Ordered| o.action == Action::ShortenTtl || o.otherwise.contains(&Action::ShortenTtl);
            let left = orders.iter().filter(asked).map(|order| order.shorten_to.unwrap_or(crate::SHORTENED));
            effect.shorten_to = left.min();
        }
        effect
    }

    /// The downstreams that can do any of these, with what of it: of all, or of these.
    pub fn able(&self, actions: &[Action], among: Option<&[String]>) -> BTreeMap<String, Vec<Action>> {
        let concerned = self.abilities.iter().filter(|(name, _)| among.is_none_or(|names| names.contains(name)));
        let able = concerned.map(|(name, able)| {
            (name.clone(), actions.iter().copied().filter(|action| able.contains(action)).collect::<Vec<_>>())
        });
        able.filter(|(_, able)| !able.is_empty()).collect()
    }

    /// Those whom `break_glass` names, in lower case.
    pub fn break_glass(&self) -> Vec<String> {
        self.break_glass.iter().cloned().collect()
    }

    fn spares(&self, identity: &IdentityView) -> bool {
        let names = [identity.profile.user_name.as_deref(), identity.profile.email.as_deref()];
        names.into_iter().flatten().any(|name| self.break_glass.contains(&name.to_lowercase()))
    }
}

/// Whether a rule that names no downstreams means one that can do just `able` when it orders `action`, which `somewhere` can be
/// done: where no session is kept there is none to end, and a signal is not missed at each store of sessions.
pub fn concerns(action: Action, able: &[Action], somewhere: bool) -> bool {
    if action.is_cutoff() { able.iter().any(|can| can.is_cutoff()) } else { !somewhere }
}

impl Effect {
    /// Whether anything ends by it: a cutoff is demanded, or credentials are revoked.
    pub fn ends(&self) -> bool {
        !self.scopes.is_empty() || self.downstreams.values().any(|actions| actions.contains(&Action::RevokeCredentials))
    }

    /// Whether it does anything, if only tell somebody.
    pub fn acts(&self) -> bool {
        self.ends() || self.downstreams.values().any(|actions| !actions.is_empty())
    }

    /// What is left of it for somebody who is spared: whoever is told of it is told all the same.
    #[must_use]
    pub fn spared(self) -> Self {
        let told = self.downstreams.into_iter().filter(|(_, actions)| actions.contains(&Action::Notify));
        let downstreams = told.map(|(name, _)| (name, BTreeSet::from([Action::Notify]))).collect();
        Self { downstreams, unsupported: self.unsupported, ..Self::default() }
    }

    fn shortens(&self) -> bool {
        self.scopes.values().any(|actions| actions.contains(&Action::ShortenTtl))
    }

    /// What ends at once has no life left that could be shortened.
    fn without_what_ends_at_once(&mut self) {
        let ends = |actions: &BTreeSet<Action>| actions.contains(&Action::RevokeSessions);
        let everywhere = self.scopes.get(&None).is_some_and(ends);
        for actions in self.scopes.values_mut().filter(|actions| everywhere || ends(actions)) {
            actions.remove(&Action::ShortenTtl);
        }
        self.scopes.retain(|_, actions| !actions.is_empty());
        for actions in self.downstreams.values_mut().filter(|actions| ends(actions)) {
            actions.remove(&Action::ShortenTtl);
        }
    }
}

impl Ruling {
    /// Whether anything ends by it.
    pub fn ends(&self) -> bool {
        self.effect.ends() && !self.spared
    }

    /// Where anything is done by it.
    pub fn places(&self) -> impl Iterator<Item = &String> {
        let done = |actions: &BTreeSet<Action>| !self.spared || actions.contains(&Action::Notify);
        self.effect.downstreams.iter().filter(move |(_, actions)| done(actions)).map(|(name, _)| name)
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
        let lasts = |ruling: &Ruling| (ruling.effect.lock_for, ruling.effect.shorten_to);
        if self.actions() != other.actions() || lasts(self) != lasts(other) {
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
