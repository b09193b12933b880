//! The partitions that are ours, shared between the landing loop and the rebalance inside its poll.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use log::{Owner, Partition, Start};
use service::Health;
use store::Store;
use tokio::runtime::Handle;

use crate::partition::State;

pub(crate) struct Owned {
    states: Mutex<BTreeMap<Partition, State>>,
    failed: Mutex<Option<anyhow::Error>>,
    store: Store,
    health: Health,
    /// Whom a test lets own what; empty for all.
    only: Vec<Partition>,
    runtime: Handle,
}

impl Owned {
    pub(crate) fn new(store: Store, health: Health, only: Vec<Partition>, runtime: Handle) -> Self {
        Self { states: Mutex::default(), failed: Mutex::default(), store, health, only, runtime }
    }

    /// Why a partition that was assigned can't be owned, once.
    pub(crate) fn failed(&self) -> MutexGuard<'_, Option<anyhow::Error>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn states(&self) -> MutexGuard<'_, BTreeMap<Partition, State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Owner for Owned {
    /// Each partition goes on from its chain's head. Where a head can't be read the process ends, and tries anew.
    fn assigned(&self, partitions: &[Partition]) -> Vec<(Partition, Start)> {
        let mut starts = Vec::new();
        for at in partitions.iter().filter(|at| self.only.is_empty() || self.only.contains(at)) {
            match self.runtime.block_on(segments::read_head(&self.store, at.topic, at.partition)) {
                Ok(head) => {
                    if let Some(state) = State::new(*at, head, Instant::now()) {
                        starts.push((*at, Start::At(state.start())));
                        self.states().insert(*at, state);
                        self.health.well(&at.to_string());
                    }
                }
                Err(error) => *self.failed() = Some(anyhow::Error::new(error).context(format!("the chain of {at}"))),
            }
        }
        starts
    }

    /// What is pending goes: the next owner reads it again. Group offsets mean nothing here.
    fn revoked(&self, partitions: &[Partition]) -> Vec<(Partition, i64)> {
        for at in partitions {
            self.states().remove(at);
            self.health.well(&at.to_string());
        }
        Vec::new()
    }
}
