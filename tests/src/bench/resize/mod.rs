//! The engine against sharp and Pillow: conversions per CPU-second, bytes and quality, over photographs.
//!
//! Everybody has one thread, gets bytes and gives bytes, all in memory, one picture after the other; the turns are
//! interleaved, so that a busy machine is busy for all. CPU time is that of the whole process.

mod case;
mod peer;
mod quality;
mod race;
mod sheet;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use contract::resize::OutputFormat;
use indicatif::{ProgressBar, ProgressStyle};
use service::output::line;
use service::{CommonArgs, Failed, Shutdown};

use self::case::{BYTES_TARGET, CASES, Case, QUALITY, Set};
use self::peer::{Job, Other, Ours, Peer};
use self::quality::Quality;
use self::race::{OURS, PILLOW, Race, SHARP};
use self::sheet::Pairs;
use super::Target::{AtLeast, AtMost};
use super::{Row, report};

/// Compares the engine's speed, bytes and quality with sharp's and Pillow's; run it through `make bench-resize`.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Exit code 1 when a target is missed; the rows say which.

Examples:
  make bench-resize
  make bench-resize ARGS='--set png --set webp --rounds 3'"
)]
pub struct Cli {
    #[command(flatten)]
    pub common: CommonArgs,
    /// Turns of everybody at each case; the median counts
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u8).range(1..))]
    rounds: u8,
    /// Only this set of pictures; may be given several times
    #[arg(long = "set", value_enum)]
    sets: Vec<Set>,
}

/// Where `tests/servers/setup.sh peers` puts peers and pictures.
const FOLDER: &str = "target/bench";

/// What came of one case.
struct Outcome {
    case: Case,
    race: Race,
    ours: Quality,
    sharps: Quality,
}

pub fn run(cli: &Cli, shutdown: &Shutdown) -> Result<()> {
    let folder = Path::new(FOLDER);
    let cases: Vec<Case> =
        CASES.into_iter().filter(|case| cli.sets.is_empty() || cli.sets.contains(&case.set)).collect();
    let rounds = usize::from(cli.rounds);
    let (mut ours, mut sharp, mut pillow) = (Ours::default(), Other::sharp(folder)?, Other::pillow(folder)?);
    let mut peers: [&mut dyn Peer; 3] = [&mut ours, &mut sharp, &mut pillow];
    line(format!("{}\n", peers.each_ref().map(|peer| peer.version().to_owned()).join(", ")));

    let bar = ProgressBar::new((cases.len() * peers.len() * (rounds + 1)) as u64);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} {elapsed} {msg}")?);
    let mut outcomes = Vec::new();
    let mut columns = Vec::new();
    for case in cases {
        bar.set_message(case.name);
        let inputs = pictures(&folder.join("corpus").join(case.set.folder()))?;
        for peer in &mut peers {
            peer.load(&inputs)?;
        }
        let (width, height) = case.within;
        let job = Job { width, height, format: case.format, quality: QUALITY, out: None };
        let race = race::run(&mut peers, &job, rounds, || {
            bar.inc(1);
            ensure!(!shutdown.is_requested(), "interrupted");
            Ok(())
        })?;
        let outputs = leave_outputs(&mut peers, &job, &folder.join("resize").join(case.slug()))?;
        let [ours, sharps] = quality::measure(&inputs, &job, outputs.each_ref().map(PathBuf::as_path))?;
        if on_sheet(case) {
            let of = |input: &PathBuf| outputs.each_ref().map(|folder| quality::output_path(folder, input, &job));
            columns.push(Pairs::read(inputs.iter().map(of), case.within)?);
        }
        let ratio = race.ratio(SHARP)?;
        bar.suspend(|| line(format!("{}: {ratio:.2} times sharp's speed", case.name)));
        outcomes.push(Outcome { case, race, ours, sharps });
    }
    bar.finish_and_clear();

    let sheet = folder.join("resize-sheet.png");
    sheet::write(&columns, &sheet)?;
    let rows = rows(&outcomes)?;
    report("resize", &rows)?;
    line(format!("\nOurs and sharp's, side by side: {}", sheet.display()));
    let missed: Vec<String> =
        rows.iter().filter(|row| row.missed()).map(|row| format!("{}, {}", row.case, row.metric)).collect();
    if missed.is_empty() {
        return Ok(());
    }
    line(format!("\nMissed:\n  {}", missed.join("\n  ")));
    bail!(Failed)
}

/// A set's files, by name.
fn pictures(folder: &Path) -> Result<Vec<PathBuf>> {
    let context = || format!("{}: `make bench-resize` makes it", folder.display());
    let entries = fs::read_dir(folder).with_context(context)?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    ensure!(!paths.is_empty(), "{} is empty", folder.display());
    Ok(paths)
}

/// Ours and sharp's, in a folder each.
fn leave_outputs(peers: &mut [&mut dyn Peer; 3], job: &Job, folder: &Path) -> Result<[PathBuf; 2]> {
    let folders = [folder.join("ours"), folder.join("sharp")];
    for (peer, folder) in peers.iter_mut().zip(&folders) {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        peer.convert(&Job { out: Some(folder.clone()), ..job.clone() })?;
    }
    Ok(folders)
}

/// One case a decoder and an encoder.
fn on_sheet(case: Case) -> bool {
    case.within == (320, 240)
        && matches!(
            (case.set, case.format),
            (Set::Jpeg, _) | (Set::Png, OutputFormat::Png) | (Set::Webp, OutputFormat::Jpeg)
        )
}

/// What is asked for first, then what is good to know.
fn rows(outcomes: &[Outcome]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for Outcome { case, race, .. } in outcomes {
        let mut row = Row::new(
            case.name,
            "conversions per CPU-second, sharp",
            race.speed(OURS)?,
            race.speed(SHARP)?,
            AtLeast(case.target),
        );
        row.ratio = race.ratio(SHARP)?;
        rows.push(row);
    }
    for Outcome { case, ours, sharps, .. } in outcomes {
        rows.push(Row::new(case.name, "mean PSNR-Y in dB, sharp", ours.psnr, sharps.psnr, AtLeast(1.0)));
    }
    for Outcome { case, race, .. } in outcomes {
        let [ours, sharps, _] = race.bytes;
        rows.push(Row::new(case.name, "mean output bytes, sharp", ours, sharps, AtMost(BYTES_TARGET)));
    }
    for Outcome { case, ours, sharps, .. } in outcomes {
        rows.push(Row::new(case.name, "mean SSIM, sharp", ours.ssim, sharps.ssim, None));
    }
    for Outcome { case, race, .. } in outcomes {
        let metric = "conversions per CPU-second, Pillow";
        let mut row = Row::new(case.name, metric, race.speed(OURS)?, race.speed(PILLOW)?, None);
        row.ratio = race.ratio(PILLOW)?;
        rows.push(row);
    }
    Ok(rows)
}
