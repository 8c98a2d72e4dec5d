//! Waits that people see: what for, how long so far, and for how long at most.

use std::pin::pin;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::style::Style;

use super::screen::Screen;

/// Shorter waits are not worth a line.
const SOON: Duration = Duration::from_millis(300);
/// Without a terminal, a plain line so often.
const PLAIN: Duration = Duration::from_secs(10);

/// Does `work` and shows `what` is waited for meanwhile. The last line stays and says how long it took.
pub async fn during<T>(
    screen: &Screen,
    what: &str,
    limit: impl Into<Option<Duration>>,
    work: impl Future<Output = T>,
) -> T {
    if screen.is_json() {
        return work.await;
    }
    let mut work = pin!(work);
    let start = Instant::now();
    let first = if screen.attended { SOON } else { PLAIN };
    if let Ok(done) = tokio::time::timeout(first, &mut work).await {
        return done;
    }
    let limit = limit.into().map(|limit| format!(", at most {}", humantime::format_duration(limit)));
    let waiting = format!("waiting for {what}{}", limit.unwrap_or_default());
    let done = if screen.attended {
        let bar = bar(screen, waiting);
        let done = work.await;
        bar.finish_and_clear();
        done
    } else {
        loop {
            screen.remark(&format!("{waiting}: {}s so far\n", start.elapsed().as_secs()));
            if let Ok(done) = tokio::time::timeout(PLAIN, &mut work).await {
                break done;
            }
        }
    };
    screen.remark(&format!("waited for {what}: {:.1}s\n", start.elapsed().as_secs_f64()));
    done
}

/// Work of which it is known how much there is.
pub struct Counted<'a> {
    screen: &'a Screen,
    what: &'a str,
    total: u64,
    bar: Option<ProgressBar>,
    start: Instant,
    told: Instant,
}

impl<'a> Counted<'a> {
    /// `what` of which `total` have to be done, such as `people`.
    pub fn new(screen: &'a Screen, what: &'a str, total: u64) -> Self {
        let bar = (screen.attended && !screen.is_json()).then(|| {
            let bar = ProgressBar::new(total).with_message(what.to_owned());
            let template = if screen.err.colour {
                "{bar:30.yellow} {human_pos} of {human_len} {msg}, {eta} to go"
            } else {
                "{bar:30} {human_pos} of {human_len} {msg}, {eta} to go"
            };
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style.progress_chars(if screen.err.unicode { "━╸ " } else { "=> " }));
            bar
        });
        let start = Instant::now();
        Self { screen, what, total, bar, start, told: start }
    }

    /// So many are done.
    pub fn at(&mut self, done: u64) {
        /// A look at the clock for each of a million would be most of the work.
        const SELDOM: u64 = 1_024;
        if done.is_multiple_of(SELDOM) {
            self.now_at(done);
        }
    }

    /// The same, for what is counted seldom anyway.
    pub fn now_at(&mut self, done: u64) {
        if self.screen.is_json() {
            return;
        }
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        } else if self.told.elapsed() >= PLAIN {
            self.told = Instant::now();
            self.screen.remark(&format!(
                "{done} of {} {}: {}s so far\n",
                self.total,
                self.what,
                self.start.elapsed().as_secs()
            ));
        }
    }

    /// All are done: nothing of it stays.
    pub fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(screen: &Screen, waiting: String) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(waiting);
    let template = if screen.err.colour {
        "{spinner:.yellow} {msg}, {elapsed} so far"
    } else {
        "{spinner} {msg}, {elapsed} so far"
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
    let ticks = if screen.err.unicode { "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ " } else { "|/-\\ " };
    bar.set_style(style.tick_chars(ticks));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Asks `poll` for at most `limit` in rounds of at most `round`, until it says that there is no more to wait for; its last
/// answer comes back in any case.
///
/// # Errors
/// The first error of `poll`.
pub async fn rounds<T, E>(
    limit: Duration,
    round: Duration,
    mut poll: impl AsyncFnMut(Duration) -> Result<(bool, T), E>,
) -> Result<(bool, T), E> {
    /// A server that answers at once, and not with the end, is not asked more often than this.
    const PAUSE: Duration = Duration::from_millis(200);
    let end = Instant::now() + limit;
    loop {
        let asked = Instant::now();
        let (over, last) = poll(round.min(end.saturating_duration_since(asked))).await?;
        let left = end.saturating_duration_since(Instant::now());
        if over || left.is_zero() {
            return Ok((over, last));
        }
        tokio::time::sleep(PAUSE.saturating_sub(asked.elapsed()).min(left)).await;
    }
}

/// A word for the error stream that something is not over yet.
pub fn unfinished(screen: &Screen, sentence: &str) {
    let word = crate::show::text::paint(screen.err, Style::Waiting, sentence);
    screen.remark(&format!("{word}\n"));
}
