//! Bytes in flight: sources and results in memory, bounded for the whole process.
//!
//! How large a source is shows only when it is fetched. So a fetch reserves the largest that is taken, and gives back
//! what it did not need; a result takes what it has without waiting, since waiting with a source in hand for others who
//! do the same would be for ever. So the bound can be passed by the results of those that are being resized, and while
//! it is, nothing is fetched.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;

#[derive(Debug)]
pub(crate) struct Memory {
    most: u64,
    taken: Mutex<u64>,
    released: Notify,
    /// Whoever waits for room waits in line for this: a large one is not passed by small ones for ever.
    turn: tokio::sync::Mutex<()>,
    gauge: Gauge,
}

/// Bytes that are accounted for until dropped.
#[derive(Debug)]
pub(crate) struct Held {
    memory: Arc<Memory>,
    bytes: u64,
}

impl Memory {
    pub(crate) fn new(most: u64, gauge: Gauge) -> Arc<Self> {
        Arc::new(Self {
            most,
            taken: Mutex::default(),
            released: Notify::new(),
            turn: tokio::sync::Mutex::default(),
            gauge,
        })
    }

    /// Waits until there is room. What is larger than all there is waits until it is alone.
    pub(crate) async fn reserve(self: &Arc<Self>, bytes: u64) -> Held {
        let _turn = self.turn.lock().await;
        loop {
            {
                let mut taken = self.taken();
                if *taken == 0 || taken.saturating_add(bytes) <= self.most {
                    self.set(&mut taken, |taken| taken.saturating_add(bytes));
                    return Held { memory: Arc::clone(self), bytes };
                }
            }
            // A release since the look above has left its permit here.
            self.released.notified().await;
        }
    }

    fn taken(&self) -> MutexGuard<'_, u64> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, taken: &mut u64, change: impl FnOnce(u64) -> u64) {
        *taken = change(*taken);
        self.gauge.set(i64::try_from(*taken).unwrap_or(i64::MAX));
    }
}

impl Held {
    /// It turned out to be so many; never waits.
    pub(crate) fn adjust(&mut self, bytes: u64) {
        let memory = &self.memory;
        memory.set(&mut memory.taken(), |taken| taken.saturating_sub(self.bytes).saturating_add(bytes));
        let shrunk = bytes < self.bytes;
        self.bytes = bytes;
        if shrunk {
            self.memory.released.notify_one();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.adjust(0);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Whether there is room at once.
    async fn fits(memory: &Arc<Memory>, bytes: u64) -> Option<Held> {
        tokio::time::timeout(Duration::from_millis(20), memory.reserve(bytes)).await.ok()
    }

    #[tokio::test]
    async fn what_does_not_fit_waits() {
        let gauge = Gauge::default();
        let memory = Memory::new(100, gauge.clone());
        let mut first = fits(&memory, 90).await.unwrap();
        assert!(fits(&memory, 11).await.is_none());
        first.adjust(40);
        let second = fits(&memory, 60).await.unwrap();
        assert_eq!(gauge.get(), 100);
        // A result may be larger than its source.
        first.adjust(150);
        assert_eq!(gauge.get(), 210);
        drop(second);
        assert!(fits(&memory, 1).await.is_none());
        drop(first);
        assert_eq!(gauge.get(), 0);
    }

    #[tokio::test]
    async fn what_is_larger_than_all_goes_alone() {
        let memory = Memory::new(100, Gauge::default());
        let huge = fits(&memory, 1_000).await.unwrap();
        assert!(fits(&memory, 1).await.is_none());
        drop(huge);
        assert!(fits(&memory, 1).await.is_some());
    }

    #[tokio::test]
    async fn nobody_is_passed_for_ever_or_forgotten() {
        let memory = Memory::new(100, Gauge::default());
        let most = |n: u64| if n.is_multiple_of(7) { 100 } else { 10 };
        let tasks = (0..500).map(|n| {
            let memory = Arc::clone(&memory);
            tokio::spawn(async move {
                let mut held = memory.reserve(most(n)).await;
                tokio::task::yield_now().await;
                held.adjust(5);
                tokio::task::yield_now().await;
            })
        });
        let all = futures_of(tasks.collect());
        tokio::time::timeout(Duration::from_secs(10), all).await.expect("some wait for ever");
        assert_eq!(*memory.taken(), 0);
    }

    async fn futures_of(tasks: Vec<tokio::task::JoinHandle<()>>) {
        for task in tasks {
            task.await.unwrap();
        }
    }
}
