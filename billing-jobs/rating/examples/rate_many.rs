//! How fast months are rated: 100,000 customers by a plan of 10 charges, on one thread, with every digest and every
//! bill's line of canonical JSON.
//!
//! `cargo run --release -p pixtoll-rating --example rate_many [CUSTOMERS]` prints one object of JSON. The usage comes from
//! a fixed seed, so `sha256`, made of all the lines, is the same on every machine.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement: it prints its figures, or stops")]

use std::time::Instant;

use contract::ids::Digest;
use rating::{MonthUsage, Outcome, PriceBook, Quantities, Quantity, UsageGroup};
use rustix::time::{ClockId, clock_gettime};

const BOOK: &str = include_str!("rate_many.toml");
const CHARGES: usize = 10;

/// `SplitMix64`.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
    fn quantity(&mut self, end: u64) -> Quantity {
        Quantity::new(self.below(end).into()).unwrap()
    }
}

/// Six groups, one of them rejected.
fn usage(number: usize, seeded: &mut Seeded) -> MonthUsage {
    const KINDS: [(&str, &str, &str, Outcome); 6] = [
        ("resize", "jpeg", "webp", Outcome::Done),
        ("resize", "jpeg", "jpeg", Outcome::Done),
        ("resize", "png", "avif", Outcome::Done),
        ("crop", "jpeg", "webp", Outcome::Done),
        ("crop", "webp", "webp", Outcome::Done),
        ("resize", "jpeg", "webp", Outcome::Rejected),
    ];
    let customer_id = format!("customer-{number:06}").parse().unwrap();
    let mut usage = MonthUsage::new(customer_id, "2026-10".parse().unwrap());
    for (operation, input, output, outcome) in KINDS {
        let group = UsageGroup {
            region: "eu-central".parse().unwrap(),
            operation: operation.parse().unwrap(),
            input_format: Some(input.parse().unwrap()),
            output_format: Some(output.parse().unwrap()),
            outcome,
        };
        let quantities = Quantities {
            conversions: seeded.quantity(100_000),
            cpu_micros: seeded.quantity(1_000_000_000),
            input_bytes: seeded.quantity(30_000_000_000),
            input_pixels: seeded.quantity(300_000_000_000),
            output_bytes: seeded.quantity(3_000_000_000),
            output_pixels: seeded.quantity(30_000_000_000),
        };
        usage.add(group, &quantities).unwrap();
    }
    usage
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    std::time::Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap()).as_secs_f64()
}

fn main() {
    let customers = std::env::args().nth(1).map_or(100_000, |text| text.parse().unwrap());
    let book = PriceBook::parse(BOOK).unwrap();
    let (plan, currency) = ("ten".parse().unwrap(), "EUR".parse().unwrap());
    assert_eq!(book.plan(&plan).unwrap().charges.len(), CHARGES);
    let mut seeded = Seeded(20_261_001);
    let months: Vec<MonthUsage> = (0..customers).map(|number| usage(number, &mut seeded)).collect();

    let (mut seconds, mut cpu) = (0.0, 0.0);
    let (mut bytes, mut rated_lines, mut digests) = (0, 0, String::new());
    let mut text = String::new();
    for months in months.chunks(1_000) {
        text.clear();
        let started = (Instant::now(), cpu_seconds());
        for usage in months {
            let bill = rating::rate(usage, &book, &plan, &currency).unwrap();
            rated_lines += bill.lines.len();
            text.push_str(&bill.to_json_line().unwrap());
            text.push('\n');
        }
        seconds += started.0.elapsed().as_secs_f64();
        cpu += cpu_seconds() - started.1;
        bytes += text.len();
        digests.push_str(&Digest::of(text.as_bytes()).to_string());
    }
    let sha256 = Digest::of(digests.as_bytes());
    let report = serde_json::json!({
        "customers": customers, "charges": CHARGES, "lines": rated_lines, "bytes": bytes,
        "seconds": seconds, "cpu_seconds": cpu, "sha256": sha256,
    });
    println!("{report}");
}
