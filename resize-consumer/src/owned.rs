//! The partitions that are ours and how far each is done, shared with the rebalance inside the poll.
//!
//! | record | is |
//! |---|---|
//! | read, no room: [`MAX_PAST_COMMIT`] others of its partition are past the commit | waiting |
//! | handed out | in flight, until its answer is on the log |
//! | answered, as are all before it | committable |
//! | committed, by the broker's word | forgotten |

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use log::{OffsetTracker, Owner, Partition, Start};

use crate::answer::Work;
use crate::metrics::Metrics;
use crate::retry::Trouble;

/// An owner has handed out at most so many records of a partition that are not committed. If it dies of one, that one is
/// among as many that the next owner meets first, and does with care: so all workers have to agree on it.
pub(crate) const MAX_PAST_COMMIT: usize = 128;

/// How long a partition that goes is held back for what is in flight, which another would do again.
const SETTLE: Duration = Duration::from_secs(1);

/// A record in work: which, and in which ownership of its partition it was taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticket {
    pub(crate) at: Partition,
    pub(crate) offset: i64,
    /// The owner before may have had it in work, and died of it.
    pub(crate) careful: bool,
    generation: u64,
}

#[derive(Default)]
struct State {
    generation: u64,
    partitions: BTreeMap<Partition, Ours>,
    failure: Option<(Ticket, Trouble)>,
}

#[derive(Default)]
struct Ours {
    generation: u64,
    tracker: OffsetTracker,
    /// Records handed out in this ownership.
    taken: usize,
    /// Those of them that are not committed.
    past_commit: VecDeque<i64>,
    committable: Option<i64>,
    waiting: VecDeque<(i64, Work)>,
    paused: bool,
}

impl Ours {
    fn has_room(&self) -> bool {
        self.past_commit.len() < MAX_PAST_COMMIT
    }

    fn take(&mut self, at: Partition, offset: i64) -> Ticket {
        self.tracker.take(offset);
        self.past_commit.push_back(offset);
        self.taken += 1;
        Ticket { at, offset, careful: self.taken <= MAX_PAST_COMMIT, generation: self.generation }
    }

    fn done(&mut self, offset: i64) {
        self.tracker.done(offset);
        self.committable = self.tracker.take_committable().or(self.committable);
    }

    fn committed(&mut self, offset: i64) {
        while self.past_commit.front().is_some_and(|first| *first < offset) {
            self.past_commit.pop_front();
        }
        self.committable.take_if(|done| *done <= offset);
    }
}

pub(crate) struct Owned {
    state: Mutex<State>,
    /// Something has ended.
    ended: Condvar,
    metrics: Metrics,
}

impl Owned {
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self { state: Mutex::default(), ended: Condvar::new(), metrics }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A record was read: hands it out, or lets it wait for room. What is not ours is passed over.
    pub(crate) fn offer(&self, at: Partition, offset: i64, work: Work) -> Option<(Ticket, Work)> {
        let mut state = self.state();
        let ours = state.partitions.get_mut(&at)?;
        if ours.has_room() && ours.waiting.is_empty() {
            return Some((ours.take(at, offset), work));
        }
        ours.waiting.push_back((offset, work));
        None
    }

    /// Hands out a record that waited and has room now.
    pub(crate) fn next_waiting(&self) -> Option<(Ticket, Work)> {
        let mut state = self.state();
        let (at, ours) = state.partitions.iter_mut().find(|(_, ours)| ours.has_room() && !ours.waiting.is_empty())?;
        let (offset, work) = ours.waiting.pop_front()?;
        Some((ours.take(*at, offset), work))
    }

    pub(crate) fn has_waiting(&self) -> bool {
        self.state().partitions.values().any(|ours| !ours.waiting.is_empty())
    }

    /// Its answer is on the log, or never will be. What was taken in an earlier ownership is abandoned: whoever owns the
    /// partition now answers it again.
    pub(crate) fn end(&self, ticket: Ticket, outcome: Result<(), Trouble>) {
        let mut state = self.state();
        match outcome {
            Err(trouble) => state.failure = Some((ticket, trouble)),
            Ok(()) => {
                if let Some(ours) = state.partitions.get_mut(&ticket.at)
                    && ours.generation == ticket.generation
                {
                    ours.done(ticket.offset);
                }
            }
        }
        self.ended.notify_all();
    }

    /// Trouble that would not pass.
    pub(crate) fn take_failure(&self) -> Option<(Ticket, Trouble)> {
        self.state().failure.take()
    }

    /// Waits until something ends while `go_on` is true.
    pub(crate) fn wait_for_an_end(&self, within: Duration, go_on: impl Fn() -> bool) {
        let state = self.state();
        if go_on() {
            drop(self.ended.wait_timeout(state, within));
        }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.state().partitions.values().map(|ours| ours.tracker.in_flight()).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.state().partitions.is_empty()
    }

    /// How far each partition may be committed that was not.
    pub(crate) fn committable(&self) -> Vec<(Partition, i64)> {
        self.state().partitions.iter().filter_map(|(at, ours)| Some((*at, ours.committable?))).collect()
    }

    /// Whether some partition nears its bound for want of a commit.
    pub(crate) fn wants_commit(&self) -> bool {
        let uncommitted = |ours: &Ours| ours.past_commit.len() - ours.tracker.in_flight();
        self.state().partitions.values().any(|ours| uncommitted(ours) >= MAX_PAST_COMMIT / 4)
    }

    /// The broker has committed these.
    pub(crate) fn committed(&self, offsets: &[(Partition, i64)]) {
        let mut state = self.state();
        for (at, offset) in offsets {
            if let Some(ours) = state.partitions.get_mut(at) {
                ours.committed(*offset);
            }
        }
    }

    /// Which partitions are to be paused now and which resumed: all are paused to `hold`, else those whose records wait.
    pub(crate) fn pauses(&self, hold: bool) -> (Vec<Partition>, Vec<Partition>) {
        let (mut pause, mut resume) = (Vec::new(), Vec::new());
        for (at, ours) in &mut self.state().partitions {
            let wanted = hold || !ours.waiting.is_empty();
            if wanted != ours.paused {
                ours.paused = wanted;
                if wanted { &mut pause } else { &mut resume }.push(*at);
            }
        }
        (pause, resume)
    }
}

impl Owner for Owned {
    fn assigned(&self, partitions: &[Partition]) -> Vec<(Partition, Start)> {
        let mut state = self.state();
        state.generation += 1;
        let generation = state.generation;
        for at in partitions {
            state.partitions.insert(*at, Ours { generation, ..Ours::default() });
        }
        partitions.iter().map(|at| (*at, Start::Committed)).collect()
    }

    /// Waits a moment for what is in flight; what is not done by then will be done again.
    fn revoked(&self, partitions: &[Partition]) -> Vec<(Partition, i64)> {
        let in_flight = |state: &mut State| {
            let ours = partitions.iter().filter_map(|at| state.partitions.get(at));
            state.failure.is_none() && ours.map(|ours| ours.tracker.in_flight()).sum::<usize>() > 0
        };
        let waited = self.ended.wait_timeout_while(self.state(), SETTLE, in_flight);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let gone = partitions.iter().filter_map(|at| Some((*at, state.partitions.remove(at)?.committable?)));
        let gone = gone.collect();
        for at in partitions {
            self.metrics.forget_lag(at.partition);
        }
        gone
    }

    fn lags(&self, lags: &[(Partition, i64)]) {
        for (at, records) in lags {
            if self.state().partitions.contains_key(at) {
                self.metrics.set_lag(at.partition, *records);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use contract::layout::Topic;

    use super::*;

    const AT: Partition = Partition { topic: Topic::Requests, partition: 3 };
    const BOUND: i64 = 128;

    fn owned() -> Owned {
        let owned = Owned::new(Metrics::new(&service::Metrics::default()));
        owned.assigned(&[AT]);
        owned
    }

    fn offer(owned: &Owned, offset: i64) -> Option<Ticket> {
        owned.offer(AT, offset, Work::Tick).map(|(ticket, _)| ticket)
    }

    #[test]
    fn no_more_than_the_bound_are_handed_out_past_the_commit() {
        let owned = owned();
        let mut tickets: VecDeque<Ticket> = (0..BOUND).map(|offset| offer(&owned, offset).unwrap()).collect();
        assert!(tickets.iter().all(|ticket| ticket.careful));
        assert!(offer(&owned, BOUND).is_none() && offer(&owned, BOUND + 5).is_none());
        assert_eq!(owned.pauses(false), (vec![AT], vec![]));
        assert_eq!(owned.pauses(false), (vec![], vec![]), "it is paused");

        // Done is not enough: the broker has to know.
        owned.end(tickets.pop_front().unwrap(), Ok(()));
        assert!(owned.next_waiting().is_none());
        assert_eq!(owned.committable(), [(AT, 1)]);
        assert_eq!(owned.committable(), [(AT, 1)], "until the broker says so");
        owned.committed(&[(AT, 1)]);
        assert_eq!(owned.committable(), []);
        let (ticket, _) = owned.next_waiting().unwrap();
        assert_eq!((ticket.offset, ticket.careful), (BOUND, false));
        assert!(owned.next_waiting().is_none() && owned.has_waiting());

        // They keep their order, also with those that are read now.
        for ticket in tickets {
            owned.end(ticket, Ok(()));
        }
        owned.committed(&owned.committable());
        assert!(offer(&owned, BOUND + 6).is_none());
        let waited: Vec<i64> = std::iter::from_fn(|| Some(owned.next_waiting()?.0.offset)).collect();
        assert_eq!(waited, [BOUND + 5, BOUND + 6]);
        assert_eq!(owned.pauses(false), (vec![], vec![AT]));
    }

    #[test]
    fn a_commit_is_wanted_before_the_bound_is_near() {
        let owned = owned();
        let tickets: Vec<Ticket> = (0..BOUND / 4).map(|offset| offer(&owned, offset).unwrap()).collect();
        for (done, ticket) in tickets.into_iter().enumerate().rev() {
            assert!(!owned.wants_commit(), "the first {done} are not done");
            owned.end(ticket, Ok(()));
        }
        assert!(owned.wants_commit());
    }

    #[test]
    fn an_earlier_ownerships_work_counts_for_nothing() {
        let owned = owned();
        let ticket = offer(&owned, 7).unwrap();
        assert_eq!(owned.revoked(&[AT]), [], "it was not done within the time to settle");
        assert!(offer(&owned, 8).is_none(), "not ours");
        owned.assigned(&[AT]);
        let again = offer(&owned, 7).unwrap();
        assert!(again.careful, "after every assignment");
        owned.end(ticket, Ok(()));
        assert_eq!((owned.committable(), owned.in_flight()), (vec![], 1));
        owned.end(again, Ok(()));
        assert_eq!(owned.revoked(&[AT]), [(AT, 8)]);
    }

    #[test]
    fn holding_pauses_all() {
        let owned = owned();
        assert_eq!(owned.pauses(true), (vec![AT], vec![]));
        assert_eq!(owned.pauses(false), (vec![], vec![AT]));
    }
}
