//! The answers to our requests, out of all answers on the log.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use contract::ids::Conversion;
use contract::layout::Topic;
use contract::record::RecordView;
use contract::usage::Outcome;
use contract::{RequestId, UsageEvent};
use log::Settings;
use tokio::sync::mpsc::Sender;

use crate::reading;

const POLL: Duration = Duration::from_millis(100);

/// The conversions that nobody has answered yet, each with its place in the plan.
#[derive(Debug)]
pub(crate) struct Unanswered(BTreeMap<RequestId, (usize, Conversion)>);

impl Unanswered {
    pub(crate) fn new(conversions: impl IntoIterator<Item = Conversion>) -> Self {
        let all = conversions.into_iter().enumerate();
        Self(all.map(|(index, conversion)| (conversion.request_id, (index, conversion))).collect())
    }

    /// The answer that a record gives to one of ours; the first one counts.
    fn take(&mut self, record: &RecordView<'_>) -> Option<(usize, Outcome)> {
        // By the key first: most answers are other people's.
        let id: RequestId = std::str::from_utf8(record.key?).ok()?.parse().ok()?;
        let (index, conversion) = self.0.get(&id)?;
        let index = *index;
        match UsageEvent::from_record(record) {
            Ok(event) if event.conversion() == *conversion => {
                self.0.remove(&id);
                Some((index, event.outcome))
            }
            Ok(event) => {
                let (fingerprint, customer_id) = (event.fingerprint, event.customer_id);
                tracing::warn!(request_id = %id, %fingerprint, %customer_id, "an answer to another request of that id");
                None
            }
            Err(error) => {
                tracing::warn!(request_id = %id, %error, "an undecodable answer, passed over");
                None
            }
        }
    }
}

/// Tells the answers as they come, until there is one for each, time is up, or nobody listens. Blocks.
pub(crate) fn read(
    settings: &Settings,
    from: Vec<i64>,
    mut unanswered: Unanswered,
    timeout: Duration,
    tell: &Sender<(usize, Outcome)>,
) -> anyhow::Result<()> {
    let consumer = reading::from(settings, Topic::Usage, from)?;
    let began = Instant::now();
    while !unanswered.0.is_empty() && began.elapsed() < timeout && !tell.is_closed() {
        let Some(polled) = consumer.poll(POLL) else { continue };
        if let Some(answer) = unanswered.take(&polled?.record())
            && tell.blocking_send(answer).is_err()
        {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use contract::ids::Label;
    use contract::usage::{RequestPosition, Usage};
    use contract::{BrokerTime, Fingerprint, Record, units};

    use super::*;

    fn conversion(n: u8) -> Conversion {
        let request_id = RequestId::from_parts(BrokerTime::from_millis(1_793_000_000_000), [n; 10]);
        Conversion { customer_id: "acme".parse().unwrap(), request_id, fingerprint: Fingerprint::from_bytes([n; 16]) }
    }

    fn answer(to: Conversion, width: u32) -> Record {
        let word = |word: &str| word.parse::<Label>().unwrap();
        let event = UsageEvent {
            customer_id: to.customer_id,
            request_id: to.request_id,
            fingerprint: to.fingerprint,
            request: RequestPosition { partition: 0, offset: 0 },
            accepted_at: BrokerTime::from_millis(1_793_000_000_000),
            outcome: Outcome::Done { location: "anywhere".to_owned(), width, height: 1 },
            usage: Usage {
                input_bytes: units::Bytes::ZERO,
                output_bytes: units::Bytes::ZERO,
                input_pixels: units::Pixels::ZERO,
                output_pixels: units::Pixels::ZERO,
                cpu_micros: units::CpuMicros::ZERO,
                operation: word("resize"),
                input_format: None,
                output_format: None,
                worker_class: word("standard"),
                engine_version: word("1"),
                key_id: None,
                region: "local".parse().unwrap(),
            },
        };
        event.to_record().unwrap()
    }

    #[test]
    fn only_the_first_answer_to_the_very_conversion_counts() {
        let mut unanswered = Unanswered::new([conversion(1), conversion(2)]);
        let mut taken = |record: &Record| match unanswered.take(&record.view()) {
            Some((index, Outcome::Done { width, .. })) => Some((index, width)),
            Some((index, Outcome::Rejected { .. })) => panic!("rejected {index}"),
            None => None,
        };
        assert_eq!(taken(&answer(conversion(3), 1)), None);
        let other_body = Conversion { fingerprint: Fingerprint::from_bytes([9; 16]), ..conversion(2) };
        assert_eq!(taken(&answer(other_body, 2)), None);
        let other_customer = Conversion { customer_id: "other".parse().unwrap(), ..conversion(2) };
        assert_eq!(taken(&answer(other_customer, 3)), None);
        let garbage = Record { payload: Some(b"{".to_vec()), ..answer(conversion(2), 4) };
        assert_eq!(taken(&garbage), None);
        assert_eq!(taken(&answer(conversion(2), 5)), Some((1, 5)));
        assert_eq!(taken(&answer(conversion(2), 6)), None);
        assert_eq!(taken(&answer(conversion(1), 7)), Some((0, 7)));
        assert!(unanswered.0.is_empty());
    }
}
