//! How a worker keeps its promises about time: deadlines, hangs; and what it counts.

use std::time::Duration;

use anyhow::{Context, Result};
use contract::footer::Clock;
use contract::request::Attempt;
use contract::usage::Reason;
use system_tests::harness::{Photo, Planned, System, Topics, check_results};

use crate::mixture::{resize, tiny, tiny_requests};
use crate::{PATIENCE, customer, now};

/// Milliseconds before or after now.
const PAST: i64 = -1_000;
const FUTURE: i64 = 600_000;

#[tokio::test]
async fn work_past_its_deadline_is_not_begun() -> Result<()> {
    let system = System::in_files(Topics::kafka(1, Clock::Broker).await?, "deadlines")?;
    let (customer, photo) = (customer("acme")?, tiny()?);
    let missing = Photo { sha256: contract::Digest::of(b"never uploaded"), ..photo.clone() };
    let mut publisher = system.publisher()?;
    publisher.upload(&customer, &photo).await?;
    // The source that is missing shows that nothing is fetched.
    let cases = [
        (&photo, PAST, Some(Reason::DeadlineExceeded)),
        (&missing, PAST, Some(Reason::DeadlineExceeded)),
        (&missing, FUTURE, Some(Reason::SourceMissing)),
        (&photo, FUTURE, None),
        // Passes before there is a worker.
        (&photo, 500, Some(Reason::DeadlineExceeded)),
    ];
    for (photo, millis, reason) in cases {
        let request = publisher.request(&customer, photo, &resize(8, 8), now());
        let deadline = Some(now().plus_millis(millis));
        let record = request.to_record(&Attempt { deadline, ..Attempt::default() })?;
        let planned = Planned { record, ..Planned::request(&request, photo)? };
        publisher
            .publish([match reason {
                Some(reason) => planned.rejected(reason),
                None => planned,
            }])
            .await?;
    }
    tokio::time::sleep(Duration::from_millis(600)).await;
    let _running = [system.worker()?.spawn()?, system.aggregator()?.spawn()?];
    let landed = system.answered(&publisher.ledger, PATIENCE).await?;
    let counts = publisher.ledger.check(&landed)?;
    assert_eq!((counts.done, counts.rejected), (1, 4), "{counts:?}");
    check_results(&system.store, &publisher.ledger).await
}

#[tokio::test]
async fn a_hang_ends_the_process_and_its_work_goes_to_another() -> Result<()> {
    let system = System::in_files(Topics::kafka(1, Clock::Broker).await?, "watchdog")?;
    let (customer, photo) = (customer("acme")?, tiny()?);
    let mut publisher = system.publisher()?;
    let _aggregator = system.aggregator()?.spawn()?;
    // The pool would hang on it; the first records of a partition are done in children.
    let bytes = [photo.bytes.as_ref(), b"hang"].concat();
    let hanging = Photo { sha256: contract::Digest::of(&bytes), bytes: bytes.into(), ..photo };
    publisher.upload(&customer, &hanging).await?;
    let poison = format!("hang={}", hanging.sha256);
    let watched = system.worker()?.args(["--watchdog", "3s"]).env("PIXTOLL_TEST_POISON", &poison);
    let mut worker = watched.spawn_ready().await?;
    let work = tiny_requests(&mut publisher, 300).await?;
    publisher.publish(work).await?;
    system.answered(&publisher.ledger, PATIENCE).await?;
    // Waiting for work is not hanging.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(worker.is_alive()?, "{}", worker.log_tail());

    let request = publisher.request(&customer, &hanging, &resize(8, 8), now());
    publisher.publish([Planned::request(&request, &hanging)?]).await?;
    let work = tiny_requests(&mut publisher, 20).await?;
    publisher.publish(work).await?;
    let status = worker.ended(PATIENCE).await?;
    assert_eq!(status.code(), Some(70), "{}", worker.log_tail());
    let why = format!("no progress within 3s: the source with sha256 {} has hung the engine", hanging.sha256);
    assert!(worker.log().contains(&why), "{}", worker.log_tail());

    let heir = system.worker()?.spawn()?;
    let landed = system.answered(&publisher.ledger, PATIENCE).await.with_context(|| heir.log_tail())?;
    let counts = publisher.ledger.check(&landed)?;
    assert_eq!((counts.done, counts.rejected), (321, 0), "{counts:?}");
    Ok(())
}

#[tokio::test]
async fn a_worker_counts_what_it_does() -> Result<()> {
    let system = System::in_files(Topics::kafka(2, Clock::Broker).await?, "metrics")?;
    let mut publisher = system.publisher()?;
    let _aggregator = system.aggregator()?.spawn()?;
    let mut worker = system.worker()?.spawn_ready().await?;
    let mut work = tiny_requests(&mut publisher, 30).await?;
    let nowhere = Photo { sha256: contract::Digest::of(b"never uploaded"), ..tiny()? };
    let request = publisher.request(&customer("acme")?, &nowhere, &resize(8, 8), now());
    work.push(Planned::request(&request, &nowhere)?.rejected(Reason::SourceMissing));
    publisher.publish(work).await?;
    system.answered(&publisher.ledger, PATIENCE).await?;

    let samples = worker.metrics().await?;
    let check = |name: &str, labels: &[&str], expected: f64| {
        let found = samples.sum(name, labels);
        assert!((found - expected).abs() < 1e-6, "{name} {labels:?} is {found}, not {expected}");
    };
    let done = "outcome=\"done\"";
    check("pixtoll_conversions_total", &[done, "input_format=\"png\"", "output_format=\"png\""], 30.0);
    check("pixtoll_conversions_total", &["outcome=\"source_missing\""], 1.0);
    check("pixtoll_conversions_total", &[], 31.0);
    let stages = [("fetch", 31.0), ("queue", 30.0), ("decode", 30.0), ("put", 30.0), ("produce", 31.0)];
    for (stage, count) in stages {
        check("pixtoll_stage_seconds_count", &[&format!("stage=\"{stage}\"")], count);
    }
    for gauge in ["pixtoll_in_work", "pixtoll_queued", "pixtoll_in_flight_bytes", "pixtoll_store_breaker_state"] {
        check(gauge, &[], 0.0);
    }
    Ok(())
}
