//! A child process that can't outlive us: started tied to this process, waited for until it answers, killed by its id.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, Instant};
use std::{io, thread};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// Set when this process was told to end: every wait for a server then fails at once.
pub(super) static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// How often a server that found its port taken tries others.
pub(super) const PORT_ATTEMPTS: u32 = 5;

const POLL: Duration = Duration::from_millis(25);
const LOG_TAIL_LINES: usize = 30;

/// How a start went that wasn't a failure.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Start {
    Answers,
    /// Somebody took the port between our finding it free and the server's binding it.
    PortTaken,
}

/// A running server or one of its tools; killed when dropped.
#[derive(Debug)]
pub(super) struct Process {
    what: &'static str,
    child: Child,
    log: PathBuf,
}

/// A command that the kernel signals when the thread that spawns it ends.
pub(super) fn tied(death_signal: &str, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", death_signal, "--"]).arg(program);
    command
}

impl Process {
    /// Spawns `command` (made by [`tied`]) with all it prints going to the file `log`.
    pub(super) fn spawn(what: &'static str, mut command: Command, log: &Path) -> Result<Self> {
        let output = File::create(log).with_context(|| format!("{}", log.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            // A group of its own: Ctrl-C at the terminal is for the command under test; servers go after it has ended.
            .process_group(0);
        let child = spawn_from_lasting_thread(command)
            .with_context(|| format!("cannot start {what} through setpriv (Debian package util-linux)"))?;
        Ok(Self { what, child, log: log.to_owned() })
    }

    /// Waits until `answers`; the last lines of the log are in the error if that doesn't happen.
    pub(super) fn wait_until(&mut self, timeout: Duration, mut answers: impl FnMut(&str) -> bool) -> Result<Start> {
        let deadline = Instant::now() + timeout;
        loop {
            self.ensure_wanted(deadline, timeout)?;
            if let Some(status) = self.child.try_wait()? {
                let log = self.read_log();
                if log.to_lowercase().contains("address already in use") {
                    return Ok(Start::PortTaken);
                }
                bail!("{} ended at its start ({status}){}", self.what, self.log_tail());
            }
            if answers(&self.read_log()) {
                return Ok(Start::Answers);
            }
            thread::sleep(POLL);
        }
    }

    /// Waits for a tool to end well.
    pub(super) fn finish(mut self, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        loop {
            self.ensure_wanted(deadline, timeout)?;
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "{} failed ({status}){}", self.what, self.log_tail());
                return Ok(());
            }
            thread::sleep(POLL);
        }
    }

    /// Asks the process to end (SIGTERM) and waits for that; kills it when it doesn't.
    pub(super) fn stop(mut self, timeout: Duration) -> Result<ExitStatus> {
        // Until it is waited for, a child keeps its id: this can't hit another process.
        if self.child.try_wait()?.is_none() {
            kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        }
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            ensure!(Instant::now() < deadline, "{} did not stop within {timeout:?}", self.what);
            thread::sleep(POLL);
        }
    }

    fn ensure_wanted(&self, deadline: Instant, timeout: Duration) -> Result<()> {
        ensure!(!INTERRUPTED.load(Ordering::Relaxed), "interrupted while waiting for {}", self.what);
        ensure!(Instant::now() < deadline, "{} took longer than {timeout:?}{}", self.what, self.log_tail());
        Ok(())
    }

    fn read_log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    fn log_tail(&self) -> String {
        let log = self.read_log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n  ");
        if tail.is_empty() { "; it printed nothing".to_owned() } else { format!("; its last words:\n  {tail}") }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only where the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The kernel ties a child to the *thread* that spawned it. A test's thread may end before its server should, so one
/// thread, which ends only with the process, spawns them all.
fn spawn_from_lasting_thread(command: Command) -> io::Result<Child> {
    type Job = (Command, mpsc::Sender<io::Result<Child>>);
    static SPAWNER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();

    let spawner = SPAWNER.get_or_init(|| {
        let (spawner, jobs) = mpsc::channel::<Job>();
        thread::spawn(move || {
            for (mut command, reply) in jobs {
                // Nobody waits for the reply any more only when the asking thread has died; the child dies with us.
                let _ = reply.send(command.spawn());
            }
        });
        spawner
    });
    let ended = || io::Error::other("the thread that spawns servers has ended");
    let (reply, child) = mpsc::channel();
    spawner.send((command, reply)).map_err(|_| ended())?;
    child.recv().map_err(|_| ended())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spawn(script: &str, folder: &tempfile::TempDir) -> Process {
        let mut command = tied("KILL", "sh");
        command.args(["-c", script]);
        Process::spawn("a script", command, &folder.path().join("log")).unwrap()
    }

    fn check_start(script: &str, timeout: Duration, expected: Result<Start, &str>) {
        let folder = tempfile::tempdir().unwrap();
        let mut process = spawn(script, &folder);
        let start = process.wait_until(timeout, |log| log.contains("ready"));
        match expected {
            Ok(expected) => assert_eq!(start.unwrap(), expected, "{script}"),
            Err(part) => {
                let error = format!("{:#}", start.unwrap_err());
                assert!(error.contains(part), "{script}: {error}");
            }
        }
    }

    #[test]
    fn a_start_answers_or_says_why_not() {
        let (patient, impatient) = (Duration::from_mins(1), Duration::from_millis(100));
        check_start("echo ready; exec sleep 120", patient, Ok(Start::Answers));
        check_start("echo 'bind: Address already in use'; exit 1", patient, Ok(Start::PortTaken));
        check_start("echo no such disk; exit 3", patient, Err("no such disk"));
        check_start("exec sleep 120", impatient, Err("took longer than 100ms"));
    }

    #[test]
    fn a_server_outlives_the_thread_that_asked_for_it_but_not_its_handle() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = thread::scope(|scope| scope.spawn(|| spawn("exec sleep 60", &folder)).join().unwrap());
        thread::sleep(Duration::from_millis(100));
        assert!(process.child.try_wait().unwrap().is_none(), "it died with the thread");

        let proc_entry = PathBuf::from(format!("/proc/{}", process.child.id()));
        assert!(proc_entry.exists());
        drop(process);
        assert!(!proc_entry.exists());
    }
}
