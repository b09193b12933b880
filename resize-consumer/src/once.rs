//! `resize-consumer once`: the engine on a file, or on the files of a folder, without a log and without a store.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use comfy_table::{CellAlignment, Table, presets};
use contract::resize::{OutputFormat, Resize};
use engine::{Limits, Measures, Output};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use serde::Serialize;
use service::flags::{ResizeArgs, word};
use service::{BadUsage, Failed, Shutdown, output};

use crate::pool;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  resize-consumer once --in a.jpg --width 320 --height 240 --fit cover --out b.webp
  resize-consumer once --in photos --width 320 --format auto --accept webp --accept jpeg --out small
  resize-consumer once --in a.jpg --width 320 --json     (measures only: nothing is written)

Exit code 1 if an image was rejected.")]
pub(crate) struct Args {
    /// An image, or a folder of images (its files, not its subfolders)
    #[arg(long = "in", value_name = "PATH")]
    input: PathBuf,

    /// The file to write, or for a folder the folder to write into; nothing is written when absent
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,

    /// Write over files that are there
    #[arg(long, requires = "out")]
    overwrite: bool,

    /// In pixels
    #[arg(long, value_name = "PIXELS")]
    width: Option<u32>,

    /// In pixels
    #[arg(long, value_name = "PIXELS")]
    height: Option<u32>,

    /// The output's format; what the name of --out says, or the image's own, when absent
    #[arg(long, value_parser = word::<OutputFormat>(&["jpeg", "png", "webp", "auto"]))]
    format: Option<OutputFormat>,

    #[command(flatten)]
    resize: ResizeArgs,

    /// Answer in JSON, one line per image
    #[arg(long)]
    json: bool,
}

/// One image: where from, and where to.
struct Job {
    input: PathBuf,
    to: To,
}

enum To {
    Nowhere,
    File(PathBuf),
    /// The name follows from the input's and the output's format.
    Folder(PathBuf),
}

/// What came of an image.
#[derive(Debug, Serialize)]
struct Report {
    file: PathBuf,
    #[serde(flatten)]
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    measures: Option<Measures>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Outcome {
    Done {
        #[serde(skip_serializing_if = "Option::is_none")]
        saved: Option<PathBuf>,
        width: u32,
        height: u32,
        output_bytes: usize,
    },
    Rejected {
        reason: contract::usage::Reason,
        detail: String,
    },
    /// The file could not be read, or the image not be written.
    Failed {
        detail: String,
    },
}

/// Resizes all images on as many threads as there are cores, then prints what came of them. Blocks.
pub(crate) fn run(args: &Args, limits: &Limits, shutdown: &Shutdown) -> anyhow::Result<()> {
    let mut params = Resize { width: args.width, height: args.height, format: args.format, ..args.resize.resize() };
    let jobs = jobs(args, &mut params)?;
    let bar = &if jobs.len() > 1 { bar(jobs.len() as u64)? } else { ProgressBar::hidden() };
    let reports: Vec<Report> = jobs
        .into_par_iter()
        .map(|job| {
            let report = (!shutdown.is_requested()).then(|| report(job, args.overwrite, &params, limits));
            bar.inc(1);
            report
        })
        .while_some()
        .collect();
    bar.finish_and_clear();
    print(&reports, args.json)?;
    let all_done = reports.iter().all(|report| matches!(report.outcome, Outcome::Done { .. }));
    if all_done && !shutdown.is_requested() { Ok(()) } else { Err(Failed.into()) }
}

fn jobs(args: &Args, params: &mut Resize) -> anyhow::Result<Vec<Job>> {
    let input = &args.input;
    let there = fs::metadata(input).map_err(|error| BadUsage(format!("--in {}: {error}", input.display())))?;
    if !there.is_dir() {
        let to = match &args.out {
            None => To::Nowhere,
            Some(out) if out.is_dir() => To::Folder(out.clone()),
            Some(out) => {
                params.format = params.format.or_else(|| format_of(out));
                To::File(out.clone())
            }
        };
        return Ok(vec![Job { input: input.clone(), to }]);
    }
    if let Some(out) = &args.out {
        fs::create_dir_all(out).map_err(|error| BadUsage(format!("--out {}: {error}", out.display())))?;
    }
    let entries = fs::read_dir(input).with_context(|| format!("cannot list {}", input.display()))?;
    let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    files.retain(|file| file.is_file());
    files.sort();
    if files.is_empty() {
        return Err(BadUsage(format!("--in {}: the folder has no files", input.display())).into());
    }
    let to = |()| args.out.clone().map_or(To::Nowhere, To::Folder);
    Ok(files.into_iter().map(|input| Job { input, to: to(()) }).collect())
}

/// What a file's name promises.
fn format_of(out: &Path) -> Option<OutputFormat> {
    match out.extension()?.to_ascii_lowercase().to_str()? {
        "jpg" | "jpeg" => Some(OutputFormat::Jpeg),
        "png" => Some(OutputFormat::Png),
        "webp" => Some(OutputFormat::Webp),
        _ => None,
    }
}

fn report(job: Job, overwrite: bool, params: &Resize, limits: &Limits) -> Report {
    let failed = |detail: String| (Outcome::Failed { detail }, None);
    let (outcome, measures) = match read(&job.input, limits) {
        Err(error) => failed(error.to_string()),
        Ok(source) => match pool::resize_here(&source, params, limits) {
            Err(rejection) => {
                let measures = Some(rejection.measures);
                (Outcome::Rejected { reason: rejection.reason, detail: rejection.detail }, measures)
            }
            Ok(made) => match save(&job, &made, overwrite) {
                Err(error) => failed(format!("{error:#}")),
                Ok(saved) => {
                    let Output { width, height, ref bytes, measures, .. } = made;
                    (Outcome::Done { saved, width, height, output_bytes: bytes.len() }, Some(measures))
                }
            },
        },
    };
    Report { file: job.input, outcome, measures }
}

/// Reads no more than one byte past the limit, which the engine then refuses.
fn read(file: &Path, limits: &Limits) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    fs::File::open(file)?.take(limits.input_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn save(job: &Job, made: &Output, overwrite: bool) -> anyhow::Result<Option<PathBuf>> {
    let path = match &job.to {
        To::Nowhere => return Ok(None),
        To::File(path) => path.clone(),
        To::Folder(folder) => {
            let extension = if made.format.name() == "jpeg" { "jpg" } else { made.format.name() };
            let mut name = job.input.file_stem().map_or_else(|| OsString::from("image"), OsString::from);
            name.push(".");
            name.push(extension);
            folder.join(name)
        }
    };
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(overwrite).create_new(!overwrite);
    let file = options.open(&path);
    let mut file = file.with_context(|| {
        let advice = if overwrite { "" } else { " (to write over what is there, say --overwrite)" };
        format!("{}{advice}", path.display())
    })?;
    file.write_all(&made.bytes).with_context(|| path.display().to_string())?;
    Ok(Some(path))
}

fn bar(images: u64) -> anyhow::Result<ProgressBar> {
    let bar = ProgressBar::with_draw_target(Some(images), ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} images {elapsed} (eta {eta})")?);
    Ok(bar)
}

fn print(reports: &[Report], json: bool) -> anyhow::Result<()> {
    if json {
        for report in reports {
            output::json(report)?;
        }
        return Ok(());
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header([
        "FILE",
        "FROM",
        "BYTES",
        "PIXELS",
        "TO",
        "BYTES",
        "SIZE",
        "DECODE ms",
        "RESIZE ms",
        "ENCODE ms",
        "CPU ms",
        "",
    ]);
    for column in table.column_iter_mut().enumerate().filter(|(n, _)| [2, 3, 5, 7, 8, 9, 10].contains(n)) {
        column.1.set_cell_alignment(CellAlignment::Right);
    }
    for report in reports {
        table.add_row(row(report));
    }
    output::line(table.trim_fmt());
    Ok(())
}

fn row(report: &Report) -> Vec<String> {
    let measures = report.measures.unwrap_or_default();
    let (bytes, size, word) = match &report.outcome {
        Outcome::Done { width, height, output_bytes, saved } => {
            let saved = saved.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
            (output_bytes.to_string(), format!("{width}x{height}"), saved)
        }
        Outcome::Rejected { reason, detail } => {
            let reason = serde_json::to_value(reason).ok().and_then(|word| word.as_str().map(str::to_owned));
            (String::new(), String::new(), format!("rejected, {}: {detail}", reason.unwrap_or_default()))
        }
        Outcome::Failed { detail } => (String::new(), String::new(), format!("failed: {detail}")),
    };
    let millis = |micros: i64| format!("{}.{:02}", micros / 1000, micros % 1000 / 10);
    let stages = measures.stages;
    vec![
        report.file.display().to_string(),
        measures.input_format.map_or_else(String::new, |format| format.name().to_owned()),
        measures.input_bytes.get().to_string(),
        measures.input_pixels.get().to_string(),
        measures.output_format.map_or_else(String::new, |format| format.name().to_owned()),
        bytes,
        size,
        millis(stages.decode_micros.get()),
        millis(stages.resize_micros.get()),
        millis(stages.encode_micros.get()),
        millis(measures.cpu_micros.get()),
        word,
    ]
}
