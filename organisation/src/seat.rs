//! Who has a seat on a day: one walk over the seat's past, block by block.
//!
//! Time is cut into blocks, and in each at most one thing of a kind happens to a seat, on a day of it that is as likely as
//! the others. So the rates are those of the profile on every day, and a year is a handful of throws.

use crate::Organisation;
use crate::dice::{For, fold, mix};

/// Days of a block.
const BLOCK: u32 = 64;
/// The longest that a seat stays empty, in days.
const EMPTY: u64 = 40;
/// For so long somebody who left stays in the personnel file, in days, unless the seat is taken again.
const KEPT: u32 = 14;
/// Of a million, in a block: who are away for two weeks.
const ABSENT: u64 = 12_000;
const AWAY: u32 = 14;

/// What one seat is on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seat {
    /// How many had it before; who comes back is the same.
    pub holder: u64,
    /// Since which day; `None`: since before the first.
    pub since: Option<u32>,
    /// How often they moved since they first had it.
    pub moves: u64,
    /// The day on which they were gone, if they are.
    pub left: Option<u32>,
    pub away: bool,
}

impl Seat {
    /// Whether the personnel file still has a row for it.
    pub fn is_in_file(&self, day: u32) -> bool {
        self.left.is_none_or(|left| day < left + KEPT)
    }
}

impl Organisation {
    /// A seat as it is today.
    pub(crate) fn seat(&self, number: u64) -> Seat {
        let mut seat = Seat { holder: 0, since: None, moves: 0, left: None, away: false };
        let mut taken_again = None;
        for block in 0..=self.day / BLOCK {
            let leaves = self.happens(For::Leaving, number, block, self.profile.leavers * u64::from(BLOCK));
            let moves = self.happens(For::Moving, number, block, self.profile.movers * u64::from(BLOCK));
            let mut days = [(leaves, true), (moves, false)];
            days.sort_unstable();
            for (on, leaves) in days {
                let Some(on) = on else { continue };
                self.refill(number, &mut seat, &mut taken_again, on.min(self.day));
                if on > self.day || seat.left.is_some() {
                    continue;
                }
                if leaves {
                    let empty = 1 + self.dice.below(EMPTY, For::Refill, number, u64::from(block));
                    seat.left = Some(on);
                    taken_again = Some(on + u32::try_from(empty).unwrap_or(1));
                } else {
                    seat.moves += 1;
                }
            }
        }
        self.refill(number, &mut seat, &mut taken_again, self.day);
        let absence = self.happens(For::Absence, number, self.day / BLOCK, ABSENT);
        seat.away = absence.is_some_and(|from| (from..from + AWAY).contains(&self.day)) && seat.left.is_none();
        seat
    }

    fn refill(&self, number: u64, seat: &mut Seat, taken_again: &mut Option<u32>, day: u32) {
        let Some(from) = taken_again.filter(|from| *from <= day) else { return };
        *taken_again = None;
        seat.left = None;
        seat.since = Some(from);
        if self.dice.below(100, For::Return, number, u64::from(from)) >= self.profile.rehired {
            seat.holder += 1;
            seat.moves = 0;
        }
    }

    /// The day of this block on which something happens, for `share` of a million seats. Nothing happens on day 0.
    fn happens(&self, purpose: For, number: u64, block: u32, share: u64) -> Option<u32> {
        let bits = self.dice.throw(purpose, number, u64::from(block));
        let day = block * BLOCK + u32::try_from(fold(mix(bits), u64::from(BLOCK))).unwrap_or(0);
        (fold(bits, 1_000_000) < share && day > 0).then_some(day)
    }
}
