//! Runs the engine under watch: panics, thread CPU time, the process's memory and answers that no input may get.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use contract::resize::Resize;
use contract::usage::Reason;
use engine::{Engine, Limits, Output, Rejection};
use rustix::time::{ClockId, clock_gettime};

const TEMPORARY: &str = env!("CARGO_TARGET_TMPDIR");

/// Memory is the whole process's, so there is one test at a time, from its first allocation on.
pub(crate) type Alone = MutexGuard<'static, ()>;

pub(crate) fn alone() -> Alone {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Of this process. A job that is not over by then never will be.
const HANGS_AFTER_CPU: Duration = Duration::from_mins(2);
/// On top of what the engine may take: stacks, the allocator's and this test's own.
const SLACK_BYTES: u64 = 24_000_000;

/// What one image may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowed {
    pub(crate) cpu: Duration,
    pub(crate) memory_bytes: u64,
}

pub(crate) struct Watch {
    engine: Engine,
    allowed: Allowed,
    resident_before: u64,
    failures: Vec<String>,
    answers: BTreeMap<String, u32>,
    spent: Duration,
    slowest: (Duration, String),
    largest: (u64, String),
    jobs: Arc<AtomicU64>,
    _alone: Alone,
}

impl Watch {
    pub(crate) fn start(alone: Alone, allowed: Allowed) -> Self {
        give_back_freed_memory();
        let jobs = Arc::new(AtomicU64::new(0));
        end_what_hangs(Arc::clone(&jobs));
        Self {
            engine: Engine::default(),
            allowed,
            resident_before: memory("VmRSS"),
            failures: Vec::new(),
            answers: BTreeMap::new(),
            spent: Duration::ZERO,
            slowest: Default::default(),
            largest: Default::default(),
            jobs,
            _alone: alone,
        }
    }

    /// Nothing if it panicked.
    pub(crate) fn resize(
        &mut self,
        name: &str,
        input: &[u8],
        params: &Resize,
        limits: &Limits,
    ) -> Option<Result<Output, Box<Rejection>>> {
        fs::write(format!("{TEMPORARY}/torture-now.txt"), format!("{name}, {}\n", text(params))).unwrap();
        self.jobs.fetch_add(1, Ordering::Relaxed);
        fs::write("/proc/self/clear_refs", "5").expect("resets VmHWM");
        let before = cpu(ClockId::ThreadCPUTime);
        let answer = catch_unwind(AssertUnwindSafe(|| self.engine.resize(input, params, limits)));
        let spent = cpu(ClockId::ThreadCPUTime).saturating_sub(before);
        let memory_bytes = memory("VmHWM").saturating_sub(self.resident_before);

        if spent > self.allowed.cpu {
            self.fail_by(name, input, format!("took {spent:?}, {}", text(params)));
        }
        if memory_bytes > self.allowed.memory_bytes + SLACK_BYTES {
            self.fail_by(name, input, format!("took {} MB, {}", memory_bytes / 1_000_000, text(params)));
        }
        self.spent += spent;
        self.slowest = self.slowest.clone().max((spent, name.to_owned()));
        self.largest = self.largest.clone().max((memory_bytes, name.to_owned()));
        let Ok(answer) = answer else {
            self.engine = Engine::default();
            self.fail_by(name, input, format!("panicked, {}", text(params)));
            return None;
        };
        if let Err(Rejection { reason: Reason::Other(reason), detail, .. }) = answer.as_ref().map_err(AsRef::as_ref) {
            self.fail_by(name, input, format!("{reason}: {detail}, {}", text(params)));
        }
        *self.answers.entry(outcome(&answer)).or_default() += 1;
        Some(answer)
    }

    /// Keeps the input, which may be nowhere else.
    fn fail_by(&mut self, name: &str, input: &[u8], what: String) {
        let number = self.failures.len();
        fs::write(format!("{TEMPORARY}/torture-failure-{number}"), input).unwrap();
        self.fail(name, what);
    }

    pub(crate) fn fail(&mut self, name: &str, what: impl AsRef<str>) {
        self.failures.push(format!("{name}: {}", what.as_ref()));
    }

    /// Fails with all that went wrong.
    pub(crate) fn finish(self) {
        let jobs = self.jobs.load(Ordering::Relaxed);
        eprintln!("{jobs} jobs in {:?}: {:?}", self.spent, self.answers);
        eprintln!("slowest: {:?}; largest: {:?} bytes", self.slowest, self.largest);
        let failures = &self.failures;
        assert!(failures.is_empty(), "{} of {jobs} jobs:\n{}", failures.len(), failures.join("\n"));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.jobs.store(u64::MAX, Ordering::Relaxed);
    }
}

/// `done`, or the reason why not as it stands in an event.
pub(crate) fn outcome(answer: &Result<Output, Box<Rejection>>) -> String {
    answer.as_ref().map_or_else(|rejection| reason(&rejection.reason), |_| "done".to_owned())
}

fn reason(reason: &Reason) -> String {
    if let Reason::Other(label) = reason {
        return label.to_string();
    }
    let mut text = String::new();
    for letter in format!("{reason:?}").chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

fn cpu(clock: ClockId) -> Duration {
    clock_gettime(clock).try_into().unwrap()
}

/// Only what is given.
fn text(params: &Resize) -> String {
    let text = format!("{params:?}");
    text.split(", ").filter(|part| !part.contains(": None")).collect::<Vec<_>>().join(", ")
}

/// So that it hides nothing of what is allocated from now on.
#[expect(unsafe_code, reason = "glibc's function has no safe binding; it takes a number and returns one")]
fn give_back_freed_memory() {
    unsafe extern "C" {
        /// Of glibc.
        safe fn malloc_trim(padding: usize) -> i32;
    }
    malloc_trim(0);
}

/// A line of `/proc/self/status`, in bytes.
fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let kib = line.trim_matches(|letter: char| !letter.is_ascii_digit());
    kib.parse::<u64>().unwrap() * 1024
}

/// Ends the process when a job does not end; the file then names it.
fn end_what_hangs(jobs: Arc<AtomicU64>) {
    let (mut job, mut since) = (0, cpu(ClockId::ProcessCPUTime));
    thread::spawn(move || {
        while job != u64::MAX {
            thread::sleep(Duration::from_secs(1));
            let (current, now) = (jobs.load(Ordering::Relaxed), cpu(ClockId::ProcessCPUTime));
            if current != job {
                (job, since) = (current, now);
            } else if now.saturating_sub(since) > HANGS_AFTER_CPU {
                std::process::abort();
            }
        }
    });
}
