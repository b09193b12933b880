//! The order of usage rows, and reading some id-hours of them.
#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panicking

use std::collections::BTreeSet;

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use contract::footer::{self, Clock};
use contract::layout::Topic;
use contract::usage::{Outcome, Reason, RequestPosition, Usage};
use contract::{BrokerTime, Fingerprint, IdHour, Record, RequestId, UsageEvent};
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use segments::{Built, Link, Pending, Segment, read_chains, read_rows, rows_of_id_hours};
use store::Store;

/// 2026-11-01T00:00:00Z.
const HOUR: BrokerTime = BrokerTime::from_millis(1_793_491_200_000);

/// An event whose id was minted so many minutes after [`HOUR`]; `twin` tells those of one minute apart.
fn event(minute: i64, twin: u8, customer: &str, print: u8) -> UsageEvent {
    let minted = HOUR.plus_millis(minute * 60_000);
    let usage = serde_json::json!({
        "input_bytes": 1, "output_bytes": 2, "input_pixels": 3, "output_pixels": 4, "cpu_micros": minute.abs(),
        "operation": "resize", "output_format": "webp", "worker_class": "standard", "engine_version": "0.1.0", "region": "local"
    });
    UsageEvent {
        customer_id: customer.parse().unwrap(),
        request_id: RequestId::from_parts(minted, [twin; 10]),
        fingerprint: Fingerprint::from_bytes([print; 16]),
        request: RequestPosition { partition: 1, offset: minute },
        accepted_at: minted.plus_millis(5),
        outcome: Outcome::Done { location: "x".to_owned(), width: 1, height: 1 },
        usage: serde_json::from_value::<Usage>(usage).unwrap(),
    }
}

fn late(minute: i64) -> UsageEvent {
    let reason = Reason::RequestIdOutOfRange;
    UsageEvent { outcome: Outcome::Rejected { reason, detail: String::new() }, ..event(minute, 9, "acme", 1) }
}

fn build(records: &[Record]) -> Built {
    let mut pending = Pending::new(Topic::Usage).unwrap();
    for (offset, record) in (0..).zip(records) {
        let _ = pending.push(offset, HOUR.plus_millis(offset), &record.view()).unwrap();
    }
    let link = Link {
        topic: Topic::Usage,
        epoch: 0,
        partition: 0,
        partition_count: 1,
        start: 0,
        previous_sha256: None,
        clock: Clock::Broker,
    };
    pending.build(&link).unwrap()
}

async fn put(bytes: Bytes, path: &str) -> (Segment, Vec<RecordBatch>) {
    let store = Store::open("memory:///").unwrap();
    store.create(path, bytes).await.unwrap();
    let segment = read_chains(&store, Topic::Usage).await.unwrap()[0].segments[0].clone();
    let rows = read_rows(&store, &segment).await.unwrap();
    (segment, rows)
}

fn offsets(rows: &[RecordBatch]) -> Vec<i64> {
    let column = |batch: &RecordBatch| batch["offset"].as_primitive::<Int64Type>().values().to_vec();
    rows.iter().flat_map(column).collect()
}

/// In the log's order: offsets 0 to 8.
fn mixed() -> Vec<Record> {
    let junk = Record { key: None, headers: Vec::new(), payload: None };
    let record = |event: UsageEvent| event.to_record().unwrap();
    vec![
        record(event(61, 1, "acme", 1)),
        junk,
        record(event(59, 2, "acme", 1)),
        record(late(1)),
        record(event(59, 1, "zeta", 1)),
        record(event(59, 1, "acme", 7)),
        record(event(-1, 1, "acme", 1)),
        record(event(59, 1, "acme", 2)),
        record(event(59, 1, "acme", 2)),
    ]
}

#[tokio::test]
async fn usage_rows_stand_by_id_hour_and_key_with_the_odd_ones_last() {
    let built = build(&mixed());
    let (segment, rows) = put(built.bytes, &built.path).await;
    assert_eq!(offsets(&rows), [6, 7, 8, 5, 4, 2, 0, 3, 1]);
    let counts: Vec<_> = segment.footer.rows_per_id_hour.iter().map(|(unit, rows)| (unit.to_string(), *rows)).collect();
    let expected =
        [("2026-10-31T23", 1), ("2026-11-01T00", 5), ("2026-11-01T01", 1), ("out-of-range-2026-11-01T00", 1)];
    assert_eq!(counts, expected.map(|(unit, rows)| (unit.to_owned(), rows)));
    assert_eq!((segment.footer.rows, segment.footer.quarantined, segment.footer.sums.cpu_micros), (9, 1, 358));
    let reasons = rows[0]["quarantine_reason"].as_string::<i32>().clone();
    assert_eq!((reasons.null_count(), reasons.value(8)), (8, "missing_key"));
    assert!(rows[0]["request_id"].is_null(8) && rows[0]["record_sha256"].is_valid(8));
}

#[tokio::test]
async fn some_id_hours_are_read_alone_and_counted_whatever_the_order() {
    let check = |segment: &Segment, bytes: &Bytes, wanted: &[&str], expected: &[i64]| {
        let wanted: BTreeSet<IdHour> = wanted.iter().map(|unit| unit.parse().unwrap()).collect();
        let rows = rows_of_id_hours(segment, bytes, &wanted, &["offset", "cpu_micros"]).unwrap();
        let rows: Vec<RecordBatch> = rows.map(Result::unwrap).collect();
        let mut found = offsets(&rows);
        assert!(rows.iter().all(|batch| batch.num_columns() == 2));
        found.sort_unstable();
        assert_eq!(found, expected, "{wanted:?}");
    };
    let built = build(&mixed());
    let (segment, rows) = put(built.bytes.clone(), &built.path).await;
    let shuffled = rewritten(&segment, &rows, &[8, 3, 1, 0, 7, 5, 2, 6, 4]);
    for bytes in [&built.bytes, &shuffled] {
        let (segment, _) = put(bytes.clone(), &built.path).await;
        check(&segment, bytes, &["2026-11-01T00"], &[2, 4, 5, 7, 8]);
        check(&segment, bytes, &["2026-10-31T23", "out-of-range-2026-11-01T00"], &[3, 6]);
        check(&segment, bytes, &["2026-11-01T02"], &[]);
    }
    // One of the hour is gone, another's stands twice.
    let forged = rewritten(&segment, &rows, &[0, 0, 2, 3, 4, 5, 6, 7, 8]);
    let (segment, _) = put(forged.clone(), &built.path).await;
    let hour = BTreeSet::from(["2026-11-01T00".parse().unwrap()]);
    let mut rows = rows_of_id_hours(&segment, &forged, &hour, &["offset"]).unwrap();
    let error = rows.find_map(Result::err).unwrap().to_string();
    assert!(error.contains("not as many as its footer says"), "{error}");
}

/// The segment with its rows in another order, as in version 1.
fn rewritten(segment: &Segment, rows: &[RecordBatch], order: &[u64]) -> Bytes {
    let schema = rows[0].schema();
    let all = concat_batches(&schema, rows).unwrap();
    let all = take_record_batch(&all, &arrow::array::UInt64Array::from(order.to_vec())).unwrap();
    let footer = KeyValue::new(footer::KEY.to_owned(), serde_json::to_string(&segment.footer).unwrap());
    let properties = WriterProperties::builder().set_key_value_metadata(Some(vec![footer])).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties)).unwrap();
    writer.write(&all).unwrap();
    writer.into_inner().unwrap().into()
}

#[test]
fn what_is_read_fast_is_what_is_read_slowly() {
    // Spelled as no writer of ours does, yet the same events.
    let odd = |record: &Record| {
        let body: serde_json::Value = serde_json::from_slice(record.payload.as_deref().unwrap()).unwrap();
        let mut body = body.as_object().unwrap().clone();
        body.insert("unknown".to_owned(), 1.into());
        Record { payload: Some(serde_json::to_vec(&body).unwrap()), ..record.clone() }
    };
    let plain: Vec<Record> = mixed().into_iter().filter(|record| record.key.is_some()).collect();
    let spelled: Vec<Record> = plain.iter().map(odd).collect();
    let counted = |built: Built| (built.footer.rows_per_id_hour, built.footer.sums, built.footer.quarantined);
    assert_eq!(counted(build(&plain)), counted(build(&spelled)));
}
