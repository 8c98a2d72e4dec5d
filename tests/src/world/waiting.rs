//! Waiting for conditions: stories never wait for a duration.

use std::time::Duration;

use tokio::time::Instant;

/// A deadline for what takes milliseconds on an idle machine: long enough for one on which everything else is built and tested as well.
pub const SOON: Duration = Duration::from_secs(90);

/// The time between two looks.
pub(super) const POLL: Duration = Duration::from_millis(20);

/// Waits until `condition` holds.
///
/// # Panics
/// When `deadline` has passed, with `what` was waited for.
pub async fn eventually(deadline: Duration, what: &str, mut condition: impl AsyncFnMut() -> bool) {
    until(deadline, what, async || condition().await.then_some(())).await;
}

/// Waits until `look` finds something, and returns it.
///
/// # Panics
/// When `deadline` has passed, with `what` was waited for.
pub async fn until<T>(deadline: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
        tokio::time::sleep(POLL).await;
    }
}

/// How often a story repeats what can only go wrong now and then: `few` times, or as often as `LEAVER_ROUNDS` says, which
/// `make torture` sets.
pub fn rounds(few: u32) -> u32 {
    std::env::var("LEAVER_ROUNDS").map_or(few, |text| text.parse().expect("LEAVER_ROUNDS is a number"))
}
