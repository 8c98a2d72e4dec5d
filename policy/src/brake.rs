//! A brake on a rule: how much it may order within a window before the rest waits for a person. What it counts and holds is
//! split from the rest here, purely; who counts is the database.

use std::time::Duration;

use lifecycle::EventType;

use crate::document::{Reader, seconds};
use crate::judge::Effect;
use crate::policy::{Policy, Rule};
use crate::yaml::Node;

/// At most so many orders of a rule in each window; windows begin at whole multiples of their length since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brake {
    pub count: u64,
    pub window: Duration,
}

/// What one event comes to where rules with a brake match it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Braking {
    /// What is ordered whatever the brakes say.
    pub free: Effect,
    /// What each rule with a brake adds to that, by its own.
    pub parts: Vec<Braked>,
}

/// What a rule with a brake orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Braked {
    pub rule: String,
    pub brake: Brake,
    pub effect: Effect,
}

/// A window that is longer would hold back for longer than a person should have to remember it.
const LONGEST_WINDOW: u64 = 3_600;
const FIELDS: &[&str] = &["count", "window"];

impl Brake {
    /// When the window of an instant began; both in seconds since 1970.
    pub fn window_of(&self, instant: i64) -> i64 {
        let length = i64::try_from(self.window.as_secs()).unwrap_or(i64::MAX).max(1);
        instant.div_euclid(length) * length
    }

    pub(crate) fn read(reader: &mut Reader<'_>, node: &Node, label: &str, on: &[EventType]) -> Option<Self> {
        let fields = reader.fields(node, &format!("{label}: `brake`"), FIELDS)?;
        if !on.is_empty() && on.iter().all(|event| event.ends_access()) {
            let message =
                format!("{label}: `brake` would never hold anything: who is suspended or departs is never held");
            reader.report(node.place, message);
        }
        let count = match fields.get("count") {
            Some(node) => {
                let count = node.text().and_then(|text| text.parse().ok());
                if count.is_none() {
                    reader.report(node.place, format!("{label}: `count` is a whole number, 0 to hold everything"));
                }
                count
            }
            None => {
                reader.missing(node.place, &format!("{label}: `brake`"), "count");
                None
            }
        };
        let window = match fields.get("window") {
            Some(node) => {
                let window = node.text().and_then(seconds).filter(|lasts| (1..=LONGEST_WINDOW).contains(lasts));
                if window.is_none() {
                    let message =
                        format!("{label}: `window` is a number and a unit, such as 60s or 5m, an hour at most");
                    reader.report(node.place, message);
                }
                window
            }
            None => {
                reader.missing(node.place, &format!("{label}: `brake`"), "window");
                None
            }
        };
        Some(Self { count: count?, window: Duration::from_secs(window?) })
    }
}

/// Rules that matched an event.
pub(crate) struct Sorted<'a> {
    pub braked: Vec<(&'a Rule, Brake)>,
    pub free: Vec<&'a Rule>,
}

impl Policy {
    /// Of the rules that matched an event, those whose brake is asked, and the others. Nothing that ends access is ever held: the
    /// brake of its source has weighed that already, and who has left is out at once.
    pub(crate) fn braked(&self, event: EventType, matched: &[String]) -> Option<Sorted<'_>> {
        if event.ends_access() {
            return None;
        }
        let (mut braked, mut free) = (Vec::new(), Vec::new());
        for rule in self.rules().iter().filter(|rule| matched.contains(&rule.name)) {
            match rule.brake {
                Some(brake) => braked.push((rule, brake)),
                None => free.push(rule),
            }
        }
        if braked.is_empty() { None } else { Some(Sorted { braked, free }) }
    }
}

impl Effect {
    /// Whether everything that `other` demands is demanded here as well.
    pub(crate) fn covers(&self, other: &Effect) -> bool {
        let at = |scope: &Option<String>, action| {
            let here = |scope: &Option<String>| self.scopes.get(scope).is_some_and(|actions| actions.contains(action));
            here(scope) || here(&None)
        };
        let demanded = other.scopes.iter().all(|(scope, actions)| actions.iter().all(|action| at(scope, action)));
        let carried = |(name, actions): (&String, &std::collections::BTreeSet<_>)| {
            self.downstreams.get(name).is_some_and(|here| actions.is_subset(here))
        };
        let sooner = other.shorten_to.is_none_or(|theirs| self.shorten_to.is_some_and(|ours| ours <= theirs));
        demanded && other.downstreams.iter().all(carried) && self.lock_for >= other.lock_for && sooner
    }
}
