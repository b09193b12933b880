use std::process::ExitCode;

use clap::Parser as _;
use cold_archive::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let sealed_at = service::clock::now();
    service::start(&cli.common.clone(), |shutdown| async move {
        cold_archive::run(cli.config()?, sealed_at, shutdown).await
    })
}
