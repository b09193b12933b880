//! DEDUP-1 against a plain model, whatever the order, the memory and the threads.

use std::collections::BTreeMap;

use contract::layout::Topic;
use contract::usage::Reason;
use contract::{Month, UsageEvent};
use indicatif::ProgressBar;

use super::landing::{Landing, done, id, job, rejected, request};
use crate::lake::Lake;
use crate::rollup::{self, Figures, Job, Resources, Rollup, Stored};
use crate::usage::month_usage;

const MONTH: &str = "2026-10";

/// A stream of numbers that look random and are the same every time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Events of few ids and bodies, so that many are of one conversion, in segments of several partitions.
fn events(seed: u64, count: usize) -> Vec<(i32, Vec<UsageEvent>)> {
    let mut numbers = Numbers(seed);
    let mut segments: Vec<(i32, Vec<UsageEvent>)> = Vec::new();
    for n in 0..count {
        if n % 200 == 0 {
            segments.push((i32::try_from(numbers.below(3)).unwrap(), Vec::new()));
        }
        let customer = ["acme", "umbrella", "zeta"][usize::try_from(numbers.below(3)).unwrap()];
        let minted = ["2026-10-10T12:00:00Z", "2026-10-10T13:00:00Z"][usize::try_from(numbers.below(2)).unwrap()];
        let asked = request(
            customer,
            id(minted, u8::try_from(numbers.below(60)).unwrap()),
            1 + u32::try_from(numbers.below(2)).unwrap(),
        );
        let accepted = format!("2026-10-10T13:{:02}:00Z", numbers.below(4));
        let (offset, cpu) = (i64::try_from(n).unwrap(), i64::try_from(1 + numbers.below(1_000_000)).unwrap());
        let event = match numbers.below(4) {
            0 => rejected(&asked, offset, &accepted, Reason::SourceMissing),
            _ => done(&asked, offset, &accepted, cpu),
        };
        segments.last_mut().unwrap().1.push(event);
    }
    segments
}

async fn roll(segments: &[(i32, Vec<UsageEvent>)], job: &Job) -> Vec<Rollup> {
    let mut landing = Landing::new();
    for (partition, events) in segments {
        landing.events(*partition, events).await;
    }
    rollup::roll_up(&landing.lake().await, job, &ProgressBar::hidden()).await.unwrap()
}

fn said(rollups: &[Rollup]) -> Vec<(String, Figures)> {
    rollups.iter().map(|rollup| (rollup.quantities_sha256.to_string(), rollup.figures)).collect()
}

#[tokio::test]
async fn dedup_1_agrees_with_a_plain_model() {
    for seed in 1..=20 {
        let segments = events(seed, 400);
        let rollups = roll(&segments, &job(MONTH, Stored::Reuse)).await;
        // Each event's place: offsets count per partition, in the order landed.
        let mut next: BTreeMap<i32, i64> = BTreeMap::new();
        let mut winners = BTreeMap::new();
        for (partition, events) in &segments {
            for event in events {
                let offset = next.entry(*partition).or_default();
                let rank = (!event.outcome.is_done(), event.accepted_at, *partition, *offset);
                *offset += 1;
                let best = winners.entry(event.conversion()).or_insert((rank, event));
                if rank < best.0 {
                    *best = (rank, event);
                }
            }
        }
        let done = || winners.values().filter(|(_, event)| event.outcome.is_done());
        let figures = rollup::total(&rollups);
        assert_eq!(figures.landed, 400);
        assert_eq!(
            (figures.billable, figures.unbillable),
            (done().count() as u64, (winners.len() - done().count()) as u64)
        );
        let mut bodies: BTreeMap<_, u64> = BTreeMap::new();
        for conversion in winners.keys() {
            *bodies.entry((conversion.customer_id.clone(), conversion.request_id)).or_default() += 1;
        }
        assert_eq!(figures.conflicts, bodies.values().filter(|bodies| **bodies > 1).count() as u64);
        let usage = month_usage(&rollups, MONTH.parse::<Month>().unwrap()).unwrap();
        for customer in ["acme", "umbrella", "zeta"] {
            let cpu = |event: &UsageEvent| i128::from(event.usage.cpu_micros.get());
            let theirs = done().filter(|(_, event)| event.customer_id.as_str() == customer);
            let expected: i128 = theirs.map(|(_, event)| cpu(event)).sum();
            let found = usage[&customer.parse().unwrap()].billable().unwrap().cpu_micros.get();
            assert_eq!(found, expected, "seed {seed}, {customer}");
        }
    }
}

/// BILL-3 begins here: with little memory the id-hour is gone through in parts.
#[tokio::test]
async fn bill_3_memory_threads_and_the_order_of_segments_change_nothing() {
    let segments = events(7, 4000);
    let expected = said(&roll(&segments, &job(MONTH, Stored::Reuse)).await);
    for (memory_bytes, threads) in [(1 << 20, 1), (1_700 << 10, 8), (1 << 30, 3)] {
        let job = Job { resources: Resources { memory_bytes, threads }, ..job(MONTH, Stored::Reuse) };
        assert_eq!(said(&roll(&segments, &job).await), expected, "{memory_bytes} bytes, {threads} threads");
    }
    // Partitions land at different speeds: their order among each other is nobody's.
    let mut turned = segments.clone();
    turned.sort_by_key(|(partition, _)| std::cmp::Reverse(*partition));
    assert_eq!(said(&roll(&turned, &job(MONTH, Stored::Reuse)).await), expected);
}

#[tokio::test]
async fn too_little_memory_is_an_error_that_says_so() {
    let segments = events(7, 4000);
    let mut landing = Landing::new();
    for (partition, events) in &segments {
        landing.events(*partition, events).await;
    }
    let job = Job { resources: Resources { memory_bytes: 1000, threads: 1 }, ..job(MONTH, Stored::Reuse) };
    let error = rollup::roll_up(&landing.lake().await, &job, &ProgressBar::hidden()).await.unwrap_err();
    assert!(format!("{error:#}").contains("memory"), "{error:#}");
}

#[tokio::test]
async fn shards_are_a_partition_of_the_id_hours() {
    let segments = events(3, 400);
    let whole = said(&roll(&segments, &job(MONTH, Stored::Reuse)).await);
    let mut parts = Vec::new();
    for shard in ["0/3", "1/3", "2/3"] {
        let job = Job { shard: shard.parse().unwrap(), ..job(MONTH, Stored::Reuse) };
        parts.extend(said(&roll(&segments, &job).await));
    }
    parts.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let mut sorted = whole.clone();
    sorted.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(parts, sorted);
    for bad in ["3/3", "0/0", "1", "/2", "a/b", "-1/2"] {
        assert!(bad.parse::<crate::rollup::Shard>().is_err(), "{bad}");
    }
}

/// What is too old for the month is not read, and nothing that may be billed in it is missing.
#[tokio::test]
async fn the_newer_part_of_a_lake_gives_the_same_rollups() {
    let mut landing = Landing::new();
    let times = [
        ("2026-08-10T12:00:00Z", "2026-08-10T12:01:00Z"),
        ("2026-09-29T22:29:00Z", "2026-09-29T22:30:00Z"),
        ("2026-09-29T23:30:00Z", "2026-09-30T23:20:00Z"), // near enough to be read, too early to be billed in October
        ("2026-09-30T00:10:00Z", "2026-10-01T00:05:00Z"),
        ("2026-10-10T12:00:00Z", "2026-10-10T12:01:00Z"),
    ];
    for (n, (minted, accepted)) in (0..).zip(times) {
        let asked = request("acme", id(minted, n), 320);
        landing.events(0, &[done(&asked, i64::from(n), accepted, 3)]).await;
    }
    let job = job(MONTH, Stored::Reuse);
    let newer = Lake::read_for(&landing.store, "local".parse().unwrap(), job.month).await.unwrap();
    assert_eq!(newer.segments(Topic::Usage).count(), 3);
    let bar = ProgressBar::hidden();
    let of_newer = said(&rollup::roll_up(&newer, &job, &bar).await.unwrap());
    let of_all = said(&rollup::roll_up(&landing.lake().await, &job, &bar).await.unwrap());
    assert_eq!((of_newer.len(), &of_newer), (2, &of_all));
}
