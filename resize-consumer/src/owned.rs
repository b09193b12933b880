//! The partitions that are ours and how far each is done, shared with the rebalance inside the poll.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use log::{OffsetTracker, Owner, Partition, Start};

/// A record in work: which, and in which ownership of its partition it was taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticket {
    pub(crate) at: Partition,
    pub(crate) offset: i64,
    generation: u64,
}

#[derive(Debug, Default)]
struct State {
    generation: u64,
    partitions: BTreeMap<Partition, (u64, OffsetTracker)>,
}

#[derive(Debug, Default)]
pub(crate) struct Owned(Mutex<State>);

impl Owned {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A record was read. `None` if its partition is not ours.
    pub(crate) fn take(&self, at: Partition, offset: i64) -> Option<Ticket> {
        let mut state = self.state();
        let (generation, tracker) = state.partitions.get_mut(&at)?;
        tracker.take(offset);
        Some(Ticket { at, offset, generation: *generation })
    }

    /// Its answer is on the log. What was taken in an earlier ownership is abandoned: whoever owns the partition now
    /// answers it again.
    pub(crate) fn done(&self, ticket: Ticket) {
        let mut state = self.state();
        if let Some((generation, tracker)) = state.partitions.get_mut(&ticket.at)
            && *generation == ticket.generation
        {
            tracker.done(ticket.offset);
        }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.state().partitions.values().map(|(_, tracker)| tracker.in_flight()).sum()
    }

    pub(crate) fn partitions(&self) -> Vec<Partition> {
        self.state().partitions.keys().copied().collect()
    }

    pub(crate) fn take_committable(&self) -> Vec<(Partition, i64)> {
        let mut state = self.state();
        let each = state.partitions.iter_mut();
        each.filter_map(|(at, (_, tracker))| Some((*at, tracker.take_committable()?))).collect()
    }
}

impl Owner for Owned {
    fn assigned(&self, partitions: &[Partition]) -> Vec<(Partition, Start)> {
        let mut state = self.state();
        state.generation += 1;
        let generation = state.generation;
        for at in partitions {
            state.partitions.insert(*at, (generation, OffsetTracker::default()));
        }
        partitions.iter().map(|at| (*at, Start::Committed)).collect()
    }

    fn revoked(&self, partitions: &[Partition]) -> Vec<(Partition, i64)> {
        let mut state = self.state();
        let gone = partitions.iter().filter_map(|at| Some((*at, state.partitions.remove(at)?.1.take_committable()?)));
        gone.collect()
    }
}
