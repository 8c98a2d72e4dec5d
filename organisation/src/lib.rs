//! Organisations that do not exist, of any size and on any day, to try Leaver with.
//!
//! Everybody is computed from the seed by hashing whole numbers, so the same seed, profile, number of people and day give
//! the same bytes on every machine, and nobody has to be remembered: a million people take no more memory than one.
//!
//! An organisation has *seats*. On day 0 each is taken; then people leave theirs, and some days later somebody else takes
//! it, or the same person comes back. Nothing here is about a person who exists, and no e-mail address leads anywhere.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod dice;
mod export;
mod groups;
mod names;
mod person;
mod profile;
mod seat;

pub use export::{COLUMNS, Written, write};
pub use groups::Group;
pub use person::{Person, Status};
pub use profile::Profile;

use chrono::{Days, NaiveDate};
use dice::Dice;

/// One organisation on one day.
#[derive(Debug, Clone, Copy)]
pub struct Organisation {
    profile: &'static Profile,
    dice: Dice,
    day: u32,
    seats: u64,
}

impl Organisation {
    pub fn new(profile: &'static Profile, seed: u64) -> Self {
        Self { profile, dice: Dice::new(seed), day: 0, seats: profile.people }
    }

    /// The same organisation so many days after its first.
    pub fn on_day(self, day: u32) -> Self {
        Self { day, ..self }
    }

    /// Of another size than its profile says. It is another organisation, with other numbers for its people.
    pub fn of_people(self, people: u64) -> Self {
        Self { seats: people, ..self }
    }

    /// How many people it has when every seat is taken, as on day 0; later a few seats are empty on any day.
    pub fn seats(&self) -> u64 {
        self.seats
    }

    /// Who is in the personnel file on this day, in the order of their seats: those who work here, and until their seat is
    /// taken again, but for two weeks at most, those who left.
    pub fn people(&self) -> impl Iterator<Item = Person> + '_ {
        (0..self.seats).filter_map(|seat| self.person(seat))
    }

    /// The date of a day, counted from the first.
    fn date(day: i64) -> NaiveDate {
        let first = NaiveDate::from_ymd_opt(2025, 1, 6).unwrap_or_default();
        let days = Days::new(day.unsigned_abs());
        let date = if day < 0 { first.checked_sub_days(days) } else { first.checked_add_days(days) };
        date.unwrap_or(first)
    }
}
