//! What a person reads: results on stdout, progress on stderr.

use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use seals::PublicKey;
use service::output::line;

use crate::keys::public_path;
use crate::seal::Outcome;
use crate::verify::{Report, Verdict};

/// Drawn only where stderr is a terminal.
pub(crate) fn progress_bar(doing: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {bar:40} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left");
    let bar = ProgressBar::new(0).with_message(doing);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

pub(crate) fn keygen(out: &Path, key: &PublicKey) {
    line(format!("key {}", key.id()));
    line(format!("private: {} (keep it secret, and a copy of it safe)", out.display()));
    line(format!("public:  {} (give it to auditors)", public_path(out).display()));
}

pub(crate) fn seal(outcome: &Outcome) {
    let (head, runs_waiting) = match outcome {
        Outcome::Nothing { head, runs_waiting } => {
            line("nothing to seal");
            (head.as_ref(), runs_waiting)
        }
        Outcome::Sealed { head, totals, runs, runs_waiting } => {
            let seq = head.seq;
            line(format!(
                "seal {seq}: {} files, {} rows, {} bytes, {runs} runs",
                totals.files, totals.rows, totals.bytes
            ));
            (Some(head), runs_waiting)
        }
    };
    if *runs_waiting > 0 {
        line(format!("{runs_waiting} runs wait: their cut is not landed here yet"));
    }
    if let Some(head) = head {
        line(format!("head {head}"));
    }
}

pub(crate) fn report(report: &Report) {
    line(format!("archive {}, key {}", report.archive, report.key_id));
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["seal", "sealed at", "signed", "files", "rows", "bytes", "runs"]);
    for seal in &report.seals {
        table.add_row([
            seal.seq.to_string(),
            seal.sealed_at.to_string(),
            if seal.signed { "yes" } else { "NO" }.to_owned(),
            seal.totals.files.to_string(),
            seal.totals.rows.to_string(),
            seal.totals.bytes.to_string(),
            seal.runs.to_string(),
        ]);
    }
    for column in 3..7 {
        table.column_mut(column).into_iter().for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    }
    line(table.to_string());
    for path in &report.orphans {
        line(format!("orphan {path}: no seal lists it; it means nothing"));
    }
    for finding in &report.findings {
        line(format!("WRONG  {finding}"));
    }
    for invariant in &report.invariants {
        let verdict = match invariant.verdict {
            Verdict::Holds => "holds",
            Verdict::Broken => "BROKEN",
            Verdict::NotShown => "not shown",
        };
        line(format!("{} {verdict}: {}", invariant.id, invariant.text));
    }
    if let Some(head) = &report.head {
        line(format!("head {head} (keep it, and give it next time as --expect-head)"));
    }
}
