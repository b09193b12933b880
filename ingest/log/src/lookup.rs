//! Looking single records up by their places, beside the consumer that reads on.
//!
//! A consumer that runs while its topic is deleted and made anew goes on at its old offset in the new one, once that has
//! grown so far: librdkafka 2.12 sees the topic's new id and says nothing. So who wants to know that it still reads the
//! same log asks here for a record that it knows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::Digest;
use contract::layout::Topic;

use crate::args::Settings;
use crate::consumer::Consumer;
use crate::error::LogError;
use crate::owner::{Nobody, Partition};

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

impl Lookup {
    pub fn new(settings: &Settings) -> Result<Self, LogError> {
        Ok(Self { consumer: Consumer::for_lookup(settings, Arc::new(Nobody))? })
    }

    /// See [`Consumer::partition_count`]. Asked first, it makes look-ups in that topic quick: its leaders are then known.
    pub fn partition_count(&self, topic: Topic) -> Result<i32, LogError> {
        self.consumer.partition_count(topic)
    }

    /// See [`Consumer::watermarks`].
    pub fn watermarks(&self, at: Partition) -> Result<(i64, i64), LogError> {
        self.consumer.watermarks(at)
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
                Some(Err(LogError::OffsetOutOfRange)) => self.add_outside(places, &mut found),
                Some(Err(error)) => return Err(error),
            }
        }
        // A place at the very end of the log is no error to librdkafka: it waits.
        self.add_outside(places, &mut found);
        self.consumer.assign(&[])?;
        Ok(found)
    }

    /// librdkafka does not say which offset is out of range.
    fn add_outside(&self, places: &[(Partition, i64)], found: &mut BTreeMap<Partition, Found>) {
        for (at, offset) in places {
            if !found.contains_key(at) {
                // No answer about one partition is no answer; the others must not wait for it.
                let Ok((low, high)) = self.consumer.watermarks(*at) else { continue };
                if !(low..high).contains(offset) {
                    found.insert(*at, Found::Outside { low, high });
                }
            }
        }
    }
}
