//! The usage events of one partition over a month, in the order of its log, repeats among them.
//!
//! Each event may be answered once more, seconds to minutes later:
//!
//! | repeat | of 10,000 | differs in |
//! |---|---|---|
//! | the same request record, after a worker was killed | 50 | CPU time |
//! | a producer's retry | 50 | CPU time, the request record, so `accepted_at` |
//! | another body under the same request id: a conflict | 1 | all but customer and request id |
//!
//! Of the duplicates one in 20 was rejected where the other was done, each of the two first in half of the cases.

use std::collections::BTreeMap;

use anyhow::Result;
use contract::units::CpuMicros;
use contract::usage::{Reason, Usage};
use contract::{BrokerTime, Month, UsageEvent};

use crate::bench::landing::events::{Events, Traffic, reject};

/// From the append of a request record to that of its answer.
const ANSWERED_AFTER_MS: i64 = 80;
const REPEATED_WITHIN_MS: i64 = 600_000;

#[derive(Debug)]
pub(super) struct Repeats {
    events: Events,
    /// Not yet made, nor promised as a repeat.
    left: i64,
    next: Option<UsageEvent>,
    /// Repeats by their append time and number.
    later: BTreeMap<(BrokerTime, i64), UsageEvent>,
    pub(super) duplicates: i64,
    pub(super) conflicts: i64,
}

impl Repeats {
    /// `count` events, repeats among them.
    pub(super) fn new(seed: u64, month: Month, count: i64, customers: u64) -> Self {
        let millis = month.end().as_millis() - month.start().as_millis();
        let events = Events::of(seed, month.start(), Traffic { events: count, millis, customers });
        Self { events, left: count, next: None, later: BTreeMap::new(), duplicates: 0, conflicts: 0 }
    }

    fn make(&mut self) -> Result<Option<UsageEvent>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let event = self.events.event()?;
        if self.left == 0 {
            return Ok(Some(event));
        }
        let at = event.accepted_at.plus_millis(1000 + self.events.below(REPEATED_WITHIN_MS));
        let (first, again) = match self.events.below(10_000) {
            0..50 => self.duplicate(event, None)?,
            50..100 => self.duplicate(event, Some(at))?,
            100 => self.conflict(event, at)?,
            _ => return Ok(Some(event)),
        };
        self.left -= 1;
        self.later.insert((at.plus_millis(ANSWERED_AFTER_MS), self.left), again);
        Ok(Some(first))
    }

    /// The event and its duplicate, which was accepted `again_at` if that is another time.
    fn duplicate(&mut self, event: UsageEvent, again_at: Option<BrokerTime>) -> Result<(UsageEvent, UsageEvent)> {
        self.duplicates += 1;
        self.events.pass();
        let cpu_micros = CpuMicros::new(event.usage.cpu_micros.get() + 1 + self.events.below(2000))?;
        let mut again = UsageEvent { usage: Usage { cpu_micros, ..event.usage.clone() }, ..event.clone() };
        let mut first = event;
        if first.outcome.is_done() {
            let too_late = |event| reject(event, Reason::DeadlineExceeded, "it was too late");
            match self.events.below(40) {
                0 => first = too_late(first),
                1 => again = too_late(again),
                _ => {}
            }
        } else {
            again = first.clone();
        }
        if let Some(again_at) = again_at {
            (again.accepted_at, again.request) = (again_at, self.events.request());
        }
        Ok((first, again))
    }

    fn conflict(&mut self, event: UsageEvent, again_at: BrokerTime) -> Result<(UsageEvent, UsageEvent)> {
        self.conflicts += 1;
        let other = self.events.event()?;
        let (customer_id, request_id) = (event.customer_id.clone(), event.request_id);
        Ok((event, UsageEvent { customer_id, request_id, accepted_at: again_at, ..other }))
    }

    fn following(&mut self) -> Result<Option<(BrokerTime, UsageEvent)>> {
        if self.next.is_none() {
            self.next = self.make()?;
        }
        let next_at = self.next.as_ref().map(|event| event.accepted_at.plus_millis(ANSWERED_AFTER_MS));
        match (next_at, self.later.first_key_value()) {
            (Some(next_at), Some(((later_at, _), _))) if next_at <= *later_at => {}
            (Some(_), None) => {}
            _ => return Ok(self.later.pop_first().map(|((at, _), event)| (at, event))),
        }
        Ok(next_at.zip(self.next.take()))
    }
}

/// Each with its append time.
impl Iterator for Repeats {
    type Item = Result<(BrokerTime, UsageEvent)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.following().transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn month() -> Month {
        "2026-10".parse().unwrap()
    }

    fn events(seed: u64) -> (Vec<(BrokerTime, UsageEvent)>, Repeats) {
        let mut repeats = Repeats::new(seed, month(), 20_000, 1000);
        let events = repeats.by_ref().collect::<Result<_>>().unwrap();
        (events, repeats)
    }

    #[test]
    fn the_same_for_the_same_seed() {
        assert_eq!(events(1).0, events(1).0);
        assert_ne!(events(1).0, events(2).0);
    }

    #[test]
    fn as_many_repeats_as_were_asked_for_and_counted() {
        let (mut landed, mut duplicates, mut conflicts) = (0, 0, 0);
        for seed in 0..10 {
            let (events, repeats) = events(seed);
            let conversions: BTreeSet<_> =
                events.iter().map(|(_, e)| (&e.customer_id, e.request_id, e.fingerprint)).collect();
            let requests: BTreeSet<_> = events.iter().map(|(_, e)| (&e.customer_id, e.request_id)).collect();
            let count = |set: usize| i64::try_from(set).unwrap();
            assert_eq!(events.len(), 20_000);
            assert_eq!(count(events.len() - conversions.len()), repeats.duplicates, "seed {seed}");
            assert_eq!(count(conversions.len() - requests.len()), repeats.conflicts, "seed {seed}");
            landed += count(events.len());
            duplicates += repeats.duplicates;
            conflicts += repeats.conflicts;
        }
        // 1 % and 0.01 %, give or take four standard deviations.
        assert!((1800..=2180).contains(&duplicates), "{duplicates} of {landed}");
        assert!((3..=38).contains(&conflicts), "{conflicts} of {landed}");
    }

    #[test]
    fn the_log_runs_forward_and_ids_stay_in_the_month() {
        let (events, _) = events(3);
        assert!(events.is_sorted_by_key(|(at, _)| *at));
        assert!(events.iter().all(|(_, event)| event.request_id.minted_at() < month().end()));
        let hours: BTreeSet<_> = events.iter().map(|(_, event)| event.id_hour()).collect();
        // An id may have been minted shortly before the month.
        assert!((744..=745).contains(&hours.len()), "{} id-hours", hours.len());
    }

    #[test]
    fn duplicates_differ_as_attempts_do() {
        let (events, _) = events(4);
        let mut attempts: BTreeMap<_, Vec<&UsageEvent>> = BTreeMap::new();
        for (_, event) in &events {
            attempts.entry((event.request_id, event.fingerprint)).or_default().push(event);
        }
        let pairs: Vec<_> = attempts.values().filter(|events| events.len() == 2).collect();
        let with = |differs: fn(&UsageEvent, &UsageEvent) -> bool| pairs.iter().filter(|p| differs(p[0], p[1])).count();
        let retried = with(|a, b| a.accepted_at < b.accepted_at && a.request != b.request);
        let repeated = with(|a, b| a.accepted_at == b.accepted_at && a.request == b.request);
        assert_eq!(retried + repeated, pairs.len());
        assert!(retried > 60 && repeated > 60, "{retried} and {repeated}");
        assert!(with(|a, b| a.outcome.is_done() != b.outcome.is_done()) > 0);
        assert!(with(|a, b| a.usage.cpu_micros != b.usage.cpu_micros) * 10 > pairs.len() * 9);
    }
}
