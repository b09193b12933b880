//! A few hundred requests over real photographs: each answered, stored, metered and landed, and nothing else.

use std::time::Duration;

use anyhow::{Context, Result};
use contract::footer::Clock;
use contract::layout::Topic;
use system_tests::harness::{System, Topics, check_results, wait_for};

use crate::{PATIENCE, mixture};

const PARTITIONS: i32 = 3;

#[tokio::test]
async fn on_kafka_with_files() -> Result<()> {
    check(System::in_files(Topics::kafka(PARTITIONS, Clock::Broker).await?, "main-path-files")?, 240).await
}

#[tokio::test]
async fn on_kafka_with_s3() -> Result<()> {
    check(System::in_s3(Topics::kafka(PARTITIONS, Clock::Broker).await?, "main-path-s3")?, 120).await
}

#[tokio::test]
async fn on_the_embedded_broker_with_files() -> Result<()> {
    check(System::in_files(Topics::embedded(PARTITIONS)?, "main-path-embedded")?, 60).await
}

async fn check(system: System, count: usize) -> Result<()> {
    let mut publisher = system.publisher()?;
    let mut aggregator = system.aggregator()?.spawn_ready().await?;
    let workers = [system.worker()?.spawn_ready().await?, system.worker()?.spawn()?];

    let (photographs, special) =
        (mixture::photographs(&mut publisher, count).await?, mixture::special_cases(&mut publisher).await?);
    publisher.publish(photographs.into_iter().chain(special)).await?;
    let ledger = publisher.ledger;

    let landed = system.answered(&ledger, PATIENCE).await.with_context(|| aggregator.log_tail())?;
    let counts = ledger.check(&landed)?;
    check_results(&system.store, &ledger).await?;
    assert_eq!((counts.done, counts.rejected, counts.undecodable), (count + 1, 7, 0), "{counts:?}");
    // At least the requests that were published twice.
    assert!(counts.duplicates >= count / 10, "{counts:?}");

    // Ticks bring every partition of every topic into the lake, idle ones too.
    let all_there = async || {
        let landed = system.landed().await?;
        let wanted = Topic::LANDED.iter().flat_map(|topic| (0..PARTITIONS).map(move |partition| (*topic, partition)));
        Ok(wanted.into_iter().all(|(topic, partition)| landed.chain(topic, partition).is_some()).then_some(()))
    };
    wait_for("a chain for every partition", PATIENCE, all_there).await?;
    assert!(aggregator.is_alive()?);

    for process in workers.into_iter().chain([aggregator]) {
        process.stop(Duration::from_secs(20)).await?;
    }
    // What was committed on the way out is not answered again.
    let landed = system.landed().await?;
    assert_eq!(ledger.check(&landed)?, counts);
    Ok(())
}
