//! When a month can become final.

use anyhow::{Context, Result};
use contract::Month;
use contract::footer::Clock;
use contract::layout;
use system_tests::harness::{Planned, System, Topics, wait_for};

use crate::billing::{
    HOUR_MS, MINUTE_MS, PARTITIONS, billed, finalize, landed_past, on, open, open_accounts, this_month,
};
use crate::mixture::{resize, tiny, tiny_requests};
use crate::prices::totals;
use crate::{PATIENCE, customer};

/// Attack 4, a backlog at a month's end; and a partition that nobody lands.
#[tokio::test]
async fn a_month_stays_open_until_all_of_it_is_landed_and_answered() -> Result<()> {
    let system = System::in_files(Topics::kafka(PARTITIONS, Clock::Producers).await?, "attack-4")?;
    let month = this_month()?.previous();
    let mut publisher = system.publisher()?;
    open_accounts(&system, &mut publisher, month).await?;
    let (acme, photo) = (customer("acme")?, tiny()?);
    publisher.upload(&acme, &photo).await?;
    let time = month.end().plus_millis(-HOUR_MS);
    for n in 0..20 {
        let request = publisher.request(&acme, &photo, &resize(8, 8), time);
        let partition = Some(n % PARTITIONS);
        publisher.publish([Planned { partition, ..Planned::request(&request, &photo)?.at(time) }]).await?;
    }

    let all_but_one = "resize.requests:0,accounts:0,accounts:1";
    let partial = system.aggregator()?.args(["--own", all_but_one]).spawn_ready().await?;
    let missing = ["resize.requests/1 is not landed at all"];
    let only_that = async || Ok((open(&system, month).await? == missing).then_some(()));
    wait_for("all but one partition to be landed", PATIENCE, only_that).await.with_context(|| partial.log_tail())?;
    partial.stop(PATIENCE).await?;

    let _aggregator = system.aggregator()?.spawn()?;
    landed_past(&system, month.end().plus_millis(10 * MINUTE_MS)).await?;
    assert_eq!(open(&system, month).await?, Vec::<String>::new());
    let refused = finalize(&system, month).await?;
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(refused.stderr.contains("LOG-1 is broken: 20 accepted = 0 answered"), "{refused:?}");
    assert!(system.store.list(layout::RUNS).await?.is_empty());
    let harvest = on(&system, month, &["draft"]).await?.ok()?;
    assert!(harvest.contains("0 of 20 accepted requests answered"), "{harvest}");

    let _worker = system.worker()?.spawn()?;
    let landed = system.answered(&publisher.ledger, PATIENCE).await?;
    publisher.ledger.check(&landed)?;
    assert_eq!(open(&system, month).await?, Vec::<String>::new());
    finalize(&system, month).await?.ok()?;
    assert_eq!(billed(&system, month).await?, totals(&publisher.ledger, month)?);
    Ok(())
}

/// By the broker's own clock the running month is not over, and nothing makes it final.
#[tokio::test]
async fn the_running_month_is_not_closed() -> Result<()> {
    let system = System::in_files(Topics::kafka(PARTITIONS, Clock::Broker).await?, "running-month")?;
    let mut publisher = system.publisher()?;
    open_accounts(&system, &mut publisher, this_month()?).await?;
    let _running = [system.worker()?.spawn()?, system.aggregator()?.spawn()?];
    let work = tiny_requests(&mut publisher, 10).await?;
    publisher.publish(work).await?;
    let landed = system.answered(&publisher.ledger, PATIENCE).await?;
    publisher.ledger.check(&landed)?;
    let accepted = landed.requests.first().context("no request landed")?.appended_at;
    let month = Month::of(accepted).context("out of range")?;
    landed_past(&system, accepted).await?;

    assert_eq!(open(&system, month).await?.len(), 4, "two partitions of two topics");
    for exception in [&[][..], &["--exception", "the shop closes"]] {
        let command = [&["finalize", "--operator", "kim"], exception].concat();
        let refused = on(&system, month, &command).await?;
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        assert!(refused.stderr.contains("is not finalized: it ends at"), "{refused:?}");
    }
    assert!(system.store.list(layout::RUNS).await?.is_empty());
    Ok(())
}
