//! `make demo`: the main job, from photographs to a final bill and a verified archive, on this machine.
//!
//! The broker is embedded in this process; everything else is the real binaries, as processes of their own. The numbers
//! are computed: this process keeps its own ledger of what it published and fails where the pipeline differs from it.

mod archive;
mod bills;
mod plan;
mod say;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use contract::layout;
use contract::resize::OutputFormat;
use contract::{BrokerTime, Month};
use service::{BadUsage, CommonArgs, Shutdown, clock};

use crate::harness::{Landed, Ledger, Photo, System, Topics, check_results};
use plan::Plan;
use say::{done, step, with_progress};

const PARTITIONS: i32 = 4;
const ANSWERED_WITHIN: Duration = Duration::from_mins(2);
/// Marks a folder as a demo's own, so that the next one may empty it.
const MARK: &str = ".pixtoll-demo";

/// Plays Pixtoll's main job on this machine: photographs are resized, metered, billed and archived.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Examples:
  make demo
  make demo PHOTOS=~/Pictures"
)]
pub struct Cli {
    #[command(flatten)]
    pub common: CommonArgs,
    /// A folder of your own photographs (JPEG, PNG, WebP); at most 12 are taken
    #[arg(long)]
    photos: Option<PathBuf>,
    /// Where to leave images, Parquet and bills; emptied first
    #[arg(long, default_value = "data/demo")]
    data: PathBuf,
}

/// Runs the demo; Ctrl-C ends it, and its processes with it.
pub async fn run(cli: Cli, shutdown: Shutdown) -> Result<()> {
    tokio::select! {
        outcome = play(&cli) => outcome,
        () = shutdown.requested() => anyhow::bail!("interrupted; all processes are stopped"),
    }
}

async fn play(cli: &Cli) -> Result<()> {
    let started = Instant::now();
    let photos = photos(cli)?;
    let data = emptied(&cli.data)?;
    let month = month_to_close().context("the clock of this machine is out of range")?;

    step("An embedded broker, five topics, three accounts");
    let topics = Topics::embedded(PARTITIONS)?;
    let system = System::new(topics, path(&data.join("store"))?, &logs(&data)?)?;
    done("development flag on: the embedded broker has no clock of its own, so producers' times are taken");
    let plan = Plan::new(month, photos);
    plan.open_accounts(&system).await?;

    step("Two workers and an aggregator");
    let mut workers = vec![system.worker()?.spawn_ready().await?, system.worker()?.spawn_ready().await?];
    let aggregator = system.aggregator()?.spawn_ready().await?;

    step("Requests: published, resized, metered, landed");
    let mut publisher = system.publisher()?;
    plan.publish_few(&system, &mut publisher).await?;
    plan.publish_many(&mut publisher).await?;
    with_progress("answered and landed", &publisher.ledger, &system, 25, ANSWERED_WITHIN).await?;
    let victim = workers.remove(0);
    let id = victim.id();
    victim.kill()?;
    done(format!("worker {id} killed with SIGKILL in the middle of its work; another is started"));
    workers.push(system.worker()?.spawn()?);
    let landed = with_progress("answered and landed", &publisher.ledger, &system, 100, ANSWERED_WITHIN).await?;
    let counts = publisher.ledger.check(&landed)?;
    check_results(&system.store, &publisher.ledger).await?;
    done(format!(
        "{} requests = {} conversions done, {} rejected, {} undecodable, and retries; {} events too many are duplicates",
        counts.requests, counts.done, counts.rejected, counts.undecodable, counts.duplicates
    ));
    ensure!(publisher.ledger.accounts.is_empty(), "accounts come from the command line");

    step(format!("Closing {month}"));
    bills::wait_until_closable(&system, month).await?;
    let bills = bills::close(&system, &plan, month, &data).await?;
    let landed = Landed::read(&system.store).await?;
    bills::check(&bills, &plan, &publisher.ledger, &landed)?;
    done("each customer's total equals the publisher's own computation, to the cent");

    step("Sealing the archive and verifying it");
    archive::seal_and_verify(&system, &data).await?;
    let named = archive::tamper(&system, &data).await?;
    done(format!("one byte of a copy flipped: verify names {named}"));

    for worker in workers {
        worker.stop(Duration::from_secs(30)).await?;
    }
    aggregator.stop(Duration::from_secs(30)).await?;
    let images = save_images(&system, &publisher.ledger, &data).await?;
    say::summary(&data, images, month, started.elapsed());
    Ok(())
}

/// The person's photographs, or the project's.
fn photos(cli: &Cli) -> Result<Vec<Photo>> {
    let Some(folder) = &cli.photos else { return Photo::all() };
    let mut photos = Photo::folder(folder).map_err(|e| BadUsage(format!("--photos: {e:#}")))?;
    photos.truncate(12);
    if photos.is_empty() {
        return Err(BadUsage(format!("--photos {}: no JPEG, PNG or WebP in it", folder.display())).into());
    }
    Ok(photos)
}

/// The last month that ended at least a quarter of an hour ago.
fn month_to_close() -> Option<Month> {
    Month::of(clock::now().plus_millis(-15 * 60 * 1000)).map(|month| month.previous())
}

/// An empty folder for this demo. One that something else has filled is left alone.
fn emptied(data: &Path) -> Result<PathBuf> {
    if data.exists() {
        let ours = data.join(MARK).exists() || fs::read_dir(data)?.next().is_none();
        if !ours {
            return Err(BadUsage(format!("--data {}: is not a demo's folder; name another", data.display())).into());
        }
        fs::remove_dir_all(data)?;
    }
    fs::create_dir_all(data).with_context(|| format!("cannot make {}", data.display()))?;
    fs::write(data.join(MARK), "made by `make demo`, which may empty this folder\n")?;
    Ok(data.canonicalize()?)
}

fn logs(data: &Path) -> Result<PathBuf> {
    let logs = data.join("logs");
    fs::create_dir_all(&logs)?;
    Ok(logs)
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}

/// Copies the images out of the store under names that a person can open.
async fn save_images(system: &System, ledger: &Ledger, data: &Path) -> Result<usize> {
    let mut saved = 0;
    for (conversion, fate) in ledger.conversions() {
        let Ok((width, height)) = fate.outcome else { continue };
        let path = layout::result(&conversion);
        let bytes = system.store.get(&path).await?.with_context(|| format!("{path} is gone"))?;
        let kind = match Photo::new("result", bytes.clone())?.format {
            OutputFormat::Jpeg => "jpg",
            OutputFormat::Png => "png",
            OutputFormat::Webp | OutputFormat::Auto => "webp", // no image is of the format "auto"
        };
        let folder = data.join("images").join(conversion.customer_id.as_str());
        fs::create_dir_all(&folder)?;
        let id = conversion.request_id.to_string();
        let part = &conversion.fingerprint.to_string()[..8];
        fs::write(folder.join(format!("{width}x{height}-{}-{part}.{kind}", &id[id.len() - 8..])), bytes)?;
        saved += 1;
    }
    Ok(saved)
}

/// A time that share of the way into a month.
fn within(month: Month, per_mille: i64) -> BrokerTime {
    let length = month.end().as_millis() - month.start().as_millis();
    month.start().plus_millis(length / 1000 * per_mille)
}
