//! `with-servers -- COMMAND`: the servers around one command, its exit code as ours, and nothing left behind.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal as Posix, kill_process_group};
use tokio::process::Command;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use super::Servers;
use super::process::{INTERRUPTED, tied};

/// How long the command may take to end after a signal was passed on to it.
const GRACE: Duration = Duration::from_secs(10);

/// Whether a variable of the person's shell must not reach a test: where their real log and store are, the keys to
/// them, and settings that a test leaves at their defaults. How much is logged stays theirs to say.
fn is_withheld(name: &str) -> bool {
    let ours = ["PIXTOLL_TEST_", "PIXTOLL_LOG"];
    name.starts_with("AWS_") || name.starts_with("PIXTOLL_") && !ours.iter().any(|prefix| name.starts_with(prefix))
}

/// Starts the servers, runs `command`, stops them. Returns the command's exit code, or as a shell would 128 + the
/// signal that ended it or us.
pub async fn run(command: &[OsString]) -> Result<u8> {
    let mut signals = Signals::install()?;
    let mut starting = tokio::task::spawn_blocking(Servers::start);
    let servers = tokio::select! {
        servers = &mut starting => servers??,
        signal = signals.next() => {
            INTERRUPTED.store(true, Ordering::Relaxed);
            drop(starting.await?);
            return Ok(exit_code(signal));
        }
    };
    supervise(command, &servers.environment(), &mut signals).await
}

/// Runs `command` in a process group of its own, so that a signal reaches what it started as well (cargo passes none
/// on to the tests), and so that Ctrl-C leaves the servers to be stopped after it.
async fn supervise(command: &[OsString], environment: &[(&str, String)], signals: &mut Signals) -> Result<u8> {
    let (program, arguments) = command.split_first().context("no command to run")?;
    let mut tied = tied("TERM", program);
    tied.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if is_withheld(&name.to_string_lossy()) {
            tied.env_remove(name);
        }
    }
    // A proxy for the world outside has no business with loopback addresses.
    for name in ["NO_PROXY", "no_proxy"] {
        tied.env(name, "127.0.0.1,localhost");
    }
    tied.envs(environment.iter().map(|(name, value)| (name, value)));

    let mut child =
        Command::from(tied).process_group(0).spawn().context("cannot run setpriv (Debian package util-linux)")?;
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed())).context("the command has no id")?;
    let signal = tokio::select! {
        status = child.wait() => return Ok(code_of(status?)),
        signal = signals.next() => signal,
    };
    // Fails only where the whole group has ended.
    let _ = kill_process_group(group, signal);
    tokio::select! {
        status = child.wait() => drop(status?),
        _ = signals.next() => {}
        () = sleep(GRACE) => {}
    }
    let _ = kill_process_group(group, Posix::KILL);
    child.wait().await?;
    Ok(exit_code(signal))
}

fn code_of(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

fn exit_code(signal: Posix) -> u8 {
    u8::try_from(128 + signal.as_raw()).unwrap_or(1)
}

/// The signals that ask us to end.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn install() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Posix {
        tokio::select! {
            _ = self.interrupt.recv() => Posix::INT,
            _ = self.terminate.recv() => Posix::TERM,
            _ = self.hangup.recv() => Posix::HUP,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_commands_end_is_ours() {
        let cases = [
            ("exit 0", 0),
            ("exit 101", 101),
            ("kill -KILL $$", 128 + 9),
            ("test \"$PIXTOLL_TEST_BROKERS\" = 127.0.0.1:1", 0),
            // We are told to end, which ends it.
            ("trap 'exit 5' TERM; sleep 60 & kill -TERM $PPID; wait", 128 + 15),
        ];
        let mut signals = Signals::install().unwrap();
        let environment = [("PIXTOLL_TEST_BROKERS", "127.0.0.1:1".to_owned())];
        for (script, expected) in cases {
            let command = ["sh", "-c", script].map(OsString::from);
            assert_eq!(supervise(&command, &environment, &mut signals).await.unwrap(), expected, "{script}");
        }
        let nothing = ["/nonexistent/program".into()];
        assert_eq!(supervise(&nothing, &environment, &mut signals).await.unwrap(), 127);
    }

    #[test]
    fn a_persons_own_log_and_store_are_withheld() {
        let cases = [
            ("AWS_SESSION_TOKEN", true),
            ("PIXTOLL_STORE", true),
            ("PIXTOLL_KAFKA_OPTIONS", true),
            ("PIXTOLL_LOG", false),
            ("PIXTOLL_TEST_SEED", false),
            ("PATH", false),
        ];
        for (name, withheld) in cases {
            assert_eq!(is_withheld(name), withheld, "{name}");
        }
    }
}
