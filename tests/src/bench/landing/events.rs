//! Usage events as a busy region has them: the same for the same seed.

use contract::ids::RequestId;
use contract::units::{Bytes, CpuMicros, Pixels};
use contract::usage::{Outcome, Reason, RequestPosition, Usage};
use contract::{BrokerTime, Fingerprint, UsageEvent};

const REQUEST_PARTITIONS: u8 = 12;

const CAMERAS: [(i64, i64); 8] =
    [(4032, 3024), (6000, 4000), (3024, 4032), (1920, 1080), (1600, 1200), (1280, 960), (2048, 1536), (1080, 1350)];
const WIDTHS: [i64; 8] = [320, 640, 200, 150, 800, 1024, 1200, 64];
const INPUTS: [&str; 4] = ["jpeg", "jpeg", "png", "webp"];
const OUTPUTS: [&str; 3] = ["webp", "jpeg", "webp"];
const OPERATIONS: [&str; 5] = ["resize", "resize", "resize", "crop", "convert"];

/// How dense events are: so many in so many milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Traffic {
    pub events: i64,
    pub millis: i64,
    pub customers: u64,
}

impl Traffic {
    const BUSY: Self = Self { events: 10_000, millis: 1000, customers: 100_000 };
}

/// Events in the order in which a log has them, without end.
#[derive(Debug)]
pub struct Events {
    random: u64,
    count: i64,
    start: BrokerTime,
    traffic: Traffic,
    request_offsets: [i64; REQUEST_PARTITIONS as usize],
}

impl Events {
    /// As at a region's busiest; the first is accepted at `start`.
    pub fn new(seed: u64, start: BrokerTime) -> Self {
        Self::of(seed, start, Traffic::BUSY)
    }

    pub fn of(seed: u64, start: BrokerTime, traffic: Traffic) -> Self {
        let request_offsets = [0; REQUEST_PARTITIONS as usize];
        let mut events = Self { random: seed, count: 0, start, traffic, request_offsets };
        for partition in 0..usize::from(REQUEST_PARTITIONS) {
            events.request_offsets[partition] = 40_000_000 + events.below(200_000);
        }
        events
    }

    /// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (`SplitMix64`).
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: i64) -> i64 {
        (self.next_random() % limit.unsigned_abs()).cast_signed()
    }

    fn one_of<T: Copy>(&mut self, items: &[T]) -> T {
        items[usize::try_from(self.next_random()).unwrap_or(0) % items.len()]
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next_random().to_le_bytes()[0])
    }

    /// Some customers ask for much more than others.
    fn customer(&mut self) -> u64 {
        let customers = self.traffic.customers;
        let (a, b) = (self.next_random() % customers, self.next_random() % customers);
        a * b / customers
    }

    pub(crate) fn event(&mut self) -> anyhow::Result<UsageEvent> {
        let accepted_at = self.start.plus_millis(self.count * self.traffic.millis / self.traffic.events);
        self.count += 1;
        // Nearly all are tried once, a moment after their id was minted.
        let age = if self.below(100) == 0 { self.below(600_000) } else { 5 + self.below(60) };
        let customer = self.customer();
        let request = self.request();
        let (width, height) = self.one_of(&CAMERAS);
        let (width, height) =
            if self.below(3) == 0 { (width - self.below(400), height - self.below(400)) } else { (width, height) };
        let input_pixels = width * height;
        let out_width = self.one_of(&WIDTHS).min(width);
        let output_pixels = out_width * (height * out_width / width).max(1);
        let (input_bytes, output_bytes) = (
            input_pixels / (6 + self.below(8)) + self.below(20_000),
            output_pixels / (5 + self.below(6)) + 300 + self.below(2_000),
        );
        let rejected = self.below(100) == 0;
        let cpu_micros = input_pixels / 900 + output_pixels / 60 + self.below(1_500);
        let (request_id, fingerprint) =
            (RequestId::from_parts(accepted_at.plus_millis(-age), self.bytes()), Fingerprint::from_bytes(self.bytes()));
        let customer_id = format!("c{:06x}", customer * 7919 % 16_777_216);
        let location = format!("results/{customer_id}/{request_id}/{fingerprint}");
        let (width, height) = (u32::try_from(out_width)?, u32::try_from(output_pixels / out_width)?);
        let done = UsageEvent {
            customer_id: customer_id.parse()?,
            request_id,
            fingerprint,
            request,
            accepted_at,
            outcome: Outcome::Done { location, width, height },
            usage: Usage {
                input_bytes: Bytes::new(input_bytes)?,
                output_bytes: Bytes::new(output_bytes)?,
                input_pixels: Pixels::new(input_pixels)?,
                output_pixels: Pixels::new(output_pixels)?,
                cpu_micros: CpuMicros::new(cpu_micros)?,
                operation: self.one_of(&OPERATIONS).parse()?,
                input_format: Some(self.one_of(&INPUTS).parse()?),
                output_format: Some(self.one_of(&OUTPUTS).parse()?),
                worker_class: "standard".parse()?,
                engine_version: "0.1.0".parse()?,
                key_id: Some(if customer.is_multiple_of(5) { "k2" } else { "k1" }.parse()?),
                region: "eu-1".parse()?,
            },
        };
        Ok(if rejected { reject(done, Reason::CorruptImage, "the image ends early") } else { done })
    }

    /// One of the count is somebody else's: time passes.
    pub(crate) fn pass(&mut self) {
        self.count += 1;
    }

    /// The next place in a partition of the requests.
    pub(crate) fn request(&mut self) -> RequestPosition {
        let partition = usize::try_from(self.below(REQUEST_PARTITIONS.into())).unwrap_or(0);
        self.request_offsets[partition] += 1;
        let offset = self.request_offsets[partition];
        RequestPosition { partition: i32::try_from(partition).unwrap_or(0), offset }
    }
}

/// The event, had it been rejected before anything was decoded.
pub(crate) fn reject(event: UsageEvent, reason: Reason, detail: &str) -> UsageEvent {
    UsageEvent {
        outcome: Outcome::Rejected { reason, detail: detail.to_owned() },
        usage: Usage {
            output_bytes: Bytes::ZERO,
            input_pixels: Pixels::ZERO,
            output_pixels: Pixels::ZERO,
            cpu_micros: CpuMicros::ZERO,
            ..event.usage
        },
        ..event
    }
}

impl Iterator for Events {
    type Item = anyhow::Result<UsageEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.event())
    }
}

#[cfg(test)]
mod tests {
    use contract::footer::Clock;
    use contract::layout::Topic;
    use segments::{Link, Pending};

    use super::*;

    /// Of one partition of four, as a segment has it.
    #[test]
    fn a_usage_event_takes_at_most_60_bytes() {
        const ROWS: i64 = 200_000;
        let start = BrokerTime::from_millis(1_793_491_200_000);
        let mut pending = Pending::new(Topic::Usage).unwrap();
        for (offset, event) in Events::new(1, start).step_by(4).take(200_000).enumerate() {
            let event = event.unwrap();
            let appended_at = event.accepted_at.plus_millis(80);
            let offset = 40_000_000 + i64::try_from(offset).unwrap();
            pending.push(offset, appended_at, &event.to_record().unwrap().view()).unwrap().unwrap();
        }
        let built = pending.build(&Link {
            topic: Topic::Usage,
            epoch: 0,
            partition: 0,
            partition_count: 4,
            start: 40_000_000,
            previous_sha256: None,
            clock: Clock::Broker,
        });
        let bytes = i64::try_from(built.unwrap().bytes.len()).unwrap();
        assert!(bytes <= 60 * ROWS, "{} bytes an event", bytes / ROWS);
        // The fingerprint and the random part of the id alone are 25.
        assert!(bytes > 25 * ROWS, "less than can be: {} bytes an event", bytes / ROWS);
    }
}
