//! What kinds of organisations there are: how large, how restless, how their groups are cut.

/// A kind of organisation.
#[derive(Debug, PartialEq, Eq)]
pub struct Profile {
    pub name: &'static str,
    /// How many, unless somebody asks for another number.
    pub people: u64,
    /// Of a million, on a day: who leave.
    pub leavers: u64,
    /// Of a million, on a day: who move to another department, with other groups.
    pub movers: u64,
    /// Of a hundred who take an empty seat: who had it before.
    pub rehired: u64,
    /// Of a hundred: who have a manager. The first seats are theirs.
    pub managed: u64,
    /// Groups that people are in by chance, a power of two: each octave of them has about as many members, so the first has
    /// half of what the next two have together, and most have very few.
    pub groups: u64,
    /// Of those, in how many somebody is at most: now and then the same one comes up twice.
    pub memberships: u64,
}

impl Profile {
    pub const ALL: [Profile; 3] = [
        Profile {
            name: "small-10k",
            people: 10_000,
            leavers: 400,
            movers: 300,
            rehired: 8,
            managed: 100,
            groups: 256,
            memberships: 3,
        },
        Profile {
            name: "corp-100k",
            people: 100_000,
            leavers: 450,
            movers: 500,
            rehired: 10,
            managed: 100,
            groups: 4_096,
            memberships: 5,
        },
        // Most are customers, who have no manager and whose department is their tariff.
        Profile {
            name: "isp-1m",
            people: 1_000_000,
            leavers: 700,
            movers: 900,
            rehired: 15,
            managed: 2,
            groups: 32_768,
            memberships: 8,
        },
    ];

    pub fn named(name: &str) -> Option<&'static Profile> {
        const ALL: &[Profile] = &Profile::ALL;
        ALL.iter().find(|profile| profile.name == name)
    }
}
