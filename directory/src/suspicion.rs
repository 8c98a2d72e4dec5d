//! Connections that may have died with their server: once one was lost, each idle one is tried before it is used.
//!
//! The pool would hand them out one after another, and one statement after another would fail. To try each of them always would
//! cost every statement a round trip more.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);
/// When a connection was last found lost, in milliseconds after [`START`]; 0 for never. One for all pools: what parts one from
/// the server most likely parts the others.
static LOST: AtomicU64 = AtomicU64::new(0);

/// A connection was found lost just now.
pub(crate) fn arise() {
    LOST.fetch_max(now().max(1), Ordering::Relaxed);
}

/// Whether a connection that nobody has used for so long may be lost as well.
pub(crate) fn is_on(idle: Duration) -> bool {
    let lost = LOST.load(Ordering::Relaxed);
    lost > 0 && now().saturating_sub(milliseconds(idle)) <= lost
}

fn now() -> u64 {
    milliseconds(START.elapsed())
}

fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
