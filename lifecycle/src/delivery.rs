//! When a downstream is looked at again: after a failure, and after a pass that went well.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::cutoff::Cutoff;

/// How long to wait before try number `attempts + 1`, without jitter; retried for ever.
///
/// | failed tries | 1 | 2 | 3 | 4 | 5 | 6 | 7 | more |
/// |---|---|---|---|---|---|---|---|---|
/// | wait | 100 ms | 250 ms | 500 ms | 1 s | 2 s | 5 s | 10 s | 30 s |
pub fn retry_delay(attempts: u32) -> Duration {
    const TABLE: [u64; 7] = [100, 250, 500, 1_000, 2_000, 5_000, 10_000];
    let index = attempts.saturating_sub(1) as usize;
    Duration::from_millis(TABLE.get(index).copied().unwrap_or(30_000))
}

/// When to sweep next, `done` sweeps having run since the first pass at `applied_at`; `None`: never again.
///
/// A locked subject is swept at least every 30 s until the lock ends. After the configured series a disabled one is swept after
/// 10 minutes, one hour, then daily until no session from before the suspension can be alive.
pub fn next_sweep(
    sweeps: &[Duration],
    done: usize,
    applied_at: DateTime<Utc>,
    cutoff: &Cutoff,
    max_session_life: Duration,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let locked = lock_sweep(cutoff, now);
    if let Some(offset) = sweeps.get(done) {
        let scheduled = applied_at + *offset;
        return Some(locked.map_or(scheduled, |at| at.min(scheduled)));
    }
    if locked.is_some() || !cutoff.disabled() {
        return locked;
    }
    const HOUR: u64 = 3_600;
    let wait = match done - sweeps.len() {
        0 => Duration::from_secs(600),
        1 => Duration::from_secs(HOUR),
        _ => Duration::from_secs(24 * HOUR),
    };
    let last = cutoff.sessions_before.unwrap_or(applied_at) + max_session_life;
    Some(now + wait).filter(|at| *at <= last)
}

/// When somebody who is locked is looked at again: in 30 s, and a last time one second before the lock ends, so that no session
/// that began during it outlives it by much. `None`: nobody is locked, or that last look has been.
pub fn lock_sweep(cutoff: &Cutoff, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let until = cutoff.lock.filter(|_| cutoff.locked(now))?.until?;
    let (next, last) = (now + Duration::from_secs(30), until - Duration::from_secs(1));
    if next < last { Some(next) } else { Some(last).filter(|last| *last > now) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cutoff::{Lock, StateMark};

    #[test]
    fn sweeps_follow_the_series_then_the_lock_or_the_suspension() {
        let start = DateTime::UNIX_EPOCH;
        let series = [Duration::from_millis(200), Duration::from_secs(1)];
        let life = Duration::from_secs(2 * 86_400);
        let plain = Cutoff { sessions_before: Some(start), ..Cutoff::default() };
        let disabled = Cutoff { state: Some(StateMark { version: 2, disabled: true }), ..plain };
        let locked = Cutoff { lock: Some(Lock { at: start, until: Some(start + Duration::from_secs(60)) }), ..plain };
        let next = |done, cutoff, now_s: u64| {
            next_sweep(&series, done, start, cutoff, life, start + Duration::from_secs(now_s))
                .map(|at| (at - start).num_milliseconds())
        };
        assert_eq!(next(0, &plain, 0), Some(200));
        assert_eq!(next(1, &plain, 0), Some(1_000), "offsets count from the first pass");
        assert_eq!(next(2, &plain, 1), None, "a plain revocation is settled");
        assert_eq!(next(2, &disabled, 1), Some(601_000));
        assert_eq!(next(3, &disabled, 601), Some(4_201_000));
        assert_eq!(next(4, &disabled, 4_201), Some(90_601_000), "then daily");
        assert_eq!(next(5, &disabled, 90_601), None, "nothing from before can be alive");
        assert_eq!(next(2, &locked, 1), Some(31_000));
        assert_eq!(next(3, &locked, 31), Some(59_000), "a last time before the lock ends");
        assert_eq!(next(4, &locked, 59), None, "and not for ever");
        assert_eq!(next(3, &locked, 61), None, "the lock is over");
        let rare = [Duration::from_secs(50)];
        let first = next_sweep(&rare, 0, start, &locked, life, start).map(|at| (at - start).num_seconds());
        assert_eq!(first, Some(30), "a sweep of the series that is far away waits for the lock's");
        let unlocked = Cutoff { lock: Some(Lock { at: start + Duration::from_secs(5), until: None }), ..locked };
        assert_eq!(next(2, &unlocked, 6), None, "an unlock ends the sweeps");
    }
}
