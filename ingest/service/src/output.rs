//! What a command answers, on stdout. Logs and progress go to stderr.

use std::io::{self, Write as _};

use serde::Serialize;

/// Writes a line. A reader that has gone away (`| head`) ends the process quietly, as it would any Unix tool.
pub fn line(text: impl AsRef<str>) {
    let mut stdout = io::stdout().lock();
    if writeln!(stdout, "{}", text.as_ref()).and_then(|()| stdout.flush()).is_err() {
        std::process::exit(0);
    }
}

/// Writes a value as one line of JSON.
pub fn json(value: &impl Serialize) -> serde_json::Result<()> {
    line(serde_json::to_string(value)?);
    Ok(())
}
