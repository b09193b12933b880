//! Looking single records up by their places, beside the consumer that reads on.
//!
//! A consumer that runs while its topic is deleted and made anew goes on at its old offset in the new one, once that has
//! grown so far: librdkafka 2.12 sees the topic's new id and says nothing. So who wants to know that it still reads the
//! same log asks here for a record that it knows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::Digest;

use crate::args::Settings;
use crate::consumer::{Consumer, Owner, Partition, Start};
use crate::error::LogError;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

/// What the log holds at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The first record at or after the offset, and its [`contract::record::RecordView::digest`].
    Record { offset: i64, digest: Digest },
    /// The log holds only the offsets `[low, high)`.
    Outside { low: i64, high: i64 },
}

#[derive(Debug)]
pub struct Lookup {
    consumer: Consumer,
}

/// A look-up belongs to no group.
struct Nobody;

impl Owner for Nobody {
    fn assigned(&self, _: &[Partition]) -> Vec<(Partition, Start)> {
        Vec::new()
    }
    fn revoked(&self, _: &[Partition]) -> Vec<(Partition, i64)> {
        Vec::new()
    }
}

impl Lookup {
    pub fn new(settings: &Settings) -> Result<Self, LogError> {
        Ok(Self { consumer: Consumer::for_lookup(settings, Arc::new(Nobody))? })
    }

    /// Looks places up in the log as it is now. A place that is left out of the answer was not answered in time.
    pub fn look_up(&self, places: &[(Partition, i64)]) -> Result<BTreeMap<Partition, Found>, LogError> {
        let mut found = BTreeMap::new();
        if places.is_empty() {
            return Ok(found);
        }
        self.consumer.assign(places)?;
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        while found.len() < places.len() && Instant::now() < deadline {
            match self.consumer.poll(POLL) {
                None => {}
                Some(Ok(polled)) => {
                    let (offset, digest) = (polled.offset, polled.record().digest(polled.appended_at));
                    found.entry(polled.at).or_insert(Found::Record { offset, digest });
                }
                Some(Err(LogError::OffsetOutOfRange)) => self.add_outside(places, &mut found)?,
                Some(Err(error)) => return Err(error),
            }
        }
        // A place at the very end of the log is no error to librdkafka: it waits.
        self.add_outside(places, &mut found)?;
        self.consumer.assign(&[])?;
        Ok(found)
    }

    /// librdkafka does not say which offset is out of range.
    fn add_outside(&self, places: &[(Partition, i64)], found: &mut BTreeMap<Partition, Found>) -> Result<(), LogError> {
        for (at, offset) in places {
            if !found.contains_key(at) {
                let (low, high) = self.consumer.watermarks(*at)?;
                if !(low..high).contains(offset) {
                    found.insert(*at, Found::Outside { low, high });
                }
            }
        }
        Ok(())
    }
}
