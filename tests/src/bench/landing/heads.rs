//! A generated lake: as many segments as a partition has after years, of which only the last is more than a name.

use std::fs::{self, File};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use contract::footer::Clock;
use contract::layout::{self, Topic};
use contract::{BrokerTime, tick};
use segments::{Link, Pending, read_head};
use store::Store;

const RECORDS: i64 = 200_000;

/// Milliseconds until the head of a partition with so many segments is found and read.
pub(super) async fn find(segments: i64) -> Result<f64> {
    let folder = tempfile::tempdir_in(crate::harness::built_folder()?)?;
    let store = Store::open(folder.path().to_str().context("a folder whose name is not UTF-8")?)?;
    let partition = folder.path().join(layout::landing_partition(Topic::Usage, 0, 0));
    fs::create_dir_all(&partition)?;
    let last = (segments - 1) * RECORDS;
    for segment in 0..segments - 1 {
        File::create(folder.path().join(layout::segment(Topic::Usage, 0, 0, segment * RECORDS)))?;
    }
    let mut pending = Pending::new(Topic::Usage).context("usage is landed")?;
    let at = BrokerTime::from_millis(1_793_491_200_000);
    pending.push(last, at, &tick::record("usage.events", 0, last).view())??;
    let built = pending.build(&Link {
        topic: Topic::Usage,
        epoch: 0,
        partition: 0,
        partition_count: 1,
        start: last,
        previous_sha256: None,
        clock: Clock::Broker,
    })?;
    store.create(&built.path, built.bytes).await?;
    let begun = Instant::now();
    let head = read_head(&store, Topic::Usage, 0).await?.context("no head was found")?;
    let millis = begun.elapsed().as_secs_f64() * 1000.0;
    ensure!(head.path == built.path, "{} is not the head, {} is", head.path, built.path);
    Ok(millis)
}
