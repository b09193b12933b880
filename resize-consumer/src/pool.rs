//! The threads that resize, each with an engine of its own.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use contract::ids::Label;
use contract::request::Resize;
use contract::usage::Reason;
use tokio::sync::oneshot;

use crate::engine::{Engine, Limits, Measures, Output, Rejection};

thread_local! {
    static ENGINE: RefCell<Engine> = RefCell::new(Engine::default());
}

pub(crate) struct Pool(rayon::ThreadPool);

impl Pool {
    pub(crate) fn new(threads: usize) -> anyhow::Result<Self> {
        let builder = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|n| format!("resize-{n}"));
        Ok(Self(builder.build()?))
    }

    /// Resizes on a thread of the pool. A panic there is our fault, not the file's; it is answered as a rejection, so
    /// that one file can't take the workers down one after the other.
    pub(crate) async fn resize(&self, input: Bytes, params: Resize, limits: Limits) -> Result<Output, Box<Rejection>> {
        let (answer, answered) = oneshot::channel();
        self.0.spawn(move || {
            let resize = || ENGINE.with_borrow_mut(|engine| engine.resize(&input, &params, &limits));
            let outcome = catch_unwind(AssertUnwindSafe(resize)).unwrap_or_else(|_| {
                ENGINE.set(Engine::default());
                Err(Box::new(failed("the engine panicked")))
            });
            let _ = answer.send(outcome); // the asker may be gone: its partition was revoked
        });
        answered.await.unwrap_or_else(|_| Err(Box::new(failed("the engine gave no answer"))))
    }
}

fn failed(detail: &str) -> Rejection {
    let reason = "engine_failed".parse::<Label>().map_or(Reason::CorruptImage, Reason::Other);
    Rejection { reason, detail: detail.to_owned(), measures: Measures::default() }
}
