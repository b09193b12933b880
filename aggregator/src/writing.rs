//! From pending records to segments: which partitions are due, and the steps of landing one.
//!
//! What is due is full, has lingered, or is the largest while memory is short. Trouble with the store or the broker pauses
//! all partitions; what is pending stays, and is landed when a later try succeeds.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _};
use log::{LogError, Partition};
use segments::{ChainError, read_head};
use service::{backoff, kill_point};
use store::{Put, StoreError};

use crate::lander::Lander;
use crate::partition::State;

/// How many dead letters are on their way at once.
const LETTERS_AT_ONCE: usize = 500;
/// How often a partition that is stopped at, or whose head could not be read, is looked at again.
const ADOPT_AGAIN: Duration = Duration::from_secs(3);

/// While nothing can be landed.
pub(crate) struct Trouble {
    /// Tries that failed since the first.
    retries: u32,
    /// When the next one is made.
    until: Instant,
}

impl Lander<'_> {
    pub(crate) fn write_due(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        if self.waits(now)? {
            return Ok(());
        }
        let (linger, limit) = (self.config.linger, self.config.memory.pending_bytes);
        let (records, bytes) = (self.config.segment_records, self.config.segment_bytes);
        let mut due = Vec::new();
        let mut others = Vec::new();
        let mut held = 0;
        for (at, state) in self.owned.states().iter().filter(|(_, state)| state.has_pending() && !state.stopped()) {
            held += state.memory_bytes();
            if state.is_full(records, bytes) || state.has_lingered(linger, now) {
                due.push(*at);
            } else {
                others.push((state.memory_bytes(), *at));
            }
        }
        if due.is_empty() && others.is_empty() {
            // What was pending went to other owners: reading on will show whether there still is trouble.
            return self.recovered();
        }
        // Writing a segment takes about twice again what its records take.
        others.sort_unstable();
        let mut largest = others.last().map_or(0, |(bytes, _)| *bytes);
        while held + 2 * largest > limit {
            let Some((bytes, at)) = others.pop() else { break };
            held -= bytes;
            due.push(at);
            largest = others.last().map_or(0, |(bytes, _)| *bytes);
        }
        self.write(&due)
    }

    /// All that is pending; for the end.
    pub(crate) fn write_all(&mut self) -> anyhow::Result<()> {
        let has_pending = |(at, state): (&Partition, &State)| (state.has_pending() && !state.stopped()).then_some(*at);
        let all: Vec<Partition> = self.owned.states().iter().filter_map(has_pending).collect();
        self.write(&all)
    }

    fn write(&mut self, due: &[Partition]) -> anyhow::Result<()> {
        if due.is_empty() {
            return Ok(());
        }
        for at in self.same_log(due)? {
            match self.land(at) {
                Ok(()) => self.recovered()?,
                Err(error) if passes(&error) => return self.troubled(&error),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Dead letters first, then the segment. No rebalance can run meanwhile: that takes a poll, by this thread.
    fn land(&self, at: Partition) -> anyhow::Result<()> {
        let mut states = self.owned.states();
        let Some(state) = states.get_mut(&at) else { return Ok(()) };
        let letters = futures::stream::iter(state.letters()).map(|letter| self.producer.send_dead_letter(letter));
        self.runtime.block_on(letters.buffer_unordered(LETTERS_AT_ONCE).try_for_each(async |_| Ok(())))?;
        let count = self.partition_counts.get(&at.topic).copied().unwrap_or(0).max(at.partition + 1);
        let built = state.build(count, self.config.kafka.clock)?;
        let (path, records) = (built.path.clone(), built.footer.records);
        kill_point("before-segment-put");
        let put = self.runtime.block_on(self.store.create(&path, built.bytes.clone()))?;
        kill_point("after-segment-put");
        let moved = match put {
            Put::Created | Put::AlreadySame => {
                tracing::info!(%path, records, bytes = built.bytes.len(), "landed");
                self.metrics.landed(at, &built.footer, built.bytes.len());
                state.landed(built)
            }
            Put::AlreadyOther => {
                tracing::warn!(%path, "another writer was first; going on from its segment");
                self.metrics.lost.inc();
                let head = self.runtime.block_on(read_head(self.store, at.topic, at.partition))?;
                let lost = state.lost(head);
                if lost.is_ok() {
                    self.consumer.seek(at, state.start())?;
                }
                lost
            }
        };
        if let Err(stop) = moved {
            state.stop();
            self.report(at, &stop);
        }
        Ok(())
    }

    /// Whether trouble keeps all from being landed for now. Partitions that came meanwhile are paused too.
    fn waits(&self, now: Instant) -> anyhow::Result<bool> {
        let Some(trouble) = &self.trouble else { return Ok(false) };
        self.consumer.pause(&self.all())?;
        Ok(now < trouble.until)
    }

    fn troubled(&mut self, error: &anyhow::Error) -> anyhow::Result<()> {
        let retries = self.trouble.as_ref().map_or(0, |trouble| trouble.retries + 1);
        let pause = backoff::pause(retries, backoff::random());
        tracing::warn!(error = format!("{error:#}"), ?pause, "nothing can be landed; everything waits");
        self.health.problem("landing", format!("everything waits: {error:#}"));
        self.trouble = Some(Trouble { retries, until: Instant::now() + pause });
        self.metrics.paused.set(1);
        self.metrics.retries.inc();
        self.consumer.pause(&self.all())?;
        Ok(())
    }

    fn recovered(&mut self) -> anyhow::Result<()> {
        if self.trouble.take().is_some() {
            tracing::info!("landing again");
            self.health.well("landing");
            self.metrics.paused.set(0);
            self.consumer.resume(&self.all())?;
        }
        Ok(())
    }

    fn all(&self) -> Vec<Partition> {
        self.owned.states().keys().copied().collect()
    }

    /// Takes on the partitions whose heads could not be read when they came, and those whose hole was accepted.
    pub(crate) fn adopt(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        if self.adopt_after.is_some_and(|after| now < after) {
            return Ok(());
        }
        self.adopt_after = Some(now + ADOPT_AGAIN);
        let headless: Vec<(Partition, Option<u32>)> = self.owned.headless().iter().map(|at| (*at, None)).collect();
        let stopped: Vec<(Partition, Option<u32>)> = {
            let states = self.owned.states();
            states.iter().filter(|(_, state)| state.stopped()).map(|(at, state)| (*at, Some(state.epoch()))).collect()
        };
        let mut fresh = Vec::new();
        for (at, epoch) in headless.into_iter().chain(stopped) {
            let head = match self.runtime.block_on(read_head(self.store, at.topic, at.partition)) {
                Ok(head) => head,
                Err(error) if error.passes() => break,
                Err(error) => return Err(error.into()),
            };
            if epoch.is_some_and(|epoch| head.as_ref().is_none_or(|head| head.footer.epoch <= epoch)) {
                continue;
            }
            fresh.extend(State::new(at, head, now).map(|state| (at, state)));
        }
        if fresh.is_empty() {
            return Ok(());
        }
        for (at, state) in fresh {
            tracing::info!(partition = %at, epoch = state.epoch(), offset = state.start(), "goes on");
            self.owned.headless().remove(&at);
            self.owned.states().insert(at, state);
            self.health.well(&at.to_string());
        }
        self.read_on()
    }
}

/// Whether waiting may mend it.
fn passes(error: &anyhow::Error) -> bool {
    error.downcast_ref::<StoreError>().is_some_and(StoreError::passes)
        || error.downcast_ref::<ChainError>().is_some_and(ChainError::passes)
        || error.downcast_ref::<LogError>().is_some_and(LogError::passes)
}
