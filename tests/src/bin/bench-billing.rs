use std::process::ExitCode;

use clap::Parser as _;
use system_tests::bench::billing::{self, Cli};

fn main() -> ExitCode {
    let cli = Cli::parse();
    service::start(&cli.common.clone(), |shutdown| async move { billing::run(&cli, &shutdown).await })
}
