//! How far each partition is acknowledged: batches are acknowledged in any order, but only what is acknowledged without a
//! gap counts.
//!
//! A partition is followed in *terms*. A term ends when the partition is taken away, when a batch is given back, or when the
//! position goes back for another reason; whatever belongs to an ended term is ignored, so a late acknowledgement can never
//! move what came after it.

use std::collections::{HashMap, VecDeque};

/// Where a record stands, and the term in which it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub partition: i32,
    pub offset: i64,
    pub term: u64,
}

/// The part of a batch that is of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    partition: i32,
    term: u64,
    first: i64,
    last: i64,
}

#[derive(Debug, Default)]
pub(crate) struct Progress {
    partitions: HashMap<i32, Partition>,
    terms: u64,
}

#[derive(Debug, Default)]
struct Partition {
    term: u64,
    /// The offset that was read last in this term.
    read: Option<i64>,
    /// Below this everything of this term is acknowledged: the first offset that was read, or the one after the last settled.
    floor: Option<i64>,
    /// Handed out in this term, in order, from the first that is not acknowledged.
    out: VecDeque<Out>,
    /// Where to go on after a restart: news since [`Progress::take_settled`].
    settled: Option<i64>,
    /// Where to read again; until then nothing is read.
    rewind: Option<i64>,
}

#[derive(Debug)]
struct Out {
    first: i64,
    last: i64,
    acknowledged: bool,
}

impl Partition {
    /// Ends the term. With `rewind`, the next one begins there.
    fn begin(&mut self, term: u64, rewind: Option<i64>) {
        self.term = term;
        self.out.clear();
        (self.read, self.floor, self.rewind) = (None, None, rewind);
    }
}

impl Progress {
    /// We follow these partitions from now on.
    pub fn assign(&mut self, partitions: impl IntoIterator<Item = i32>) {
        for partition in partitions {
            self.terms += 1;
            self.partitions.insert(partition, Partition { term: self.terms, ..Partition::default() });
        }
    }

    /// We follow these partitions no more.
    pub fn revoke(&mut self, partitions: impl IntoIterator<Item = i32>) {
        for partition in partitions {
            self.partitions.remove(&partition);
        }
    }

    /// We follow nothing any more.
    pub fn clear(&mut self) {
        self.partitions.clear();
    }

    /// A record was read. None if it must be forgotten: it will come again, here or elsewhere.
    pub fn read(&mut self, partition: i32, offset: i64) -> Option<Place> {
        let followed = self.partitions.get_mut(&partition)?;
        if followed.rewind.is_some() {
            return None;
        }
        if followed.read.is_some_and(|last| offset <= last) {
            // The topic was made anew, or cut: its records are others now. Or some of it is read twice; then what waits from
            // before it belongs to a term that ends here, and is read again as well.
            let unsettled = followed.floor.filter(|floor| *floor < offset);
            self.terms += 1;
            followed.begin(self.terms, unsettled);
            if unsettled.is_some() {
                return None;
            }
        }
        followed.floor.get_or_insert(offset);
        followed.read = Some(offset);
        Some(Place { partition, offset, term: followed.term })
    }

    /// Whether a record that was read is still ours.
    pub fn holds(&self, place: Place) -> bool {
        self.partitions.get(&place.partition).is_some_and(|followed| followed.term == place.term)
    }

    /// Records are handed out as one batch, in the order in which they were read; all of them are [held](Self::holds).
    pub fn hand_out(&mut self, places: &[Place]) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        for &Place { partition, offset, term } in places {
            match spans.iter_mut().find(|span| span.partition == partition) {
                Some(span) => span.last = offset,
                None => spans.push(Span { partition, term, first: offset, last: offset }),
            }
        }
        for span in &spans {
            if let Some(followed) = self.partitions.get_mut(&span.partition) {
                followed.out.push_back(Out { first: span.first, last: span.last, acknowledged: false });
            }
        }
        spans
    }

    /// The effect of a batch is durable.
    pub fn acknowledge(&mut self, spans: &[Span]) {
        for span in spans {
            let Some(followed) = self.of_its_term(span) else { continue };
            if let Ok(at) = followed.out.binary_search_by_key(&span.first, |out| out.first) {
                followed.out[at].acknowledged = true;
            }
            while let Some(out) = followed.out.pop_front_if(|out| out.acknowledged) {
                followed.settled = Some(out.last + 1);
                followed.floor = followed.settled;
            }
        }
    }

    /// A batch was dropped: its partitions are read again from the first record that is not acknowledged.
    pub fn give_back(&mut self, spans: &[Span]) {
        for span in spans {
            let term = self.terms + 1;
            let Some(followed) = self.of_its_term(span) else { continue };
            let from = followed.out.front().map(|out| out.first);
            followed.begin(term, from);
            self.terms = term;
        }
    }

    /// What is acknowledged without a gap and was not taken yet: partition and the offset to go on with.
    pub fn take_settled(&mut self) -> Vec<(i32, i64)> {
        let take = |(partition, followed): (&i32, &mut Partition)| Some((*partition, followed.settled.take()?));
        self.partitions.iter_mut().filter_map(take).collect()
    }

    /// What must be read again: partition and offset, until [`Progress::rewound`].
    pub fn rewinds(&self) -> Vec<(i32, i64)> {
        self.partitions.iter().filter_map(|(partition, followed)| Some((*partition, followed.rewind?))).collect()
    }

    /// The next record of the partition is the one to read again.
    pub fn rewound(&mut self, partition: i32) {
        if let Some(followed) = self.partitions.get_mut(&partition) {
            followed.rewind = None;
        }
    }

    fn of_its_term(&mut self, span: &Span) -> Option<&mut Partition> {
        self.partitions.get_mut(&span.partition).filter(|followed| followed.term == span.term)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads and hands out offsets of partition 0.
    fn batch(progress: &mut Progress, offsets: impl IntoIterator<Item = i64>) -> Vec<Span> {
        let places: Vec<Place> =
            offsets.into_iter().map(|offset| progress.read(0, offset).expect("it is followed")).collect();
        progress.hand_out(&places)
    }

    fn following() -> Progress {
        let mut progress = Progress::default();
        progress.assign([0, 1]);
        progress
    }

    #[test]
    fn only_what_is_acknowledged_without_a_gap_is_settled() {
        let mut progress = following();
        let [one, two, three] = [0..3, 3..5, 5..9].map(|offsets| batch(&mut progress, offsets));
        progress.acknowledge(&two);
        assert_eq!(progress.take_settled(), []);
        progress.acknowledge(&one);
        assert_eq!(progress.take_settled(), [(0, 5)]);
        assert_eq!(progress.take_settled(), [], "it is told once");
        progress.acknowledge(&three);
        assert_eq!(progress.take_settled(), [(0, 9)]);
    }

    #[test]
    fn a_batch_of_two_partitions_settles_each() {
        let mut progress = following();
        let places = [(0, 4), (1, 7), (0, 9)].map(|(p, offset)| progress.read(p, offset).expect("it is followed"));
        let spans = progress.hand_out(&places);
        progress.acknowledge(&spans);
        let mut settled = progress.take_settled();
        settled.sort_unstable();
        assert_eq!(settled, [(0, 10), (1, 8)]);
    }

    #[test]
    fn an_acknowledgement_from_before_a_rebalance_moves_nothing_after_it() {
        let mut progress = following();
        let old = batch(&mut progress, 0..3);
        progress.revoke([0]);
        progress.acknowledge(&old);
        assert_eq!(progress.take_settled(), []);

        progress.assign([0]);
        let new = batch(&mut progress, 0..3);
        progress.acknowledge(&old);
        progress.give_back(&old);
        assert_eq!((progress.take_settled(), progress.rewinds()), (vec![], vec![]));
        progress.acknowledge(&new);
        assert_eq!(progress.take_settled(), [(0, 3)]);
    }

    #[test]
    fn a_batch_given_back_is_read_again_with_all_that_followed() {
        let mut progress = following();
        let [one, two, three] = [0..2, 2..4, 4..6].map(|offsets| batch(&mut progress, offsets));
        let waiting = progress.read(0, 6).expect("it is followed");
        progress.acknowledge(&one);
        progress.give_back(&two);
        assert_eq!(progress.rewinds(), [(0, 2)]);
        assert!(!progress.holds(waiting), "what waits was read too early");
        assert_eq!(progress.read(0, 7), None, "nothing is read until the position went back");
        progress.acknowledge(&three);
        assert_eq!(progress.take_settled(), [(0, 2)], "what came after the gap does not count");

        progress.rewound(0);
        let again = batch(&mut progress, 2..6);
        progress.acknowledge(&again);
        assert_eq!(progress.take_settled(), [(0, 6)]);
    }

    #[test]
    fn a_topic_made_anew_begins_again() {
        let mut progress = following();
        let old = batch(&mut progress, 50..60);
        let new = batch(&mut progress, 0..2);
        progress.acknowledge(&old);
        assert_eq!(progress.take_settled(), []);
        progress.acknowledge(&new);
        assert_eq!(progress.take_settled(), [(0, 2)]);
    }

    #[test]
    fn what_waits_is_not_lost_when_some_of_it_is_read_twice() {
        let mut progress = following();
        let one = batch(&mut progress, 0..4);
        let waiting = [4, 5, 6, 7].map(|offset| progress.read(0, offset).expect("it is followed"));
        progress.acknowledge(&one);
        assert_eq!(progress.read(0, 6), None);
        assert_eq!(progress.rewinds(), [(0, 4)], "from the first that is not acknowledged");
        assert!(!waiting.iter().any(|place| progress.holds(*place)));
        progress.rewound(0);
        let again = batch(&mut progress, 4..8);
        progress.acknowledge(&again);
        assert_eq!(progress.take_settled(), [(0, 8)]);
    }

    #[test]
    fn offsets_may_have_gaps() {
        let mut progress = following();
        let [one, two] = [[3, 17], [40, 41]].map(|offsets| batch(&mut progress, offsets));
        progress.acknowledge(&one);
        progress.acknowledge(&two);
        assert_eq!(progress.take_settled(), [(0, 42)]);
    }
}
