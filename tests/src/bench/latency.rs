//! From a request on the log to its answer on the log, at half of what saturates the worker.
//!
//! Requests are sent at their times, whether or not earlier ones are answered (an open loop): who waits for answers
//! before asking measures a queue as shorter than it is. Both ends are the broker's append times: the request's, and that
//! of the event, from which moment a consumer can read the result.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use contract::layout::Topic;
use contract::usage::Outcome;
use contract::{Record, UsageEvent};
use futures::future::try_join_all;
use log::{Consumer, Owner, Partition, Producer, Reset, Start};
use tokio::time::{Instant, sleep_until};

use crate::harness::System;

const ANSWERS: Duration = Duration::from_mins(2);

/// Milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Latency {
    pub(super) p50: f64,
    pub(super) p99: f64,
}

/// Sends the requests, so many a second, to a worker that runs. The first `warm_up` of them don't count.
pub(super) async fn measure(system: &System, requests: Vec<Record>, rate: f64, warm_up: usize) -> Result<Latency> {
    let settings = system.topics.settings()?;
    let consumer = Consumer::read_all(&settings, &[Topic::Usage], Reset::Earliest, Arc::new(All))?;
    let count = requests.len();
    let reading = tokio::task::spawn_blocking(move || read(&consumer, count));
    let producer = Producer::new(&settings)?;
    let begun = Instant::now();
    let mut sending = Vec::with_capacity(count);
    for (n, record) in requests.into_iter().enumerate() {
        sleep_until(begun + Duration::from_secs_f64(n as f64 / rate)).await;
        let producer = producer.clone();
        sending.push(tokio::spawn(async move { producer.send(Topic::Requests, &record).await }));
    }
    for sent in try_join_all(sending).await? {
        sent?;
    }
    let mut answers = reading.await??;
    answers.sort_unstable();
    let mut latencies: Vec<i64> = answers.drain(..).skip(warm_up).map(|(_, latency)| latency).collect();
    latencies.sort_unstable();
    let at = |percent: usize| latencies.get(latencies.len() * percent / 100).map(|ms| *ms as f64).context("no answers");
    Ok(Latency { p50: at(50)?, p99: at(99)? })
}

/// When each request was appended, and after how long its answer was, in milliseconds.
fn read(consumer: &Consumer, count: usize) -> Result<Vec<(i64, i64)>> {
    let mut answers = Vec::with_capacity(count);
    let mut last = Instant::now();
    while answers.len() < count {
        ensure!(last.elapsed() < ANSWERS, "{} of {count} answers came", answers.len());
        let Some(polled) = consumer.poll(Duration::from_millis(100)) else { continue };
        let polled = polled?;
        let event = UsageEvent::from_record(&polled.record())?;
        ensure!(matches!(event.outcome, Outcome::Done { .. }), "{event:?}");
        let accepted = event.accepted_at.as_millis();
        answers.push((accepted, polled.appended_at.as_millis() - accepted));
        last = Instant::now();
    }
    Ok(answers)
}

struct All;

impl Owner for All {
    fn assigned(&self, partitions: &[Partition]) -> Vec<(Partition, Start)> {
        partitions.iter().map(|at| (*at, Start::Committed)).collect()
    }
    fn revoked(&self, _: &[Partition]) -> Vec<(Partition, i64)> {
        Vec::new()
    }
}
