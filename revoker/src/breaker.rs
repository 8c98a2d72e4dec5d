//! A downstream that does not answer is asked by one pass at a time, ever more rarely, until it does; and that is told once, and
//! once more when it is over: not for each of those who wait.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use downstreams::Error;
use lifecycle::delivery::retry_delay;

/// The longest that it is left alone: asking costs one pass, and everybody's sessions live until it is asked.
const LONGEST: Duration = Duration::from_secs(5);

/// How one downstream does, as all its workers in this process see it.
#[derive(Debug, Default)]
pub struct Breaker(Mutex<Option<Open>>);

/// It failed, and has not worked since.
#[derive(Debug, Clone, Copy)]
struct Open {
    since: Instant,
    kind: std::mem::Discriminant<Error>,
    failures: u32,
    /// When it may be asked again.
    until: Instant,
    /// Whether somebody is asking.
    asking: bool,
}

/// What a worker may do now.
#[derive(Debug)]
pub(crate) enum Admission<'a> {
    /// Work off what is due.
    Closed,
    /// Ask with one delivery; nobody else does meanwhile.
    Trial(Trial<'a>),
    /// Leave it alone for so long.
    Open(Duration),
}

/// Whoever holds it asks; dropped, the next may.
#[derive(Debug)]
pub(crate) struct Trial<'a>(&'a Breaker);

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if let Some(open) = &mut *self.0.state() {
            open.asking = false;
        }
    }
}

impl Breaker {
    pub(crate) fn admit(&self, now: Instant) -> Admission<'_> {
        match &mut *self.state() {
            None => Admission::Closed,
            Some(open) if open.until <= now && !open.asking => {
                open.asking = true;
                Admission::Trial(Trial(self))
            }
            // Whoever asks may take as long as the timeout; the bell tells when it has gone well.
            Some(open) if open.asking => Admission::Open(LONGEST),
            Some(open) => Admission::Open(open.until - now),
        }
    }

    /// It failed, and is left alone for a while, at least for `least`. Whether that is news: the first failure, or one of another
    /// kind. A refusal is about somebody in particular: always news, and no reason to leave it alone.
    pub(crate) fn failed(&self, error: &Error, least: Duration, now: Instant) -> bool {
        if matches!(error, Error::Rejected(_)) {
            return true;
        }
        let kind = std::mem::discriminant(error);
        let mut state = self.state();
        let is_news = state.is_none_or(|known| known.kind != kind);
        let open = state.get_or_insert(Open { since: now, kind, failures: 0, until: now, asking: false });
        if is_news {
            (open.since, open.kind, open.failures) = (now, kind, 0);
        }
        open.failures = open.failures.saturating_add(1);
        open.until = now + retry_delay(open.failures).min(LONGEST).max(least);
        is_news
    }

    /// It works. If it did not before: how often it failed, and for how long.
    pub(crate) fn over(&self) -> Option<(u32, Duration)> {
        let open = self.state().take()?;
        Some((open.failures, open.since.elapsed()))
    }

    /// Whether it has failed and not worked since.
    pub(crate) fn is_open(&self) -> bool {
        self.state().is_some()
    }

    fn state(&self) -> MutexGuard<'_, Option<Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away() -> Error {
        Error::Unavailable("connection refused".into())
    }

    #[test]
    fn an_outage_is_news_at_its_beginning_when_it_changes_and_at_its_end() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        let failed = |error: &Error| breaker.failed(error, Duration::ZERO, now);
        let refused = || Error::Rejected("no such command".into());
        assert!(breaker.over().is_none(), "nothing was wrong");
        assert!(failed(&away()));
        assert!(!failed(&away()), "known already");
        assert!(failed(&refused()), "about somebody in particular");
        assert!(!failed(&away()), "still away");
        assert!(failed(&Error::Unauthorized("the login may not".into())), "another kind of trouble");
        assert_eq!(breaker.over().map(|(failures, _)| failures), Some(1));
        assert!(breaker.over().is_none());
        assert!(failed(&away()), "the next outage");
    }

    #[test]
    fn a_downstream_that_is_away_is_asked_by_one_at_a_time_and_ever_more_rarely() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        let after = |ms| start + Duration::from_millis(ms);
        assert!(matches!(breaker.admit(start), Admission::Closed));
        breaker.failed(&away(), Duration::ZERO, start);
        assert!(matches!(breaker.admit(after(40)), Admission::Open(wait) if wait == Duration::from_millis(60)));
        let trial = breaker.admit(after(100));
        assert!(matches!(trial, Admission::Trial(_)));
        assert!(matches!(breaker.admit(after(100)), Admission::Open(_)), "one asks already");
        drop(trial);
        let trial = breaker.admit(after(101));
        assert!(matches!(trial, Admission::Trial(_)), "it had nothing to ask with");
        breaker.failed(&away(), Duration::ZERO, after(110));
        drop(trial);
        assert!(matches!(breaker.admit(after(350)), Admission::Open(_)), "a quarter of a second from then on");
        for _ in 0..20 {
            breaker.failed(&away(), Duration::ZERO, after(400));
        }
        assert!(matches!(breaker.admit(after(5_400)), Admission::Trial(_)), "never longer than five seconds");
        breaker.over();
        assert!(matches!(breaker.admit(after(5_400)), Admission::Closed));
    }

    #[test]
    fn a_downstream_that_says_when_to_come_back_is_left_alone_until_then() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        let throttled = Error::Throttled { retry_after: Some(Duration::from_secs(20)) };
        breaker.failed(&throttled, Duration::from_secs(20), start);
        assert!(matches!(breaker.admit(start + Duration::from_secs(19)), Admission::Open(_)));
        assert!(matches!(breaker.admit(start + Duration::from_secs(20)), Admission::Trial(_)));
    }

    #[test]
    fn a_refusal_of_somebody_leaves_the_others_their_turn() {
        let breaker = Breaker::default();
        breaker.failed(&Error::Rejected("too long".into()), Duration::from_secs(10), Instant::now());
        assert!(matches!(breaker.admit(Instant::now()), Admission::Closed));
    }
}
