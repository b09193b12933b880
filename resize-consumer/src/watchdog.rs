//! Ends a process that makes no progress, so that its work goes to another: an image that hangs its decoder, a thread
//! that is stuck, a place in the queue that is never given back.
//!
//! Waiting for the store or the broker is no lack of progress, however long. Time is counted in ticks of the watchdog's
//! own thread: a process that was stopped, or a machine that slept, has not been idle in between.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use service::Shutdown;

/// Ticks within the limit.
const TICKS: u64 = 60;
/// Software error. Source: sysexits(3), EX_SOFTWARE.
const EXIT_CODE: i32 = 70;
/// A process that was told to end does so within this time, whatever hangs.
const END_WITHIN: Duration = Duration::from_secs(19);

/// What the parts tell the watchdog.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    now: AtomicU64,
    /// The intake's last turn, plus one; 0 while it does not run.
    turned: AtomicU64,
    /// When something last came to an end.
    moved: AtomicU64,
    in_work: AtomicUsize,
    outside: AtomicUsize,
    jobs: Mutex<Jobs>,
    gauge: Gauge,
}

#[derive(Debug, Default)]
struct Jobs {
    next: u64,
    /// What runs, and since when.
    running: BTreeMap<u64, (String, u64)>,
}

/// Something that goes on until it is dropped.
pub(crate) struct Guard {
    progress: Arc<Progress>,
    kind: Kind,
}

enum Kind {
    Work,
    Outside,
    Job(u64),
}

impl Progress {
    pub(crate) fn new(in_work: Gauge) -> Arc<Self> {
        Arc::new(Self { gauge: in_work, ..Self::default() })
    }

    pub(crate) fn intake_turned(&self) {
        self.turned.store(self.now.load(Relaxed) + 1, Relaxed);
    }

    pub(crate) fn intake_ended(&self) {
        self.turned.store(0, Relaxed);
    }

    /// A request is in work.
    pub(crate) fn work(self: &Arc<Self>) -> Guard {
        if self.in_work.fetch_add(1, Relaxed) == 0 {
            self.move_on();
        }
        self.gauge.inc();
        Guard { progress: Arc::clone(self), kind: Kind::Work }
    }

    pub(crate) fn in_work(&self) -> usize {
        self.in_work.load(Relaxed)
    }

    /// Somebody waits for the store or the broker.
    pub(crate) fn outside(self: &Arc<Self>) -> Guard {
        self.outside.fetch_add(1, Relaxed);
        Guard { progress: Arc::clone(self), kind: Kind::Outside }
    }

    /// An image is being worked on, which must end within the limit.
    pub(crate) fn job(self: &Arc<Self>, what: String) -> Guard {
        let since = self.now.load(Relaxed);
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let id = jobs.next;
        jobs.next += 1;
        jobs.running.insert(id, (what, since));
        Guard { progress: Arc::clone(self), kind: Kind::Job(id) }
    }

    fn move_on(&self) {
        self.moved.store(self.now.load(Relaxed), Relaxed);
    }

    /// A tick has passed: what makes no progress since `limit` ticks, if anything does.
    fn tick(&self, limit: u64) -> Option<String> {
        let now = self.now.fetch_add(1, Relaxed) + 1;
        let is_late = |since: u64, limit: u64| now.saturating_sub(since) > limit;
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((what, _)) = jobs.running.values().find(|(_, since)| is_late(*since, limit)) {
            return Some(format!("{what} has hung the engine"));
        }
        // It asks the broker, which may take a minute to say that it can't.
        let turned = self.turned.load(Relaxed);
        if turned > 0 && is_late(turned - 1, 2 * limit) {
            return Some("the intake is stuck".to_owned());
        }
        let (in_work, outside) = (self.in_work(), self.outside.load(Relaxed));
        if in_work > 0 && outside == 0 && is_late(self.moved.load(Relaxed), limit) {
            return Some(format!("{in_work} requests are in work, and nothing comes to an end"));
        }
        None
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let progress = &self.progress;
        progress.move_on();
        match self.kind {
            Kind::Work => {
                progress.in_work.fetch_sub(1, Relaxed);
                progress.gauge.dec();
            }
            Kind::Outside => drop(progress.outside.fetch_sub(1, Relaxed)),
            Kind::Job(id) => {
                let mut jobs = progress.jobs.lock().unwrap_or_else(PoisonError::into_inner);
                jobs.running.remove(&id);
            }
        }
    }
}

/// Watches until the process ends, by it or otherwise.
pub(crate) fn watch(progress: Arc<Progress>, limit: Duration, shutdown: Shutdown) -> std::io::Result<()> {
    let tick = (limit / u32::try_from(TICKS).unwrap_or(1)).clamp(Duration::from_millis(1), Duration::from_secs(1));
    let ticks = u64::try_from(limit.as_micros() / tick.as_micros()).unwrap_or(TICKS);
    let ending = move || {
        let mut left = END_WITHIN;
        loop {
            std::thread::sleep(tick);
            if let Some(why) = progress.tick(ticks) {
                end(&format!("no progress within {}: {why}", humantime::format_duration(limit)));
            }
            if shutdown.is_requested() {
                left = left.saturating_sub(tick);
            }
            if left.is_zero() {
                end("told to end, and something does not");
            }
        }
    };
    std::thread::Builder::new().name("watchdog".to_owned()).spawn(ending).map(drop)
}

fn end(why: &str) {
    tracing::error!("{why}; ending, so that the work goes to another");
    std::process::exit(EXIT_CODE);
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 10;

    /// What is said after so many ticks more.
    fn after(progress: &Progress, ticks: u64) -> Option<String> {
        (0..ticks).filter_map(|_| progress.tick(LIMIT)).last()
    }

    fn says(progress: &Progress, ticks: u64, expected: &str) {
        let said = after(progress, ticks);
        assert!(said.as_ref().is_some_and(|said| said.contains(expected)), "{said:?} should say {expected:?}");
    }

    #[test]
    fn idle_is_not_stuck() {
        let progress = Progress::new(Gauge::default());
        assert_eq!(after(&progress, 100), None);
        let work = progress.work();
        assert_eq!(after(&progress, LIMIT), None, "it has only begun");
        says(&progress, 1, "1 requests are in work");
        drop(work);
        assert_eq!(after(&progress, 100), None);
    }

    #[test]
    fn what_waits_for_others_is_not_stuck() {
        let progress = Progress::new(Gauge::default());
        let _work = (progress.work(), progress.work());
        let outside = progress.outside();
        assert_eq!(after(&progress, 1_000), None);
        drop(outside);
        assert_eq!(after(&progress, LIMIT), None);
        says(&progress, 1, "2 requests");
    }

    #[test]
    fn a_job_that_hangs_is_named_though_others_go_on() {
        let progress = Progress::new(Gauge::default());
        let _work = (progress.work(), progress.outside(), progress.job("request 3".to_owned()));
        for _ in 0..LIMIT {
            assert_eq!(after(&progress, 1), None);
            drop(progress.job("another".to_owned()));
        }
        says(&progress, 1, "request 3 has hung");
    }

    #[test]
    fn an_intake_that_does_not_turn_is_stuck_while_it_runs() {
        let progress = Progress::new(Gauge::default());
        progress.intake_turned();
        assert_eq!(after(&progress, 2 * LIMIT), None);
        says(&progress, 1, "the intake is stuck");
        progress.intake_ended();
        assert_eq!(after(&progress, 100), None);
    }
}
