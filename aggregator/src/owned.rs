//! The partitions that are ours, shared between the landing loop and the rebalance inside its poll.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use log::{Owner, Partition, Start};
use service::Health;
use store::Store;
use tokio::runtime::Handle;

use crate::metrics::Metrics;
use crate::partition::State;

pub(crate) struct Owned {
    states: Mutex<BTreeMap<Partition, State>>,
    /// Ours, but their chains' heads could not be read yet.
    headless: Mutex<BTreeSet<Partition>>,
    failed: Mutex<Option<anyhow::Error>>,
    store: Store,
    health: Health,
    metrics: Metrics,
    /// Whom a test lets own what; empty for all.
    only: Vec<Partition>,
    runtime: Handle,
}

impl Owned {
    pub(crate) fn new(store: Store, health: Health, metrics: Metrics, only: Vec<Partition>, runtime: Handle) -> Self {
        let (states, headless, failed) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { states, headless, failed, store, health, metrics, only, runtime }
    }

    /// Why a partition that was assigned can't be owned, once.
    pub(crate) fn failed(&self) -> MutexGuard<'_, Option<anyhow::Error>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn states(&self) -> MutexGuard<'_, BTreeMap<Partition, State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn headless(&self) -> MutexGuard<'_, BTreeSet<Partition>> {
        self.headless.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Owner for Owned {
    /// Each partition goes on from its chain's head. While the store does not answer, it is not read: the landing loop asks
    /// again. A head that is no good ends the process.
    fn assigned(&self, partitions: &[Partition]) -> Vec<(Partition, Start)> {
        let mut starts = Vec::new();
        let mut answers = true;
        for at in partitions.iter().filter(|at| self.only.is_empty() || self.only.contains(at)) {
            // The group waits: so a store that is away is asked once.
            let head = answers.then(|| self.runtime.block_on(segments::read_head(&self.store, at.topic, at.partition)));
            match head {
                Some(Ok(head)) => {
                    if let Some(state) = State::new(*at, head, Instant::now()) {
                        starts.push((*at, Start::At(state.start())));
                        self.states().insert(*at, state);
                        self.health.well(&at.to_string());
                    }
                }
                Some(Err(error)) if !error.passes() => {
                    *self.failed() = Some(anyhow::Error::new(error).context(format!("the chain of {at}")));
                }
                away => {
                    if let Some(Err(error)) = away {
                        let error = anyhow::Error::new(error);
                        tracing::warn!(partition = %at, error = format!("{error:#}"), "its head can't be read yet");
                        answers = false;
                    }
                    self.headless().insert(*at);
                    self.health.problem(at.to_string(), "its chain's head can't be read yet");
                    starts.push((*at, Start::Later));
                }
            }
        }
        starts
    }

    /// What is pending goes: the next owner reads it again. Group offsets mean nothing here.
    fn revoked(&self, partitions: &[Partition]) -> Vec<(Partition, i64)> {
        for at in partitions {
            self.states().remove(at);
            self.headless().remove(at);
            self.health.well(&at.to_string());
            self.metrics.forget_lag(*at);
        }
        Vec::new()
    }

    fn lags(&self, lags: &[(Partition, i64)]) {
        let states = self.states();
        for (at, records) in lags.iter().filter(|(at, _)| states.contains_key(at)) {
            self.metrics.set_lag(*at, *records);
        }
    }
}
