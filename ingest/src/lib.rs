//! What a person does from a terminal: make the topics, keep the accounts, publish work.
//!
//! ```text
//!   publish: files × sizes × formats ─▶ journal: the ids, before anything is sent ─▶ sources into the store
//!                                                                                          ▼
//!            images in a folder ◀─ answers (--wait) ◀─ … ◀─ requests on the log, acknowledged
//! ```

mod accounts;
mod publish;
mod random;
mod reading;
mod topics;

use anyhow::bail;
use clap::{Parser, Subcommand};
use service::{CommonArgs, Shutdown};

/// The front door to Pixtoll's log: topics, accounts, and requests to resize.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Examples:
  ingest topics create --replication 1 --min-isr 1
  ingest accounts add --customer acme --plan per-conversion --currency EUR
  ingest publish --customer acme --size 320x240 --wait photos/*.jpg"
)]
pub struct Cli {
    #[command(flatten)]
    pub common: CommonArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create or check the topics
    #[command(subcommand)]
    Topics(topics::Command),
    /// Add a version of a customer's account, or list what the log holds
    #[command(subcommand)]
    Accounts(accounts::Command),
    /// Ask for images to be resized: one request per file, size and format
    ///
    /// Each request gets an id, which a journal keeps before anything is sent. However a run ends, the same command
    /// with its journal goes on from there, and nothing is done or billed twice.
    Publish(Box<publish::Args>),
}

/// What [`run`] needs, validated.
#[derive(Debug)]
pub struct Config(Kind);

#[derive(Debug)]
enum Kind {
    Topics(topics::Config),
    Accounts(accounts::Config),
    Publish(Box<publish::Config>),
}

impl Cli {
    pub fn config(self) -> anyhow::Result<Config> {
        Ok(Config(match self.command {
            Command::Topics(command) => Kind::Topics(command.config()?),
            Command::Accounts(command) => Kind::Accounts(command.config()?),
            Command::Publish(args) => Kind::Publish(Box::new(args.config()?)),
        }))
    }
}

/// Runs one command to its end, or to a requested shutdown.
pub async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    match config.0 {
        Kind::Topics(config) => until(&shutdown, topics::run(config)).await,
        Kind::Accounts(config) => until(&shutdown, accounts::run(config)).await,
        Kind::Publish(config) => publish::run(*config, &shutdown).await,
    }
}

async fn until(shutdown: &Shutdown, work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::select! {
        outcome = work => outcome,
        () = shutdown.requested() => bail!("stopped before it was done"),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_flags_fit_together() {
        super::Cli::command().debug_assert();
    }
}
