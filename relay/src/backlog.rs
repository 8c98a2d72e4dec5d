//! What a line has read and not yet seen acknowledged: which page is read next, and which records may go.
//!
//! A pass reads the pending set once, from its beginning to its end, at a position that lives in memory. Rows that commit behind
//! that position are found by the next pass. Rows that are known already, because they are under way or wait here, are
//! skipped: a row goes again only once its publish failed.
//!
//! Of one subject there is at most one publish under way. Even where the bus keeps the order of two, a failure of the first
//! would bring it behind the second; readers could heal that (`prev`), but need not.

use std::collections::{HashSet, VecDeque};

use directory::PendingRecord;
use uuid::Uuid;

/// How many records may wait here for an earlier one of their subject before reading stops.
const AHEAD: usize = 4_000;

#[derive(Debug, Default)]
pub(crate) struct Backlog {
    /// The last row that the pass has read; `None`: no pass is at work.
    position: Option<i64>,
    /// A pass is wanted, after the one at work if there is one.
    wanted: bool,
    /// Read and not yet gone, in order.
    waiting: VecDeque<PendingRecord>,
    /// Rows that wait here or are under way.
    known: HashSet<i64>,
    /// Subjects of what is under way.
    aloft: HashSet<Uuid>,
}

/// What goes in one publish, and is given back when it comes back.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    pub ids: Vec<i64>,
    subjects: HashSet<Uuid>,
}

impl Backlog {
    /// Something may have been committed.
    pub(crate) fn look_again(&mut self) {
        self.wanted = true;
    }

    /// Forgets what was read and did not go: it is read again.
    pub(crate) fn begin_again(&mut self) {
        for record in self.waiting.drain(..) {
            self.known.remove(&record.id);
        }
        (self.position, self.wanted) = (None, true);
    }

    /// After which row to read a page; `None`: there is enough, or nothing to look for.
    pub(crate) fn page(&self) -> Option<i64> {
        if self.waiting.len() >= AHEAD {
            return None;
        }
        self.position.or_else(|| self.wanted.then_some(0))
    }

    /// Takes in the page that was asked for; one with less than `limit` rows ends the pass.
    pub(crate) fn add(&mut self, page: Vec<PendingRecord>, limit: usize) {
        if self.position.is_none() {
            self.wanted = false;
        }
        self.position = page.last().filter(|_| page.len() >= limit).map(|record| record.id);
        self.waiting.extend(page.into_iter().filter(|record| self.known.insert(record.id)));
    }

    /// Up to `limit` records that may go now, in order; those of a subject that is under way wait.
    pub(crate) fn take(&mut self, limit: usize) -> (Vec<PendingRecord>, Flight) {
        let (mut going, mut flight) = (Vec::new(), Flight::default());
        let mut left = VecDeque::new();
        while going.len() < limit {
            let Some(record) = self.waiting.pop_front() else { break };
            if self.aloft.contains(&record.subject) {
                left.push_back(record);
                continue;
            }
            flight.ids.push(record.id);
            flight.subjects.insert(record.subject);
            going.push(record);
        }
        left.append(&mut self.waiting);
        self.waiting = left;
        self.aloft.extend(&flight.subjects);
        (going, flight)
    }

    /// A publish came back: its rows are gone, or are to be read again.
    pub(crate) fn landed(&mut self, flight: &Flight) {
        for id in &flight.ids {
            self.known.remove(id);
        }
        for subject in &flight.subjects {
            self.aloft.remove(subject);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn row(id: i64, subject: u128) -> PendingRecord {
        PendingRecord { id, record: Uuid::nil(), subject: Uuid::from_u128(subject), body: String::new(), trace: None }
    }

    /// A pending set, read as the database is.
    struct Set(BTreeMap<i64, PendingRecord>);

    impl Set {
        fn of(rows: impl IntoIterator<Item = PendingRecord>) -> Self {
            Self(rows.into_iter().map(|row| (row.id, row)).collect())
        }

        fn page(&self, after: i64, limit: usize) -> Vec<PendingRecord> {
            self.0.range(after + 1..).take(limit).map(|(_, row)| row.clone()).collect()
        }
    }

    #[test]
    fn a_page_is_read_once_however_many_publishes_are_under_way() {
        let set = Set::of((1..=100).map(|id| row(id, u128::try_from(id).unwrap_or_default())));
        let mut backlog = Backlog::default();
        backlog.look_again();
        let mut pages = Vec::new();
        while let Some(after) = backlog.page() {
            pages.push(after);
            backlog.add(set.page(after, 10), 10);
            assert_eq!(backlog.take(10).0.len(), if after < 100 { 10 } else { 0 });
        }
        assert_eq!(pages, [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
    }

    #[test]
    fn a_row_that_commits_behind_the_position_goes_in_the_next_pass_and_no_other_goes_twice() {
        let mut set = Set::of([row(2, 2), row(3, 3)]);
        let mut backlog = Backlog::default();
        backlog.look_again();
        backlog.add(set.page(0, 2), 2);
        let (_, first) = backlog.take(10);
        assert_eq!(first.ids, [2, 3]);
        set.0.insert(1, row(1, 1));
        backlog.look_again();
        let mut gone = Vec::new();
        while let Some(after) = backlog.page() {
            backlog.add(set.page(after, 2), 2);
            gone.extend(backlog.take(10).1.ids);
        }
        assert_eq!(gone, [1]);
    }

    #[test]
    fn what_waits_for_its_subject_goes_when_that_has_landed_and_a_failed_row_goes_first() {
        let set = Set::of([row(1, 7), row(2, 7), row(3, 8)]);
        let mut backlog = Backlog::default();
        backlog.look_again();
        backlog.add(set.page(0, 1), 1);
        let (_, one) = backlog.take(10);
        backlog.add(set.page(1, 10), 10);
        let (_, other) = backlog.take(10);
        assert_eq!((one.ids.as_slice(), other.ids.as_slice()), ([1].as_slice(), [3].as_slice()));
        assert!(backlog.take(10).0.is_empty());
        // The first failed: nothing that was read after it may go before it.
        backlog.landed(&one);
        backlog.begin_again();
        let after = backlog.page().expect("a pass is wanted");
        backlog.add(set.page(after, 10), 10);
        assert_eq!(backlog.take(10).1.ids, [1, 2], "and 3 is still under way");
    }

    #[test]
    fn reading_stops_when_enough_waits_for_one_subject() {
        let set = Set::of((1..=10_000).map(|id| row(id, 7)));
        let mut backlog = Backlog::default();
        backlog.look_again();
        backlog.add(set.page(0, 1), 1);
        let (_, flight) = backlog.take(1);
        while let Some(after) = backlog.page() {
            backlog.add(set.page(after, 1_000), 1_000);
            assert!(backlog.take(1_000).0.is_empty());
        }
        assert_eq!(backlog.waiting.len(), AHEAD);
        backlog.landed(&flight);
        assert_eq!(backlog.take(1_000).1.ids.first(), Some(&2));
    }

    proptest! {
        /// Each step: read a page, let something go, land a flight well or badly, or commit a late row.
        #[test]
        fn everything_goes_and_each_subject_in_its_order_whatever_fails(
            steps in prop::collection::vec((0u8..5, any::<prop::sample::Index>()), 0..200),
            late in prop::collection::btree_set(1i64..60, 0..20),
        ) {
            let subject = |id: i64| u128::from(id.unsigned_abs() % 5);
            let mut set = Set::of((1..60).filter(|id| !late.contains(id)).map(|id| row(id, subject(id))));
            // A late row is the only one of its subject: writers of one subject hold its lock from id to commit.
            let mut late: Vec<i64> = late.into_iter().collect();
            let mut backlog = Backlog::default();
            let mut flights: Vec<Flight> = Vec::new();
            let mut told: BTreeMap<u128, Vec<i64>> = BTreeMap::new();
            let mut land = |backlog: &mut Backlog, set: &mut Set, flight: Flight, well: bool| {
                backlog.landed(&flight);
                if !well {
                    return backlog.begin_again();
                }
                for id in flight.ids {
                    let row = set.0.remove(&id).expect("acknowledged once");
                    told.entry(row.subject.as_u128()).or_default().push(id);
                }
            };
            backlog.look_again();
            for (step, pick) in steps {
                match step {
                    0 => if let Some(after) = backlog.page() { backlog.add(set.page(after, 7), 7) },
                    1 => flights.push(backlog.take(5).1),
                    2 | 3 if !flights.is_empty() => {
                        let flight = flights.swap_remove(pick.index(flights.len()));
                        land(&mut backlog, &mut set, flight, step == 2);
                    }
                    _ => if let Some(id) = late.pop() {
                        set.0.insert(id, row(id, 100 + u128::from(id.unsigned_abs())));
                        backlog.look_again();
                    },
                }
            }
            for id in late {
                set.0.insert(id, row(id, 100 + u128::from(id.unsigned_abs())));
            }
            for flight in flights {
                land(&mut backlog, &mut set, flight, true);
            }
            backlog.look_again();
            for _ in 0..100 {
                if let Some(after) = backlog.page() {
                    backlog.add(set.page(after, 7), 7);
                }
                let flight = backlog.take(5).1;
                land(&mut backlog, &mut set, flight, true);
            }
            prop_assert!(set.0.is_empty(), "left behind: {:?}", set.0.keys());
            for (subject, ids) in told {
                prop_assert!(ids.is_sorted(), "subject {subject}: {ids:?}");
            }
        }
    }
}
