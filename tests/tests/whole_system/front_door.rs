//! The real `ingest` on a real Kafka, with a real worker behind it.

use anyhow::{Context, Result, ensure};
use contract::footer::Clock;
use system_tests::harness::{Finished, System, Topics, sides_of};

const PARTITIONS: i32 = 2;
const PHOTOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/photos/*.*g");

async fn ingest(system: &System, command: &[&str]) -> Result<Finished> {
    system.tool("ingest")?.args(command).args(system.topics.flags()).finish().await
}

#[tokio::test]
async fn published_photographs_come_back_resized_and_a_retry_changes_nothing() -> Result<()> {
    let system = System::in_files(Topics::kafka(PARTITIONS, Clock::Broker).await?, "front-door")?;
    let account = ["accounts", "add", "--customer", "acme", "--plan", "per-conversion", "--currency", "EUR"];
    ingest(&system, &[&account[..], &["--region", "local"]].concat()).await?.ok()?;
    ensure!(
        ingest(&system, &["accounts", "list"]).await?.ok()?.contains("per-conversion"),
        "the account is not listed"
    );

    let _worker = system.worker()?.spawn_ready().await?;
    let path = |name: &str| system.folder().join(name).to_str().map(str::to_owned).context("a path that is not UTF-8");
    let (out, journal) = (path("out")?, path("journal.jsonl")?);
    let publish = ["publish", "--customer", "acme", "--size", "120x90", "--format", "png", "--wait", PHOTOS];
    let places = ["--store", system.store.url(), "--out", &out, "--journal", &journal];
    let publish = [&publish[..], &places].concat();
    let first = ingest(&system, &publish).await?.ok()?;
    let images: Vec<_> = std::fs::read_dir(&out)?.collect::<Result<_, _>>()?;
    ensure!(images.len() == 6, "{} images of 6 photographs:\n{first}", images.len());
    for image in &images {
        let (width, height) = sides_of(&std::fs::read(image.path())?)?;
        ensure!(width == 120 || height == 90, "{image:?} has {width}×{height} pixels");
    }

    let ids = |text: &str| -> Vec<String> {
        text.lines().filter_map(|line| line.split('\t').next()).map(str::to_owned).collect()
    };
    let (mut before, mut after) = (ids(&first), ids(&ingest(&system, &publish).await?.ok()?));
    before.sort();
    after.sort();
    assert_eq!(before, after, "a retried run reuses its ids");
    assert_eq!(std::fs::read_dir(&out)?.count(), 6, "and saves nothing twice");
    Ok(())
}

#[tokio::test]
async fn topics_that_are_there_must_be_as_asked_for() -> Result<()> {
    let system = System::in_files(Topics::kafka(PARTITIONS, Clock::Broker).await?, "topics")?;
    let create = async |partitions: &str, retention: &str| {
        let flags = ["topics", "create", "--replication", "1", "--min-isr", "1", "--max-record-bytes", "16777216"];
        let flags = [&flags[..], &["--partitions", partitions, "--request-retention", retention]].concat();
        ingest(&system, &flags).await
    };
    create("2", "7d").await?.ok()?;
    for (partitions, retention, named) in [("3", "7d", "partition"), ("2", "8d", "retention.ms")] {
        let refused = create(partitions, retention).await?;
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(format!("{}{}", refused.stdout, refused.stderr).contains(named), "{refused:?}");
    }
    let check = ingest(&system, &["topics", "check"]).await?;
    assert_eq!(check.status.code(), Some(1), "one copy is not what production wants: {check:?}");
    Ok(())
}

/// A mistake is one line and exit code 2, before anything is begun.
#[tokio::test]
async fn a_mistaken_flag_is_told_in_one_line() -> Result<()> {
    let system = System::in_files(Topics::kafka(1, Clock::Broker).await?, "mistakes")?;
    for (program, flags, named) in [
        ("aggregator", &["--kafka-option", "acks=1"][..], "acks"),
        ("aggregator", &["--tick-after", "0s"], "--tick-after"),
        ("resize-consumer", &["--max-request-age", "25h"], "--max-request-age"),
        ("resize-consumer", &["--kafka-option", "auto.offset.reset=latest"], "auto.offset.reset"),
        ("resize-consumer", &["--store", "ftp://x"], "--store"),
        ("billing-jobs", &["show", "--month", "2026-10", "--store", "/nowhere/at/all"], "--store"),
    ] {
        let told = system.tool(program)?.args(flags).finish().await?;
        assert_eq!(told.status.code(), Some(2), "{told:?}");
        let lines: Vec<&str> = told.stderr.lines().collect();
        assert!(lines.len() == 1 && lines[0].starts_with("error: ") && lines[0].contains(named), "{told:?}");
    }
    Ok(())
}
