//! From requests to final bills and a sealed archive: to the cent what the publisher's own ledger says.

use std::os::unix::process::ExitStatusExt as _;

use anyhow::{Context, Result};
use contract::footer::Clock;
use contract::layout;
use contract::resize::Resize;
use contract::usage::Reason;
use contract::{BrokerTime, CustomerId, Month, Record};
use rustix::process::Signal;
use system_tests::harness::{Photo, Planned, Publisher, System, Topics};

use crate::billing::{
    HOUR_MS, MINUTE_MS, PARTITIONS, bill_objects, billed, finalize, job, json, landed_past, open, open_accounts,
    this_month,
};
use crate::mixture::resize;
use crate::prices::{CUSTOMERS, totals};
use crate::{PATIENCE, customer};

/// Requests of two months, edges, retries, conflicts and late sources among them. `second` follows `first`.
async fn two_months_of_requests(publisher: &mut Publisher, first: Month, count: usize) -> Result<()> {
    let photos: Vec<Photo> = Photo::all()?.into_iter().filter(|photo| photo.sides.0 <= 640).collect();
    let customers: Vec<CustomerId> = CUSTOMERS[..4].iter().map(|(name, ..)| customer(name)).collect::<Result<_>>()?;
    for (customer, photo) in customers.iter().flat_map(|c| photos.iter().map(move |p| (c, p))) {
        publisher.upload(customer, photo).await?;
    }
    let (start, end, after) = (first.start(), first.end(), first.next().end());
    // The edges of both months first, then times all over them.
    let mut times = vec![start.plus_millis(-1), start, end.plus_millis(-1), end, after.plus_millis(-1), after];
    let step = (after.as_millis() - start.as_millis()) / i64::try_from(count)?;
    times.extend((0..count).zip(0_i64..).map(|(_, n)| start.plus_millis(n * step + 7)));

    let mut planned = Vec::new();
    for (n, time) in times.into_iter().enumerate() {
        // Each of the four customers has each edge.
        let whose: &[CustomerId] = if n < 6 { &customers } else { std::slice::from_ref(&customers[n % 4]) };
        for customer in whose {
            // Ids are up to 23 hours older than their acceptance: of the day, or month, before.
            let minted = time.plus_millis(-(i64::try_from(n)? * 37 * MINUTE_MS) % (23 * HOUR_MS));
            let (photo, wanted) = (&photos[n % photos.len()], resize(320, if n % 2 == 0 { 240 } else { 100 }));
            let request = Planned::request(&publisher.request(customer, photo, &wanted, minted), photo)?.at(time);
            if n % 9 == 0 {
                planned.push(request.clone());
            }
            planned.push(request);
        }
    }
    let acme = &customers[0];
    // A retry that comes in the next month: billed once, in the first.
    let retried = publisher.request(acme, &photos[0], &resize(64, 64), end.plus_millis(-HOUR_MS));
    let retried = Planned::request(&retried, &photos[0])?;
    planned.extend([retried.clone().at(end.plus_millis(-1)), retried.at(end)]);
    // One id with many bodies: each is billed.
    let middle = start.plus_millis(10 * 24 * HOUR_MS);
    let mut conflict = publisher.request(acme, &photos[0], &resize(1, 1), middle);
    for width in 1..=40 {
        conflict.resize = Resize { width: Some(width), ..Resize::default() };
        planned.push(Planned::request(&conflict, &photos[0])?.at(middle));
    }
    let nonsense = Record { key: Some(b"x".to_vec()), headers: Vec::new(), payload: None };
    planned.push(Planned::undecodable(nonsense, "missing_header").at(end.plus_millis(-MINUTE_MS)));
    publisher.publish(planned).await
}

/// Attack 1 over a month's end: rejected in the first, done in the second, billed in the second.
async fn late_source(system: &System, publisher: &mut Publisher, first: Month) -> Result<()> {
    let (acme, end) = (customer("acme")?, first.end());
    let photo = Photo::all()?.into_iter().find(|photo| &*photo.name == "hubble.jpg").context("no hubble.jpg")?;
    let request = publisher.request(&acme, &photo, &resize(64, 64), end.plus_millis(-HOUR_MS));
    let request = Planned::request(&request, &photo)?;
    let rejected = request.clone().rejected(Reason::SourceMissing).at(end.plus_millis(-10 * MINUTE_MS));
    publisher.publish([rejected]).await?;
    system.answered(&publisher.ledger, PATIENCE).await?;
    publisher.upload(&acme, &photo).await?;
    publisher.publish([request.at(end.plus_millis(10 * MINUTE_MS))]).await
}

async fn two_months(system: System) -> Result<()> {
    let first = this_month()?.previous().previous();
    let second = first.next();
    let mut publisher = system.publisher()?;
    open_accounts(&system, &mut publisher, first).await?;
    let _running = [system.worker()?.spawn()?, system.aggregator()?.spawn()?];
    late_source(&system, &mut publisher, first).await?;
    two_months_of_requests(&mut publisher, first, 120).await?;
    let ledger = publisher.ledger;
    let counts = ledger.check(&system.answered(&ledger, PATIENCE).await?)?;
    assert!(counts.duplicates > 10, "{counts:?}");
    landed_past(&system, second.end().plus_millis(10 * MINUTE_MS)).await?;

    for month in [first, second] {
        assert_eq!(open(&system, month).await?, Vec::<String>::new());
        assert_eq!(billed(&system, month).await?, totals(&ledger, month)?, "{month}");
        let reconciled = json(&system, month, "reconcile").await?;
        let checks = reconciled["report"]["checks"].as_array().context("no checks")?;
        let held: Vec<_> =
            checks.iter().filter(|c| c["holds"] == true).filter_map(|c| c["invariant"].as_str()).collect();
        assert_eq!(held, ["LOG-1", "LOG-2", "LAND-1", "DEDUP-1", "BILL-1", "BILL-2", "BILL-3"], "{reconciled:#}");
        let of_month = |time: &BrokerTime| month.start() <= *time && *time < month.end();
        let accepted = ledger.requests.iter().filter(|sent| sent.time.as_ref().is_some_and(of_month)).count();
        assert_eq!(reconciled["report"]["answered"]["accepted"], accepted, "{reconciled:#}");
        assert_eq!(reconciled["report"]["conflicts"], u64::from(month == first), "{reconciled:#}");
        finalized(&system, month, if month == first { "before-run-put" } else { "after-run-put" }).await?;
        assert_eq!(billed(&system, month).await?, totals(&ledger, month)?, "{month}");
    }
    // The work of both months, each conversion in one of them.
    let sum = |month| Ok::<i128, anyhow::Error>(totals(&ledger, month)?.values().sum());
    assert!(sum(first)? > 0 && sum(second)? > 0);
    sealed(&system).await
}

/// Final once, for ever: whatever is killed, and whoever tries again.
async fn finalized(system: &System, month: Month, point: &str) -> Result<()> {
    let runs = async || Ok::<usize, anyhow::Error>(system.store.list(layout::RUNS).await?.len());
    let before = runs().await?;
    let armed = job(system, &["finalize", "--operator", "kim", "--producer-times", "--month", &month.to_string()])?
        .kill_at(point, 1);
    let killed = armed.finish().await?;
    assert_eq!(killed.status.signal(), Some(Signal::KILL.as_raw()), "{killed:?}");
    let committed = usize::from(point == "after-run-put");
    assert_eq!(runs().await?, before + committed);

    let both = tokio::join!(finalize(system, month), finalize(system, month));
    let (one, other) = (both.0?.ok()?, both.1?.ok()?);
    let now_final = [&one, &other].iter().filter(|said| said.contains("is final now")).count();
    assert_eq!(now_final, 1 - committed, "{one}{other}");
    assert_eq!(runs().await?, before + 1);

    let objects = bill_objects(system).await?;
    let again = finalize(system, month).await?.ok()?;
    assert!(again.contains("was final before; nothing changed"), "{again}");
    assert_eq!(bill_objects(system).await?, objects);
    Ok(())
}

/// The archive of it all, sealed and verified.
async fn sealed(system: &System) -> Result<()> {
    let key = system.folder().join("seal.key").display().to_string();
    let (public, store) = (format!("{key}.pub"), system.store.url());
    for command in [
        &["keygen", "--out", &key][..],
        &["seal", "--store", store, "--key", &key],
        &["verify", "--store", store, "--public-key", &public],
    ] {
        system.tool("cold-archive")?.args(command).finish().await?.ok()?;
    }
    Ok(())
}

#[tokio::test]
async fn two_months_to_the_cent_on_files() -> Result<()> {
    two_months(System::in_files(Topics::kafka(PARTITIONS, Clock::Producers).await?, "two-months-files")?).await
}

#[tokio::test]
async fn two_months_to_the_cent_on_s3() -> Result<()> {
    two_months(System::in_s3(Topics::kafka(PARTITIONS, Clock::Producers).await?, "two-months-s3")?).await
}
