//! Segments written, read back, chained and broken; and one of each topic that must decode for ever.
//!
//! `UPDATE_EXPECT=1` writes the columns' list anew. The sample segments are never rewritten: a new schema version adds some.
#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panicking

use std::collections::BTreeSet;
use std::fmt::Write as _;

use arrow::array::RecordBatch;
use contract::footer::{Clock, Gap, SCHEMA_VERSION};
use contract::layout::Topic;
use contract::request::{Attempt, Source};
use contract::resize::Resize;
use contract::{BrokerTime, DeadLetter, Digest, Record, ResizeRequest, UsageEvent};
use expect_test::expect_file;
use segments::{
    Built, ChainError, Link, Pending, Segment, build_gap, read_bytes, read_chains, read_chains_since, read_head,
    read_rows, rows_of_id_hours,
};
use store::{Put, Store};

const AT: BrokerTime = BrokerTime::from_millis(1_793_491_199_999);

fn contract_sample(file: &str) -> Record {
    let path = format!("{}/../../ingest/contract/samples/{file}", env!("CARGO_MANIFEST_DIR"));
    let sample: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let headers = sample["headers"].as_array().unwrap().iter();
    Record {
        key: Some(text(&sample["key"]).into_bytes()),
        headers: headers.map(|header| (text(&header[0]), Some(text(&header[1]).into_bytes()))).collect(),
        payload: Some(sample["payload"].to_string().into_bytes()),
    }
}

/// One readable record of a topic.
fn record(topic: Topic) -> Record {
    contract_sample(match topic {
        Topic::Requests => "resize.requested.v1.json",
        Topic::Usage => "conversion.answered.v1.done.json",
        Topic::DeadLetters => "dead-letter.v1.json",
        Topic::Accounts | Topic::Totals => "account.changed.v1.json",
    })
}

fn junk() -> Record {
    Record { key: None, headers: Vec::new(), payload: Some(b"junk".to_vec()) }
}

fn link(topic: Topic, start: i64, previous_sha256: Option<Digest>) -> Link {
    Link { topic, epoch: 0, partition: 3, partition_count: 6, start, previous_sha256, clock: Clock::Broker }
}

/// A segment of a readable record, an unreadable one and a tick, from `start` on.
fn segment(topic: Topic, start: i64, previous_sha256: Option<Digest>) -> Built {
    segment_of(topic, 0, start, previous_sha256)
}

fn segment_of(topic: Topic, epoch: u32, start: i64, previous_sha256: Option<Digest>) -> Built {
    let mut pending = Pending::new(topic).unwrap();
    let tick = contract::tick::record(topic.name(), 3, start + 2);
    for (offset, record) in (start..).zip([record(topic), junk(), tick]) {
        let read = pending.push(offset, AT.plus_millis(offset), &record.view()).unwrap();
        assert_eq!(read.is_err(), offset == start + 1, "{read:?}");
    }
    pending.build(&Link { epoch, ..link(topic, start, previous_sha256) }).unwrap()
}

async fn put(store: &Store, built: &Built) -> Digest {
    assert_eq!(store.create(&built.path, built.bytes.clone()).await.unwrap(), Put::Created);
    Digest::of(&built.bytes)
}

#[test]
fn the_columns_are_those_that_were_published() {
    let mut text = String::new();
    for topic in Topic::LANDED {
        writeln!(text, "{}", topic.name()).unwrap();
        for field in segments::schema(topic).unwrap().fields() {
            let null = if field.is_nullable() { "" } else { ", never null" };
            writeln!(text, "  {}: {}{null}", field.name(), field.data_type()).unwrap();
        }
    }
    assert_eq!(segments::schema(Topic::Totals), None);
    expect_file![format!("{}/samples/columns.txt", env!("CARGO_MANIFEST_DIR"))].assert_eq(&text);
}

/// Segments that were once written: they must be read as what they were.
#[tokio::test]
async fn segments_of_every_version_decode_for_ever() {
    for version in 1..=SCHEMA_VERSION {
        for topic in Topic::LANDED {
            decodes(topic, version).await;
        }
    }
}

async fn decodes(topic: Topic, version: u32) {
    let store = Store::open("memory:///").unwrap();
    let file = format!("{}/samples/{}.v{version}.parquet", env!("CARGO_MANIFEST_DIR"), topic.name());
    let mut built = segment(topic, 0, None);
    built.footer.schema_version = version;
    if std::env::var_os("WRITE_NEW_SAMPLES").is_some() && !std::path::Path::new(&file).exists() {
        std::fs::write(&file, &built.bytes).unwrap();
    }
    let bytes = std::fs::read(&file).unwrap_or_else(|e| panic!("{file}: {e}"));
    store.create(&built.path, bytes.into()).await.unwrap();
    let chains = read_chains(&store, topic).await.unwrap();
    let [chain] = chains.as_slice() else { panic!("{chains:?}") };
    let [read] = chain.segments.as_slice() else { panic!("{chain:?}") };
    assert_eq!(read.footer, built.footer, "{file}");
    let rows = read_rows(&store, read).await.unwrap();
    let rows: usize = rows.iter().map(RecordBatch::num_rows).sum();
    assert_eq!((rows, read.footer.records, read.footer.ticks, read.footer.quarantined), (2, 3, 1, 1));
    let hours: BTreeSet<_> = read.footer.rows_per_id_hour.keys().copied().collect();
    let bytes = read_bytes(&store, read).await.unwrap();
    let of_hours = rows_of_id_hours(read, &bytes, &hours, &["offset"]).unwrap();
    let of_hours: usize = of_hours.map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(of_hours, hours.len());
}

#[test]
fn the_same_records_give_the_same_bytes() {
    for topic in Topic::LANDED {
        assert_eq!(segment(topic, 0, None).bytes, segment(topic, 0, None).bytes);
    }
}

#[test]
fn a_segment_of_ticks_alone_is_a_link_without_rows() {
    let mut pending = Pending::new(Topic::Accounts).unwrap();
    assert!(pending.build(&link(Topic::Accounts, 0, None)).is_err(), "nothing was pushed");
    let tick = contract::tick::record("accounts", 3, 7);
    pending.push(7, AT, &tick.view()).unwrap().unwrap();
    let footer = pending.build(&link(Topic::Accounts, 5, None)).unwrap().footer;
    assert_eq!((footer.start, footer.first, footer.next_offset, footer.rows), (5, 7, 8, 0));
    assert!(pending.push(7, AT, &tick.view()).is_err(), "an offset twice");
}

#[test]
fn land_1_a_footer_adds_up_usage_and_counts_id_hours() {
    let mut pending = Pending::new(Topic::Usage).unwrap();
    let event = UsageEvent::from_record(&record(Topic::Usage).view()).unwrap();
    for offset in 0..3 {
        pending.push(offset, AT, &event.to_record().unwrap().view()).unwrap().unwrap();
    }
    let footer = pending.build(&link(Topic::Usage, 0, None)).unwrap().footer;
    assert_eq!(footer.sums.cpu_micros, 3 * i128::from(event.usage.cpu_micros.get()));
    assert_eq!(footer.rows_per_id_hour.into_iter().collect::<Vec<_>>(), [(event.id_hour(), 3)]);
}

#[test]
fn no_image_and_no_unknown_field_is_landed() {
    let request = ResizeRequest {
        customer_id: "acme".parse().unwrap(),
        request_id: "019a3b5c-7e00-7abc-8def-0123456789ab".parse().unwrap(),
        source: Source { sha256: Digest::of(b"x"), inline: Some("c2VjcmV0IHBpY3R1cmU=".to_owned()), location: None },
        resize: Resize { width: Some(1), ..Resize::default() },
    };
    let mut record = request.to_record(&Attempt::default()).unwrap();
    let mut body: serde_json::Value = serde_json::from_slice(record.payload.as_deref().unwrap()).unwrap();
    body["resize"]["note"] = "personal data".into();
    record.payload = Some(body.to_string().into_bytes());
    let mut pending = Pending::new(Topic::Requests).unwrap();
    pending.push(0, AT, &record.view()).unwrap().unwrap();
    let bytes = pending.build(&link(Topic::Requests, 0, None)).unwrap().bytes;
    for hidden in ["c2VjcmV0", "personal"] {
        assert!(!bytes.windows(hidden.len()).any(|window| window == hidden.as_bytes()), "{hidden}");
    }
}

/// Each way in which a chain can be broken, and the word that names it.
#[tokio::test]
async fn land_1_a_broken_chain_is_named() {
    let check = async |second: fn(Digest) -> Built, why: &str| {
        let store = Store::open("memory:///").unwrap();
        let first = put(&store, &segment(Topic::Usage, 0, None)).await;
        put(&store, &second(first)).await;
        let read = read_chains(&store, Topic::Usage).await;
        match (read, why) {
            (Ok(chains), "") => assert_eq!(chains[0].head().unwrap().footer.next_offset, 6),
            (Err(ChainError::Broken { why: found, .. }), why) => assert!(found.contains(why), "{found}"),
            (other, why) => panic!("{why}: {other:?}"),
        }
    };
    check(|first| segment(Topic::Usage, 3, Some(first)), "").await;
    check(|first| segment(Topic::Usage, 4, Some(first)), "it starts at offset 4, the chain ends at 3").await;
    check(|first| segment(Topic::Usage, 2, Some(first)), "it starts at offset 2, the chain ends at 3").await;
    check(|_| segment(Topic::Usage, 3, Some(Digest::of(b"another"))), "as the segment before it").await;
    check(|_| segment(Topic::Usage, 3, None), "it names none as the segment before it").await;
}

fn gap(head: Option<&Segment>, start: i64) -> Built {
    let gap = Gap {
        head: head.map(|head| head.path.clone()),
        from: head.map_or(0, |head| head.footer.next_offset),
        to: Some(start),
        found: "offsets are missing".to_owned(),
        operator: "kim".to_owned(),
        reason: "restored from a backup".to_owned(),
        decided_at: AT,
    };
    build_gap(Topic::Usage, 3, 6, head, start, gap, Clock::Broker).unwrap()
}

/// An epoch goes on where its gap says, on top of the old head; and nothing hangs on to that any more.
#[tokio::test]
async fn land_1_a_gap_opens_an_epoch_on_top_of_the_old_head() {
    for (start, name) in [(10, "00000000000000000010.gap.parquet"), (0, "00000000000000000000.gap.parquet")] {
        let store = Store::open("memory:///").unwrap();
        put(&store, &segment(Topic::Usage, 0, None)).await;
        let head = read_head(&store, Topic::Usage, 3).await.unwrap().unwrap();
        let opened = gap(Some(&head), start);
        assert!(opened.path.ends_with(name), "{}", opened.path);
        let sha256 = put(&store, &opened).await;
        let found = read_head(&store, Topic::Usage, 3).await.unwrap().unwrap();
        assert_eq!((found.sha256, found.footer.next_offset), (sha256, start));
        assert_eq!(found.footer.last_append_time, head.footer.last_append_time);

        let next = segment_of(Topic::Usage, 1, start, Some(sha256));
        let sha256 = put(&store, &next).await;
        assert_eq!(read_head(&store, Topic::Usage, 3).await.unwrap().unwrap().sha256, sha256);
        let chains = read_chains(&store, Topic::Usage).await.unwrap();
        let ends: Vec<_> = chains.iter().map(|c| (c.epoch, c.head().unwrap().footer.next_offset)).collect();
        assert_eq!(ends, [(0, 3), (1, start + 3)]);
        let since = read_chains_since(&store, Topic::Usage, AT, 0).await.unwrap();
        assert_eq!(since.len(), 2);

        put(&store, &segment(Topic::Usage, 3, Some(head.sha256))).await;
        let broken = read_chains(&store, Topic::Usage).await.unwrap_err().to_string();
        assert!(broken.contains("its gap begins at offset 3, the chain ends at 6"), "{broken}");
    }
    let store = Store::open("memory:///").unwrap();
    let sha256 = put(&store, &gap(None, 7)).await;
    put(&store, &segment_of(Topic::Usage, 1, 7, Some(sha256))).await;
    assert_eq!(read_chains(&store, Topic::Usage).await.unwrap().len(), 1);
}

#[tokio::test]
async fn land_1_an_epoch_without_a_gap_is_named() {
    let store = Store::open("memory:///").unwrap();
    let first = put(&store, &segment(Topic::Usage, 0, None)).await;
    put(&store, &segment_of(Topic::Usage, 1, 3, Some(first))).await;
    let broken = read_chains(&store, Topic::Usage).await.unwrap_err().to_string();
    assert!(broken.contains("no gap opens its epoch 1"), "{broken}");
}

/// A long chain by its footers: what is asked for, with the digests that the whole files have.
#[tokio::test]
async fn the_newer_part_of_a_chain_is_read_by_its_footers() {
    let store = Store::open("memory:///").unwrap();
    let mut previous = None;
    for start in (0..60).step_by(3) {
        previous = Some(put(&store, &segment(Topic::Usage, start, previous)).await);
    }
    let all = read_chains(&store, Topic::Usage).await.unwrap();
    for (since, skew, first) in
        [(0, 0, 0), (31, 0, 10), (31, 3, 9), (32, 0, 10), (33, 0, 11), (59, 0, 19), (900, 0, 19)]
    {
        let part = read_chains_since(&store, Topic::Usage, AT.plus_millis(since), skew).await.unwrap();
        let starts: Vec<_> = part[0].segments.iter().map(|s| (s.footer.start, s.sha256, s.bytes)).collect();
        let expected: Vec<_> = all[0].segments[first..].iter().map(|s| (s.footer.start, s.sha256, s.bytes)).collect();
        assert_eq!(starts, expected, "since {since}, skew {skew}");
    }
    // One that does not continue the one before it.
    put(&store, &segment(Topic::Usage, 61, previous)).await;
    let broken = read_chains_since(&store, Topic::Usage, AT, 0).await;
    assert!(matches!(broken, Err(ChainError::Broken { .. })), "{broken:?}");
}

#[tokio::test]
async fn land_1_a_chain_that_does_not_begin_at_0_is_named() {
    let store = Store::open("memory:///").unwrap();
    put(&store, &segment(Topic::Usage, 1, None)).await;
    assert!(matches!(read_chains(&store, Topic::Usage).await, Err(ChainError::Broken { .. })));
}

#[tokio::test]
async fn a_file_that_is_not_the_segment_its_name_says_is_an_error_that_names_it() {
    let check = async |path: &str, bytes: &[u8]| {
        let store = Store::open("memory:///").unwrap();
        store.create(path, bytes.to_vec().into()).await.unwrap();
        let error = read_chains(&store, Topic::Usage).await.unwrap_err().to_string();
        assert!(error.contains(path), "{error}");
    };
    let good = segment(Topic::Usage, 0, None);
    let elsewhere = "landing/usage.events/epoch=0/partition=00004/00000000000000000000.parquet";
    check(elsewhere, &good.bytes).await;
    check("landing/usage.events/stray", &good.bytes).await;
    check(&good.path, b"").await;
    check(&good.path, &good.bytes[..good.bytes.len() / 2]).await;
}

#[tokio::test]
async fn the_head_is_the_newest_segment_of_its_partition() {
    let store = Store::open("memory:///").unwrap();
    assert!(read_head(&store, Topic::Usage, 3).await.unwrap().is_none());
    let first = put(&store, &segment(Topic::Usage, 0, None)).await;
    let second = put(&store, &segment(Topic::Usage, 3, Some(first))).await;
    assert_eq!(read_head(&store, Topic::Usage, 3).await.unwrap().unwrap().sha256, second);
    assert!(read_head(&store, Topic::Usage, 4).await.unwrap().is_none());
    assert!(read_head(&store, Topic::Accounts, 3).await.unwrap().is_none());
}

#[test]
fn a_dead_letter_is_landed_with_the_digest_of_what_it_carries() {
    let letter = DeadLetter::from_record(&record(Topic::DeadLetters).view()).unwrap();
    let bytes = segment(Topic::DeadLetters, 0, None).bytes;
    let digest = letter.digest.as_bytes();
    assert!(bytes.windows(32).any(|window| window == digest), "the digest stands in the file as it is");
}
