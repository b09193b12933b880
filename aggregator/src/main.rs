use std::process::ExitCode;

use aggregator::Cli;
use clap::Parser as _;

fn main() -> ExitCode {
    let cli = Cli::parse();
    service::start(&cli.common.clone(), |shutdown| async move { aggregator::start(cli, shutdown).await })
}
