use std::process::ExitCode;

use clap::Parser as _;
use resize_consumer::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    service::start(&cli.common.clone(), |shutdown| async move { resize_consumer::run(cli.config()?, shutdown).await })
}
