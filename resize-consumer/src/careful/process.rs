//! The parent's side: a child process, one job after another, and what its death says about the image.
//!
//! All of it blocks, so there are threads for it, each with a child: it lives as long as the thread that the kernel ties
//! it to.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::sync::oneshot;

use super::frame::{self, Task};
use super::{Bounds, Death, Job, Resized, child, poison};
use crate::metrics::Queued;

/// A child that is not needed for so long ends.
const IDLE: Duration = Duration::from_secs(10);
/// How long a child that has closed its pipe may take to end.
const ENDING: Duration = Duration::from_secs(5);

thread_local! {
    static HELD: RefCell<Option<Held>> = const { RefCell::new(None) };
}

struct Held {
    process: Child,
    pipe: UnixStream,
    used: Instant,
}

/// Why there is no answer.
struct Broken {
    /// Whether the child had the whole job.
    begun: bool,
    error: io::Error,
}

/// What became of the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Ended(ExitStatus),
    /// Alive and asleep, with nothing to wait for.
    Hung,
    /// Alive, and stopped or without a CPU.
    Starved,
    /// Alive, and what it said is no answer.
    Nonsense,
}

/// The threads, each with a child while that is needed.
pub(super) struct Children(rayon::ThreadPool);

impl Children {
    pub(super) fn new(count: usize) -> anyhow::Result<Self> {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(count).thread_name(|n| format!("child-{n}"));
        Ok(Self(threads.build()?))
    }

    /// Resizes in a child. `None` if that panicked.
    pub(super) async fn resize(&self, job: Job, bounds: Bounds, queued: Queued) -> Option<Resized<Death>> {
        let (answer, answered) = oneshot::channel();
        self.0.spawn(move || {
            drop(queued);
            let resize = || job.refused().map_or_else(|| resize(&job, &bounds), |why| Ok(Err(why)));
            if let Ok(done) = catch_unwind(AssertUnwindSafe(resize)) {
                let _ = answer.send(done); // the asker may be gone, at a shutdown
            }
        });
        answered.await.ok()
    }

    /// Ends the children that were not needed for a while.
    pub(super) fn tidy(&self) {
        self.0.spawn_broadcast(|_| HELD.with_borrow_mut(|held| drop(held.take_if(|held| held.used.elapsed() >= IDLE))));
    }
}

/// Resizes in this thread's child. One that has done other jobs and dies of this one may have died of theirs, so then a
/// fresh one decides.
fn resize(job: &Job, bounds: &Bounds) -> Resized<Death> {
    if let Some(held) = HELD.take()
        && let Ok(resized) = held.resize(job, bounds)
    {
        return Ok(resized);
    }
    let fresh = Held::start(bounds);
    fresh.map_err(|error| Death::Elsewhere(format!("it could not be started: {error}")))?.resize(job, bounds)
}

impl Held {
    /// This very program, also where its file has been replaced since.
    fn start(bounds: &Bounds) -> io::Result<Self> {
        let (pipe, theirs) = UnixStream::pair()?;
        pipe.set_read_timeout(Some(bounds.silence()))?;
        pipe.set_write_timeout(Some(bounds.silence()))?;
        let process = Command::new("/proc/self/exe")
            .arg(child::ARGUMENT)
            .args([std::process::id().to_string(), bounds.memory_bytes.to_string()])
            .env_clear() // no secrets
            .envs(poison::environment())
            .current_dir("/")
            .process_group(0) // a terminal's Ctrl-C is for the parent, which finishes what it has begun
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self { process, pipe, used: Instant::now() })
    }

    fn resize(mut self, job: &Job, bounds: &Bounds) -> Resized<Death> {
        match self.ask(job, bounds) {
            Ok(resized) => {
                self.used = Instant::now();
                HELD.set(Some(self));
                Ok(resized)
            }
            Err(Broken { begun, error }) => Err(verdict(begun, self.end(&error), bounds)),
        }
    }

    fn ask(&mut self, job: &Job, bounds: &Bounds) -> Resized<Broken> {
        let broken = |begun| move |error| Broken { begun, error };
        let task = Task { params: job.params.clone(), limits: job.limits, cpu_seconds: bounds.cpu_seconds };
        frame::write_task(&mut self.pipe, &task, &job.input).map_err(broken(false))?;
        frame::read_begun(&mut self.pipe).map_err(broken(false))?;
        frame::read_answer(&mut self.pipe, bounds.largest_output()).map_err(broken(true))
    }

    fn end(&mut self, error: &io::Error) -> End {
        if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) {
            return if self.is_asleep() { End::Hung } else { End::Starved };
        }
        // Its death, and the word of it, may come a little after its pipe is closed.
        let until = Instant::now() + ENDING;
        while error.kind() != io::ErrorKind::InvalidData && Instant::now() < until {
            if let Ok(Some(status)) = self.process.try_wait() {
                return End::Ended(status);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        End::Nonsense
    }

    /// Source: proc_pid_stat(5), `state`. A child has one thread.
    fn is_asleep(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('S'))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Both fail only where the process is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What it died of.
///
/// | the job was | the child | by |
/// |---|---|---|
/// | not read whole | ended, hung, … | elsewhere |
/// | begun | got a signal of its own making, or past its CPU limit; exited; hung; or spoke nonsense | the decoder |
/// | begun | got a signal that others send; was stopped or starved | elsewhere |
fn verdict(begun: bool, end: End, bounds: &Bounds) -> Death {
    let signal = match end {
        End::Ended(status) => status.signal().and_then(Signal::from_named_raw),
        _ => None,
    };
    let (decoders, how) = match (end, signal) {
        (End::Ended(_), Some(Signal::XCPU)) => {
            (true, format!("it took more than {} s of CPU time", bounds.cpu_seconds))
        }
        (End::Ended(_), Some(Signal::ABORT)) => {
            let most = bounds.memory_bytes;
            (true, format!("it aborted, as also on asking for more than {most} bytes of memory"))
        }
        (End::Ended(_), Some(Signal::SEGV)) => (true, "it reached outside its memory (SIGSEGV)".to_owned()),
        (End::Ended(status), signal) => {
            let own = [Signal::BUS, Signal::ILL, Signal::FPE, Signal::TRAP, Signal::SYS, Signal::STKFLT];
            let from_outside = status.signal().is_some() && !signal.is_some_and(|signal| own.contains(&signal));
            (!from_outside, format!("it ended with {status}"))
        }
        (End::Hung, _) => (true, format!("it did nothing for {:?}", bounds.silence())),
        (End::Starved, _) => (false, format!("it was stopped, or had no CPU, for {:?}", bounds.silence())),
        (End::Nonsense, _) => (true, "it answered nonsense".to_owned()),
    };
    if begun && decoders { Death::Decoder(how) } else { Death::Elsewhere(how) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_death_it_is() {
        let bounds = Bounds { cpu_seconds: 7, memory_bytes: 1000 };
        let by = |signal: Signal| End::Ended(ExitStatus::from_raw(signal.as_raw()));
        let check = |end: End, decoders: bool, says: &str| {
            for begun in [true, false] {
                let (found, how) = match verdict(begun, end, &bounds) {
                    Death::Decoder(how) => (true, how),
                    Death::Elsewhere(how) => (false, how),
                };
                assert_eq!(found, begun && decoders, "{end:?}, begun: {begun}");
                assert!(how.contains(says), "{how}");
            }
        };
        check(by(Signal::SEGV), true, "SIGSEGV");
        check(by(Signal::ABORT), true, "more than 1000 bytes");
        check(by(Signal::XCPU), true, "more than 7 s of CPU");
        for signal in [Signal::BUS, Signal::ILL, Signal::FPE, Signal::TRAP, Signal::SYS] {
            check(by(signal), true, "signal");
        }
        check(End::Ended(ExitStatus::from_raw(1 << 8)), true, "exit status: 1"); // a C library's exit(1)
        check(End::Hung, true, "did nothing for 38s");
        check(End::Nonsense, true, "nonsense");
        for signal in [Signal::KILL, Signal::TERM, Signal::INT, Signal::HUP, Signal::USR1] {
            check(by(signal), false, "signal");
        }
        check(End::Starved, false, "stopped");
    }
}
