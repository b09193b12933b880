//! What was published must decode for ever: one sample record of every version of every type, and the JSON Schemas.
//!
//! `UPDATE_EXPECT=1 cargo test -p pixtoll-contract` writes the schemas anew after a deliberate change. Samples are never
//! rewritten: a new version adds a file.
#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panicking

use std::collections::BTreeMap;

use contract::record::{Record, RecordView};
use contract::usage::view::UsageView;
use contract::{AccountVersion, DeadLetter, ResizeRequest, SegmentFooter, UsageEvent};
use expect_test::expect_file;
use serde::Deserialize;

fn read(file: &str) -> String {
    let path = format!("{}/samples/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// A record as a sample file spells it: headers in order, payload as JSON text.
#[derive(Deserialize)]
struct Sample {
    key: String,
    headers: Vec<(String, String)>,
    payload: serde_json::Value,
}

fn sample(file: &str) -> Record {
    let sample: Sample = serde_json::from_str(&read(file)).unwrap();
    Record {
        key: Some(sample.key.into_bytes()),
        headers: sample.headers.into_iter().map(|(name, value)| (name, Some(value.into_bytes()))).collect(),
        payload: Some(sample.payload.to_string().into_bytes()),
    }
}

/// Decodes the sample, encodes it again, and decodes that: the same value, and it says what the sample is known to say.
#[test]
fn resize_requested_v1() {
    let received = ResizeRequest::from_record(&sample("resize.requested.v1.json").view()).unwrap();
    assert_eq!(received.fingerprint.to_string(), "cb9b72b8236d493ef99ef9ae877d9c05");
    assert_eq!(received.attempt.key_id.as_ref().unwrap().as_str(), "k1");
    assert_eq!(received.attempt.deadline.unwrap().as_millis(), 1_793_577_660_000);
    assert_eq!((received.request.resize.width, received.request.resize.height), (Some(320), Some(240)));
    let again = received.request.to_record(&received.attempt).unwrap();
    let again = ResizeRequest::from_record(&again.view()).unwrap();
    assert_eq!((&again.request, &again.attempt), (&received.request, &received.attempt));
    assert_ne!(again.fingerprint, received.fingerprint, "the sample has a field that this version does not know");
}

#[test]
fn conversion_answered_v1() {
    for (file, done) in [("conversion.answered.v1.done.json", true), ("conversion.answered.v1.rejected.json", false)] {
        let event = UsageEvent::from_record(&sample(file).view()).unwrap();
        assert_eq!(event.outcome.is_done(), done, "{file}");
        assert_eq!(event.accepted_at.to_string(), "2026-10-31T23:59:59.999Z");
        assert_eq!(UsageEvent::from_record(&event.to_record().unwrap().view()).unwrap(), event);
        let record = event.to_record().unwrap();
        assert_eq!(UsageView::read(&record.view()), Some(UsageView::from(&event)), "what we write is read fast");
    }
}

#[test]
fn account_changed_v1() {
    let account = AccountVersion::from_record(&sample("account.changed.v1.json").view()).unwrap();
    assert_eq!((account.version, account.plan.as_str(), account.currency.as_str()), (2, "cpu-tiers", "EUR"));
    assert_eq!(AccountVersion::from_record(&account.to_record().unwrap().view()).unwrap(), account);
}

#[test]
fn dead_letter_v1() {
    let letter = DeadLetter::from_record(&sample("dead-letter.v1.json").view()).unwrap();
    assert_eq!((letter.topic.as_str(), letter.partition, letter.offset), ("resize.requests", 3, 41));
    assert_eq!(letter.reason, "not_json");
    assert_eq!(letter.digest, contract::Digest::of(b"test"));
}

#[test]
fn tick_v1() {
    assert!(sample("tick.v1.json").view().is_tick());
    assert!(contract::tick::record("accounts", 1, 7).view().is_tick());
}

#[test]
fn segment_footer_v1() {
    let text = read("segment-footer.v1.json");
    let footer: SegmentFooter = serde_json::from_str(&text).unwrap();
    assert_eq!((footer.start, footer.first, footer.last, footer.next_offset), (40, 41, 43, 44));
    assert_eq!(footer.sums.cpu_micros, 170_141_183_460_469_231_731_687_303_715_884_105_727);
    let again: serde_json::Value = serde_json::to_value(&footer).unwrap();
    assert_eq!(again, serde_json::from_str::<serde_json::Value>(&text).unwrap());
}

#[test]
fn the_committed_schemas_are_those_of_the_types() {
    let schemas = BTreeMap::from([
        ("resize.requested.v1", schemars::schema_for!(ResizeRequest)),
        ("conversion.answered.v1", schemars::schema_for!(UsageEvent)),
        ("account.changed.v1", schemars::schema_for!(AccountVersion)),
    ]);
    for (name, schema) in schemas {
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        expect_file![format!("{}/schemas/{name}.schema.json", env!("CARGO_MANIFEST_DIR"))].assert_eq(&text);
    }
}

/// One change to a good record, and the word that its dead letter carries.
#[test]
fn what_can_not_be_read_says_why() {
    let check = |change: fn(&mut Record), code: &str| {
        let mut record = sample("resize.requested.v1.json");
        change(&mut record);
        assert_eq!(ResizeRequest::from_record(&record.view()).unwrap_err().code(), code);
    };
    fn set(record: &mut Record, name: &str, value: &[u8]) {
        record.headers.iter_mut().find(|(n, _)| n == name).unwrap().1 = Some(value.to_vec());
    }
    check(|r| r.key = None, "missing_key");
    check(|r| r.key = Some(vec![0xff]), "id_mismatch");
    check(|r| r.key = Some(b"019a3b5c-7e00-7abc-8def-0123456789ac".to_vec()), "id_mismatch");
    check(|r| set(r, "ce_id", b"019a3b5c-7e00-7abc-8def-0123456789ac"), "id_mismatch");
    check(|r| r.headers.clear(), "missing_header");
    check(|r| set(r, "ce_type", b"pixtoll.resize.requested.v9"), "unknown_type");
    check(|r| set(r, "ce_type", &[0xff]), "bad_header");
    check(|r| set(r, "ce_specversion", b"0.3"), "bad_header");
    check(|r| set(r, "ce_deadline", b"tomorrow"), "bad_header");
    check(|r| r.payload = None, "not_json");
    check(|r| r.payload = Some(vec![0; 5 << 20]), "not_json");
    check(|r| r.payload = Some(b"{\"a\":1,\"a\":2}".to_vec()), "not_json");
    check(|r| r.payload = Some(b"[]".to_vec()), "invalid");
    check(|r| r.payload = Some([b"[".repeat(100_000), b"]".repeat(100_000)].concat()), "not_json");
}

#[test]
fn a_dead_letter_carries_the_record_whole_and_cannot_be_forged() {
    let mut original = sample("resize.requested.v1.json");
    original.key = None;
    original.headers.push(("pixtoll_offset".to_owned(), Some(b"999".to_vec())));
    let at = contract::BrokerTime::from_millis(5);
    let error = ResizeRequest::from_record(&original.view()).unwrap_err();
    let letter = DeadLetter::wrap(&original.view(), "resize.requests", 2, 17, at, &error);
    assert_eq!((&letter.key, &letter.payload), (&None, &original.payload));
    let read = DeadLetter::from_record(&letter.view()).unwrap();
    assert_eq!((read.offset, read.partition, read.reason.as_str()), (17, 2, "missing_key"));
    assert_eq!(read.digest, original.view().digest(at));
    let bare = contract::dead_letter::without_content(&letter);
    assert_eq!((bare.payload.is_none(), bare.headers.len()), (true, 6));
    assert_eq!(DeadLetter::from_record(&bare.view()).unwrap(), read);
}

#[test]
fn a_records_digest_tells_null_from_empty_and_sees_time_and_order() {
    let base = RecordView { key: None, headers: vec![("a", None), ("b", None)], payload: Some(b"x") };
    let at = contract::BrokerTime::from_millis(1);
    let digest = base.digest(at);
    assert_ne!(RecordView { key: Some(b""), ..base.clone() }.digest(at), digest);
    assert_ne!(RecordView { payload: None, ..base.clone() }.digest(at), digest);
    assert_ne!(RecordView { headers: vec![("b", None), ("a", None)], ..base.clone() }.digest(at), digest);
    assert_ne!(base.digest(contract::BrokerTime::from_millis(2)), digest);
    assert_eq!(digest.to_string(), "89311750b1f927d1dbf80be5b4850709c88c47de04c3647939f55d4ae034db26");
}

/// Its times name a unit in a segment's footer: one that can't be read back would block the partition for ever.
#[test]
fn a_usage_event_outside_the_calendar_is_undecodable() {
    let check = |accepted_at_ms: i64, code: Option<&str>| {
        let mut record = sample("conversion.answered.v1.rejected.json");
        let mut body: serde_json::Value = serde_json::from_slice(record.payload.as_deref().unwrap()).unwrap();
        body["accepted_at_ms"] = accepted_at_ms.into();
        body["outcome"]["rejected"]["reason"] = "request_id_out_of_range".into();
        record.payload = Some(body.to_string().into_bytes());
        let read = UsageEvent::from_record(&record.view());
        assert_eq!(read.err().map(|e| e.code()), code, "{accepted_at_ms}");
    };
    check(0, None);
    check(-1, Some("inconsistent"));
    check(253_370_764_799_999, None); // the last millisecond of 9998
    check(253_370_764_800_000, Some("inconsistent"));
    check((1 << 53) - 1, Some("inconsistent"));
}
