//! Two processes that both think a partition theirs.

use std::time::Duration;

use anyhow::{Context, Result};
use contract::footer::Clock;
use contract::layout::Topic;
use rustix::process::Signal;
use system_tests::harness::{Launch, Process, System, Topics};

use crate::{PATIENCE, mixture};

const BATCHES: usize = 25;
const OWN: &str = "resize.requests:0,usage.events:0";

/// The group's assignment is bypassed.
#[tokio::test]
async fn two_writers_of_one_partition_keep_its_chain_whole() -> Result<()> {
    let system = System::in_files(Topics::kafka(1, Clock::Broker).await?, "two-writers")?;
    let mut publisher = system.publisher()?;
    let _worker = system.worker()?.spawn_ready().await?;
    // Different lingers, and pauses of which one lies between them: so that their segments end at different records.
    let mut writers = Vec::new();
    for linger in ["150ms", "230ms"] {
        writers.push(system.aggregator_lingering(linger)?.args(["--own", OWN]).spawn_ready().await?);
    }
    for pause_ms in [120, 190, 260].into_iter().cycle().take(BATCHES) {
        let work = mixture::tiny_requests(&mut publisher, 4).await?;
        publisher.publish(work).await?;
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }
    let logs = |writers: &[Process]| writers.iter().map(Process::log_tail).collect::<String>();
    let landed = system.answered(&publisher.ledger, PATIENCE).await.with_context(|| logs(&writers))?;
    let counts = publisher.ledger.check(&landed)?;
    assert_eq!((counts.done, counts.duplicates), (BATCHES * 4, 0));

    let lost: usize = writers.iter().map(|writer| writer.log().matches("another writer was first").count()).sum();
    assert!(lost > 0, "the two never met: {}", logs(&writers));
    for writer in &mut writers {
        let Some((status, problems)) = writer.readyz().await? else { continue };
        let contended = problems.contains("segments in a row were lost to another writer");
        assert!(status == 200 || contended, "{status} {problems}");
    }
    let landed_by = |topic| landed.chain(topic, 0).map_or(0, |chain| chain.segments.len());
    assert!(landed_by(Topic::Requests) > 3, "too few segments to meet over");
    Ok(())
}

/// Puts a process to sleep in the middle of its work until another has taken over, and wakes it: what it does then, and
/// what it thinks it owns, harms nothing.
async fn sleeper(test: &str, start: impl Fn(&System) -> Result<Launch>, other: &str) -> Result<()> {
    let system = System::in_files(Topics::kafka(2, Clock::Broker).await?, test)?;
    let mut publisher = system.publisher()?;
    let work = mixture::tiny_requests(&mut publisher, 300).await?;
    let mut work = work.chunks(100).map(<[_]>::to_vec);
    publisher.publish(work.next().unwrap_or_default()).await?;
    let mut partner = match other {
        "worker" => system.worker()?.spawn_ready().await?,
        _ => system.aggregator()?.spawn_ready().await?,
    };
    let mut zombie = start(&system)?.spawn_ready().await?;
    publisher.publish(work.next().unwrap_or_default()).await?;
    tokio::time::sleep(Duration::from_millis(100)).await;
    zombie.signal(Signal::STOP)?;
    let mut heir = start(&system)?.spawn()?;
    let logs = |heir: &Process, zombie: &Process| format!("{}{}", heir.log_tail(), zombie.log_tail());
    let answered = system.answered(&publisher.ledger, PATIENCE).await;
    answered.with_context(|| logs(&heir, &zombie))?;
    zombie.signal(Signal::CONT)?;
    publisher.publish(work.next().unwrap_or_default()).await?;
    let landed = system.answered(&publisher.ledger, PATIENCE).await.with_context(|| logs(&heir, &zombie))?;
    let counts = publisher.ledger.check(&landed)?;
    assert_eq!(counts.done, 300);
    for process in [&mut zombie, &mut heir, &mut partner] {
        assert!(process.is_alive()?, "{}", process.log_tail());
    }
    Ok(())
}

#[tokio::test]
async fn a_worker_that_slept_through_its_replacement() -> Result<()> {
    sleeper("sleeping-worker", System::worker, "aggregator").await
}

#[tokio::test]
async fn an_aggregator_that_slept_through_its_replacement() -> Result<()> {
    sleeper("sleeping-aggregator", System::aggregator, "worker").await
}
