//! Which of the sessions found must end. One pure function, so that every store is judged alike.

use chrono::{DateTime, Duration, Utc};

use crate::cutoff::Cutoff;

/// What a session is, and so which instant of the cutoff it is measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionKind {
    /// A person at a browser: `sessions_before`.
    Session,
    /// What new access is obtained with while nobody is there, such as an offline session: `refresh_before`.
    Refresh,
}

/// One session, as far as the decision needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    pub kind: SessionKind,
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

/// Whether `found` must end under `cutoff`. `before` is the instant for its kind; one that was never asked for spares the kind.
///
/// | subject | store knows the login time | store does not |
/// |---|---|---|
/// | locked | every session | every session |
/// | disabled | every session; of the kind refresh if `before` is set | the same |
/// | neither, `before` set | `auth_time ≤ before + skew` | first pass: all found; sweeps: only ids already ended |
/// | reinstated after the suspension was delivered | as above | sweeps: only ids already ended |
/// | reinstated before it was delivered | as above | the overdue first pass still runs: fail closed |
pub fn must_end(found: &Found, cutoff: &Cutoff, look: Look, skew: Duration, now: DateTime<Utc>) -> bool {
    let before = match found.kind {
        SessionKind::Session => cutoff.sessions_before,
        SessionKind::Refresh => cutoff.refresh_before,
    };
    // Only ending sessions disables, so that alone says nothing yet of what refreshes.
    let disabled = cutoff.disabled() && (found.kind == SessionKind::Session || before.is_some());
    if disabled || cutoff.locked(now) {
        return true;
    }
    let Some(before) = before else { return false };
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
            let found = Found { kind: SessionKind::Session, auth_time, ended_before };
            assert_eq!(must_end(&found, &cutoff, look, skew, now), expected, "{why}");
        }
    }

    #[test]
    fn what_refreshes_is_measured_by_its_own_instant() {
        let (skew, now) = (Duration::seconds(1), at(200));
        let sessions = Cutoff { sessions_before: Some(at(150)), ..Cutoff::default() };
        let refresh = Cutoff { refresh_before: Some(at(100)), ..Cutoff::default() };
        let both = sessions.join(&refresh);
        let disabled = |cutoff: Cutoff| Cutoff { state: Some(StateMark { version: 3, disabled: true }), ..cutoff };
        let reinstated = Cutoff { state: Some(StateMark { version: 4, disabled: false }), ..both };
        let locked = Cutoff { lock: Some(Lock { at: at(100), until: Some(at(300)) }), ..Cutoff::default() };
        let (old, between, new) = (Some(at(90)), Some(at(120)), Some(at(160)));
        use {Look::*, SessionKind::*};
        for (kind, cutoff, auth_time, ended_before, look, expected, why) in [
            (Refresh, sessions, old, false, First, false, "revoke_sessions alone leaves what refreshes"),
            (Refresh, sessions, None, true, First, false, "and so without login times"),
            (Session, refresh, old, false, First, false, "revoke_refresh alone leaves sessions"),
            (Refresh, refresh, old, false, First, true, "older than its cutoff"),
            (Refresh, both, between, false, First, false, "begun after its own cutoff, before the other"),
            (Session, both, between, false, First, true, "the same as a session"),
            (Refresh, both, None, false, First, true, "login time unknown: all at the first pass"),
            (Refresh, both, None, false, Sweep, false, "login time unknown: a sweep leaves what may be new"),
            (Refresh, disabled(sessions), old, false, Sweep, false, "disabled by revoke_sessions alone"),
            (Session, disabled(sessions), new, false, Sweep, true, "whose sessions all end"),
            (Refresh, disabled(both), new, false, Sweep, true, "disabled, and both were asked for"),
            (Refresh, reinstated, old, false, Sweep, true, "reinstated: an old one ends"),
            (Refresh, reinstated, new, false, Sweep, false, "reinstated: a new one lives"),
            (Refresh, locked, new, false, Sweep, true, "locked: everything"),
        ] {
            let found = Found { kind, auth_time, ended_before };
            assert_eq!(must_end(&found, &cutoff, look, skew, now), expected, "{why}");
        }
    }
}
