//! What the worker counts and times. Each field is a handle; counting is an atomic or a short lock.

use std::time::{Duration, Instant};

use contract::usage::{Outcome, UsageEvent};
use engine::Measures;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Conversion {
    /// `done`, or the reason of a rejection.
    outcome: String,
    input_format: String,
    output_format: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Stage {
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Partition {
    partition: i32,
}

/// Seconds of each stage of an answer: CPU time of those in the engine, wall time of the others.
#[derive(Debug, Clone)]
pub(crate) struct Stages {
    pub(crate) fetch: Histogram,
    pub(crate) queue: Histogram,
    pub(crate) decode: Histogram,
    pub(crate) resize: Histogram,
    pub(crate) encode: Histogram,
    pub(crate) put: Histogram,
    pub(crate) produce: Histogram,
}

impl Stages {
    /// Of what the engine went through.
    pub(crate) fn resized(&self, measures: &Measures) {
        let Measures { stages, .. } = measures;
        let timed = [
            (&self.decode, stages.decode_micros),
            (&self.resize, stages.resize_micros),
            (&self.encode, stages.encode_micros),
        ];
        for (stage, micros) in timed {
            if micros.get() > 0 {
                observe(stage, Duration::from_micros(micros.get().unsigned_abs()));
            }
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    conversions: Family<Conversion, Counter>,
    lag: Family<Partition, Gauge>,
    pub(crate) stages: Stages,
    pub(crate) dead_letters: Counter,
    pub(crate) in_work: Gauge,
    pub(crate) queued: Gauge,
    pub(crate) bytes_in_flight: Gauge,
    pub(crate) store_retries: Counter,
    pub(crate) broker_retries: Counter,
    pub(crate) breaker: Gauge,
    pub(crate) breaker_opened: Counter,
    /// Conversions done in a child process, after an assignment.
    pub(crate) careful_conversions: Counter,
    /// Children that died of an image: its request was rejected.
    pub(crate) decoder_crashes: Counter,
    /// Children that died of something else: tried again.
    pub(crate) child_deaths: Counter,
}

/// Upper bounds in seconds, from what a small image takes to what an outage does.
const BOUNDS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

impl Metrics {
    pub(crate) fn new(registry: &service::Metrics) -> Self {
        let seconds = Family::<Stage, Histogram>::new_with_constructor(|| Histogram::new(BOUNDS));
        let stage = |stage| seconds.get_or_create_owned(&Stage { stage });
        let metrics = Self {
            conversions: Family::default(),
            lag: Family::default(),
            stages: Stages {
                fetch: stage("fetch"),
                queue: stage("queue"),
                decode: stage("decode"),
                resize: stage("resize"),
                encode: stage("encode"),
                put: stage("put"),
                produce: stage("produce"),
            },
            dead_letters: Counter::default(),
            in_work: Gauge::default(),
            queued: Gauge::default(),
            bytes_in_flight: Gauge::default(),
            store_retries: Counter::default(),
            broker_retries: Counter::default(),
            breaker: Gauge::default(),
            breaker_opened: Counter::default(),
            careful_conversions: Counter::default(),
            decoder_crashes: Counter::default(),
            child_deaths: Counter::default(),
        };
        let m = metrics.clone();
        registry.register("conversions", "Requests answered, by outcome or reason, and formats", m.conversions);
        registry.register("dead_letters", "Undecodable requests sent to the dead letters", m.dead_letters);
        registry.register("stage_seconds", "Time of each stage: CPU in the engine, wall elsewhere", seconds);
        registry.register("lag_records", "Records of an owned partition that are not yet committed", m.lag);
        registry.register("in_work", "Requests being answered", m.in_work);
        registry.register("queued", "Fetched images that wait for a thread", m.queued);
        registry.register("in_flight_bytes", "Sources and results in memory", m.bytes_in_flight);
        registry.register("store_retries", "Calls of the store made again", m.store_retries);
        registry.register("broker_retries", "Calls of the broker made again", m.broker_retries);
        registry.register("store_breaker_state", "0 closed, 1 half open, 2 open", m.breaker);
        registry.register("store_breaker_opened", "Times that the breaker of the store opened", m.breaker_opened);
        registry.register("careful_conversions", "Conversions in a child process", m.careful_conversions);
        registry.register("decoder_crashes", "Child processes that died of an image", m.decoder_crashes);
        registry.register("child_deaths", "Child processes that died of something else", m.child_deaths);
        metrics
    }

    /// A request was answered by this event.
    pub(crate) fn answered(&self, event: &UsageEvent) {
        let outcome = match &event.outcome {
            Outcome::Done { .. } => "done".to_owned(),
            Outcome::Rejected { reason, .. } => name(reason),
        };
        let format = |format: &Option<contract::ids::Label>| format.as_ref().map_or("", |f| f.as_str()).to_owned();
        let input_format = format(&event.usage.input_format);
        let output_format = format(&event.usage.output_format);
        self.conversions.get_or_create(&Conversion { outcome, input_format, output_format }).inc();
    }

    pub(crate) fn set_lag(&self, partition: i32, records: i64) {
        self.lag.get_or_create(&Partition { partition }).set(records);
    }

    /// The partition is another's.
    pub(crate) fn forget_lag(&self, partition: i32) {
        self.lag.remove(&Partition { partition });
    }
}

/// As the event says it.
fn name(reason: &contract::usage::Reason) -> String {
    match serde_json::to_value(reason) {
        Ok(serde_json::Value::String(name)) => name,
        _ => "unknown".to_owned(),
    }
}

/// A fetched image's wait for a thread: counted while it lasts, timed when it is dropped.
#[derive(Debug)]
pub(crate) struct Queued {
    waiting: Gauge,
    waits: Histogram,
    since: Instant,
}

impl Queued {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        metrics.queued.inc();
        Self { waiting: metrics.queued.clone(), waits: metrics.stages.queue.clone(), since: Instant::now() }
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.waiting.dec();
        observe(&self.waits, self.since.elapsed());
    }
}

pub(crate) fn observe(stage: &Histogram, time: Duration) {
    stage.observe(time.as_secs_f64());
}
