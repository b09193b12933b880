//! The threads that answer requests, each with an engine of its own.
//!
//! An image is resized where its answer runs, in between two waits: to hand it to another thread and back takes two
//! wake-ups, which cost more than storing it. So these threads have a runtime to themselves, and what must go on
//! meanwhile, as the intake, is not among their tasks.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use contract::ids::Label;
use contract::resize::Resize;
use contract::usage::Reason;
use engine::{Engine, Limits, Measures, Output, Rejection};
use tokio::runtime::{Builder, Runtime};

use crate::careful;

/// Of a thread of the pool, and of a child.
pub(crate) const STACK_BYTES: usize = 2 << 20;

thread_local! {
    static ENGINE: RefCell<Engine> = RefCell::new(Engine::default());
}

pub(crate) struct Pool(Option<Runtime>);

impl Pool {
    pub(crate) fn new(threads: usize) -> anyhow::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        let builder = builder.worker_threads(threads).thread_name("resize").thread_stack_size(STACK_BYTES);
        Ok(Self(Some(builder.enable_all().build()?)))
    }

    /// Answers something on one of the threads.
    pub(crate) fn spawn(&self, answer: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.0 {
            runtime.spawn(answer);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Waiting for the threads is not allowed where this may be dropped.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
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

fn failed(detail: &str) -> Rejection {
    let reason = "engine_failed".parse::<Label>().map_or(Reason::CorruptImage, Reason::Other);
    Rejection { reason, detail: detail.to_owned(), measures: Measures::default() }
}
