//! The threads that resize, each with an engine of its own.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use contract::ids::Label;
use contract::resize::Resize;
use contract::usage::Reason;
use engine::{Engine, Limits, Measures, Output, Rejection};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use tokio::sync::oneshot;

use crate::careful;
use crate::metrics::{self, Metrics};

/// Of a thread of the pool, and of a child.
pub(crate) const STACK_BYTES: usize = 2 << 20;

thread_local! {
    static ENGINE: RefCell<Engine> = RefCell::new(Engine::default());
}

pub(crate) struct Pool {
    threads: rayon::ThreadPool,
    queued: Gauge,
    queue: Histogram,
}

impl Pool {
    pub(crate) fn new(threads: usize, metrics: &Metrics) -> anyhow::Result<Self> {
        let builder = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|n| format!("resize-{n}"));
        let threads = builder.stack_size(STACK_BYTES).build()?;
        Ok(Self { threads, queued: metrics.queued.clone(), queue: metrics.stages.queue.clone() })
    }

    /// Does something on a thread of the pool. `None` if that panicked.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let (queued, queue, since) = (self.queued.clone(), self.queue.clone(), Instant::now());
        queued.inc();
        self.threads.spawn(move || {
            queued.dec();
            metrics::observe(&queue, since.elapsed());
            if let Ok(done) = catch_unwind(AssertUnwindSafe(work)) {
                let _ = answer.send(done); // the asker may be gone: its partition was revoked
            }
        });
        answered.await.ok()
    }
}

/// Resizes on this very thread. A panic is our fault, not the file's; it is answered as a rejection, so that one file
/// can't take the workers down one after the other.
pub(crate) fn resize_here(input: &[u8], params: &Resize, limits: &Limits) -> Result<Output, Box<Rejection>> {
    careful::taste(input);
    let resize = || ENGINE.with_borrow_mut(|engine| engine.resize(input, params, limits));
    catch_unwind(AssertUnwindSafe(resize)).unwrap_or_else(|_| {
        ENGINE.set(Engine::default());
        Err(Box::new(failed("the engine panicked")))
    })
}

pub(crate) fn failed(detail: &str) -> Rejection {
    let reason = "engine_failed".parse::<Label>().map_or(Reason::CorruptImage, Reason::Other);
    Rejection { reason, detail: detail.to_owned(), measures: Measures::default() }
}
