//! What a person or a program sees of a run: ids and answers on stdout, progress and notes on stderr.

use std::path::PathBuf;

use contract::RequestId;
use contract::resize::OutputFormat;
use contract::usage::Reason;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use service::output;

use super::plan::{Item, Work};
use super::size;

/// What came of a request.
#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum Answer {
    Done {
        saved: PathBuf,
        width: u32,
        height: u32,
    },
    Rejected {
        reason: Reason,
        detail: String,
    },
    /// It was done, but the image can't be had.
    NotSaved {
        detail: String,
    },
}

pub(crate) struct Screen {
    json: bool,
    bar: ProgressBar,
}

#[derive(Serialize)]
struct Sent<'a> {
    request_id: RequestId,
    file: &'a str,
    size: String,
    format: Option<OutputFormat>,
}

#[derive(Serialize)]
struct Answered<'a> {
    request_id: RequestId,
    file: &'a str,
    #[serde(flatten)]
    answer: &'a Answer,
}

impl Screen {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, bar: ProgressBar::hidden() }
    }

    /// Shows a bar, if stderr is a terminal.
    pub(crate) fn phase(&mut self, what: &'static str, steps: usize) -> anyhow::Result<()> {
        self.clear();
        let style = ProgressStyle::with_template("{msg:10} {bar:40} {pos}/{len} {elapsed}")?;
        self.bar = ProgressBar::with_draw_target(Some(steps as u64), ProgressDrawTarget::stderr());
        self.bar.set_style(style);
        self.bar.set_message(what);
        Ok(())
    }

    pub(crate) fn step(&self) {
        self.bar.inc(1);
    }

    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    #[expect(clippy::print_stderr, reason = "what a person should know, apart from the answer")]
    pub(crate) fn note(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }

    pub(crate) fn sent(&self, request_id: RequestId, work: &Work) -> anyhow::Result<()> {
        let (size, format) = (size::name(&work.resize), work.resize.format);
        if self.json {
            return self.json(&Sent { request_id, file: &work.file, size, format });
        }
        let format = format.map_or_else(|| Ok("own".to_owned()), |format| word(&format))?;
        self.line(&format!("{request_id}\t{}\t{size}\t{format}", clean(&work.file)));
        Ok(())
    }

    pub(crate) fn answered(&self, request_id: RequestId, item: &Item, answer: &Answer) -> anyhow::Result<()> {
        let file = item.work.file.as_str();
        if self.json {
            return self.json(&Answered { request_id, file, answer });
        }
        let (outcome, what) = match answer {
            Answer::Done { saved, .. } => ("done", clean(&saved.to_string_lossy())),
            Answer::Rejected { reason, detail } => ("rejected", format!("{}: {}", word(reason)?, clean(detail))),
            Answer::NotSaved { detail } => ("not saved", clean(detail)),
        };
        self.line(&format!("{request_id}\t{outcome}\t{}\t{what}", clean(file)));
        Ok(())
    }

    fn line(&self, text: &str) {
        self.bar.suspend(|| output::line(text));
    }

    fn json(&self, value: &impl Serialize) -> anyhow::Result<()> {
        Ok(self.bar.suspend(|| output::json(value))?)
    }
}

/// As it stands in JSON, without the quotes.
fn word(value: &impl Serialize) -> serde_json::Result<String> {
    Ok(serde_json::to_string(value)?.trim_matches('"').to_owned())
}

/// Nothing that would end a column or a line, or command a terminal: names and details come from outside.
fn clean(text: &str) -> String {
    text.replace(char::is_control, "?")
}
