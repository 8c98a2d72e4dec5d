//! Writes that share a transaction: those of one line that arrive while others are being written are written next, together, as a
//! database flushes commits together. Nothing waits for company: alone, a write goes at once.
//!
//! What cannot be written with the others (a row that somebody holds, a value that cannot be stored) is done again by itself, so that
//! no write fails, and none waits for long, because of another.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::{Directory, Error, Result};

/// Writes in one transaction.
const MOST: usize = 64;

/// A write that may share its transaction.
pub(crate) trait Shared: Clone + Send + Sync + Sized + 'static {
    /// What became of it.
    type Written: Send + 'static;

    /// Transactions of one line under way at a time.
    const AT_ONCE: usize;

    /// Whose writes may go together: source, how it came, and what else.
    fn line(&self) -> Line;
    fn waiting(directory: &Directory) -> &Together<Self>;
    /// Whether it may go with the one that goes first.
    fn goes_with(&self, first: &Self) -> bool;
    /// Two writes that share one of these go one after the other.
    fn marks(&self) -> Vec<String>;
    /// What it takes from the first that it goes with.
    fn join(&mut self, _first: &Self) {}

    /// Writes all of these or none, in one transaction; alone, `wait` says what about a row that somebody holds. `None`: this one has to
    /// go by itself.
    fn write(
        directory: &Directory,
        writes: &[Self],
        wait: Wait,
    ) -> impl Future<Output = Result<Vec<Option<Self::Written>>>> + Send;
}

/// What is done about a row that somebody else holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    ForTheRow,
    ForNobody,
}

pub(crate) type Line = (String, &'static str, Option<String>);
type Asked<W> = (W, oneshot::Sender<Result<<W as Shared>::Written>>);

/// Who waits, by line.
pub(crate) struct Together<W: Shared>(Mutex<HashMap<Line, Waiting<W>>>);

struct Waiting<W: Shared> {
    writes: VecDeque<Asked<W>>,
    at_work: usize,
}

impl<W: Shared> Default for Together<W> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<W: Shared> std::fmt::Debug for Together<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Together").finish_non_exhaustive()
    }
}

impl<W: Shared> Together<W> {
    fn lines(&self) -> MutexGuard<'_, HashMap<Line, Waiting<W>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody has to begin to work this line off.
    fn enter(&self, line: &Line, asked: Asked<W>) -> bool {
        let mut lines = self.lines();
        let waiting = lines.entry(line.clone()).or_insert_with(|| Waiting { writes: VecDeque::new(), at_work: 0 });
        waiting.writes.push_back(asked);
        let begins = waiting.at_work < W::AT_ONCE;
        waiting.at_work += usize::from(begins);
        begins
    }

    /// Those who are written next. `None`: nobody waits, and whoever asked has ended.
    fn next(&self, line: &Line) -> Option<Vec<Asked<W>>> {
        let mut lines = self.lines();
        let waiting = lines.get_mut(line)?;
        if waiting.writes.is_empty() {
            waiting.at_work -= 1;
            if waiting.at_work == 0 {
                lines.remove(line);
            }
            return None;
        }
        let (mut next, mut later, mut marked) = (Vec::<Asked<W>>::new(), VecDeque::new(), HashSet::new());
        while let Some(mut asked) = waiting.writes.pop_front() {
            let marks = asked.0.marks();
            let clashes = marks.iter().any(|mark| marked.contains(mark));
            let fits = next.first().is_none_or(|(first, _)| asked.0.goes_with(first));
            marked.extend(marks);
            if clashes || !fits || next.len() == MOST {
                later.push_back(asked);
                continue;
            }
            if let Some((first, _)) = next.first() {
                asked.0.join(first);
            }
            next.push(asked);
        }
        waiting.writes = later;
        Some(next)
    }
}

impl Directory {
    /// Writes with whoever else writes now. The write is carried out whether or not its caller waits for the answer.
    pub(crate) async fn write_together<W: Shared>(&self, write: W) -> Result<W::Written> {
        let (answer, answered) = oneshot::channel();
        let line = write.line();
        if W::waiting(self).enter(&line, (write, answer)) {
            tokio::spawn(work_off::<W>(self.clone(), line));
        }
        // Nobody answers only when the process ends.
        answered.await.unwrap_or(Err(Error::Unavailable(sqlx::Error::WorkerCrashed)))
    }
}

async fn work_off<W: Shared>(directory: Directory, line: Line) {
    while let Some(batch) = W::waiting(&directory).next(&line) {
        // In a task of its own, so that one that panics leaves the line as it was.
        if let Err(lost) = tokio::spawn(write_all(directory.clone(), batch)).await {
            tracing::error!(error = &lost as &dyn std::error::Error, "writes were lost; their callers are told");
        }
    }
}

async fn write_all<W: Shared>(directory: Directory, batch: Vec<Asked<W>>) {
    let (writes, answers): (Vec<W>, Vec<_>) = batch.into_iter().unzip();
    let written = match W::write(&directory, &writes, Wait::ForNobody).await {
        Ok(written) => written,
        // It would fail again for each of them, and only later.
        Err(Error::Unavailable(why)) => {
            for answer in answers {
                let same = std::io::Error::other(why.to_string());
                drop(answer.send(Err(Error::Unavailable(sqlx::Error::Io(same)))));
            }
            return;
        }
        // Whoever it was that it failed for is told why when it fails again.
        Err(_) => Vec::new(),
    };
    let written = written.into_iter().chain(std::iter::repeat_with(|| None));
    for ((write, answer), written) in writes.into_iter().zip(answers).zip(written) {
        if let Some(written) = written {
            // A caller that is gone needs no answer.
            drop(answer.send(Ok(written)));
            continue;
        }
        let directory = directory.clone();
        tokio::spawn(async move {
            let written = directory.retrying(|| Box::pin(alone(&directory, &write))).await;
            drop(answer.send(written));
        });
    }
}

async fn alone<W: Shared>(directory: &Directory, write: &W) -> Result<W::Written> {
    let written = W::write(directory, std::slice::from_ref(write), Wait::ForTheRow).await?;
    // Somebody who was taken for the same is written first.
    written.into_iter().next().flatten().ok_or(Error::Conflict(sqlx::Error::RowNotFound))
}
