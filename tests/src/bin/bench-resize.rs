use std::process::ExitCode;

use clap::Parser as _;
use system_tests::bench::resize::{self, Cli};

fn main() -> ExitCode {
    let cli = Cli::parse();
    service::start(&cli.common.clone(), |shutdown| async move { resize::run(&cli, &shutdown) })
}
