//! Attacks of the design, by their numbers there.

use std::time::Duration;

use anyhow::{Context, Result};
use contract::AccountVersion;
use contract::footer::Clock;
use contract::layout::Topic;
use contract::request::Resize;
use contract::usage::Reason;
use rustix::process::Signal;
use system_tests::harness::{Planned, Publisher, System, Topics, check_results, wait_for};

use crate::mixture::{resize, tiny, tiny_requests};
use crate::{PATIENCE, customer, now};

/// 1: a source that comes late. The earlier rejection doesn't make the second attempt free.
#[tokio::test]
async fn a_source_that_comes_after_its_request() -> Result<()> {
    let system = System::in_files(Topics::kafka(2, Clock::Broker).await?, "attack-1")?;
    let (customer, photo) = (customer("acme")?, tiny()?);
    let mut publisher = system.publisher()?;
    let _running = [system.worker()?.spawn()?, system.aggregator()?.spawn()?];

    let request = publisher.request(&customer, &photo, &resize(8, 8), now());
    let request = Planned::request(&request, &photo)?;
    publisher.publish([request.clone().rejected(Reason::SourceMissing)]).await?;
    system.answered(&publisher.ledger, PATIENCE).await?;
    publisher.upload(&customer, &photo).await?;
    publisher.publish([request]).await?;

    let landed = system.answered(&publisher.ledger, PATIENCE).await?;
    let counts = publisher.ledger.check(&landed)?;
    assert_eq!((counts.done, counts.rejected, counts.duplicates), (1, 0, 1));
    check_results(&system.store, &publisher.ledger).await
}

/// 2: one id, a thousand bodies. Each is a conversion of its own.
#[tokio::test]
async fn one_id_with_a_thousand_bodies() -> Result<()> {
    let system = System::in_files(Topics::kafka(2, Clock::Broker).await?, "attack-2")?;
    let (customer, photo) = (customer("acme")?, tiny()?);
    let mut publisher = system.publisher()?;
    publisher.upload(&customer, &photo).await?;
    let _running = [system.worker()?.spawn()?, system.aggregator()?.spawn()?];

    let mut request = publisher.request(&customer, &photo, &resize(8, 8), now());
    let mut bodies = Vec::new();
    for (width, quality) in (1..=10).flat_map(|width| (1..=100).map(move |quality| (width, quality))) {
        request.resize = Resize { width: Some(width), quality: Some(quality), ..Resize::default() };
        bodies.push(Planned::request(&request, &photo)?);
    }
    // Attempts at the same work are no further conversions.
    bodies.extend_from_within(..10);
    publisher.publish(bodies).await?;

    let landed = system.answered(&publisher.ledger, PATIENCE).await?;
    let counts = publisher.ledger.check(&landed)?;
    assert_eq!((counts.requests, counts.done, counts.rejected), (1010, 1000, 0));
    assert!(counts.duplicates >= 10, "{counts:?}");
    check_results(&system.store, &publisher.ledger).await
}

async fn accounts(publisher: &mut Publisher, versions: std::ops::Range<u32>) -> Result<()> {
    for version in versions {
        let account = AccountVersion {
            customer_id: customer("acme")?,
            version,
            effective_from: now(),
            plan: "basic".parse()?,
            currency: "EUR".parse().map_err(anyhow::Error::msg)?,
            home_region: "local".parse()?,
            api_keys: Vec::new(),
            limits: Default::default(),
        };
        publisher.account(&account, None).await?;
    }
    Ok(())
}

/// 5: topics deleted and made anew, one grown past its old head, one not; and one whose head has expired. Each is a
/// hole that is named and not passed; the other partitions go on.
#[tokio::test]
async fn a_topic_that_is_not_what_it_was() -> Result<()> {
    let system = System::in_files(Topics::kafka(1, Clock::Broker).await?, "attack-5")?;
    let mut publisher = system.publisher()?;
    let aggregator = system.aggregator()?.spawn_ready().await?;
    let worker = system.worker()?.spawn_ready().await?;
    let work = tiny_requests(&mut publisher, 10).await?;
    publisher.publish(work).await?;
    accounts(&mut publisher, 1..6).await?;
    system.answered(&publisher.ledger, PATIENCE).await?;
    worker.stop(Duration::from_secs(20)).await?;
    aggregator.stop(Duration::from_secs(20)).await?;
    let before = system.landed().await?;

    let heads = |topic| before.chain(topic, 0).and_then(|c| c.head()).map(|h| h.footer.last).context("not landed");
    let (requests, accounts_head) = (heads(Topic::Requests)?, heads(Topic::Accounts)?);
    for topic in [Topic::Requests, Topic::Accounts] {
        system.topics.delete(topic).await?;
        system.topics.create(topic, 1).await?;
    }
    let mut publisher = system.publisher()?;
    let grown = usize::try_from(requests)? + 10;
    let work = tiny_requests(&mut publisher, grown).await?;
    publisher.publish(work).await?;

    let mut aggregator = system.aggregator()?.spawn()?;
    let expected = [
        format!("hole: offset {requests} was landed last, and the log now holds another record there"),
        format!("hole: landed up to offset {accounts_head}, but the log ends at"),
    ];
    let problems = wait_for("the holes to be reported", PATIENCE, async || {
        let Some((status, problems)) = aggregator.readyz().await? else { return Ok(None) };
        Ok((status == 503 && expected.iter().all(|part| problems.contains(part))).then_some(problems))
    });
    let problems = problems.await.with_context(|| aggregator.log_tail())?;
    assert!(problems.contains("resize.requests/0") && problems.contains("accounts/0"), "{problems}");

    let usage = |landed: &system_tests::harness::Landed| landed.usage.len();
    let answered = usage(&before);
    let worker = system.worker()?.spawn()?;
    wait_for("the other partitions to go on", PATIENCE, async || {
        Ok((usage(&system.landed().await?) > answered).then_some(()))
    })
    .await?;
    drop(worker);
    let after = system.landed().await?;
    assert_eq!(after.requests.len(), before.requests.len(), "landed over a hole");
    assert_eq!(after.accounts.len(), before.accounts.len(), "landed over a hole");
    aggregator.signal(Signal::TERM)?;
    Ok(())
}
