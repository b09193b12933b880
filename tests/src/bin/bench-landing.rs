use std::process::ExitCode;

use clap::Parser as _;
use system_tests::bench::landing::{self, Cli};

fn main() -> ExitCode {
    let cli = Cli::parse();
    service::start(&cli.common.clone(), |shutdown| async move {
        tokio::select! {
            outcome = landing::run(&cli) => outcome,
            () = shutdown.requested() => anyhow::bail!("interrupted"),
        }
    })
}
