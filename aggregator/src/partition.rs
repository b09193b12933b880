//! One partition on its way into its chain. No Kafka and no IO: what happened goes in, what to do comes out.

use std::time::{Duration, Instant};

use contract::footer::Clock;
use contract::layout::Topic;
use contract::record::RecordView;
use contract::{BrokerTime, DeadLetter, Digest, Record};
use log::{Found, Partition};
use segments::{Built, Link, Pending, Segment, WriteError};

/// After so many segments lost to another writer in a row, something is wrong beyond a hand-over.
const MAX_LOSSES: u32 = 3;
/// What a dead letter takes beside its content.
const LETTER_BYTES: usize = 500;

#[derive(Debug)]
pub(crate) struct State {
    at: Partition,
    head: Option<Segment>,
    /// The last landed record, until it was read again and found the same.
    unverified: Option<(i64, Digest)>,
    /// Where a chain, or an epoch, begins: its first record, until that is landed.
    first: Option<(i64, Digest)>,
    /// Whether the log's ends were held against the chain since this was assigned or moved.
    pub(crate) probed: bool,
    pending: Pending,
    /// Dead letters to be acknowledged before the segment is put.
    letters: Vec<Record>,
    letter_bytes: usize,
    first_pending: Option<Instant>,
    pub(crate) last_active: Instant,
    losses: u32,
    stopped: bool,
}

/// Why a partition is stopped at. Going on is an operator's decision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stop {
    #[error(
        "hole: offset {offset} was landed last, and the log now holds another record there \
         (topic re-created, or an unclean election)"
    )]
    OtherRecord { offset: i64 },
    #[error("hole: offsets [{from}, {to}) are no longer in the log")]
    Gone { from: i64, to: i64 },
    #[error("hole: landed up to offset {landed}, but the log ends at {high} (topic re-created, or truncated)")]
    Truncated { landed: i64, high: i64 },
    #[error("{MAX_LOSSES} segments in a row were lost to another writer of the same partition")]
    Contended,
    #[error("{0}")]
    Unwritable(String),
}

impl State {
    /// `None` for a topic that is not landed.
    pub(crate) fn new(at: Partition, head: Option<Segment>, now: Instant) -> Option<Self> {
        Some(Self {
            at,
            unverified: last_landed(head.as_ref()),
            head,
            first: None,
            probed: false,
            pending: Pending::new(at.topic)?,
            letters: Vec::new(),
            letter_bytes: 0,
            first_pending: None,
            last_active: now,
            losses: 0,
            stopped: false,
        })
    }

    /// The offset to read from: at first that of the last landed record itself, which must still be there.
    pub(crate) fn start(&self) -> i64 {
        self.unverified.map_or_else(|| self.next_offset(), |(offset, _)| offset)
    }

    pub(crate) fn stopped(&self) -> bool {
        self.stopped
    }

    pub(crate) fn stop(&mut self) {
        self.stopped = true;
    }

    /// Whether an idle partition may be ticked: it is known to be the log that was landed.
    pub(crate) fn idle_since(&self, now: Instant) -> Option<Duration> {
        let quiet = self.probed && self.unverified.is_none() && self.pending.is_empty() && !self.stopped;
        quiet.then(|| now.duration_since(self.last_active))
    }

    pub(crate) fn next_offset(&self) -> i64 {
        let landed = self.head.as_ref().map_or(0, |h| h.footer.next_offset);
        self.pending.next_offset().unwrap_or(landed)
    }

    /// Holds the ends of the log, `[low, high)`, against what is read next.
    pub(crate) fn probe(&mut self, low: i64, high: i64) -> Result<(), Stop> {
        self.probed = true;
        let from = self.start();
        if low > from {
            return Err(Stop::Gone { from, to: low });
        }
        match self.unverified {
            Some((landed, _)) if high <= landed => Err(Stop::Truncated { landed, high }),
            None if high < from => Err(Stop::Truncated { landed: from - 1, high }),
            _ => Ok(()),
        }
    }

    /// The record that what is pending hangs on: the last landed one, or the chain's first. While the log holds it, all
    /// that was read since was read from that very log.
    pub(crate) fn anchor(&self) -> Option<(i64, Digest)> {
        last_landed(self.head.as_ref()).or(self.first)
    }

    /// Holds what the log has where the anchor was against the anchor.
    pub(crate) fn confirm(&self, found: Found) -> Result<(), Stop> {
        let Some((offset, digest)) = self.anchor() else { return Ok(()) };
        match found {
            Found::Record { offset: at, digest: is } if (at, is) == (offset, digest) => Ok(()),
            Found::Record { offset: at, .. } if at == offset => Err(Stop::OtherRecord { offset }),
            Found::Record { offset: at, .. } => Err(Stop::Gone { from: offset, to: at }),
            Found::Outside { low, .. } if low > offset => Err(Stop::Gone { from: offset, to: low }),
            Found::Outside { high, .. } => Err(Stop::Truncated { landed: offset, high }),
        }
    }

    /// Takes a record that was read. A record that can't be decoded is a counted, landed, quarantined row.
    pub(crate) fn take(
        &mut self,
        offset: i64,
        appended_at: BrokerTime,
        record: &RecordView<'_>,
        now: Instant,
    ) -> Result<(), Stop> {
        self.last_active = now;
        if let Some((landed, digest)) = self.unverified {
            if offset > landed {
                return Err(Stop::Gone { from: landed, to: offset });
            }
            if offset != landed || record.digest(appended_at) != digest {
                return Err(Stop::OtherRecord { offset: landed });
            }
            self.unverified = None;
            return Ok(());
        }
        match self.pending.push(offset, appended_at, record) {
            Err(error) => return Err(Stop::Unwritable(error.to_string())),
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(partition = %self.at, offset, %error, "undecodable record quarantined");
                // The worker sends those of the requests; one that is already a dead letter goes nowhere else.
                if matches!(self.at.topic, Topic::Usage | Topic::Accounts) {
                    let topic = self.at.topic.name();
                    let letter = DeadLetter::wrap(record, topic, self.at.partition, offset, appended_at, &error);
                    self.letter_bytes += letter.view().size() + LETTER_BYTES;
                    self.letters.push(letter);
                }
            }
        }
        if self.first.is_none() && last_landed(self.head.as_ref()).is_none() {
            self.first = Some((offset, record.digest(appended_at)));
        }
        self.first_pending.get_or_insert(now);
        Ok(())
    }

    pub(crate) fn is_full(&self, records: usize, bytes: usize) -> bool {
        self.pending.records() >= records || self.pending.record_bytes() >= bytes
    }

    /// Roughly what it holds in memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.pending.memory_bytes() + self.letter_bytes
    }

    pub(crate) fn epoch(&self) -> u32 {
        self.head.as_ref().map_or(0, |head| head.footer.epoch)
    }

    pub(crate) fn has_lingered(&self, linger: Duration, now: Instant) -> bool {
        self.first_pending.is_some_and(|first| now.duration_since(first) >= linger)
    }

    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    pub(crate) fn letters(&self) -> &[Record] {
        &self.letters
    }

    /// The segment of all that is pending.
    pub(crate) fn build(&self, partition_count: i32, clock: Clock) -> Result<Built, WriteError> {
        self.pending.build(&Link {
            topic: self.at.topic,
            epoch: self.head.as_ref().map_or(0, |h| h.footer.epoch),
            partition: self.at.partition,
            partition_count,
            start: self.head.as_ref().map_or(0, |h| h.footer.next_offset),
            previous_sha256: self.head.as_ref().map(|h| h.sha256),
            clock,
        })
    }

    /// The segment stands in the store: it is the new head.
    pub(crate) fn landed(&mut self, built: Built) -> Result<(), Stop> {
        let Built { path, sha256, bytes, footer } = built;
        let segment = Segment { path, sha256, bytes: bytes.len() as u64, footer };
        segments::check_link(self.head.as_ref(), &segment).map_err(|e| Stop::Unwritable(e.to_string()))?;
        self.head = Some(segment);
        self.forget_pending()?;
        self.losses = 0;
        Ok(())
    }

    /// Another writer's segment stands where ours would: its chain is the truth, ours is dropped.
    pub(crate) fn lost(&mut self, head: Option<Segment>) -> Result<(), Stop> {
        self.losses += 1;
        if self.losses >= MAX_LOSSES {
            return Err(Stop::Contended);
        }
        self.unverified = last_landed(head.as_ref());
        self.head = head;
        self.forget_pending()
    }

    fn forget_pending(&mut self) -> Result<(), Stop> {
        let not_landed = || Stop::Unwritable(format!("{} is not landed", self.at.topic.name()));
        self.pending = Pending::new(self.at.topic).ok_or_else(not_landed)?;
        self.letters.clear();
        self.letter_bytes = 0;
        self.first = None;
        self.first_pending = None;
        Ok(())
    }
}

/// The last record that was landed: after a gap there is none.
fn last_landed(head: Option<&Segment>) -> Option<(i64, Digest)> {
    let footer = &head.filter(|head| head.footer.gap.is_none())?.footer;
    Some((footer.last, footer.last_record_sha256))
}

#[cfg(test)]
mod tests;
