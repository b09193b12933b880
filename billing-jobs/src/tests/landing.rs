//! A small lake in memory, landed through the real segment writer.

use contract::footer::{Clock, Gap};
use contract::layout::Topic;
use contract::request::{Attempt, Source};
use contract::resize::Resize;
use contract::units::{Bytes, CpuMicros, Pixels};
use contract::usage::{Outcome, Reason, RequestPosition, Usage};
use contract::{AccountVersion, BrokerTime, Digest, Fingerprint, Record, RequestId, ResizeRequest, UsageEvent};
use segments::{Link, Pending};
use store::{Put, Store};

use crate::lake::Lake;
use crate::rollup::{Job, Resources, Shard, Stored};

pub(super) fn at(time: &str) -> BrokerTime {
    time.parse().unwrap()
}

/// All id-hours of a month, on a machine with little.
pub(super) fn job(month: &str, stored: Stored) -> Job {
    let resources = Resources { memory_bytes: 64 << 20, threads: 2 };
    Job { month: month.parse().unwrap(), stored, shard: Shard::WHOLE, resources }
}

/// The n-th id minted at a time.
pub(super) fn id(time: &str, n: u8) -> RequestId {
    RequestId::from_parts(at(time), [n; 10])
}

pub(super) fn request(customer: &str, id: RequestId, width: u32) -> ResizeRequest {
    ResizeRequest {
        customer_id: customer.parse().unwrap(),
        request_id: id,
        source: Source::stored(Digest::from_bytes([1; 32])),
        resize: Resize { width: Some(width), ..Resize::default() },
    }
}

/// The answer to the request record at an offset of partition 0.
pub(super) fn done(request: &ResizeRequest, offset: i64, accepted: &str, cpu_micros: i64) -> UsageEvent {
    let location = "results/x".to_owned();
    answer(request, offset, accepted, cpu_micros, Outcome::Done { location, width: 1, height: 1 })
}

pub(super) fn rejected(request: &ResizeRequest, offset: i64, accepted: &str, reason: Reason) -> UsageEvent {
    answer(request, offset, accepted, 5, Outcome::Rejected { reason, detail: String::new() })
}

fn answer(request: &ResizeRequest, offset: i64, accepted: &str, cpu_micros: i64, outcome: Outcome) -> UsageEvent {
    UsageEvent {
        customer_id: request.customer_id.clone(),
        request_id: request.request_id,
        fingerprint: request.fingerprint().unwrap(),
        request: RequestPosition { partition: 0, offset },
        accepted_at: at(accepted),
        outcome,
        usage: Usage {
            input_bytes: Bytes::new(100_i64).unwrap(),
            output_bytes: Bytes::new(10_i64).unwrap(),
            input_pixels: Pixels::new(1000_i64).unwrap(),
            output_pixels: Pixels::new(50_i64).unwrap(),
            cpu_micros: CpuMicros::new(cpu_micros).unwrap(),
            operation: "resize".parse().unwrap(),
            input_format: Some("jpeg".parse().unwrap()),
            output_format: None,
            worker_class: "standard".parse().unwrap(),
            engine_version: "0.1.0".parse().unwrap(),
            key_id: None,
            region: "local".parse().unwrap(),
        },
    }
}

pub(super) fn account(customer: &str, version: u32, from: &str, plan: &str) -> AccountVersion {
    AccountVersion {
        customer_id: customer.parse().unwrap(),
        version,
        effective_from: at(from),
        plan: plan.parse().unwrap(),
        currency: "EUR".parse().unwrap(),
        home_region: "local".parse().unwrap(),
        api_keys: Vec::new(),
        limits: contract::account::Limits::default(),
        presets: contract::resize::Presets::new(),
    }
}

/// Lands one segment per call and partition.
pub(super) struct Landing {
    pub(super) store: Store,
    clock: Clock,
}

impl Landing {
    pub(super) fn new() -> Self {
        Self { store: Store::open("memory:///").unwrap(), clock: Clock::Broker }
    }

    /// Appends records; answers the offset of the first.
    pub(super) async fn land(&mut self, topic: Topic, partition: i32, records: &[(BrokerTime, Record)]) -> i64 {
        let head = segments::read_head(&self.store, topic, partition).await.unwrap();
        let (epoch, start) = head.as_ref().map_or((0, 0), |head| (head.footer.epoch, head.footer.next_offset));
        let mut pending = Pending::new(topic).unwrap();
        for (offset, (time, record)) in (start..).zip(records) {
            let _quarantined = pending.push(offset, *time, &record.view()).unwrap();
        }
        let link = Link {
            topic,
            epoch,
            partition,
            partition_count: partition + 1,
            start,
            previous_sha256: head.map(|head| head.sha256),
            clock: self.clock,
        };
        let built = pending.build(&link).unwrap();
        assert_eq!(self.store.create(&built.path, built.bytes).await.unwrap(), Put::Created);
        start
    }

    /// Lets a partition go on behind `missing` records, as an operator does.
    pub(super) async fn accept_gap(&mut self, topic: Topic, partition: i32, missing: i64) {
        let head = segments::read_head(&self.store, topic, partition).await.unwrap().unwrap();
        let from = head.footer.next_offset;
        let gap = Gap {
            head: Some(head.path.clone()),
            from,
            to: Some(from + missing),
            found: "hole".to_owned(),
            operator: "kim".to_owned(),
            reason: "a lost disk".to_owned(),
            decided_at: at("2026-10-11T08:00:00Z"),
        };
        let clock = self.clock;
        let built = segments::build_gap(topic, partition, 1, Some(&head), from + missing, gap, clock).unwrap();
        assert_eq!(self.store.create(&built.path, built.bytes).await.unwrap(), Put::Created);
    }

    pub(super) async fn request(&mut self, request: &ResizeRequest, accepted: &str) -> i64 {
        let record = request.to_record(&Attempt::default()).unwrap();
        self.land(Topic::Requests, 0, &[(at(accepted), record)]).await
    }

    pub(super) async fn events(&mut self, partition: i32, events: &[UsageEvent]) {
        let records: Vec<_> = events.iter().map(|e| (e.accepted_at.plus_millis(100), e.to_record().unwrap())).collect();
        self.land(Topic::Usage, partition, &records).await;
    }

    pub(super) async fn account(&mut self, account: &AccountVersion) {
        let record = account.to_record().unwrap();
        self.land(Topic::Accounts, 0, &[(account.effective_from, record)]).await;
    }

    /// Moves the watermarks of requests and accounts.
    pub(super) async fn tick(&mut self, time: &str) {
        for topic in [Topic::Requests, Topic::Accounts] {
            self.land(topic, 0, &[(at(time), contract::tick::record(topic.name(), 0, 0))]).await;
        }
    }

    pub(super) async fn lake(&self) -> Lake {
        Lake::read(&self.store, "local".parse().unwrap()).await.unwrap()
    }
}

/// An event like `event` for another body of the same request id.
pub(super) fn other_body(mut event: UsageEvent, n: u8) -> UsageEvent {
    event.fingerprint = Fingerprint::from_bytes([n; 16]);
    event
}
