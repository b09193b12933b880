use std::process::ExitCode;

use billing_jobs::Cli;
use clap::Parser as _;

fn main() -> ExitCode {
    let cli = Cli::parse();
    service::start(&cli.common.clone(), |shutdown| billing_jobs::run(cli.command, shutdown))
}
