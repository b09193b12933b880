//! Publishing many usage events fast: as our producer sends them, but without a future for each.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use contract::footer::Clock;
use contract::layout::Topic;
use contract::{BrokerTime, Record};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::events::Events;
use crate::harness::Topics;

const SEED: u64 = 20_261_101;
/// 2026-11-01T00:00:00Z.
const START: BrokerTime = BrokerTime::from_millis(1_793_491_200_000);
const PATIENCE: Duration = Duration::from_mins(2);

/// Publishes the first `count` events, and sees to it that all are in the log.
pub(super) async fn publish(topics: &Topics, count: usize) -> Result<()> {
    ensure!(topics.clock() == Clock::Broker, "the benchmark wants the broker's times");
    let name = topics.name(Topic::Usage);
    let producer: BaseProducer = topics.settings()?.client(&log::Producer::OPTIONS).create()?;
    let sent = tokio::task::spawn_blocking(move || {
        for event in Events::new(SEED, START).take(count) {
            send(&producer, &name, &event?.to_record()?)?;
        }
        producer.flush(PATIENCE)?;
        let mut ends = 0;
        for partition in 0..super::PARTITIONS {
            ends += producer.client().fetch_watermarks(&name, partition, PATIENCE)?.1;
        }
        anyhow::Ok(ends)
    });
    let ends = sent.await??;
    ensure!(ends == i64::try_from(count)?, "{count} events were sent, {ends} are in the log");
    Ok(())
}

fn send(producer: &BaseProducer, topic: &str, record: &Record) -> Result<()> {
    let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
    for (key, value) in &record.headers {
        headers = headers.insert(Header { key, value: value.as_ref() });
    }
    let mut message: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).headers(headers);
    message.key = record.key.as_deref();
    message.payload = record.payload.as_deref();
    loop {
        match producer.send(message) {
            Ok(()) => break,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), returned)) => {
                message = returned;
                producer.poll(Duration::from_millis(100));
            }
            Err((error, _)) => bail!(error),
        }
    }
    producer.poll(Duration::ZERO);
    Ok(())
}
