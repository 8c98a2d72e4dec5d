//! The groups of an organisation: a few that nearly everybody is in, and many with hardly anybody.

use std::collections::BTreeSet;

use crate::Organisation;
use crate::dice::{For, fold, mix};
use crate::seat::Seat;

/// Offices; each has a group.
const SITES: u64 = 48;
/// One in so many is an administrator.
const PRIVILEGED: u64 = 400;

/// A group of the organisation, for sources whose groups can hold groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    /// The group that this one is in.
    pub parent: Option<String>,
}

impl Organisation {
    /// The groups that people are in by chance, largest first. Each but the first is in one that is larger.
    pub fn groups(&self) -> impl Iterator<Item = Group> + use<> {
        // With eight in each group, the depth is that of real directories: a handful.
        let name = |rank: u64| format!("team-{rank}");
        (1..self.profile.groups)
            .map(move |rank| Group { name: name(rank), parent: (rank > 1).then(|| name(1 + (rank - 2) / 8)) })
    }

    /// The display names of the groups that the holder of a seat is in, sorted.
    pub(crate) fn groups_of(&self, number: u64, seat: &Seat, department: &str) -> BTreeSet<String> {
        let person = number + seat.holder * self.seats;
        let mut groups = BTreeSet::from([
            "everybody".to_owned(),
            department.to_owned(),
            format!("site-{}", self.dice.below(SITES, For::Site, person, 0)),
        ]);
        for nth in 0..self.profile.memberships {
            // Who moves keeps half of their groups.
            let chosen = if nth % 2 == 0 { nth } else { nth + (seat.moves << 8) };
            groups.insert(format!("team-{}", self.rank(person, chosen)));
        }
        if self.dice.below(PRIVILEGED, For::Privilege, person, seat.moves) == 0 {
            groups.insert("admins".to_owned());
        }
        groups
    }

    /// A rank from 1: an octave, then one of its groups. This is Zipf's law in steps, without a logarithm, of which two
    /// machines may have another last digit.
    fn rank(&self, person: u64, nth: u64) -> u64 {
        let bits = self.dice.throw(For::Group, person, nth);
        let octave = fold(bits, u64::from(self.profile.groups.ilog2()));
        (1 << octave) + fold(mix(bits), 1 << octave)
    }
}
