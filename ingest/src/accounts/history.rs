//! The accounts as the log holds them, and which version of two with one number counts.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::bail;
use contract::layout::Topic;
use contract::{AccountVersion, BrokerTime, CustomerId};
use log::Settings;

use crate::reading;

const POLL: Duration = Duration::from_millis(100);
/// How long the log may stay silent before its end.
const PATIENCE: Duration = Duration::from_secs(15);

/// One version and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Logged {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) appended_at: BrokerTime,
    pub(crate) account: AccountVersion,
}

/// By customer, then number, then place in the log.
#[derive(Debug)]
pub(crate) struct History(Vec<Logged>);

fn number(logged: &Logged) -> (&CustomerId, u32) {
    (&logged.account.customer_id, logged.account.version)
}

impl History {
    fn new(mut entries: Vec<Logged>) -> Self {
        let place = |l: &Logged| (l.partition, l.offset);
        entries.sort_by(|a, b| number(a).cmp(&number(b)).then_with(|| place(a).cmp(&place(b))));
        Self(entries)
    }

    pub(crate) fn entries(&self) -> &[Logged] {
        &self.0
    }

    /// The one that counts, of those with this number: the first in the log. A customer's records share a partition,
    /// where offsets tell; if partitions were added in between, times do.
    pub(crate) fn first(&self, customer: &CustomerId, version: u32) -> Option<&Logged> {
        let start = self.0.partition_point(|l| number(l) < (customer, version));
        let end = self.0.partition_point(|l| number(l) <= (customer, version));
        let by_partition = self.0[start..end].chunk_by(|a, b| a.partition == b.partition);
        by_partition.filter_map(<[Logged]>::first).min_by_key(|l| (l.appended_at, l.partition))
    }

    /// The one that counts, of those with the customer's highest number.
    pub(crate) fn newest(&self, customer: &CustomerId) -> Option<&Logged> {
        let end = self.0.partition_point(|l| l.account.customer_id <= *customer);
        let highest = self.0[..end].last().filter(|l| l.account.customer_id == *customer)?;
        self.first(customer, highest.account.version)
    }

    pub(crate) fn counts(&self, logged: &Logged) -> bool {
        self.first(&logged.account.customer_id, logged.account.version) == Some(logged)
    }

    pub(crate) fn is_newest(&self, logged: &Logged) -> bool {
        self.newest(&logged.account.customer_id) == Some(logged)
    }
}

/// Reads the topic from its first record to what is its end now. Blocks.
pub(crate) fn read(settings: &Settings) -> anyhow::Result<History> {
    let consumer = reading::from(settings, Topic::Accounts, Vec::new())?;
    let extents = reading::extents(&consumer, Topic::Accounts)?;
    let mut unread: BTreeMap<i32, i64> =
        (0..).zip(extents).filter(|(_, (low, high))| low < high).map(|(p, (_, high))| (p, high)).collect();
    let mut entries = Vec::new();
    let mut last_heard = Instant::now();
    while let Some((partition, end)) = unread.first_key_value() {
        let Some(polled) = consumer.poll(POLL) else {
            if last_heard.elapsed() > PATIENCE {
                bail!("nothing came from accounts/{partition} for {PATIENCE:?}, although it goes on to offset {end}");
            }
            continue;
        };
        let polled = polled?;
        last_heard = Instant::now();
        let (partition, offset, appended_at) = (polled.at.partition, polled.offset, polled.appended_at);
        if unread.get(&partition).is_some_and(|end| offset + 1 >= *end) {
            unread.remove(&partition);
        }
        let record = polled.record();
        if record.is_tick() {
            continue;
        }
        match AccountVersion::from_record(&record) {
            Ok(account) => entries.push(Logged { partition, offset, appended_at, account }),
            Err(error) => tracing::warn!(partition, offset, %error, "undecodable account, passed over"),
        }
    }
    Ok(History::new(entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(customer: &str, version: u32, appended_at: i64, (partition, offset): (i32, i64)) -> Logged {
        let account = AccountVersion {
            customer_id: customer.parse().unwrap(),
            version,
            effective_from: BrokerTime::from_millis(0),
            plan: "starter".parse().unwrap(),
            currency: "EUR".parse().unwrap(),
            home_region: "local".parse().unwrap(),
            api_keys: Vec::new(),
            limits: contract::account::Limits::default(),
            presets: contract::resize::Presets::new(),
        };
        Logged { partition, offset, appended_at: BrokerTime::from_millis(appended_at), account }
    }

    #[test]
    fn of_one_number_the_first_in_the_log_counts() {
        let check = |first: &Logged, second: &Logged| {
            let history = History::new(vec![second.clone(), logged("acme", 1, 0, (0, 0)), first.clone()]);
            assert_eq!(history.newest(&"acme".parse().unwrap()), Some(first));
            assert!(history.counts(first) && history.is_newest(first), "{first:?}");
            assert!(!history.counts(second) && !history.is_newest(second), "{second:?}");
        };
        check(&logged("acme", 2, 20, (0, 4)), &logged("acme", 2, 30, (0, 5)));
        // The next leader's clock may be behind.
        check(&logged("acme", 2, 20, (0, 4)), &logged("acme", 2, 10, (0, 5)));
        // A partition was added in between.
        check(&logged("acme", 2, 20, (1, 0)), &logged("acme", 2, 30, (0, 5)));
    }

    #[test]
    fn customers_do_not_mix() {
        let history = History::new(vec![logged("acme", 3, 10, (0, 0)), logged("acme2", 7, 5, (0, 1))]);
        let newest = |id: &str| history.newest(&id.parse().unwrap()).map(|l| l.account.version);
        assert_eq!((newest("acme"), newest("acme2"), newest("acme3")), (Some(3), Some(7), None));
    }
}
