//! The named presets of all accounts, in memory: the compacted `accounts` topic, read by a thread of its own.
//!
//! A request may come right behind the account version that defines its preset. So one whose preset is not known waits
//! until the reading has come as far as the topic went when the request was met; only then is the preset unknown.
//!
//! A name never changes its meaning: `ingest` refuses that, and should the log have two, the first counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use contract::AccountVersion;
use contract::ids::{CustomerId, Label};
use contract::layout::Topic;
use contract::resize::{self, Resize};
use log::{Consumer, LogError, Owner, Partition, Reset, Settings, Start};
use service::{Health, Shutdown};
use tokio::sync::watch;

/// The longest that a request with an unknown preset waits for the reading to hear of it.
const POLL: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Presets {
    known: RwLock<BTreeMap<CustomerId, resize::Presets>>,
    /// How many have asked for what is not known.
    asked: AtomicU64,
    /// How many of these have seen the reading come far enough.
    answered: watch::Sender<u64>,
}

impl Default for Presets {
    fn default() -> Self {
        Self { known: RwLock::default(), asked: AtomicU64::new(0), answered: watch::Sender::new(0) }
    }
}

impl Presets {
    /// The preset, if the account has it by now. Waits for as long as `accounts` can't be read.
    pub(crate) async fn find(&self, customer: &CustomerId, name: &Label) -> Option<Resize> {
        if let Some(preset) = self.get(customer, name) {
            return Some(preset);
        }
        let mut answered = self.answered.subscribe();
        let turn = self.asked.fetch_add(1, SeqCst) + 1;
        // The sender is ours, so it is there.
        let _ = answered.wait_for(|turns| *turns >= turn).await;
        self.get(customer, name)
    }

    fn get(&self, customer: &CustomerId, name: &Label) -> Option<Resize> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(customer)?.get(name).cloned()
    }

    fn learn(&self, account: AccountVersion) {
        if account.presets.is_empty() {
            return;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let presets = known.entry(account.customer_id).or_default();
        for (name, preset) in account.presets {
            presets.entry(name).or_insert(preset);
        }
    }

    /// Reads until shutdown.
    pub(crate) fn read(&self, settings: &Settings, health: &Health, shutdown: &Shutdown) -> Result<(), LogError> {
        while !shutdown.is_requested() {
            let consumer = Consumer::read_all(settings, &[Topic::Accounts], Reset::Earliest, Arc::new(FromTheFirst));
            match consumer.and_then(|consumer| self.read_on(&consumer, health, shutdown)) {
                // Read again from the first; what is known stays.
                Err(error @ (LogError::Kafka { .. } | LogError::OffsetOutOfRange)) => {
                    tracing::warn!(%error, "cannot read the presets; trying again");
                    health.problem("accounts", error.to_string());
                    std::thread::sleep(PAUSE);
                }
                ended => return ended,
            }
        }
        Ok(())
    }

    fn read_on(&self, consumer: &Consumer, health: &Health, shutdown: &Shutdown) -> Result<(), LogError> {
        health.well("accounts");
        let mut reached: BTreeMap<i32, i64> = BTreeMap::new();
        let mut goal: Option<(u64, BTreeMap<i32, i64>)> = None;
        let mut ask_at = Instant::now();
        while !shutdown.is_requested() {
            let asked = self.asked.load(SeqCst);
            if goal.is_none() && asked > *self.answered.borrow() && Instant::now() >= ask_at {
                match ends(consumer) {
                    Ok(ends) => goal = Some((asked, ends)),
                    Err(error) => {
                        tracing::warn!(%error, "a request waits for its preset; trying again");
                        ask_at = Instant::now() + PAUSE;
                    }
                }
            }
            if let Some((turns, _)) = goal.take_if(|(_, ends)| is_reached(&reached, ends)) {
                self.answered.send_replace(turns);
            }
            match consumer.poll(POLL) {
                None => {}
                Some(Err(error)) => return Err(error),
                Some(Ok(polled)) => {
                    reached.insert(polled.at.partition, polled.offset + 1);
                    // Undecodable ones and ticks say nothing; the aggregator deals with them.
                    if let Ok(account) = AccountVersion::from_record(&polled.record()) {
                        self.learn(account);
                    }
                }
            }
        }
        Ok(())
    }
}

/// One past the last record of each partition that holds any. The last record of a log is never compacted away.
fn ends(consumer: &Consumer) -> Result<BTreeMap<i32, i64>, LogError> {
    let mut ends = BTreeMap::new();
    for partition in 0..consumer.partition_count(Topic::Accounts)? {
        let (low, high) = consumer.watermarks(Partition { topic: Topic::Accounts, partition })?;
        if low < high {
            ends.insert(partition, high);
        }
    }
    Ok(ends)
}

fn is_reached(reached: &BTreeMap<i32, i64>, ends: &BTreeMap<i32, i64>) -> bool {
    ends.iter().all(|(partition, end)| reached.get(partition).is_some_and(|next| next >= end))
}

struct FromTheFirst;

impl Owner for FromTheFirst {
    fn assigned(&self, partitions: &[Partition]) -> Vec<(Partition, Start)> {
        partitions.iter().map(|at| (*at, Start::Committed)).collect()
    }
    fn revoked(&self, _: &[Partition]) -> Vec<(Partition, i64)> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(version: u32, width: u32) -> AccountVersion {
        let preset = format!(r#"{{"thumb": {{"width": {width}}}}}"#);
        AccountVersion {
            customer_id: "acme".parse().unwrap(),
            version,
            effective_from: contract::BrokerTime::from_millis(0),
            plan: "basic".parse().unwrap(),
            currency: "EUR".parse().unwrap(),
            home_region: "local".parse().unwrap(),
            api_keys: Vec::new(),
            limits: contract::account::Limits::default(),
            presets: serde_json::from_str(&preset).unwrap(),
        }
    }

    #[test]
    fn the_first_meaning_counts() {
        let presets = Presets::default();
        let (customer, name) = ("acme".parse().unwrap(), "thumb".parse().unwrap());
        assert_eq!(presets.get(&customer, &name), None);
        presets.learn(account(1, 100));
        presets.learn(account(2, 200));
        assert_eq!(presets.get(&customer, &name).unwrap().width, Some(100));
        assert_eq!(presets.get(&"globex".parse().unwrap(), &name), None);
    }

    #[test]
    fn a_goal_is_reached_in_every_partition_that_holds_records() {
        let check = |reached: &[(i32, i64)], ends: &[(i32, i64)], expected| {
            let map = |pairs: &[(i32, i64)]| pairs.iter().copied().collect();
            assert_eq!(is_reached(&map(reached), &map(ends)), expected, "{reached:?} {ends:?}");
        };
        check(&[], &[], true);
        check(&[(0, 3)], &[(0, 3)], true);
        check(&[(0, 2)], &[(0, 3)], false);
        check(&[(0, 9)], &[(0, 3), (1, 1)], false);
        check(&[(0, 9), (1, 1)], &[(0, 3), (1, 1)], true);
    }
}
