//! SIGKILL at each named commit point, then a restart: nothing lost, nothing twice.

use anyhow::{Context, Result};
use contract::footer::Clock;
use system_tests::harness::{Counts, System, Topics, check_results};

use crate::billing::{json, this_month};
use crate::{PATIENCE, mixture};

const REQUESTS: usize = 24;
const PARTITIONS: i32 = 2;

/// Which process dies, and where.
enum Victim {
    Worker,
    Aggregator,
}

/// Runs until `victim` has died at `point`, then to the end with a new one.
async fn check(victim: Victim, point: &str, pass: u32) -> Result<Counts> {
    let topics = Topics::kafka(PARTITIONS, Clock::Broker).await?;
    let system = System::in_files(topics, &format!("kill-{point}"))?;
    let mut publisher = system.publisher()?;
    let requests = match victim {
        Victim::Worker => mixture::long_requests(&mut publisher, REQUESTS).await?,
        Victim::Aggregator => mixture::tiny_requests(&mut publisher, REQUESTS).await?,
    };
    let (before, after) = requests.split_at(REQUESTS * 2 / 3);
    publisher.publish(before.to_vec()).await?;

    let armed = match victim {
        Victim::Worker => system.worker()?,
        Victim::Aggregator => system.aggregator()?,
    };
    let armed = armed.kill_at(point, pass).spawn()?;
    let spared = match victim {
        Victim::Worker => system.aggregator()?.spawn()?,
        Victim::Aggregator => system.worker()?.spawn()?,
    };
    armed.died_by_sigkill(PATIENCE).await?;

    publisher.publish(after.to_vec()).await?;
    let successor = match victim {
        Victim::Worker => system.worker()?.spawn()?,
        Victim::Aggregator => system.aggregator()?.spawn()?,
    };
    let landed = system.answered(&publisher.ledger, PATIENCE).await;
    let landed = landed.with_context(|| format!("{}{}", spared.log_tail(), successor.log_tail()))?;
    let counts = publisher.ledger.check(&landed)?;
    check_results(&system.store, &publisher.ledger).await?;
    assert_eq!((counts.done, counts.rejected), (REQUESTS, 0), "{counts:?}");
    billed_once(&system).await?;
    Ok(counts)
}

/// However often a request was answered, the rollup bills it once.
async fn billed_once(system: &System) -> Result<()> {
    let month = this_month()?;
    let figures = &json(system, month, "rollup").await?["figures"];
    assert_eq!(figures["billable"], REQUESTS, "{figures}");
    Ok(())
}

#[tokio::test]
async fn worker_before_the_put() -> Result<()> {
    check(Victim::Worker, "before-put", 5).await.map(drop)
}

#[tokio::test]
async fn worker_after_the_put() -> Result<()> {
    check(Victim::Worker, "after-put", 5).await.map(drop)
}

#[tokio::test]
async fn worker_after_produce_before_the_acknowledgment() -> Result<()> {
    check(Victim::Worker, "after-produce", 5).await.map(drop)
}

#[tokio::test]
async fn worker_after_the_acknowledgment() -> Result<()> {
    let counts = check(Victim::Worker, "after-ack", 5).await?;
    // That answer is on the log and its request not committed: so it is answered again.
    assert!(counts.duplicates > 0, "{counts:?}");
    Ok(())
}

#[tokio::test]
async fn worker_before_the_commit() -> Result<()> {
    let counts = check(Victim::Worker, "before-commit", 1).await?;
    assert!(counts.duplicates > 0, "{counts:?}");
    Ok(())
}

#[tokio::test]
async fn aggregator_before_the_segments_put() -> Result<()> {
    check(Victim::Aggregator, "before-segment-put", 3).await.map(drop)
}

#[tokio::test]
async fn aggregator_after_the_segments_put() -> Result<()> {
    check(Victim::Aggregator, "after-segment-put", 3).await.map(drop)
}

#[tokio::test]
async fn aggregator_with_a_segment_half_written() -> Result<()> {
    check(Victim::Aggregator, "store-temp-opened", 3).await.map(drop)
}

#[tokio::test]
async fn aggregator_with_a_segments_folder_empty() -> Result<()> {
    check(Victim::Aggregator, "store-folders-made", 1).await.map(drop)
}

#[tokio::test]
async fn aggregator_with_a_segment_linked_but_not_synced() -> Result<()> {
    check(Victim::Aggregator, "store-linked", 3).await.map(drop)
}
