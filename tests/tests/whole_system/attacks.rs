//! Attacks of the design, by their numbers there.

use std::ops::Range;

use anyhow::{Context, Result};
use contract::account::Limits;
use contract::footer::Clock;
use contract::layout::Topic;
use contract::resize::Resize;
use contract::usage::Reason;
use contract::{AccountVersion, Record};
use rustix::process::Signal;
use segments::Chain;
use system_tests::harness::{Landed, Planned, Process, Publisher, System, Topics, check_results, wait_for};

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

async fn accounts(publisher: &mut Publisher, versions: Range<u32>) -> Result<()> {
    for version in versions {
        let account = AccountVersion {
            customer_id: customer("acme")?,
            version,
            effective_from: now(),
            plan: "basic".parse()?,
            currency: "EUR".parse().map_err(anyhow::Error::msg)?,
            home_region: "local".parse()?,
            api_keys: Vec::new(),
            limits: Limits::default(),
            presets: contract::resize::Presets::new(),
        };
        publisher.account(&account, None).await?;
    }
    Ok(())
}

/// The last landed offset of partition 0.
fn head(landed: &Landed, topic: Topic) -> Result<i64> {
    landed.chain(topic, 0).and_then(Chain::head).map(|head| head.footer.last).context("not landed")
}

/// Waits until /readyz names all of `problems`.
async fn reported(aggregator: &mut Process, problems: &[String]) -> Result<()> {
    let mut found = String::new();
    let ask = async || {
        let Some((status, body)) = aggregator.readyz().await? else { return Ok(None) };
        found = body;
        anyhow::Ok((status == 503 && problems.iter().all(|problem| found.contains(problem))).then_some(()))
    };
    let all = wait_for("the holes to be reported", PATIENCE, ask).await;
    all.with_context(|| format!("{problems:?} should be in {found:?}"))
}

/// 5: topics made anew, one grown past its old head, one not; and one whose head has expired. Each is a hole that is
/// named and not passed; the other partitions go on.
#[tokio::test]
async fn a_topic_that_is_not_what_it_was() -> Result<()> {
    let system = System::in_files(Topics::kafka(1, Clock::Broker).await?, "attack-5")?;
    let mut publisher = system.publisher()?;
    let running = [system.worker()?.spawn()?, system.aggregator()?.spawn()?];
    let work = tiny_requests(&mut publisher, 10).await?;
    publisher.publish(work).await?;
    let nonsense = Record { key: None, headers: Vec::new(), payload: None };
    publisher.publish(vec![Planned::undecodable(nonsense, "missing_key"); 3]).await?;
    accounts(&mut publisher, 1..6).await?;
    system.answered(&publisher.ledger, PATIENCE).await?;
    for process in running {
        process.stop(PATIENCE).await?;
    }
    let before = system.landed().await?;
    let head = |topic| before.chain(topic, 0).and_then(Chain::head).map(|head| head.footer.last).context("not landed");
    let (requests, accounts_head, letters) =
        (head(Topic::Requests)?, head(Topic::Accounts)?, head(Topic::DeadLetters)?);

    system.topics.delete(Topic::Requests).await?;
    system.topics.delete(Topic::Accounts).await?;
    system.topics.create_missing().await?;
    system.topics.expire(Topic::DeadLetters, 0, letters + 1).await?;
    let mut publisher = system.publisher()?;
    let work = tiny_requests(&mut publisher, usize::try_from(requests)? + 10).await?;
    publisher.publish(work).await?;

    let mut aggregator = system.aggregator()?.spawn()?;
    let holes = [
        format!(
            "\"resize.requests/0\":\"hole: offset {requests} was landed last, and the log now holds another record"
        ),
        format!("\"accounts/0\":\"hole: landed up to offset {accounts_head}, but the log ends at 0"),
        format!("\"resize.dead-letters/0\":\"hole: offsets [{letters}, {}) are no longer in the log", letters + 1),
    ];
    reported(&mut aggregator, &holes).await?;

    let _worker = system.worker()?.spawn()?;
    let more = async || Ok((system.landed().await?.usage.len() > before.usage.len()).then_some(()));
    wait_for("the other partitions to go on", PATIENCE, more).await?;
    reported(&mut aggregator, &holes).await?;
    let after = system.landed().await?;
    let over_holes = |landed: &Landed| (landed.requests.len(), landed.accounts.len(), landed.dead_letters.len());
    assert_eq!(over_holes(&after), over_holes(&before), "landed over a hole");
    Ok(())
}

/// 5, under a running aggregator, which sleeps through it or does not.
async fn made_anew_while_running(test: &str, asleep: bool) -> Result<()> {
    let system = System::in_files(Topics::kafka(1, Clock::Broker).await?, test)?;
    let mut publisher = system.publisher()?;
    let mut aggregator = system.aggregator()?.spawn()?;
    let work = tiny_requests(&mut publisher, 10).await?;
    publisher.publish(work).await?;
    let landed = async || {
        let landed = system.landed().await?;
        Ok((landed.requests.len() == 10 && head(&landed, Topic::Usage).is_ok()).then_some(landed))
    };
    let before = wait_for("the requests, and a tick elsewhere, to be landed", PATIENCE, landed).await?;

    if asleep {
        aggregator.signal(Signal::STOP)?;
    }
    system.topics.delete(Topic::Requests).await?;
    system.topics.create_missing().await?;
    let mut publisher = system.publisher()?;
    let work = tiny_requests(&mut publisher, 30).await?;
    publisher.publish(work).await?;
    if asleep {
        aggregator.signal(Signal::CONT)?;
    }
    // The last landed offset may be a tick's.
    reported(&mut aggregator, &["\"resize.requests/0\":\"hole: ".to_owned()]).await?;
    let others =
        async || Ok((head(&system.landed().await?, Topic::Usage)? > head(&before, Topic::Usage)?).then_some(()));
    wait_for("the other partitions to go on", PATIENCE, others).await?;
    let after = system.landed().await?;
    assert_eq!(after.requests.len(), before.requests.len(), "landed over a hole{}", aggregator.log_tail());
    Ok(())
}

#[tokio::test]
async fn a_topic_made_anew_under_a_running_aggregator() -> Result<()> {
    made_anew_while_running("attack-5-running", false).await
}

/// Then its consumer goes on at the old offset in the new topic, and only the record below tells.
#[tokio::test]
async fn a_topic_made_anew_while_the_aggregator_sleeps() -> Result<()> {
    made_anew_while_running("attack-5-asleep", true).await
}
