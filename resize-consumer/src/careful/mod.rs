//! Careful mode: a conversion in a child process with bounds of its own, so that a decoder's crash does not travel.
//!
//! A decoder in C may one day crash. In the worker itself that takes the worker with it, with all that is in work there;
//! the record stays uncommitted and goes to the next owner of its partition. What keeps it from taking that one, too:
//!
//! | done in a child | because |
//! |---|---|
//! | the first records of a partition after each assignment, as many as its owner before may have had past the commit | the owner before may have died of one of them |
//! | what a customer sends, and what has the same source, for a while after a decoder crashed on it in a child, of this worker or of any | who sent one such image may send a thousand, at offsets that no worker has met |
//! | all, with `--careful always` | one would rather pay for it |
//!
//! ```text
//!   worker: a thread per child ──task, source──▶ child: reads all of it ─▶ decode … encode
//!                              ◀──"begun"───────┘                             │
//!                              ◀──answer, output──────────────────────────────┘ next task
//! ```
//!
//! The child is this very program ([`child`]), on the same engine: its output is the same, byte for byte. If it dies of
//! the image, that is the answer: rejected, `decoder_crashed`. If it dies of something else (it was killed, or could
//! not be started), it is tried again, three times at most; then the trouble is the process's, which ends. It is never
//! told as the image's fault, since another machine may do it well.
//!
//! This contains crashes, runaway loops and bombs. It is no sandbox against code that an image might smuggle in: what
//! that could do, as the same user, is for the deployment to bound.

pub mod child;
mod frame;
mod poison;
mod process;
mod suspects;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use contract::resize::Resize;
use contract::usage::Reason;
use contract::{BrokerTime, CustomerId, Digest, units};
use engine::{Inspection, Limits, Measures, Output, Rejection, inspect};
use service::{Shutdown, clock};
use store::Store;
use tokio::sync::Semaphore;
use tokio::task::block_in_place;

use self::process::Children;
use self::suspects::Suspects;
use crate::answer::past;
use crate::metrics::{Metrics, Queued};
use crate::pool::resize_here;
use crate::retry::time_left;
use crate::watchdog::Progress;

pub(crate) use self::poison::taste;

/// After so many deaths from elsewhere it is the process's trouble.
const TRIES: u32 = 3;
/// Of a job that is short.
const SHORT_BYTES: usize = 4 << 20;
const SHORT_PIXELS: u64 = 8_000_000;
const SHORT_SIDE: u32 = 2_000;
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// After the first death; after the second, four times that.
const PAUSE: Duration = Duration::from_millis(500);

type Resized<E> = Result<Result<Output, Box<Rejection>>, E>;

/// One conversion.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) customer: CustomerId,
    /// What the input's digest must be.
    pub(crate) source: Digest,
    pub(crate) input: Bytes,
    pub(crate) params: Resize,
    pub(crate) limits: Limits,
    pub(crate) deadline: Option<BrokerTime>,
}

impl Job {
    /// Whether it takes some tenths of a second at most, by its header and what is asked for.
    fn is_short(&self) -> bool {
        let asked = self.params.width.unwrap_or(0).max(self.params.height.unwrap_or(0));
        let pixels = |found: Inspection| u64::from(found.stored.0) * u64::from(found.stored.1);
        self.input.len() <= SHORT_BYTES
            && asked <= SHORT_SIDE
            && inspect(&self.input, &self.limits).map_or(true, |found| pixels(found) <= SHORT_PIXELS)
    }

    /// What is said without decoding: its deadline passed while it waited for a thread, or the input is another one.
    ///
    /// The digest is taken by the thread that decodes: the bytes are in its cache then.
    fn refused(&self) -> Option<Box<Rejection>> {
        let late = self.deadline.filter(|deadline| time_left(*deadline).is_zero());
        let (reason, detail, measures) = match late {
            Some(deadline) => (Reason::DeadlineExceeded, past(deadline), measures_of(&self.input)),
            None if Digest::of(&self.input) == self.source => return None,
            None => {
                let detail = format!("the source is not the one with sha256 {}", self.source);
                (Reason::SourceDigestMismatch, detail, Measures::default())
            }
        };
        Some(Box::new(Rejection { reason, detail, measures }))
    }
}

/// Of a source that was not decoded.
fn measures_of(input: &Bytes) -> Measures {
    Measures { input_bytes: units::Bytes::new(input.len() as u64).unwrap_or_default(), ..Measures::default() }
}

/// What a child may use for one job.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    cpu_seconds: u64,
    memory_bytes: u64,
}

impl Bounds {
    /// Beside what the engine holds: for the heap's own waste, and small things.
    const SLACK_BYTES: u64 = 64 << 20;

    fn new(cpu_seconds: u64, limits: &Limits) -> Self {
        // The source is read into a buffer that doubles as it grows.
        let source = limits.input_bytes.saturating_mul(2);
        let memory_bytes = limits.job_memory_bytes.saturating_add(source).saturating_add(Self::SLACK_BYTES);
        Self { cpu_seconds, memory_bytes }
    }

    /// How long a child may say nothing. Past it, it has neither answered nor used up its CPU time.
    fn silence(&self) -> Duration {
        Duration::from_secs(self.cpu_seconds.saturating_mul(4).saturating_add(10))
    }

    fn largest_output(&self) -> u32 {
        u32::try_from(self.memory_bytes).unwrap_or(u32::MAX)
    }
}

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    pub always: bool,
    /// That a child may use for one image.
    pub cpu_seconds: u64,
    /// How long after a decoder's crash a customer is suspected.
    pub suspicion: Duration,
}

/// Why a child gave no answer, and how it came to that.
#[derive(Debug)]
enum Death {
    Decoder(String),
    Elsewhere(String),
}

/// Children die, and not of what they are given.
#[derive(Debug, thiserror::Error)]
#[error("a child process died {TRIES} times, and not of the image: {0}; is the machine short of memory?")]
pub(crate) struct Died(String);

pub(crate) struct Careful {
    always: bool,
    cpu_seconds: u64,
    children: Children,
    /// So many long jobs at once.
    long: Semaphore,
    suspects: Suspects,
    store: Store,
    metrics: Metrics,
    progress: Arc<Progress>,
}

impl Careful {
    /// With so many threads.
    pub(crate) fn new(
        rules: Rules,
        threads: usize,
        store: Store,
        metrics: Metrics,
        progress: Arc<Progress>,
    ) -> anyhow::Result<Arc<Self>> {
        let Rules { always, cpu_seconds, suspicion } = rules;
        let (children, long) = (Children::new(threads)?, Semaphore::new(threads));
        let suspects = Suspects::new(suspicion);
        Ok(Arc::new(Self { always, cpu_seconds, children, long, suspects, store, metrics, progress }))
    }

    /// Learns what other workers have seen: at once, and every few seconds from then on. Children that are not needed
    /// any more end.
    pub(crate) async fn listen(self: &Arc<Self>, shutdown: Shutdown) {
        self.suspects.look(&self.store, clock::now()).await;
        let careful = Arc::clone(self);
        tokio::spawn(async move {
            while !shutdown.is_requested() {
                tokio::time::sleep(LOOK_EVERY).await;
                careful.suspects.look(&careful.store, clock::now()).await;
                careful.children.tidy();
            }
        });
    }

    /// Resizes: in a child if `careful` or for a reason of ours, else right here, on a thread of the pool.
    pub(crate) async fn resize(&self, job: Job, careful: bool) -> Resized<Died> {
        let suspected = || self.suspects.suspected(&job.customer, &job.source, Instant::now());
        if careful || self.always || suspected() {
            return self.resize_in_child(job).await;
        }
        let queued = Queued::new(&self.metrics);
        tokio::task::yield_now().await; // those first who are about to end
        let long = if job.is_short() { None } else { self.long.acquire().await.ok() };
        drop(queued);
        let _watched = self.progress.job(format!("the source with sha256 {}", job.source));
        let resize = || job.refused().map_or_else(|| resize_here(&job.input, &job.params, &job.limits), Err);
        // This thread's other tasks, such as answers that are being stored, do not wait for a long one.
        Ok(if long.is_some() { block_in_place(resize) } else { resize() })
    }

    async fn resize_in_child(&self, job: Job) -> Resized<Died> {
        // A child has bounds of its own.
        let _outside = self.progress.outside();
        let bounds = Bounds::new(self.cpu_seconds, &job.limits);
        let mut attempt = 1;
        loop {
            let died = match self.children.resize(job.clone(), bounds, Queued::new(&self.metrics)).await {
                Some(Ok(resized)) => {
                    self.metrics.careful_conversions.inc();
                    return Ok(resized);
                }
                Some(Err(Death::Decoder(how))) => return Ok(Err(Box::new(self.crashed(&job, &how)))),
                Some(Err(Death::Elsewhere(how))) => how,
                None => "its thread gave no answer".to_owned(),
            };
            self.metrics.child_deaths.inc();
            tracing::warn!(source = %job.source, attempt, %died, "a child process gave no answer");
            if attempt == TRIES {
                return Err(Died(died));
            }
            tokio::time::sleep(PAUSE * attempt * attempt).await;
            attempt += 1;
        }
    }

    fn crashed(&self, job: &Job, how: &str) -> Rejection {
        let Job { customer, source, input, .. } = job;
        tracing::error!(%customer, %source, how, "a decoder crashed");
        self.metrics.decoder_crashes.inc();
        self.suspects.accuse(customer, source, Instant::now());
        tokio::spawn(suspects::tell(self.store.clone(), customer.clone(), clock::now()));
        let measures = measures_of(input);
        let detail = format!("the decoder did not survive the source with sha256 {source}: {how}");
        Rejection { reason: Reason::DecoderCrashed, detail, measures }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header of a square BMP.
    fn bmp(side: u32) -> Vec<u8> {
        let mut header = b"BM".to_vec();
        for field in [54 + side * side * 3, 0, 54, 40, side, side, 24 << 16 | 1, 0, 0, 0, 0, 0, 0] {
            header.extend(field.to_le_bytes());
        }
        header
    }

    #[test]
    fn what_may_take_long_is_told_by_header_length_and_what_is_asked_for() {
        let big = [bmp(8), vec![0; SHORT_BYTES]].concat();
        for (what, input, width, short) in [
            ("a small one", bmp(8), 8, true),
            ("of many pixels in few bytes", bmp(3000), 8, false),
            ("of many bytes", big, 8, false),
            ("enlarged", bmp(8), SHORT_SIDE + 1, false),
            ("no image, which is refused at once", b"text".to_vec(), 8, true),
        ] {
            let job = Job {
                customer: "acme".parse().unwrap(),
                source: Digest::of(&input),
                input: input.into(),
                params: Resize { width: Some(width), ..Resize::default() },
                limits: Limits::default(),
                deadline: None,
            };
            assert_eq!(job.is_short(), short, "{what}");
        }
    }
}
