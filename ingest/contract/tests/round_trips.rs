//! Whatever these types can hold survives a round trip through a record.
#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panicking

use contract::account::{ApiKey, Limits};
use contract::ids::{Label, RequestId};
use contract::request::{Attempt, Source};
use contract::resize::{Fit, OutputFormat, Resize};
use contract::units::{Bytes, CpuMicros, Pixels};
use contract::usage::view::UsageView;
use contract::usage::{Outcome, Reason, RequestPosition, Usage};
use contract::{AccountVersion, BrokerTime, Digest, Fingerprint, ResizeRequest, UsageEvent};
use proptest::option;
use proptest::prelude::*;

fn time() -> impl Strategy<Value = BrokerTime> {
    (0_i64..4_102_444_800_000).prop_map(BrokerTime::from_millis)
}
fn request_id() -> impl Strategy<Value = RequestId> {
    (time(), any::<[u8; 10]>()).prop_map(|(at, random)| RequestId::from_parts(at, random))
}
fn name<T>() -> impl Strategy<Value = T>
where
    T: std::str::FromStr<Err: std::fmt::Debug> + std::fmt::Debug,
{
    "[a-z0-9_-]{3,64}".prop_map(|s| s.parse().unwrap())
}
fn label() -> impl Strategy<Value = Label> {
    "[a-z0-9._-]{1,64}".prop_map(|s| s.parse().unwrap())
}
fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest::from_bytes)
}

fn source() -> impl Strategy<Value = Source> {
    (digest(), option::of("[A-Za-z0-9+/]{0,40}"), option::of("s3://[a-z/]{1,20}")).prop_map(
        |(sha256, inline, location)| Source { sha256, location: location.filter(|_| inline.is_none()), inline },
    )
}

fn resize() -> impl Strategy<Value = Resize> {
    (
        option::of(any::<u32>()),
        option::of(any::<u32>()),
        option::of(prop::sample::select(vec![Fit::Inside, Fit::Cover, Fit::Fill])),
        option::of(prop::sample::select(vec![OutputFormat::Jpeg, OutputFormat::Png, OutputFormat::Webp])),
        option::of(any::<u8>()),
    )
        .prop_map(|(width, height, fit, format, quality)| Resize {
            width,
            height,
            fit,
            format,
            quality,
            ..Resize::default()
        })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        (".{0,40}", any::<u32>(), any::<u32>()).prop_map(|(location, width, height)| Outcome::Done {
            location,
            width,
            height
        }),
        (label(), ".{0,40}").prop_map(|(word, detail)| {
            // A word that names a known reason reads back as that reason.
            let reason = serde_json::from_value::<Reason>(serde_json::json!(word)).unwrap();
            Outcome::Rejected { reason, detail }
        }),
        Just(Outcome::Rejected { reason: Reason::SourceMissing, detail: String::new() }),
    ]
}

fn usage() -> impl Strategy<Value = Usage> {
    let quantity = || 0..=i64::MAX;
    (
        (quantity(), quantity(), quantity(), quantity(), quantity()),
        (label(), option::of(label()), option::of(label()), label(), label()),
        (option::of(name()), name()),
    )
        .prop_map(
            |(q, (operation, input_format, output_format, worker_class, engine_version), (key_id, region))| Usage {
                input_bytes: Bytes::new(q.0).unwrap(),
                output_bytes: Bytes::new(q.1).unwrap(),
                input_pixels: Pixels::new(q.2).unwrap(),
                output_pixels: Pixels::new(q.3).unwrap(),
                cpu_micros: CpuMicros::new(q.4).unwrap(),
                operation,
                input_format,
                output_format,
                worker_class,
                engine_version,
                key_id,
                region,
            },
        )
}

proptest! {
    #[test]
    fn requests(
        (customer_id, request_id, source, resize) in (name(), request_id(), source(), resize()),
        (key_id, deadline) in (option::of(name()), option::of(time())),
    ) {
        let request = ResizeRequest { customer_id, request_id, source, resize };
        let attempt = Attempt { key_id, deadline };
        let received = ResizeRequest::from_record(&request.to_record(&attempt).unwrap().view()).unwrap();
        prop_assert_eq!(received.fingerprint, request.fingerprint().unwrap());
        prop_assert_eq!(&received.request, &request);
        prop_assert_eq!(&received.attempt, &attempt);

        // A retry with another key and deadline is the same conversion; inlined or stored makes no difference.
        let retry = request.to_record(&Attempt::default()).unwrap();
        prop_assert_eq!(ResizeRequest::from_record(&retry.view()).unwrap().fingerprint, received.fingerprint);
        let stored = ResizeRequest { source: Source::stored(request.source.sha256), ..request };
        prop_assert_eq!(stored.fingerprint().unwrap(), received.fingerprint);
    }

    #[test]
    fn usage_events(
        (customer_id, request_id, fingerprint) in (name(), request_id(), any::<[u8; 16]>()),
        (partition, offset) in (0..i32::MAX, 0..1_i64 << 53),
        (accepted_at, outcome, usage) in (time(), outcome(), usage()),
    ) {
        let fingerprint = Fingerprint::from_bytes(fingerprint);
        let request = RequestPosition { partition, offset };
        let event = UsageEvent { customer_id, request_id, fingerprint, request, accepted_at, outcome, usage };
        let small = [event.usage.input_bytes.get(), event.usage.output_bytes.get(), event.usage.input_pixels.get(),
            event.usage.output_pixels.get(), event.usage.cpu_micros.get()].iter().all(|q| *q < 1 << 53);
        let record = event.to_record().unwrap();
        match UsageEvent::from_record(&record.view()) {
            Ok(read) => prop_assert_eq!(read, event),
            Err(e) => prop_assert!(!small, "{}", e), // past 2^53 a number is not I-JSON, and says so
        }
    }

    /// Whatever the fast reader takes, the other takes too, and both read the same.
    #[test]
    fn usage_events_read_fast(
        (customer_id, request_id, fingerprint) in (name(), request_id(), any::<[u8; 16]>()),
        (partition, offset) in (any::<i32>(), any::<i64>()),
        (accepted_at, outcome, usage) in (time(), outcome(), usage()),
        quantities in prop::collection::vec(0..1_i64 << 53, 5),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let request = RequestPosition { partition, offset: offset >> 11 };
        let usage = Usage {
            input_bytes: Bytes::new(quantities[0]).unwrap(),
            output_bytes: Bytes::new(quantities[1]).unwrap(),
            input_pixels: Pixels::new(quantities[2]).unwrap(),
            output_pixels: Pixels::new(quantities[3]).unwrap(),
            cpu_micros: CpuMicros::new(quantities[4]).unwrap(),
            ..usage
        };
        let fingerprint = Fingerprint::from_bytes(fingerprint);
        let event = UsageEvent { customer_id, request_id, fingerprint, request, accepted_at, outcome, usage };
        let mut record = event.to_record().unwrap();
        // What our writers write is read fast.
        prop_assert!(UsageView::read(&record.view()).is_some() || record.payload.as_ref().unwrap().contains(&b'\\'));
        for (at, byte) in edits {
            let payload = record.payload.as_mut().unwrap();
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        if let Some(view) = UsageView::read(&record.view()) {
            let read = UsageEvent::from_record(&record.view());
            prop_assert!(read.is_ok(), "{:?}", read);
            let read = read.unwrap();
            prop_assert_eq!(UsageView::from(&read), view);
        }
    }

    #[test]
    fn accounts(
        (customer_id, version, effective_from) in (name(), 1..u32::MAX, time()),
        (plan, home_region, keys) in (name(), name(), prop::collection::vec((name(), digest()), 0..3)),
        requests_per_second in option::of(any::<u32>()),
        presets in prop::collection::vec((label(), resize()), 0..3),
    ) {
        let account = AccountVersion {
            customer_id, version, effective_from, plan, home_region,
            currency: "EUR".parse().unwrap(),
            api_keys: keys.into_iter().map(|(key_id, sha256)| ApiKey { key_id, sha256 }).collect(),
            limits: Limits { requests_per_second },
            presets: presets.into_iter().collect(),
        };
        prop_assert_eq!(AccountVersion::from_record(&account.to_record().unwrap().view()).unwrap(), account);
    }
}
