//! A register-blocked Bloom filter: all bits of a key stand in one 64-bit word, so that a look-up costs one access.

/// Bits that a key sets; with 16 bits of room for each key, about one in 200 seems to have been there when it was not.
const BITS_PER_KEY: u32 = 4;

pub(super) struct Filter {
    words: Vec<u64>,
}

impl Filter {
    /// With so many bits of room, at least one word.
    pub(super) fn new(bits: usize) -> Self {
        Self { words: vec![0; Self::bytes(bits) / size_of::<u64>()] }
    }

    /// The memory that [`Filter::new`] takes.
    pub(super) const fn bytes(bits: usize) -> usize {
        (bits / 64 + 1) * size_of::<u64>()
    }

    /// Adds a key by its hash. Answers whether it may have been there before; `false` is certain.
    pub(super) fn add(&mut self, hash: u64) -> bool {
        let (word, bits) = self.place(hash);
        let before = self.words[word];
        self.words[word] = before | bits;
        before & bits == bits
    }

    /// `false` is certain.
    pub(super) fn may_hold(&self, hash: u64) -> bool {
        let (word, bits) = self.place(hash);
        self.words[word] & bits == bits
    }

    #[expect(clippy::cast_possible_truncation, reason = "the product's upper half is below the number of words")]
    fn place(&self, hash: u64) -> (usize, u64) {
        let word = (u128::from(hash) * self.words.len() as u128) >> 64;
        let bits = (0..BITS_PER_KEY).fold(0, |bits, n| bits | 1 << (hash >> (6 * n) & 63));
        (word as usize, bits)
    }
}

/// Of a request id. Ids may be chosen by who sends them: that two hash alike may cost time, never correctness.
pub(super) fn hash(id: [u8; 16]) -> u64 {
    let half = |from: usize| (from..from + 8).fold(0, |half, n| half << 8 | u64::from(id[n]));
    let (time, random) = (half(0), half(8));
    let folded = (time ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(random | 1);
    let mixed = (folded ^ folded >> 32 ^ random).wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed ^ mixed >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> [u8; 16] {
        // As a UUIDv7 of one hour: time above, a number in the place of the random half.
        (0x0190_0000_0000_7000_8000_0000_0000_0000_u128 + (u128::from(n / 1000) << 80) + u128::from(n)).to_be_bytes()
    }

    #[test]
    fn who_was_added_is_held_and_few_others_seem_so() {
        let mut filter = Filter::new(16 * 100_000);
        let seemed = (0..100_000).filter(|n| filter.add(hash(id(*n)))).count();
        assert!(seemed < 1000, "{seemed} of 100,000 seem to have been added before");
        assert!((0..100_000).all(|n| filter.may_hold(hash(id(n)))));
        let strangers = (100_000..200_000).filter(|n| filter.may_hold(hash(id(*n)))).count();
        assert!(strangers < 2000, "{strangers} of 100,000 strangers seem to be held");
    }

    #[test]
    fn a_filter_without_room_holds_everything_rather_than_nothing() {
        let mut filter = Filter::new(0);
        for n in 0..1000 {
            filter.add(hash(id(n)));
        }
        assert!((0..1000).all(|n| filter.may_hold(hash(id(n)))));
    }
}
