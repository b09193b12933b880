//! Which offset of a partition may be committed while its records are worked on out of order.
//!
//! | taken | done | committable |
//! |---|---|---|
//! | 5, 6, 9 | – | – |
//! | 5, 6, 9 | 6 | – |
//! | 5, 6, 9 | 5, 6 | 7 |
//! | 5, 6, 9 | 5, 6, 9 | 10 |
//!
//! The committable offset is one past the highest record below which every taken record is done. Offsets may have gaps.

use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub struct OffsetTracker {
    /// Taken and not yet committable: whether it is done.
    taken: BTreeMap<i64, bool>,
    committable: Option<i64>,
}

impl OffsetTracker {
    /// A record was read. Records of a partition are read in order.
    pub fn take(&mut self, offset: i64) {
        self.taken.insert(offset, false);
    }

    /// A record's effect is durable. Unknown offsets (from before a rebalance) are passed over.
    pub fn done(&mut self, offset: i64) {
        if let Some(done) = self.taken.get_mut(&offset) {
            *done = true;
        }
        while let Some(first) = self.taken.first_entry().filter(|entry| *entry.get()) {
            self.committable = Some(first.remove_entry().0 + 1);
        }
    }

    /// The offset to commit, once: the next call answers `None` until it has moved on.
    pub fn take_committable(&mut self) -> Option<i64> {
        self.committable.take()
    }

    pub fn in_flight(&self) -> usize {
        self.taken.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against the definition, computed anew after each step.
        #[test]
        fn never_past_a_record_that_is_not_done(
            gaps in prop::collection::vec(1_i64..4, 1..40),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
        ) {
            let offsets: Vec<i64> = gaps.iter().scan(0, |at, gap| { *at += gap; Some(*at) }).collect();
            let mut tracker = OffsetTracker::default();
            for offset in &offsets {
                tracker.take(*offset);
            }
            let mut done = std::collections::BTreeSet::new();
            let mut committed = None;
            for index in order {
                let offset = *index.get(&offsets);
                tracker.done(offset);
                done.insert(offset);
                committed = tracker.take_committable().or(committed);
                let expected = offsets.iter().take_while(|o| done.contains(o)).last().map(|o| o + 1);
                prop_assert_eq!(committed, expected);
            }
            prop_assert_eq!(tracker.in_flight(), offsets.iter().skip_while(|o| done.contains(o)).count());
        }
    }

    #[test]
    fn strangers_change_nothing() {
        let mut tracker = OffsetTracker::default();
        tracker.done(3);
        assert_eq!(tracker.take_committable(), None);
        tracker.take(7);
        tracker.done(7);
        assert_eq!(tracker.take_committable(), Some(8));
        assert_eq!(tracker.take_committable(), None);
    }
}
