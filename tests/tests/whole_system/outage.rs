//! A store that is away: work waits, nobody is refused, nothing dies.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use contract::footer::Clock;
use system_tests::harness::{Outage, System, Topics, check_results, wait_for};

use crate::{PATIENCE, mixture};

const LASTS: Duration = Duration::from_secs(12);

#[tokio::test]
async fn an_outage_of_the_store_pauses_the_work() -> Result<()> {
    let system = System::in_s3(Topics::kafka(2, Clock::Broker).await?, "store-outage")?;
    let mut publisher = system.publisher()?;
    let endpoint = std::env::var("AWS_ENDPOINT").context("AWS_ENDPOINT is not set: run it through `make test`")?;
    let server: SocketAddr = endpoint.trim_start_matches("http://").parse()?;
    let mut outage = Outage::before(server)?;
    let _aggregator = system.aggregator()?.spawn()?;
    let through = format!("http://{}", outage.address());
    let mut worker = system.worker()?.env("AWS_ENDPOINT", &through).spawn_ready().await?;
    let work = mixture::tiny_requests(&mut publisher, 20).await?;
    publisher.publish(work).await?;
    system.answered(&publisher.ledger, PATIENCE).await?;

    outage.begin().await;
    let work = mixture::tiny_requests(&mut publisher, 200).await?;
    publisher.publish(work).await?;
    wait_for("the worker to say that its store is away", PATIENCE, async || {
        let Some((status, problems)) = worker.readyz().await? else { return Ok(None) };
        Ok((status == 503 && problems.contains("breaker is open")).then_some(()))
    })
    .await?;
    let begun = worker.metrics().await?;
    tokio::time::sleep(LASTS).await;
    let ended = worker.metrics().await?;
    assert!(ended.sum("pixtoll_store_breaker_state", &[]) > 0.0, "{ended:?}");
    assert!(ended.sum("pixtoll_lag_records", &[]) > 0.0, "{ended:?}");
    // With the budget spent, a store that is away is asked about once a second, whatever waits for it.
    let asked = ended.sum("pixtoll_store_retries_total", &[]) - begun.sum("pixtoll_store_retries_total", &[]);
    assert!(asked <= 2.0 * LASTS.as_secs_f64(), "{asked} retries");

    outage.end()?;
    let landed = system.answered(&publisher.ledger, PATIENCE).await.with_context(|| worker.log_tail())?;
    let counts = publisher.ledger.check(&landed)?;
    assert_eq!((counts.done, counts.rejected), (220, 0), "{counts:?}");
    check_results(&system.store, &publisher.ledger).await?;
    worker.ready(PATIENCE).await?;
    let after = worker.metrics().await?;
    assert!(after.sum("pixtoll_store_breaker_opened_total", &[]) >= 1.0, "{after:?}");
    assert!(after.sum("pixtoll_store_breaker_state", &[]) < 0.5, "{after:?}");
    worker.stop(PATIENCE).await
}

/// What waiting can't mend ends the process, and says what to do.
#[tokio::test]
async fn a_bucket_that_is_not_there_ends_the_worker() -> Result<()> {
    let system = System::in_files(Topics::kafka(1, Clock::Broker).await?, "no-bucket")?;
    let flags = ["--store", "s3://no-such-bucket-anywhere"];
    let mut worker = system.tool("resize-consumer")?.args(flags).args(system.topics.flags()).spawn()?;
    let status = worker.ended(PATIENCE).await?;
    assert_eq!(status.code(), Some(2), "{}", worker.log_tail());
    let log = worker.log();
    assert!(log.contains("error: --store s3://no-such-bucket-anywhere: can't list"), "{log}");
    assert!(log.contains("NoSuchBucket"), "{log}");
    Ok(())
}
