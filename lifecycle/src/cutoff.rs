//! The cutoff: the monotone watermark that a revocation is. Joins commute, so duplicates, reordering and replay do no harm.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Whether the subject was disabled, at the identity version that said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateMark {
    pub version: i64,
    pub disabled: bool,
}

/// Every session is dead from `at` until `until`; an unlock is a later `at` without `until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    pub at: DateTime<Utc>,
    pub until: Option<DateTime<Utc>>,
}

/// What must have ended for one subject in one scope. An absent field joins as nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cutoff {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions_before: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_before: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recheck_before: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<StateMark>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<Lock>,
    #[serde(default)]
    pub generation: i64,
}

impl Cutoff {
    /// The least cutoff that demands what both demand: the maximum of each instant and of the generation, the state of the
    /// higher version, the lock of the later `at`. Equal keys fail closed (disabled wins, the longer lock wins).
    #[must_use]
    pub fn join(&self, other: &Cutoff) -> Cutoff {
        Cutoff {
            sessions_before: self.sessions_before.max(other.sessions_before),
            refresh_before: self.refresh_before.max(other.refresh_before),
            recheck_before: self.recheck_before.max(other.recheck_before),
            state: max_by(self.state, other.state, |s| (s.version, s.disabled)),
            lock: max_by(self.lock, other.lock, |l| (l.at, l.until)),
            generation: self.generation.max(other.generation),
        }
    }

    /// Whether this demands everything that `other` does.
    pub fn covers(&self, other: &Cutoff) -> bool {
        self.join(other) == *self
    }

    /// What of it no later event takes back: the instants only grow, whereas a person may be reinstated, and a lock end.
    #[must_use]
    pub fn lasting(&self) -> Cutoff {
        Cutoff { state: None, lock: None, ..*self }
    }

    pub fn disabled(&self) -> bool {
        self.state.is_some_and(|s| s.disabled)
    }

    pub fn locked(&self, now: DateTime<Utc>) -> bool {
        self.lock.is_some_and(|l| l.until.is_some_and(|until| until > now))
    }
}

fn max_by<T: Copy, K: Ord>(a: Option<T>, b: Option<T>, key: impl Fn(&T) -> K) -> Option<T> {
    match (a, b) {
        (Some(x), Some(y)) => Some(if key(&x) >= key(&y) { x } else { y }),
        (x, None) => x,
        (None, y) => y,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn instant() -> impl Strategy<Value = Option<DateTime<Utc>>> {
        prop::option::of((0i64..50).prop_map(|s| DateTime::UNIX_EPOCH + chrono::Duration::seconds(s)))
    }

    prop_compose! {
        fn cutoff()(
            sessions_before in instant(),
            refresh_before in instant(),
            recheck_before in instant(),
            state in prop::option::of((0i64..6, any::<bool>())),
            lock in prop::option::of((0i64..50, instant())),
            generation in 0i64..4,
        ) -> Cutoff {
            Cutoff {
                sessions_before, refresh_before, recheck_before, generation,
                state: state.map(|(version, disabled)| StateMark { version, disabled }),
                lock: lock.map(|(at, until)| Lock { at: DateTime::UNIX_EPOCH + chrono::Duration::seconds(at), until }),
            }
        }
    }

    proptest! {
        #[test]
        fn any_order_duplication_and_replay_of_cutoffs_joins_to_the_same(
            cutoffs in prop::collection::vec(cutoff(), 1..8),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 0..16),
        ) {
            let all = |list: &[Cutoff]| list.iter().fold(Cutoff::default(), |sum, c| sum.join(c));
            let expected = all(&cutoffs);
            let mut shuffled: Vec<Cutoff> = picks.iter().map(|i| cutoffs[i.index(cutoffs.len())]).collect();
            shuffled.extend(cutoffs.iter().rev());
            prop_assert_eq!(all(&shuffled), expected);
        }

        #[test]
        fn joining_is_associative_and_never_loses_a_demand(a in cutoff(), b in cutoff(), c in cutoff()) {
            prop_assert_eq!(a.join(&b).join(&c), a.join(&b.join(&c)));
            prop_assert!(a.join(&b).covers(&a) && a.join(&b).covers(&b));
        }

        #[test]
        fn a_cutoff_survives_being_stored(a in cutoff()) {
            let stored = serde_json::to_value(a).expect("plain data");
            prop_assert_eq!(serde_json::from_value::<Cutoff>(stored).expect("what was stored"), a);
        }
    }
}
