//! The brake: arithmetic that decides whether the dangerous class of a plan is held for a person.

use serde::{Deserialize, Serialize};

/// What a plan would do, by class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Counts {
    pub create: u64,
    pub update: u64,
    pub disable: u64,
    pub delete: u64,
    pub member_remove: u64,
    pub privileged_loss: u64,
}

impl Counts {
    /// Changes that end somebody's access or membership of a privileged group.
    pub fn dangerous(&self) -> u64 {
        self.disable + self.delete + self.privileged_loss
    }
}

/// The bound of a scope: the larger of an absolute count and a share of its active identities.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// 0.05 = 5 %.
    pub max_disable: f64,
    pub min: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_disable: 0.05, min: 20 }
    }
}

impl Limits {
    pub fn bound(&self, active: u64) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "head counts are far below 2^52 and shares are positive"
        )]
        let share = (active as f64 * self.max_disable).floor() as u64;
        self.min.max(share)
    }
}

/// The bounds of a run, by class.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Bounds {
    /// Of all that has no bound of its own.
    pub limits: Limits,
    /// Of accounts that are gone for good. Absent: they count with those that are disabled.
    pub delete: Option<Limits>,
    /// Of lost privileged groups.
    pub privileged_loss: Option<Limits>,
}

/// What the brake knows of a completed run.
#[derive(Debug, Clone, Copy)]
pub struct Evidence {
    pub counts: Counts,
    /// Active identities in the scope before the run.
    pub active: u64,
    pub rows: u64,
    /// Rows of the last complete run whose plan was applied.
    pub rows_before: Option<u64>,
    pub fingerprint_changed: bool,
    /// The scope's first complete run.
    pub baseline: bool,
}

/// Why a plan is held; each renders as a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    TooMany {
        would_end: u64,
        bound: u64,
        active: u64,
        min: u64,
    },
    /// Deletions have a bound of their own.
    TooManyDeleted {
        would_end: u64,
        bound: u64,
        active: u64,
        min: u64,
    },
    PrivilegedLoss {
        would_lose: u64,
        bound: u64,
    },
    RowsFell {
        before: u64,
        now: u64,
        bound: u64,
    },
    FingerprintChanged,
    Baseline {
        would_end: u64,
    },
    Burst {
        count: u64,
        window_ms: u64,
        waiting: u64,
    },
    /// The scope is one group; `group` is its name.
    MembersLost {
        group: String,
        would_lose: u64,
        members: u64,
        bound: u64,
        min: u64,
    },
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reason::TooMany { would_end, bound, active, min } => {
                write!(f, "{would_end} would be disabled; the brake holds above {bound} ({active} active, min {min})")
            }
            Reason::TooManyDeleted { would_end, bound, active, min } => {
                write!(f, "{would_end} would be deleted; the brake holds above {bound} ({active} active, min {min})")
            }
            Reason::PrivilegedLoss { would_lose, bound } => {
                write!(f, "{would_lose} would lose a privileged group; the brake holds above {bound}")
            }
            Reason::RowsFell { before, now, bound } => {
                write!(
                    f,
                    "rows fell from {before} to {now} since the last complete applied run; the brake holds above a drop of {bound}"
                )
            }
            Reason::FingerprintChanged => {
                f.write_str("the source's configuration changed, so what is missing may never have been asked for")
            }
            Reason::Burst { count, window_ms, waiting } => {
                let seconds = window_ms / 1_000;
                write!(f, "{waiting} pushed deactivations wait: more than {count} came within {seconds} s")
            }
            Reason::MembersLost { group, would_lose, members, bound, min } => {
                write!(
                    f,
                    "{would_lose} of {members} members would lose the group {group}; the brake holds above {bound} (min {min})"
                )
            }
            Reason::Baseline { would_end } => {
                write!(f, "the first complete run would end access of {would_end} whom another source already brought")
            }
        }
    }
}

/// The reasons to hold; empty: apply. Without dangerous changes there is nothing to hold.
pub fn evaluate(bounds: &Bounds, evidence: &Evidence) -> Vec<Reason> {
    let Evidence { counts, active, rows, rows_before, fingerprint_changed, baseline } = *evidence;
    let Bounds { limits, delete, privileged_loss } = *bounds;
    let bound = limits.bound(active);
    let mut reasons = Vec::new();
    if counts.dangerous() == 0 {
        return reasons;
    }
    let would_end = counts.disable + counts.delete;
    if baseline {
        reasons.push(Reason::Baseline { would_end });
    }
    let together = if delete.is_some() { counts.disable } else { would_end };
    if together > bound {
        reasons.push(Reason::TooMany { would_end: together, bound, active, min: limits.min });
    }
    if let Some(delete) = delete {
        let bound = delete.bound(active);
        if counts.delete > bound {
            reasons.push(Reason::TooManyDeleted { would_end: counts.delete, bound, active, min: delete.min });
        }
    }
    let of_privileged = privileged_loss.unwrap_or(limits).bound(active);
    if counts.privileged_loss > of_privileged {
        reasons.push(Reason::PrivilegedLoss { would_lose: counts.privileged_loss, bound: of_privileged });
    }
    if let Some(before) = rows_before.filter(|before| before.saturating_sub(rows) > bound) {
        reasons.push(Reason::RowsFell { before, now: rows, bound });
    }
    if fingerprint_changed {
        reasons.push(Reason::FingerprintChanged);
    }
    reasons
}

#[cfg(test)]
mod tests {
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    fn evidence(disable: u64, active: u64, rows: u64, rows_before: Option<u64>) -> Evidence {
        Evidence {
            counts: Counts { disable, ..Counts::default() },
            active,
            rows,
            rows_before,
            fingerprint_changed: false,
            baseline: false,
        }
    }

    #[test]
    fn the_brake_holds_above_the_larger_of_min_and_share() {
        let bounds = Bounds::default();
        assert!(evaluate(&bounds, &evidence(20, 100, 100, Some(100))).is_empty(), "20 of 100: min is 20");
        assert_eq!(evaluate(&bounds, &evidence(21, 100, 100, Some(100))).len(), 1);
        assert!(evaluate(&bounds, &evidence(65, 1304, 1304, Some(1304))).is_empty(), "5 % of 1304 is 65");
        assert_eq!(evaluate(&bounds, &evidence(66, 1304, 1304, Some(1304))).len(), 1);
    }

    #[test]
    fn a_fallen_row_count_or_a_changed_fingerprint_holds_even_one() {
        let bounds = Bounds::default();
        assert_eq!(
            evaluate(&bounds, &evidence(1, 100, 50, Some(100))),
            [Reason::RowsFell { before: 100, now: 50, bound: 20 }]
        );
        let changed = Evidence { fingerprint_changed: true, ..evidence(1, 100, 100, Some(100)) };
        assert_eq!(evaluate(&bounds, &changed), [Reason::FingerprintChanged]);
        let first = Evidence { baseline: true, ..evidence(1, 100, 100, None) };
        assert_eq!(evaluate(&bounds, &first), [Reason::Baseline { would_end: 1 }]);
        assert!(evaluate(&bounds, &evidence(0, 100, 10, Some(100))).is_empty(), "nothing dangerous, nothing held");
    }

    #[test]
    fn a_class_with_a_bound_of_its_own_is_judged_by_it_alone() {
        let one = Limits { max_disable: 0.0, min: 1 };
        let bounds = Bounds { delete: Some(one), privileged_loss: Some(one), ..Bounds::default() };
        let counts = |disable, delete, privileged_loss| Evidence {
            counts: Counts { disable, delete, privileged_loss, ..Counts::default() },
            ..evidence(0, 100, 100, Some(100))
        };
        assert!(evaluate(&bounds, &counts(20, 1, 1)).is_empty());
        assert_eq!(
            evaluate(&bounds, &counts(20, 2, 0)),
            [Reason::TooManyDeleted { would_end: 2, bound: 1, active: 100, min: 1 }]
        );
        assert_eq!(evaluate(&bounds, &counts(0, 0, 2)), [Reason::PrivilegedLoss { would_lose: 2, bound: 1 }]);
        assert_eq!(evaluate(&Bounds::default(), &counts(19, 2, 0)).len(), 1, "without one they count together");
    }

    fn some_limits() -> impl Strategy<Value = Limits> {
        (0.0..=1.0, 0..50_u64).prop_map(|(max_disable, min)| Limits { max_disable, min })
    }

    fn some_bounds() -> impl Strategy<Value = Bounds> {
        (some_limits(), option::of(some_limits()), option::of(some_limits()))
            .prop_map(|(limits, delete, privileged_loss)| Bounds { limits, delete, privileged_loss })
    }

    proptest! {
        #[test]
        fn more_danger_never_lets_through_what_less_would_hold(
            bounds in some_bounds(),
            less in (0..200_u64, 0..200_u64, 0..200_u64),
            more in (0..50_u64, 0..50_u64, 0..50_u64),
            (active, rows, fewer) in (0..2_000_u64, 0..2_000_u64, 0..2_000_u64),
            rows_before in option::of(0..2_000_u64),
            (fingerprint_changed, baseline) in (any::<bool>(), any::<bool>()),
        ) {
            let of = |(disable, delete, privileged_loss), rows| Evidence {
                counts: Counts { disable, delete, privileged_loss, ..Counts::default() },
                active, rows, rows_before, fingerprint_changed, baseline,
            };
            if !evaluate(&bounds, &of(less, rows)).is_empty() {
                let worse = (less.0 + more.0, less.1 + more.1, less.2 + more.2);
                prop_assert!(!evaluate(&bounds, &of(worse, rows.saturating_sub(fewer))).is_empty());
            }
        }
    }
}
