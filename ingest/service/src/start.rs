//! From `main` into async code and back to an exit code.
//!
//! | exit code | |
//! |---|---|
//! | 0 | done |
//! | 1 | failed, or a check found something |
//! | 2 | asked for something that can't be: a bad flag, a bad value |
//! | 130 | interrupted twice |

use std::future::Future;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::flags::{CommonArgs, LogFormat};

/// A user's mistake: one line that says what, where, and what to do. Exit code 2.
#[derive(Debug)]
pub struct BadUsage(pub String);

impl std::fmt::Display for BadUsage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for BadUsage {}

/// A check whose findings are already printed. Exit code 1, nothing more said.
#[derive(Debug)]
pub struct Failed;

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("failed")
    }
}
impl std::error::Error for Failed {}

/// Whether the process was asked to stop. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// For tests, and for parts that stop on an error of their own.
    pub fn request(&self) {
        self.0.cancel();
    }
    pub fn is_requested(&self) -> bool {
        self.0.is_cancelled()
    }
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }
}

/// Sets up logging and signals, runs `work` to its end, and turns its outcome into an exit code.
///
/// SIGINT and SIGTERM request a shutdown; a second one ends the process at once.
pub fn start<F>(args: &CommonArgs, work: impl FnOnce(Shutdown) -> F) -> ExitCode
where
    F: Future<Output = anyhow::Result<()>>,
{
    match prepare(args).and_then(|runtime| runtime.block_on(run(work))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if error.downcast_ref::<Failed>().is_none() {
                complain(&error);
            }
            if error.downcast_ref::<BadUsage>().is_some() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

fn prepare(args: &CommonArgs) -> anyhow::Result<tokio::runtime::Runtime> {
    let filter = EnvFilter::try_new(&args.log).map_err(|e| BadUsage(format!("--log {:?}: {e}", args.log)))?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would say so on stderr, and panic if that takes no more: as when the disk is full.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal());
    match args.log_format {
        LogFormat::Text => logs.with_target(false).init(),
        LogFormat::Json => logs.json().init(),
    }
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

async fn run<F>(work: impl FnOnce(Shutdown) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    use tokio::signal::unix::{SignalKind, signal};
    let shutdown = Shutdown::default();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let requested = shutdown.clone();
    tokio::spawn(async move {
        for again in [false, true] {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            if again {
                std::process::exit(130);
            }
            tracing::info!("stopping; a second signal ends at once");
            requested.request();
        }
    });
    work(shutdown).await
}

#[expect(clippy::print_stderr, reason = "the one line that tells a user what went wrong")]
fn complain(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}
