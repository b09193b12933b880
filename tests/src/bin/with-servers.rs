//! `with-servers -- COMMAND [ARGUMENTS]`: runs COMMAND with an Apache Kafka and an S3 server of its own beside it.
//!
//! What COMMAND finds in its environment, and why this is a wrapper, stands in `system_tests::servers`.

use std::ffi::OsString;
use std::process::ExitCode;

use system_tests::servers;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    arguments.next_if(|argument| argument == "--");
    let command: Vec<OsString> = arguments.collect();
    if command.is_empty() {
        servers::say("usage: with-servers -- COMMAND [ARGUMENTS]");
        return ExitCode::from(2);
    }
    match servers::run(&command).await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            servers::say(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
