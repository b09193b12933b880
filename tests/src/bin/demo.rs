use std::process::ExitCode;

use clap::Parser as _;
use system_tests::demo::{self, Cli};

fn main() -> ExitCode {
    let cli = Cli::parse();
    service::start(&cli.common.clone(), |shutdown| demo::run(cli, shutdown))
}
