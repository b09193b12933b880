use std::process::ExitCode;

use clap::Parser as _;
use resize_consumer::{Cli, careful};

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == careful::child::ARGUMENT) {
        return careful::child::serve();
    }
    let cli = Cli::parse();
    service::start(&cli.common.clone(), |shutdown| async move { resize_consumer::start(cli, shutdown).await })
}
