//! Numbers that follow from (seed, subject, n) alone: a mix, not a sequence, so that any record can be asked for.

/// 64 well mixed bits (the finaliser of SplitMix64, twice keyed).
pub const fn mix(seed: u64, subject: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ subject.wrapping_mul(0xd1b5_4a32_d192_ed03);
    z = z.wrapping_add(n.wrapping_mul(0xbf58_476d_1ce4_e5b9));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The bits of one record, handed out piece by piece.
#[derive(Debug, Clone, Copy)]
pub struct Bits(u64);

impl Bits {
    pub const fn new(seed: u64, subject: u64, n: u64) -> Bits {
        Bits(mix(seed, subject, n))
    }

    /// Below `bound`.
    pub const fn below(&mut self, bound: u64) -> u64 {
        let value = ((self.0 >> 32) * bound) >> 32;
        self.0 = mix(self.0, 1, 0);
        value
    }

    /// True in `parts` of 1,000 cases.
    pub const fn per_mille(&mut self, parts: u64) -> bool {
        self.below(1_000) < parts
    }

    pub const fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len() as u64) as usize]
    }
}
