use std::process::ExitCode;

use clap::Parser as _;
use ingest::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let common = cli.common.clone();
    service::start(&common, |shutdown| async { ingest::run(cli.config()?, shutdown).await })
}
