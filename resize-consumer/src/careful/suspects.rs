//! Whose images have lately crashed a decoder: what they ask for next is done in a child, by every worker.
//!
//! Workers tell each other through the store: an empty object per customer and hour, which each looks for every few
//! seconds. It is a hint: without it a worker may crash that need not, and nothing else comes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use contract::{BrokerTime, CustomerId, Digest, layout};
use store::{Store, StoreError};

/// Past so many, the one accused longest ago is forgotten.
const MOST: usize = 1_000;
/// How long the store may take.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Suspect {
    Customer(CustomerId),
    /// Whoever sends it.
    Source(Digest),
}

#[derive(Debug)]
pub(super) struct Suspects {
    remembered: Duration,
    /// By this process.
    accused: Mutex<BTreeMap<Suspect, Instant>>,
    /// By any, as last seen in the store.
    told: Mutex<BTreeSet<CustomerId>>,
}

impl Suspects {
    pub(super) fn new(remembered: Duration) -> Self {
        Self { remembered, accused: Mutex::default(), told: Mutex::default() }
    }

    /// A decoder died of this source. Each death counts anew.
    pub(super) fn accuse(&self, customer: &CustomerId, source: &Digest, now: Instant) {
        let mut accused = locked(&self.accused);
        accused.retain(|_, since| now.duration_since(*since) < self.remembered);
        for suspect in [Suspect::Customer(customer.clone()), Suspect::Source(*source)] {
            accused.insert(suspect, now);
        }
        while accused.len() > MOST
            && let Some(oldest) = accused.iter().min_by_key(|(_, since)| **since).map(|(suspect, _)| suspect.clone())
        {
            accused.remove(&oldest);
        }
    }

    pub(super) fn suspected(&self, customer: &CustomerId, source: &Digest, now: Instant) -> bool {
        if locked(&self.told).contains(customer) {
            return true;
        }
        let accused = locked(&self.accused);
        if accused.is_empty() {
            return false; // nearly always
        }
        let lately = |suspect| accused.get(&suspect).is_some_and(|since| now.duration_since(*since) < self.remembered);
        lately(Suspect::Customer(customer.clone())) || lately(Suspect::Source(*source))
    }

    /// Reads whom others accused. What is told counts by the hour, so for up to an hour longer than remembered.
    pub(super) async fn look(&self, store: &Store, now: BrokerTime) {
        if let Some(told) = in_time(told(store, now, self.remembered)).await {
            *locked(&self.told) = told;
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells the others.
pub(super) async fn tell(store: Store, customer: CustomerId, now: BrokerTime) {
    let path = layout::suspect(now.hour(), &customer);
    in_time(store.create(&path, Bytes::new())).await;
}

async fn told(store: &Store, now: BrokerTime, within: Duration) -> Result<BTreeSet<CustomerId>, StoreError> {
    let mut told = BTreeSet::new();
    let millis = i64::try_from(within.as_millis()).unwrap_or(i64::MAX);
    let mut hour = now.plus_millis(-millis).hour();
    while hour <= now.hour() {
        let entries = store.list(&layout::suspects(hour)).await?;
        told.extend(entries.iter().filter_map(|entry| entry.path.rsplit('/').next()?.parse::<CustomerId>().ok()));
        hour = hour.end().hour();
    }
    Ok(told)
}

async fn in_time<T>(step: impl Future<Output = Result<T, StoreError>>) -> Option<T> {
    let error = match tokio::time::timeout(PATIENCE, step).await {
        Ok(Ok(done)) => return Some(done),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("nothing within {PATIENCE:?}"),
    };
    tracing::warn!(error, "workers can't tell each other whose images crash decoders");
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn customer(n: usize) -> CustomerId {
        format!("customer-{n}").parse().unwrap()
    }

    fn image(n: usize) -> Digest {
        Digest::of(&n.to_le_bytes())
    }

    #[test]
    fn a_customer_and_an_image_are_suspected_for_a_while() {
        let (suspects, start) = (Suspects::new(Duration::from_secs(10)), Instant::now());
        let check = |who: usize, what: usize, after_s: u64, expected: bool| {
            let now = start + Duration::from_secs(after_s);
            assert_eq!(suspects.suspected(&customer(who), &image(what), now), expected, "{who} {what} {after_s}");
        };
        check(1, 1, 0, false);
        suspects.accuse(&customer(1), &image(1), start);
        check(1, 2, 9, true);
        check(2, 1, 9, true);
        check(2, 2, 9, false);
        check(1, 1, 10, false);
        suspects.accuse(&customer(1), &image(2), start + Duration::from_secs(9));
        check(1, 9, 18, true);
        check(9, 1, 18, false);

        for n in 0..MOST {
            suspects.accuse(&customer(n), &image(n), start + Duration::from_secs(20));
        }
        assert_eq!(locked(&suspects.accused).len(), MOST);
    }

    #[tokio::test]
    async fn one_worker_tells_another() {
        let store = Store::open("memory:///").unwrap();
        let (suspects, now) = (Suspects::new(Duration::from_mins(10)), Instant::now());
        let clock = BrokerTime::from_millis(1_700_000_000_000);
        suspects.look(&store, clock).await;
        assert!(!suspects.suspected(&customer(1), &image(1), now));
        tell(store.clone(), customer(1), clock).await;
        tell(store.clone(), customer(1), clock).await;
        suspects.look(&store, clock).await;
        assert!(suspects.suspected(&customer(1), &image(9), now));
        assert!(!suspects.suspected(&customer(2), &image(1), now));

        let hour_ms = 3_600_000;
        for (later_ms, expected) in [(hour_ms / 6, 1), (hour_ms * 7 / 6, 0), (-hour_ms, 0)] {
            let now = clock.hour().end().plus_millis(later_ms - 1);
            assert_eq!(told(&store, now, Duration::from_mins(10)).await.unwrap().len(), expected, "{later_ms}");
        }
    }
}
