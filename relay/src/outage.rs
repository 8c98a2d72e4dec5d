//! An outage, from the first failure to the first success: when to try again, and one line at its beginning and end.

use std::time::Duration;

use bus::Topic;
use rand::RngExt;
use tokio::time::Instant;

/// How long to wait after so many failures in a row, before jitter; something that a person has to mend is tried seldom.
///
/// | failures | 1 | 2 | 3 | 4 | 5 | 6 | more | needs a person |
/// |---|---|---|---|---|---|---|---|---|
/// | wait | 50 ms | 100 ms | 200 ms | 400 ms | 800 ms | 1.6 s | 2 s | 30 s |
fn delay(failures: u32, trouble: Trouble) -> Duration {
    match trouble {
        Trouble::Passing => Duration::from_millis(50 << failures.saturating_sub(1).min(6)).min(Duration::from_secs(2)),
        Trouble::NeedsHelp => Duration::from_secs(30),
    }
}

/// Whether waiting may be enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    Passing,
    NeedsHelp,
}

/// One thing that a loop needs, and how it does.
#[derive(Debug)]
pub(crate) struct Outage {
    what: &'static str,
    topic: Topic,
    began: Option<(Instant, Trouble)>,
    failures: u32,
    until: Option<Instant>,
}

impl Outage {
    pub(crate) fn of(what: &'static str, topic: Topic) -> Self {
        Self { what, topic, began: None, failures: 0, until: None }
    }

    /// It failed. Told when it fails for the first time, and when it turns out that a person is needed.
    pub(crate) fn failed(&mut self, error: &(dyn std::error::Error + 'static), trouble: Trouble) {
        self.failures = self.failures.saturating_add(1);
        let wait = delay(self.failures, trouble).mul_f64(rand::rng().random_range(0.5..1.0));
        self.until = Some(Instant::now() + wait);
        let (what, topic) = (self.what, self.topic.as_str());
        match (self.began, trouble) {
            (Some((_, known)), now) if known == now => return,
            (_, Trouble::Passing) => {
                tracing::warn!(error, topic, "the {what} does not answer the relay; everything stays pending")
            }
            (_, Trouble::NeedsHelp) => {
                tracing::error!(error, topic, "the {what} cannot be used; everything stays pending until it is mended")
            }
        }
        self.began = Some((self.began.map_or_else(Instant::now, |(at, _)| at), trouble));
    }

    /// It works: whatever waited may go on at once.
    pub(crate) fn over(&mut self) {
        if let Some((began, _)) = self.began.take() {
            let lasted = humantime(began.elapsed());
            let (what, topic, failures) = (self.what, self.topic.as_str(), self.failures);
            tracing::info!(topic, failures, lasted, "the {what} answers the relay again");
        }
        (self.failures, self.until) = (0, None);
    }

    /// How long nothing should be tried; zero: now.
    pub(crate) fn pause(&self) -> Duration {
        self.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }
}

/// Tenths of a second are exact enough for people.
fn humantime(lasted: Duration) -> String {
    format!("{:.1}s", lasted.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone() -> std::io::Error {
        std::io::Error::from(std::io::ErrorKind::ConnectionRefused)
    }

    #[test]
    fn it_waits_longer_each_time_but_not_long_and_goes_on_at_once_when_it_is_over() {
        let mut outage = Outage::of("bus", Topic::Receipts);
        assert!(outage.pause().is_zero());
        let mut last = Duration::ZERO;
        for _ in 0..10 {
            outage.failed(&gone(), Trouble::Passing);
            last = outage.pause();
            assert!(!last.is_zero() && last <= Duration::from_secs(2), "{last:?}");
        }
        assert!(last > Duration::from_millis(900), "{last:?}");
        outage.over();
        assert!(outage.pause().is_zero());
        outage.failed(&gone(), Trouble::Passing);
        assert!(outage.pause() <= Duration::from_millis(50), "and begins anew");
    }

    #[test]
    fn what_a_person_has_to_mend_is_tried_seldom() {
        let mut outage = Outage::of("bus", Topic::Revocations);
        outage.failed(&gone(), Trouble::NeedsHelp);
        let pause = outage.pause();
        assert!(pause > Duration::from_secs(14) && pause <= Duration::from_secs(30), "{pause:?}");
    }
}
