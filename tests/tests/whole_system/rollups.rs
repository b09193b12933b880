//! A month rolled up by many processes, some of which die: the same bytes as by one that lives.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use contract::footer::Clock;
use contract::layout::Topic;
use contract::units::{Bytes, CpuMicros, Pixels};
use contract::usage::{Outcome, RequestPosition, Usage};
use contract::{BrokerTime, Digest, Fingerprint, RequestId, UsageEvent};
use futures::future::try_join_all;
use segments::{Link, Pending};
use store::Store;
use system_tests::harness::{Launch, bin};

use crate::{PATIENCE, customer};

const MONTH: &str = "2026-10";
const HOURS: i64 = 24;
const PER_HOUR: u8 = 60;
const SHARDS: usize = 8;

fn event(minted: BrokerTime, n: u8, body: u8) -> Result<UsageEvent> {
    Ok(UsageEvent {
        customer_id: customer(["acme", "umbrella", "zeta"][usize::from(n % 3)])?,
        request_id: RequestId::from_parts(minted, [n; 10]),
        fingerprint: Fingerprint::from_bytes([body; 16]),
        request: RequestPosition { partition: 0, offset: 0 },
        accepted_at: minted.plus_millis(1000),
        outcome: Outcome::Done { location: "results/x".to_owned(), width: 1, height: 1 },
        usage: Usage {
            input_bytes: Bytes::new(100_i64)?,
            output_bytes: Bytes::new(10_i64)?,
            input_pixels: Pixels::new(1000_i64)?,
            output_pixels: Pixels::new(50_i64)?,
            cpu_micros: CpuMicros::new(i64::from(n) + 1)?,
            operation: "resize".parse()?,
            input_format: Some("jpeg".parse()?),
            output_format: Some("webp".parse()?),
            worker_class: "standard".parse()?,
            engine_version: "1".parse()?,
            key_id: None,
            region: "local".parse()?,
        },
    })
}

/// A day of events in segments of an hour and a half; some are there twice, some ids have two bodies.
async fn land(folder: &Path) -> Result<()> {
    let store = Store::open(folder.to_str().context("not UTF-8")?)?;
    let begin: BrokerTime = "2026-10-10T00:00:00Z".parse()?;
    let mut events = Vec::new();
    for hour in 0..HOURS {
        for n in 0..PER_HOUR {
            let minted = begin.plus_millis(hour * 3_600_000 + i64::from(n) * 60_000);
            events.push(event(minted, n, 1)?);
            if n % 7 == 0 {
                events.push(event(minted, n, 1)?);
            }
            if n % 20 == 0 {
                events.push(event(minted, n, 2)?);
            }
        }
    }
    let (mut start, mut previous_sha256) = (0, None);
    for events in events.chunks(usize::from(PER_HOUR) * 3 / 2) {
        let mut pending = Pending::new(Topic::Usage).context("not landed")?;
        for (offset, event) in (start..).zip(events) {
            pending.push(offset, event.accepted_at.plus_millis(100), &event.to_record()?.view())??;
        }
        let (topic, clock) = (Topic::Usage, Clock::Broker);
        let link = Link { topic, epoch: 0, partition: 0, partition_count: 1, start, previous_sha256, clock };
        let built = pending.build(&link)?;
        store.create(&built.path, built.bytes.clone()).await?;
        (start, previous_sha256) = (built.footer.next_offset, Some(Digest::of(&built.bytes)));
    }
    Ok(())
}

fn rollup(store: &Path, log: &Path, name: &str, shard: &str) -> Result<Launch> {
    let launch = Launch::new(name, bin("billing-jobs")?, log.join(format!("{name}.log")));
    let store = store.to_str().context("not UTF-8")?;
    Ok(launch.args(["rollup", "--month", MONTH, "--shard", shard, "--store", store, "--json"]))
}

/// Every file below `rollups/`, by its path.
fn files(store: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for hour in fs::read_dir(store.join("rollups"))? {
        for file in fs::read_dir(hour?.path())? {
            let path = file?.path();
            files.insert(path.strip_prefix(store)?.display().to_string(), fs::read(&path)?);
        }
    }
    Ok(files)
}

#[tokio::test]
async fn bill_3_shards_that_die_and_are_repeated_give_the_same_bytes() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (alone, shared) = (folder.path().join("alone"), folder.path().join("shared"));
    land(&alone).await?;
    land(&shared).await?;
    rollup(&alone, folder.path(), "alone", "0/1")?.finish().await?.ok()?;
    let expected = files(&alone)?;
    ensure!(expected.len() == 48, "{} files, not a rollup and its repeats for each hour", expected.len());

    // Half of them die, at one point or the other; one shard is done by two at once.
    let mut doomed = Vec::new();
    for (n, point) in [(0, "before-rollup-put"), (1, "after-rollup-put"), (4, "store-linked"), (6, "store-temp-opened")]
    {
        let name = format!("doomed-{n}");
        doomed.push(rollup(&shared, folder.path(), &name, &format!("{n}/{SHARDS}"))?.kill_at(point, 2).spawn()?);
    }
    let others = [2, 3, 3, 5, 7].into_iter().enumerate();
    let others = others.map(|(n, shard)| {
        let launch = rollup(&shared, folder.path(), &format!("other-{n}"), &format!("{shard}/{SHARDS}"));
        async { launch?.finish().await?.ok() }
    });
    try_join_all(others).await?;
    for process in doomed {
        process.died_by_sigkill(PATIENCE).await?;
    }
    ensure!(files(&shared)?.len() < expected.len(), "those that died left nothing undone");
    for n in [0, 1, 4, 6] {
        rollup(&shared, folder.path(), &format!("again-{n}"), &format!("{n}/{SHARDS}"))?.finish().await?.ok()?;
    }
    assert!(files(&shared)? == expected, "other files or other bytes");
    Ok(())
}
