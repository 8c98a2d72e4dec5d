//! Chance that is the same everywhere: whole numbers, hashed from what the throw is for.

/// What a throw is for, so that no two throws about a seat are the same one.
#[derive(Debug, Clone, Copy)]
#[repr(u64)]
pub(crate) enum For {
    Leaving = 1,
    Refill,
    Return,
    Moving,
    Absence,
    Since,
    Given,
    Family,
    Spelling,
    Department,
    Site,
    Group,
    Privilege,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Dice {
    seed: u64,
}

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self { seed: mix(seed) }
    }

    /// 64 bits that depend on all of these and on nothing else.
    pub fn throw(self, purpose: For, seat: u64, nth: u64) -> u64 {
        mix(mix(mix(self.seed ^ purpose as u64) ^ seat) ^ nth)
    }

    /// A number below `sides`.
    pub fn below(self, sides: u64, purpose: For, seat: u64, nth: u64) -> u64 {
        fold(self.throw(purpose, seat, nth), sides)
    }
}

/// 64 bits as a number below `sides`, each about as likely.
pub(crate) fn fold(bits: u64, sides: u64) -> u64 {
    u64::try_from((u128::from(bits) * u128::from(sides)) >> 64).unwrap_or(0)
}

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
pub(crate) fn mix(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
