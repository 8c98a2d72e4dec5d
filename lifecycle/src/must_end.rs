//! Which of the sessions found must end. One pure function, so that every store is judged alike.

use chrono::{DateTime, Duration, Utc};

use crate::cutoff::Cutoff;

/// One session, as far as the decision needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// When its user logged in, where the store knows.
    pub auth_time: Option<DateTime<Utc>>,
    /// Whether an earlier pass ended this very session id.
    pub ended_before: bool,
}

/// Why the store is being looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// The first pass of a revocation that waits.
    First,
    /// Looking again, or at a cutoff that no revocation waits for (a reinstatement).
    Sweep,
}

/// Whether `found` must end under `cutoff`.
///
/// | subject | store knows the login time | store does not |
/// |---|---|---|
/// | disabled or locked | every session | every session |
/// | neither, `sessions_before` set | `auth_time ≤ sessions_before + skew` | first pass: all found; sweeps: only ids already ended |
/// | reinstated after the suspension was delivered | as above | sweeps: only ids already ended |
/// | reinstated before it was delivered | as above | the overdue first pass still runs: fail closed |
pub fn must_end(found: &Found, cutoff: &Cutoff, look: Look, skew: Duration, now: DateTime<Utc>) -> bool {
    if cutoff.disabled() || cutoff.locked(now) {
        return true;
    }
    let Some(before) = cutoff.sessions_before else { return false };
    match (found.auth_time, look) {
        (Some(auth_time), _) => auth_time <= before + skew,
        (None, Look::First) => true,
        (None, Look::Sweep) => found.ended_before,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cutoff::{Lock, StateMark};

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + Duration::seconds(second)
    }

    #[test]
    fn must_end_follows_its_table() {
        let (skew, now) = (Duration::seconds(1), at(200));
        let revoked = Cutoff { sessions_before: Some(at(100)), ..Cutoff::default() };
        let disabled = Cutoff { state: Some(StateMark { version: 3, disabled: true }), ..revoked };
        let reinstated = Cutoff { state: Some(StateMark { version: 4, disabled: false }), ..revoked };
        let locked = Cutoff { lock: Some(Lock { at: at(100), until: Some(at(300)) }), ..Cutoff::default() };
        let lock_over = Cutoff { lock: Some(Lock { at: at(100), until: Some(at(150)) }), ..Cutoff::default() };
        let unlocked = Cutoff { lock: Some(Lock { at: at(110), until: None }), ..Cutoff::default() };
        let (old, edge, new) = (Some(at(90)), Some(at(101)), Some(at(102)));
        use Look::*;
        for (cutoff, auth_time, ended_before, look, expected, why) in [
            (disabled, new, false, Sweep, true, "disabled: every session"),
            (disabled, None, false, Sweep, true, "disabled: every session, login time unknown"),
            (locked, new, false, Sweep, true, "locked: every session"),
            (lock_over, None, true, Sweep, false, "a lock that is over demands nothing"),
            (unlocked, None, false, First, false, "an unlock demands nothing"),
            (revoked, old, false, First, true, "older than the cutoff"),
            (revoked, edge, false, First, true, "within the skew"),
            (revoked, new, false, First, false, "logged in after the cutoff"),
            (revoked, new, true, Sweep, false, "a new login under an id that was ended before"),
            (revoked, old, false, Sweep, true, "an old session that a sweep finds"),
            (revoked, None, false, First, true, "login time unknown: all at the first pass"),
            (revoked, None, false, Sweep, false, "login time unknown: a sweep leaves what may be new"),
            (revoked, None, true, Sweep, true, "an ended session came back"),
            (reinstated, None, false, Sweep, false, "reinstated: a new login lives"),
            (reinstated, None, true, Sweep, true, "reinstated: the old one stays dead"),
            (reinstated, new, false, Sweep, false, "reinstated: a new login lives, by its login time"),
            (reinstated, old, false, Sweep, true, "reinstated: an old one ends, by its login time"),
            (reinstated, None, false, First, true, "reinstated before the first pass: fail closed"),
            (Cutoff::default(), None, true, First, false, "no cutoff demands nothing"),
        ] {
            let found = Found { auth_time, ended_before };
            assert_eq!(must_end(&found, &cutoff, look, skew, now), expected, "{why}");
        }
    }
}
