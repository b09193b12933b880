//! What nobody should send. Each record ends where it should, is counted, and keeps nobody else waiting.

use anyhow::{Context, Result};
use contract::footer::Clock;
use contract::layout::Topic;
use contract::request::Attempt;
use contract::time::{DEFAULT_MAX_REQUEST_AGE_MS, MAX_CLOCK_AHEAD_MS};
use contract::usage::{Reason, RequestPosition};
use contract::{Record, ResizeRequest};
use system_tests::harness::{Landed, Planned, Process, Publisher, System, Topics, check_results, wait_for};

use crate::mixture::{resize, tiny, tiny_requests};
use crate::{PATIENCE, customer, now, raw_kafka};

const MINUTE_MS: i64 = 60_000;

async fn start(test: &str) -> Result<(System, Publisher, [Process; 2])> {
    let system = System::in_files(Topics::kafka(1, Clock::Broker).await?, test)?;
    let processes = [system.worker()?.spawn_ready().await?, system.aggregator()?.spawn_ready().await?];
    let publisher = system.publisher()?;
    Ok((system, publisher, processes))
}

async fn settled(system: &System, publisher: &Publisher, processes: &[Process]) -> Result<Landed> {
    let logs = || processes.iter().map(Process::log_tail).collect::<String>();
    system.answered(&publisher.ledger, PATIENCE).await.with_context(logs)
}

/// A good record, changed.
fn spoiled(good: &ResizeRequest, spoil: impl FnOnce(&mut Record)) -> Result<Record> {
    let mut record = good.to_record(&Attempt::default())?;
    spoil(&mut record);
    Ok(record)
}

fn set_header(record: &mut Record, name: &str, value: &[u8]) {
    for header in record.headers.iter_mut().filter(|header| header.0 == name) {
        header.1 = Some(value.to_vec());
    }
}

#[tokio::test]
async fn undecodable_requests_become_dead_letters() -> Result<()> {
    let (system, mut publisher, processes) = start("undecodable-requests").await?;
    let good = publisher.request(&customer("tiny")?, &tiny()?, &resize(8, 8), now());
    let five_megabytes: Vec<u8> =
        (0_u32..1_250_000).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let twice = br#"{"customer_id":"tiny","customer_id":"acme"}"#;
    let other_id = publisher.mint(now()).to_string();
    let body = serde_json::to_string(&good)?;
    let garbage = [
        ("not_json", spoiled(&good, |r| r.payload = Some(b"{\"customer_id\": ".to_vec()))?),
        ("not_json", spoiled(&good, |r| r.payload = None)?),
        ("not_json", spoiled(&good, |r| r.payload = Some(five_megabytes))?),
        ("not_json", spoiled(&good, |r| r.payload = Some(twice.to_vec()))?),
        ("invalid", spoiled(&good, |r| r.payload = Some(b"{}".to_vec()))?),
        ("invalid", spoiled(&good, |r| r.payload = Some(body.replace("\"tiny\"", "\"../..\"").into_bytes()))?),
        ("unknown_type", spoiled(&good, |r| set_header(r, "ce_type", b"pixtoll.resize.requested.v99"))?),
        ("bad_header", spoiled(&good, |r| set_header(r, "ce_specversion", b"0.3"))?),
        ("bad_header", spoiled(&good, |r| set_header(r, "ce_id", b"\xff\xfe"))?),
        ("missing_header", spoiled(&good, |r| r.headers.clear())?),
        ("missing_key", spoiled(&good, |r| r.key = None)?),
        ("id_mismatch", spoiled(&good, |r| r.key = Some(other_id.into_bytes()))?),
        ("id_mismatch", spoiled(&good, |r| r.key = Some(vec![0xff; 16]))?),
    ];
    // Good ones before, between and after; nobody waits for the garbage.
    let mut work = tiny_requests(&mut publisher, garbage.len() + 1).await?.into_iter();
    for (code, record) in garbage {
        publisher.publish(work.next()).await?;
        publisher.publish([Planned::undecodable(record, code)]).await?;
    }
    let unreadable = Planned::undecodable(good.to_record(&Attempt::default())?, "missing_header");
    let (brokers, topic) = (system.topics.brokers(), system.topics.name(Topic::Requests));
    let (key, payload) = (good.request_id.to_string(), serde_json::to_vec(&good)?);
    let offset = raw_kafka::send_with_header(&brokers, &topic, key.as_bytes(), &payload, b"ce_\xff\xfe")?;
    publisher.enter(unreadable, RequestPosition { partition: 0, offset });
    publisher.publish(work).await?;

    let landed = settled(&system, &publisher, &processes).await?;
    let counts = publisher.ledger.check(&landed)?;
    assert_eq!((counts.done, counts.rejected, counts.undecodable), (14, 0, 14));
    check_results(&system.store, &publisher.ledger).await?;
    // Counted where a segment says what it holds.
    let quarantined =
        |topic| landed.chain(topic, 0).map(|c| c.segments.iter().map(|s| s.footer.quarantined).sum::<u64>());
    assert_eq!(quarantined(Topic::Requests), Some(14));
    assert_eq!(quarantined(Topic::DeadLetters), Some(0));
    assert_eq!(landed.dead_letters.len(), 14, "the same letter twice, or one for a good record");
    Ok(())
}

#[tokio::test]
async fn undecodable_records_of_other_topics_are_quarantined() -> Result<()> {
    let (system, mut publisher, processes) = start("undecodable-others").await?;
    let good = publisher.request(&customer("tiny")?, &tiny()?, &resize(8, 8), now());
    let nonsense = spoiled(&good, |r| r.payload = Some(b"nonsense".to_vec()))?;
    let mut letters = Vec::new();
    for topic in [Topic::Usage, Topic::Accounts] {
        let delivered = publisher.raw(topic, Some(0), &nonsense).await?;
        letters.push((topic.name().to_owned(), delivered.offset, "unknown_type".to_owned()));
    }
    publisher.raw(Topic::DeadLetters, Some(0), &nonsense).await?;
    let work = tiny_requests(&mut publisher, 5).await?;
    publisher.publish(work).await?;

    settled(&system, &publisher, &processes).await?;
    let landed = wait_for("the dead letters", PATIENCE, async || {
        let landed = system.landed().await?;
        Ok((landed.dead_letters.len() == 3).then_some(landed))
    });
    let landed = landed.await.with_context(|| processes[1].log_tail())?;
    let mut found = Vec::new();
    for letter in landed.dead_letters.iter().filter_map(|row| row.value.as_ref().ok()) {
        found.push((letter.topic.clone(), letter.offset, letter.reason.clone()));
    }
    letters.sort();
    found.sort();
    assert_eq!(found, letters);
    let codes = |values: Vec<Option<&String>>| values.into_iter().flatten().cloned().collect::<Vec<_>>();
    assert_eq!(codes(landed.usage.iter().map(|r| r.value.as_ref().err()).collect()), ["unknown_type"]);
    assert_eq!(codes(landed.accounts.iter().map(|r| r.value.as_ref().err()).collect()), ["unknown_type"]);
    assert_eq!(codes(landed.dead_letters.iter().map(|r| r.value.as_ref().err()).collect()), ["missing_header"]);
    let counts = publisher.ledger.check(&landed)?;
    assert_eq!((counts.done, counts.undecodable), (5, 0));
    Ok(())
}

#[tokio::test]
async fn ids_too_old_or_from_the_future_are_rejected() -> Result<()> {
    let (system, mut publisher, processes) = start("ids-out-of-range").await?;
    let (customer, photo) = (customer("tiny")?, tiny()?);
    publisher.upload(&customer, &photo).await?;
    // A minute on either side, for the time that passes between here and the broker's clock.
    let cases = [
        (-DEFAULT_MAX_REQUEST_AGE_MS - MINUTE_MS, false),
        (-DEFAULT_MAX_REQUEST_AGE_MS + MINUTE_MS, true),
        (MAX_CLOCK_AHEAD_MS - MINUTE_MS, true),
        (MAX_CLOCK_AHEAD_MS + MINUTE_MS, false),
        (-now().as_millis(), false), // minted in 1970
    ];
    for (millis, taken) in cases {
        let request = publisher.request(&customer, &photo, &resize(8, 8), now().plus_millis(millis));
        let planned = Planned::request(&request, &photo)?;
        let planned = if taken { planned } else { planned.rejected(Reason::RequestIdOutOfRange) };
        publisher.publish([planned.clone(), planned]).await?;
    }
    let landed = settled(&system, &publisher, &processes).await?;
    let counts = publisher.ledger.check(&landed)?;
    assert_eq!((counts.done, counts.rejected, counts.duplicates), (2, 3, 5));
    // Each in a dedup unit of its own kind.
    let units = landed.chain(Topic::Usage, 0).context("no usage landed")?.segments.iter();
    let units: Vec<String> = units.flat_map(|s| s.footer.rows_per_id_hour.keys().map(ToString::to_string)).collect();
    let out_of_range = format!("out-of-range-{}", now().hour());
    assert!(units.contains(&out_of_range) || units.iter().any(|unit| unit.starts_with("out-of-range-")), "{units:?}");
    Ok(())
}

/// The broker's clock decides a bill's month, so topics without it are refused.
#[tokio::test]
async fn producers_times_are_refused_unless_asked_for() -> Result<()> {
    let system = System::in_files(Topics::kafka(1, Clock::Producers).await?, "producers-times")?;
    let mut publisher = system.publisher()?;
    let work = tiny_requests(&mut publisher, 1).await?;
    publisher.publish(work).await?;
    for name in ["resize-consumer", "aggregator"] {
        let flags = system.topics.flags().into_iter().filter(|flag| flag != "--producer-times");
        let mut process = system.launch(name)?.args(flags).spawn()?;
        let status = process.ended(PATIENCE).await?;
        assert_eq!(status.code(), Some(1), "{}", process.log_tail());
        assert!(process.log().contains("has producers' timestamps, which decide no bill"), "{}", process.log_tail());
    }
    assert!(system.landed().await?.usage.is_empty());
    Ok(())
}
