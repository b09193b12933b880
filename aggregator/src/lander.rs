//! The landing loop: one thread that polls, pushes, writes and ticks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::layout::Topic;
use log::{Consumer, LogError, Lookup, Partition, Polled, Producer, Reset, Start};
use service::{Health, Shutdown};
use store::Store;
use tokio::runtime::Handle;

use crate::config::Config;
use crate::metrics::Metrics;
use crate::owned::Owned;
use crate::partition::{State, Stop};
use crate::writing::Trouble;

const GROUP: &str = "aggregator";
const POLL: Duration = Duration::from_millis(50);
/// After so many records it is looked after what else is due.
const POLLED_PER_TURN: usize = 1000;
/// How long a broker that gives no answer about a partition is left alone.
const PROBE_AGAIN: Duration = Duration::from_secs(5);

pub(crate) struct Lander<'a> {
    pub(crate) config: &'a Config,
    pub(crate) store: &'a Store,
    pub(crate) health: &'a Health,
    pub(crate) metrics: Metrics,
    pub(crate) consumer: Consumer,
    lookup: Lookup,
    pub(crate) producer: Producer,
    pub(crate) owned: Arc<Owned>,
    pub(crate) partition_counts: BTreeMap<Topic, i32>,
    probe_after: Option<Instant>,
    pub(crate) adopt_after: Option<Instant>,
    pub(crate) trouble: Option<Trouble>,
    pub(crate) runtime: Handle,
}

/// Lands until shutdown, then lands what is pending and leaves the group.
pub(crate) fn land(config: &Config, store: &Store, health: &Health, shutdown: &Shutdown) -> anyhow::Result<()> {
    let runtime = Handle::current();
    let metrics = Metrics::new(health.metrics());
    let owned = Owned::new(store.clone(), health.clone(), metrics.clone(), config.own.clone(), runtime.clone());
    let owned = Arc::new(owned);
    let owner = Arc::clone(&owned) as Arc<dyn log::Owner>;
    let reading = config.kafka.clone().fetching(config.memory.queue_bytes);
    let consumer = if config.own.is_empty() {
        Consumer::subscribe(&reading, GROUP, &Topic::LANDED, Reset::Error, owner)?
    } else {
        Consumer::read_all(&reading, &Topic::LANDED, Reset::Error, owner)?
    };
    let mut lander = Lander {
        config,
        store,
        health,
        metrics,
        consumer,
        lookup: Lookup::new(&config.kafka)?,
        producer: Producer::new(&config.kafka)?,
        owned,
        partition_counts: BTreeMap::new(),
        probe_after: None,
        adopt_after: None,
        trouble: None,
        runtime,
    };
    while !shutdown.is_requested() {
        lander.turn()?;
    }
    lander.write_all()?;
    lander.consumer.close();
    Ok(())
}

impl Lander<'_> {
    fn turn(&mut self) -> anyhow::Result<()> {
        let mut wait = POLL;
        let mut now = None;
        for _ in 0..POLLED_PER_TURN {
            match self.consumer.poll(wait) {
                None => break,
                Some(Ok(polled)) => self.take(&polled, *now.get_or_insert_with(Instant::now)),
                Some(Err(LogError::OffsetOutOfRange)) => self.out_of_range()?,
                Some(Err(error)) => return Err(error.into()),
            }
            wait = Duration::ZERO;
        }
        if let Some(error) = self.owned.failed().take() {
            return Err(error);
        }
        self.adopt()?;
        self.probe();
        self.write_due()?;
        self.tick();
        self.count();
        Ok(())
    }

    fn take(&self, polled: &Polled<'_>, now: Instant) {
        let mut states = self.owned.states();
        let Some(state) = states.get_mut(&polled.at).filter(|state| !state.stopped()) else { return };
        let taken = state.take(polled.offset, polled.appended_at, &polled.record(), now);
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
        // It may have been that of one that was stopped at before.
        self.read_on()
    }

    /// Reads all that are ours from where they stand: librdkafka has given up one whose offset was not in the log, and can't
    /// be told to go on with it alone.
    pub(crate) fn read_on(&self) -> anyhow::Result<()> {
        let start = |state: &State| if state.stopped() { Start::Later } else { Start::At(state.start()) };
        let mut starts: Vec<_> = self.owned.states().iter().map(|(at, state)| (*at, start(state))).collect();
        starts.extend(self.owned.headless().iter().map(|at| (*at, Start::Later)));
        Ok(self.consumer.read_from(starts)?)
    }

    /// Those whose log still is the one that was landed. One that was made anew under a running consumer is read on at
    /// the old offset, as if nothing had happened: so each segment's commit is preceded by this.
    pub(crate) fn same_log(&self, partitions: &[Partition]) -> anyhow::Result<Vec<Partition>> {
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

    pub(crate) fn report(&self, at: Partition, stop: &Stop) {
        tracing::error!(partition = %at, "{stop}; it is not landed any further until an operator decides");
        self.health.problem(at.to_string(), stop.to_string());
    }

    /// Appends a tick to each partition that has been idle for long enough. One that is not taken is sent again later.
    fn tick(&self) {
        let now = Instant::now();
        for (at, state) in self.owned.states().iter_mut() {
            if state.idle_since(now).is_some_and(|idle| idle >= self.config.tick_after) {
                state.last_active = now;
                let record = contract::tick::record(at.topic.name(), at.partition, state.next_offset());
                match self.runtime.block_on(self.producer.send_to(at.topic, Some(at.partition), None, &record)) {
                    Ok(_) => tracing::debug!(partition = %at, "ticked"),
                    Err(error) => {
                        tracing::warn!(partition = %at, %error, "not ticked");
                        return;
                    }
                }
            }
        }
    }

    fn count(&self) {
        let states = self.owned.states();
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.metrics.partitions.set(count(states.len()));
        self.metrics.holes.set(count(states.values().filter(|state| state.stopped()).count()));
        self.metrics.pending_bytes.set(count(states.values().map(State::memory_bytes).sum()));
    }
}
