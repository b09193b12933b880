//! A generated lake: a month of usage events, landed as the aggregator would have.
//!
//! It is the same for the same seed, count and customers, and kept for the next run. Its `.complete` file, written last,
//! says what it holds; a lake without one, or with another, is made anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, ensure};
use contract::Month;
use contract::footer::Clock;
use contract::layout::Topic;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use indicatif::{ProgressBar, ProgressStyle};
use segments::{Link, Pending};
use serde::{Deserialize, Serialize};
use service::Shutdown;
use store::{Put, Store};
use tokio::runtime::Handle;

use super::repeats::Repeats;

const PARTITIONS: i32 = 4;
/// As many as the aggregator puts into a segment.
const RECORDS: usize = 200_000;

/// What a lake is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Recipe {
    /// Another number whenever the same recipe gives other events.
    pub(super) version: u32,
    pub(super) seed: u64,
    pub(super) month: Month,
    pub(super) events: i64,
    pub(super) customers: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) landed: i64,
    pub(super) duplicates: i64,
    pub(super) conflicts: i64,
}

#[derive(Debug)]
pub(super) struct Lake {
    pub(super) folder: PathBuf,
    pub(super) counts: Counts,
}

#[derive(PartialEq, Serialize, Deserialize)]
struct Stamp {
    recipe: Recipe,
    counts: Counts,
}

impl Lake {
    /// The one that stands in `folder` if it is the right one, else a new one.
    pub(super) async fn stand(folder: &Path, recipe: Recipe, shutdown: &Shutdown) -> Result<Self> {
        let folder = std::path::absolute(folder)?;
        let stamp = folder.join(".complete");
        let found = fs::read(&stamp).ok().and_then(|bytes| serde_json::from_slice::<Stamp>(&bytes).ok());
        if let Some(Stamp { counts, .. }) = found.filter(|found| found.recipe == recipe) {
            return Ok(Self { folder, counts });
        }
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        let counts = generate(&folder, recipe, shutdown).await?;
        fs::write(&stamp, serde_json::to_vec_pretty(&Stamp { recipe, counts })?)?;
        Ok(Self { folder, counts })
    }

    /// Removes what rolling up has left.
    pub(super) fn forget_rollups(&self) -> Result<()> {
        let rollups = self.folder.join("rollups");
        if rollups.exists() {
            fs::remove_dir_all(&rollups).with_context(|| rollups.display().to_string())?;
        }
        Ok(())
    }
}

async fn generate(folder: &Path, recipe: Recipe, shutdown: &Shutdown) -> Result<Counts> {
    let store = Store::open(folder.to_str().context("a folder whose name is not UTF-8")?)?;
    let bar = ProgressBar::new(recipe.events.unsigned_abs());
    bar.set_style(ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} events generated, {eta} left")?);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let partitions = (0..PARTITIONS).map(|partition| {
        let landing = Landing { store: store.clone(), partition, recipe, bar: bar.clone(), shutdown: shutdown.clone() };
        async move { tokio::task::spawn_blocking(move || landing.land()).await? }
    });
    let landed: Vec<Counts> = stream::iter(partitions).buffer_unordered(cores).try_collect().await?;
    bar.finish_and_clear();
    Ok(landed.iter().fold(Counts::default(), |sum, part| Counts {
        landed: sum.landed + part.landed,
        duplicates: sum.duplicates + part.duplicates,
        conflicts: sum.conflicts + part.conflicts,
    }))
}

/// A partition on its way into the lake, by a thread of its own.
struct Landing {
    store: Store,
    partition: i32,
    recipe: Recipe,
    bar: ProgressBar,
    shutdown: Shutdown,
}

impl Landing {
    fn land(self) -> Result<Counts> {
        let Recipe { seed, month, events, customers, .. } = self.recipe;
        let (partition, partitions) = (i64::from(self.partition), i64::from(PARTITIONS));
        // The first ones take what can't be shared evenly.
        let count = (events + partitions - 1 - partition) / partitions;
        let mut repeats = Repeats::new(seed.wrapping_add(partition.unsigned_abs()), month, count, customers);
        let (mut start, mut previous_sha256) = (0, None);
        while start < count {
            ensure!(!self.shutdown.is_requested(), "interrupted; the next run begins this lake anew");
            let mut pending = Pending::new(Topic::Usage).context("usage is landed")?;
            for (offset, event) in (start..).zip(repeats.by_ref().take(RECORDS)) {
                let (appended_at, event) = event?;
                pending.push(offset, appended_at, &event.to_record()?.view())??;
            }
            let built = pending.build(&Link {
                topic: Topic::Usage,
                epoch: 0,
                partition: self.partition,
                partition_count: PARTITIONS,
                start,
                previous_sha256,
                clock: Clock::Broker,
            })?;
            let put = Handle::current().block_on(self.store.create(&built.path, built.bytes))?;
            ensure!(put == Put::Created, "{} stood there already", built.path);
            self.bar.inc((built.footer.next_offset - start).unsigned_abs());
            (start, previous_sha256) = (built.footer.next_offset, Some(built.sha256));
        }
        Ok(Counts { landed: start, duplicates: repeats.duplicates, conflicts: repeats.conflicts })
    }
}

#[cfg(test)]
mod tests {
    use segments::read_chains;

    use super::*;

    fn recipe(seed: u64) -> Recipe {
        Recipe { version: 1, seed, month: "2026-10".parse().unwrap(), events: 20_001, customers: 500 }
    }

    async fn segments(folder: &Path) -> Vec<(String, contract::Digest)> {
        let store = Store::open(folder.to_str().unwrap()).unwrap();
        let chains = read_chains(&store, Topic::Usage).await.unwrap();
        chains.iter().flat_map(|chain| &chain.segments).map(|s| (s.path.clone(), s.sha256)).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_lake_is_the_same_wherever_it_is_made_and_made_once() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let stand = async |folder: &Path, recipe| Lake::stand(folder, recipe, &Shutdown::default()).await.unwrap();
        let first = stand(one.path(), recipe(5)).await;
        assert_eq!(first.counts.landed, recipe(5).events);
        assert!((140..=260).contains(&first.counts.duplicates), "{:?}", first.counts);
        let there = segments(one.path()).await;
        assert_eq!(there.len(), 4);
        assert_eq!(stand(two.path(), recipe(5)).await.counts, first.counts);
        assert_eq!(segments(two.path()).await, there);

        // What stands is kept; another recipe, or an unfinished lake, begins anew.
        let mark = one.path().join("mark");
        fs::write(&mark, "").unwrap();
        assert_eq!(stand(one.path(), recipe(5)).await.counts, first.counts);
        assert!(mark.exists());
        stand(one.path(), recipe(6)).await;
        assert!(!mark.exists());
        assert_ne!(segments(one.path()).await, there);
        fs::remove_file(two.path().join(".complete")).unwrap();
        stand(two.path(), recipe(5)).await;
        assert_eq!(segments(two.path()).await, there);
    }
}
