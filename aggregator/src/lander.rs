//! The landing loop: one thread that polls, pushes, writes and ticks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::layout::Topic;
use log::{Consumer, LogError, Lookup, Partition, Polled, Producer, Reset};
use segments::read_head;
use service::{Health, Shutdown, kill_point};
use store::{Put, Store};
use tokio::runtime::Handle;

use crate::config::Config;
use crate::owned::Owned;
use crate::partition::{State, Stop};

const GROUP: &str = "aggregator";
const POLL: Duration = Duration::from_millis(50);
/// After so many records it is looked after what else is due.
const POLLED_PER_TURN: usize = 1000;
/// How long a broker that gives no answer about a partition is left alone.
const PROBE_AGAIN: Duration = Duration::from_secs(5);

struct Lander<'a> {
    config: &'a Config,
    store: &'a Store,
    health: &'a Health,
    consumer: Consumer,
    lookup: Lookup,
    producer: Producer,
    owned: Arc<Owned>,
    partition_counts: BTreeMap<Topic, i32>,
    probe_after: Option<Instant>,
    runtime: Handle,
}

/// Lands until shutdown, then lands what is pending and leaves the group.
pub(crate) fn land(config: &Config, store: &Store, health: &Health, shutdown: &Shutdown) -> anyhow::Result<()> {
    let runtime = Handle::current();
    let owned = Arc::new(Owned::new(store.clone(), health.clone(), config.own.clone(), runtime.clone()));
    let owner = Arc::clone(&owned) as Arc<dyn log::Owner>;
    let consumer = if config.own.is_empty() {
        Consumer::subscribe(&config.kafka, GROUP, &Topic::LANDED, Reset::Error, owner)?
    } else {
        Consumer::read_all(&config.kafka, &Topic::LANDED, Reset::Error, owner)?
    };
    let (lookup, producer) = (Lookup::new(&config.kafka)?, Producer::new(&config.kafka)?);
    let partition_counts = BTreeMap::new();
    let mut lander = Lander {
        config,
        store,
        health,
        consumer,
        lookup,
        producer,
        owned,
        partition_counts,
        probe_after: None,
        runtime,
    };
    while !shutdown.is_requested() {
        lander.turn()?;
    }
    lander.write_where(|_, _| true)?;
    lander.consumer.close();
    Ok(())
}

impl Lander<'_> {
    fn turn(&mut self) -> anyhow::Result<()> {
        let mut wait = POLL;
        for _ in 0..POLLED_PER_TURN {
            match self.consumer.poll(wait) {
                None => break,
                Some(Ok(polled)) => self.take(&polled),
                Some(Err(LogError::OffsetOutOfRange)) => self.out_of_range()?,
                Some(Err(error)) => return Err(error.into()),
            }
            wait = Duration::ZERO;
        }
        if let Some(error) = self.owned.failed().take() {
            return Err(error);
        }
        self.probe();
        let linger = self.config.linger;
        let (records, bytes) = (self.config.segment_records, self.config.segment_bytes);
        self.write_where(|state, now| state.is_full(records, bytes) || state.has_lingered(linger, now))?;
        self.tick()
    }

    fn take(&self, polled: &Polled<'_>) {
        let mut states = self.owned.states();
        let Some(state) = states.get_mut(&polled.at).filter(|state| !state.stopped()) else { return };
        let taken = state.take(polled.offset, polled.appended_at, &polled.record(), Instant::now());
        if let Err(stop) = taken {
            state.stop();
            self.report(polled.at, &stop);
        }
    }

    /// Holds the log's ends against the chains of newly assigned partitions, and counts their topics' partitions.
    fn probe(&mut self) {
        if self.probe_after.is_some_and(|after| Instant::now() < after) {
            return;
        }
        let fresh: Vec<Partition> =
            self.owned.states().iter().filter(|(_, s)| !s.probed && !s.stopped()).map(|(at, _)| *at).collect();
        for at in fresh {
            let ends =
                self.lookup.partition_count(at.topic).and_then(|count| Ok((count, self.consumer.watermarks(at)?)));
            let (count, (low, high)) = match ends {
                Ok(answer) => answer,
                Err(error) => {
                    tracing::warn!(partition = %at, %error, "no answer about its ends; it waits, the others go on");
                    self.probe_after = Some(Instant::now() + PROBE_AGAIN);
                    return;
                }
            };
            self.partition_counts.insert(at.topic, count);
            let mut states = self.owned.states();
            let Some(state) = states.get_mut(&at) else { continue };
            if let Err(stop) = state.probe(low, high) {
                state.stop();
                self.report(at, &stop);
            }
        }
    }

    /// An offset asked for is not in the log; finds out of which partition. It is not read any further.
    fn out_of_range(&mut self) -> anyhow::Result<()> {
        let stopped = |owned: &Owned| owned.states().values().filter(|state| state.stopped()).count();
        let before = stopped(&self.owned);
        self.owned.states().values_mut().for_each(|state| state.probed = false);
        self.probe();
        let all: Vec<Partition> = self.owned.states().keys().copied().collect();
        self.same_log(&all)?;
        anyhow::ensure!(
            before < stopped(&self.owned) || before > 0,
            "Kafka says that an offset is out of range, yet every chain fits its log"
        );
        // It may have been that of one that was stopped at before. librdkafka reads the one it was no further until it is
        // sought: so each that goes on is.
        for (at, state) in self.owned.states().iter().filter(|(_, state)| !state.stopped()) {
            self.consumer.seek(*at, state.start())?;
        }
        Ok(())
    }

    /// Those whose log still is the one that was landed. One that was made anew under a running consumer is read on at
    /// the old offset, as if nothing had happened: so each segment's commit is preceded by this.
    fn same_log(&self, partitions: &[Partition]) -> anyhow::Result<Vec<Partition>> {
        let anchors = |states: &BTreeMap<Partition, State>| -> Vec<(Partition, i64)> {
            let going = partitions.iter().filter_map(|at| Some((*at, states.get(at).filter(|s| !s.stopped())?)));
            going.filter_map(|(at, state)| Some((at, state.anchor()?.0))).collect()
        };
        let anchors = anchors(&self.owned.states());
        let found = self.lookup.look_up(&anchors)?;
        let mut same = Vec::new();
        for (at, _) in anchors {
            let Some(found) = found.get(&at) else {
                tracing::warn!(partition = %at, "its log does not answer; what was read waits");
                continue;
            };
            let mut states = self.owned.states();
            let Some(state) = states.get_mut(&at) else { continue };
            match state.confirm(*found) {
                Ok(()) => same.push(at),
                Err(stop) => {
                    state.stop();
                    self.report(at, &stop);
                }
            }
        }
        Ok(same)
    }

    fn report(&self, at: Partition, stop: &Stop) {
        tracing::error!(partition = %at, "{stop}; it is not landed any further until an operator decides");
        self.health.problem(at.to_string(), stop.to_string());
    }

    /// Writes the pending records of each partition that `is_due`.
    fn write_where(&self, is_due: impl Fn(&State, Instant) -> bool) -> anyhow::Result<()> {
        let now = Instant::now();
        let due: Vec<Partition> = self
            .owned
            .states()
            .iter()
            .filter(|(_, state)| state.has_pending() && !state.stopped() && is_due(state, now))
            .map(|(at, _)| *at)
            .collect();
        self.same_log(&due)?.into_iter().try_for_each(|at| self.write(at))
    }

    /// Dead letters first, then the segment. No rebalance can run meanwhile: that takes a poll, by this thread.
    fn write(&self, at: Partition) -> anyhow::Result<()> {
        let mut states = self.owned.states();
        let Some(state) = states.get_mut(&at) else { return Ok(()) };
        for letter in state.letters() {
            self.runtime.block_on(self.producer.send_dead_letter(letter))?;
        }
        let count = self.partition_counts.get(&at.topic).copied().unwrap_or(0).max(at.partition + 1);
        let built = state.build(count, self.config.kafka.clock)?;
        let (path, records) = (built.path.clone(), built.footer.records);
        kill_point("before-segment-put");
        let put = self.runtime.block_on(self.store.create(&path, built.bytes.clone()))?;
        kill_point("after-segment-put");
        let moved = match put {
            Put::Created | Put::AlreadySame => {
                tracing::info!(%path, records, bytes = built.bytes.len(), "landed");
                state.landed(built)
            }
            Put::AlreadyOther => {
                tracing::warn!(%path, "another writer was first; going on from its segment");
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

    /// Appends a tick to each partition that has been idle for long enough.
    fn tick(&self) -> anyhow::Result<()> {
        let now = Instant::now();
        for (at, state) in self.owned.states().iter_mut() {
            if state.idle_since(now).is_some_and(|idle| idle >= self.config.tick_after) {
                state.last_active = now;
                let record = contract::tick::record(at.topic.name(), at.partition, state.next_offset());
                let sent = self.producer.send_to(at.topic, Some(at.partition), None, &record);
                self.runtime.block_on(sent)?;
                tracing::debug!(partition = %at, "ticked");
            }
        }
        Ok(())
    }
}
