//! The only source of chance: a generator that a seed starts, the same on every machine (`SplitMix64`).

/// A sequence of numbers that the seed decides.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) const fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A number of seconds, or the like, from `from` up to and without `to`.
    pub(crate) fn between(&mut self, from: i64, to: i64) -> i64 {
        from + i64::try_from(self.below(to.abs_diff(from))).unwrap_or_default()
    }

    /// An index of something that has `len` elements, if it has any.
    pub(crate) fn index(&mut self, len: usize) -> Option<usize> {
        let end = u64::try_from(len).ok().filter(|&end| end > 0)?;
        usize::try_from(self.below(end)).ok()
    }

    /// True in `percent` of 100 cases.
    pub(crate) const fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of some, if there are any.
    pub(crate) fn one<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        self.index(of.len()).map(|index| of[index])
    }

    /// One of some by weight. The last one stands in for all that weights leave out.
    pub(crate) fn weighted<T: Copy>(&mut self, of: &[(u64, T)]) -> Option<T> {
        let mut left = self.below(of.iter().map(|(weight, _)| weight).sum::<u64>().max(1));
        for &(weight, value) in of {
            if left < weight {
                return Some(value);
            }
            left -= weight;
        }
        of.last().map(|&(_, value)| value)
    }
}
