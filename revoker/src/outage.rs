//! A downstream that does not answer is told once, and once more when it does: not for each of those who wait.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use downstreams::Error;

/// How one downstream does, as all its workers see it.
#[derive(Debug, Default)]
pub struct Outage(Mutex<Option<Began>>);

#[derive(Debug, Clone, Copy)]
struct Began {
    at: Instant,
    kind: std::mem::Discriminant<Error>,
    failures: u32,
}

impl Outage {
    /// It failed. Whether that is news: the first failure, or one of another kind. A refusal is about somebody in particular and
    /// always is.
    pub(crate) fn failed(&self, error: &Error) -> bool {
        if matches!(error, Error::Rejected(_)) {
            return true;
        }
        let kind = std::mem::discriminant(error);
        let mut began = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *began {
            Some(known) if known.kind == kind => {
                known.failures = known.failures.saturating_add(1);
                false
            }
            known => {
                *known = Some(Began { at: Instant::now(), kind, failures: 1 });
                true
            }
        }
    }

    /// It works. If it did not before: how often it failed, and for how long.
    pub(crate) fn over(&self) -> Option<(u32, Duration)> {
        let began = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some((began.failures, began.at.elapsed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_news_at_its_beginning_when_it_changes_and_at_its_end() {
        let outage = Outage::default();
        let away = || Error::Unavailable("connection refused".into());
        let refused = || Error::Rejected("no such command".into());
        assert!(outage.over().is_none(), "nothing was wrong");
        assert!(outage.failed(&away()));
        assert!(!outage.failed(&away()), "known already");
        assert!(outage.failed(&refused()), "about somebody in particular");
        assert!(!outage.failed(&away()), "still away");
        assert!(outage.failed(&Error::Unauthorized("the login may not".into())), "another kind of trouble");
        assert_eq!(outage.over().map(|(failures, _)| failures), Some(1));
        assert!(outage.over().is_none());
        assert!(outage.failed(&away()), "the next outage");
    }
}
