//! A real binary as a child process: flags in, signals to it by its id, its log in a file.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::metrics::Samples;
use super::{http, wait_for};

const LOG_TAIL_LINES: usize = 20;
const START: Duration = Duration::from_mins(1);

/// A process about to be started.
#[derive(Debug)]
pub struct Launch {
    name: String,
    command: Command,
    log: PathBuf,
}

impl Launch {
    /// `program`, with none of the person's own settings but how much is logged; stderr goes to the file `log`.
    pub fn new(name: &str, program: PathBuf, log: PathBuf) -> Self {
        let mut command = Command::new(program);
        for (variable, _) in std::env::vars_os() {
            let variable = variable.to_string_lossy();
            if variable.starts_with("PIXTOLL_") && !variable.starts_with("PIXTOLL_LOG") {
                command.env_remove(&*variable);
            }
        }
        Self { name: name.to_owned(), command, log }
    }

    #[must_use]
    pub fn args<S: AsRef<str>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// The process sends itself SIGKILL when it passes `point` for the `pass`th time.
    #[must_use]
    pub fn kill_at(self, point: &str, pass: u32) -> Self {
        self.env("PIXTOLL_KILL_AT", &format!("{point}:{pass}"))
    }

    /// Starts a long-running process.
    pub fn spawn(mut self) -> Result<Process> {
        let log = File::create(&self.log).with_context(|| format!("{}", self.log.display()))?;
        self.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = self.command.spawn().with_context(|| format!("cannot start {}", self.name))?;
        Ok(Process { name: self.name, child, log: self.log })
    }

    /// Starts a long-running process and waits until /readyz says that it does its work.
    pub async fn spawn_ready(self) -> Result<Process> {
        let mut process = self.spawn()?;
        process.ready(START).await?;
        Ok(process)
    }

    /// Runs a command to its end, whatever that is.
    pub async fn finish(mut self) -> Result<Finished> {
        self.command.stdin(Stdio::null());
        let mut command = tokio::process::Command::from(self.command);
        let output =
            command.kill_on_drop(true).output().await.with_context(|| format!("cannot start {}", self.name))?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let finished = Finished {
            name: self.name,
            status: output.status,
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        };
        fs::write(&self.log, format!("{}\n{}\n{}", finished.status, finished.stdout, finished.stderr))?;
        Ok(finished)
    }
}

/// What became of a command.
#[derive(Debug)]
pub struct Finished {
    pub name: String,
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// Its stdout, if it ended well.
    pub fn ok(self) -> Result<String> {
        ensure!(self.status.success(), "{} ended with {}:\n{}{}", self.name, self.status, self.stdout, self.stderr);
        Ok(self.stdout)
    }
}

/// A running binary; killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended by itself.
    pub fn is_alive(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// All that it has logged so far.
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Sends a signal: `Signal::STOP` and `Signal::CONT`, say.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        // Until it is waited for, a child keeps its id: this can't hit another process.
        ensure!(self.is_alive()?, "{} has ended{}", self.name, self.log_tail());
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// SIGKILL, and waits for the death.
    pub fn kill(mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM; it must end by itself, and well.
    pub async fn stop(mut self, within: Duration) -> Result<()> {
        self.signal(Signal::TERM)?;
        let status = self.ended(within).await?;
        ensure!(status.success(), "{} ended with {status} when told to stop{}", self.name, self.log_tail());
        Ok(())
    }

    /// Waits for the SIGKILL that a kill point sends. Any other end, or none, is an error.
    pub async fn died_by_sigkill(mut self, within: Duration) -> Result<()> {
        let status = self.ended(within).await?;
        let by_sigkill = status.signal() == Some(Signal::KILL.as_raw());
        ensure!(by_sigkill, "{} should have died by SIGKILL, and ended with {status}{}", self.name, self.log_tail());
        Ok(())
    }

    /// Waits for its end.
    pub async fn ended(&mut self, within: Duration) -> Result<ExitStatus> {
        let what = format!("{} to end", self.name);
        let child = &mut self.child;
        let ended = wait_for(&what, within, async || Ok(child.try_wait()?)).await;
        ended.with_context(|| self.log_tail())
    }

    /// Waits until /readyz says that it does its work.
    pub async fn ready(&mut self, within: Duration) -> Result<()> {
        let deadline = std::time::Instant::now() + within;
        loop {
            let problems = match self.readyz().await? {
                Some((200, _)) => return Ok(()),
                Some((_, problems)) => problems,
                None => "no health served yet".to_owned(),
            };
            let late = std::time::Instant::now() >= deadline;
            ensure!(!late, "{} is not ready after {within:?}: {problems}{}", self.name, self.log_tail());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What /readyz answers: status and body. `None` while nothing is served.
    pub async fn readyz(&mut self) -> Result<Option<(u16, String)>> {
        self.get("/readyz").await
    }

    /// What it has counted so far.
    pub async fn metrics(&mut self) -> Result<Samples> {
        match self.get("/metrics").await? {
            Some((200, text)) => Samples::parse(&text),
            other => bail!("{} answers /metrics with {other:?}", self.name),
        }
    }

    async fn get(&mut self, path: &str) -> Result<Option<(u16, String)>> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended with {status}{}", self.name, self.log_tail());
        }
        let Some(address) = self.health_address() else { return Ok(None) };
        http::get(address, path).await.map(Some)
    }

    /// From the line that tells the port which the kernel chose.
    fn health_address(&self) -> Option<SocketAddr> {
        let log = self.log();
        let line = log.lines().find(|line| line.contains("serving health"))?;
        line.split_once("address=")?.1.split_whitespace().next()?.parse().ok()
    }

    /// For an error: the last that it logged.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n  ");
        format!("\nthe end of {}:\n  {tail}", self.log.display())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only where the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
