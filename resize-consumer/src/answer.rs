//! How one request is answered. The steps stand in [`Answerer::decide`]; each may reject.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use contract::ids::{Digest, Label};
use contract::layout::{self, Topic};
use contract::request::Received;
use contract::time::id_in_range;
use contract::usage::{Outcome, Reason, RequestPosition, Usage};
use contract::{BrokerTime, Record, UsageEvent, units};
use log::Producer;
use service::kill_point;
use store::{Put, Store, StoreError};

use crate::config::Rules;
use crate::engine::{ENGINE_VERSION, ImageFormat, Measures, Output, Rejection};
use crate::pool::Pool;
use crate::retry::{Trouble, retry};

pub(crate) struct Answerer {
    pub(crate) store: Store,
    pub(crate) producer: Producer,
    pub(crate) pool: Pool,
    pub(crate) rules: Rules,
}

pub(crate) enum Work {
    Request {
        received: Box<Received>,
        partition: i32,
        offset: i64,
        accepted_at: BrokerTime,
    },
    /// A record that could not be read, wrapped.
    DeadLetter(Record),
}

/// A request done: the image is in the store.
struct Done {
    location: String,
    width: u32,
    height: u32,
    stored_bytes: units::Bytes,
    measures: Measures,
}

enum Stopped {
    Rejected(Box<Rejection>),
    Trouble(Trouble),
}

impl<E: Into<Trouble>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self::Trouble(error.into())
    }
}

fn reject<T>(reason: Reason, detail: impl Into<String>) -> Result<T, Stopped> {
    let measures = Measures::default();
    Err(Stopped::Rejected(Box::new(Rejection { reason, detail: detail.into(), measures })))
}

impl Answerer {
    /// Returns once the answer is on the log, acknowledged.
    pub(crate) async fn answer(&self, work: Work) -> Result<(), Trouble> {
        match work {
            Work::DeadLetter(letter) => {
                retry("sending a dead letter", || async { Ok(self.producer.send_dead_letter(&letter).await?) }).await?;
                Ok(())
            }
            Work::Request { received, partition, offset, accepted_at } => {
                let decided = match self.decide(&received, accepted_at).await {
                    Ok(done) => Ok(done),
                    Err(Stopped::Rejected(rejection)) => Err(rejection),
                    Err(Stopped::Trouble(trouble)) => return Err(trouble),
                };
                let position = RequestPosition { partition, offset };
                let event = self.event(&received, position, accepted_at, decided)?;
                tracing::debug!(request_id = %event.request_id, done = event.outcome.is_done(), "answered");
                self.send(&event.to_record()?).await
            }
        }
    }

    async fn decide(&self, received: &Received, accepted_at: BrokerTime) -> Result<Done, Stopped> {
        self.check_age(received, accepted_at)?;
        let source = self.source(received).await?;
        let output = self.resize(received, source).await?;
        self.put(received, output).await
    }

    fn check_age(&self, received: &Received, accepted_at: BrokerTime) -> Result<(), Stopped> {
        let id = &received.request.request_id;
        if id_in_range(id, accepted_at, self.rules.max_request_age_ms) {
            return Ok(());
        }
        let detail = format!("the id was minted at {}, the request accepted at {accepted_at}", id.minted_at());
        reject(Reason::RequestIdOutOfRange, detail)
    }

    /// The image, checked against its digest.
    async fn source(&self, received: &Received) -> Result<Bytes, Stopped> {
        let source = &received.request.source;
        let bytes = match (&source.inline, &source.location) {
            (Some(base64), _) => self.inlined(base64)?,
            (None, Some(_)) => return reject(Reason::SourceNotAllowed, "no other bucket is allowed here"),
            (None, None) => self.stored(&layout::source(&received.request.customer_id, &source.sha256)).await?,
        };
        if Digest::of(&bytes) != source.sha256 {
            return reject(
                Reason::SourceDigestMismatch,
                format!("the source is not the one with sha256 {}", source.sha256),
            );
        }
        Ok(bytes)
    }

    fn inlined(&self, base64: &str) -> Result<Bytes, Stopped> {
        let limit = self.rules.max_inline_bytes;
        if base64.len() as u64 / 4 * 3 > limit.saturating_add(2) {
            return reject(
                Reason::InputTooLarge,
                format!("an inlined image may have {limit} bytes; upload larger ones"),
            );
        }
        match STANDARD.decode(base64) {
            Ok(bytes) => Ok(bytes.into()),
            Err(error) => reject(Reason::SourceDigestMismatch, format!("the inlined image is not base64: {error}")),
        }
    }

    async fn stored(&self, path: &str) -> Result<Bytes, Stopped> {
        let limit = self.rules.limits.input_bytes;
        let read = || async { Ok(self.store.get_limited(path, limit).await?) };
        match retry("reading a source", read).await {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => reject(Reason::SourceMissing, format!("there is no {path}; upload it, then ask again")),
            Err(Trouble::Store(StoreError::TooLarge { size_bytes, .. })) => {
                reject(Reason::InputTooLarge, format!("{size_bytes} bytes, more than {limit}"))
            }
            Err(trouble) => Err(trouble.into()),
        }
    }

    async fn resize(&self, received: &Received, source: Bytes) -> Result<Output, Stopped> {
        let resized = self.pool.resize(source, received.request.resize.clone(), self.rules.limits).await;
        resized.map_err(Stopped::Rejected)
    }

    /// Create-only: where the name is taken, the work was done before, and what is stored there counts.
    async fn put(&self, received: &Received, output: Output) -> Result<Done, Stopped> {
        let location = layout::result(&received.conversion());
        let bytes = Bytes::from(output.bytes);
        kill_point("before-put");
        let put =
            retry("storing a result", || async { Ok(self.store.create(&location, bytes.clone()).await?) }).await?;
        kill_point("after-put");
        let stored_bytes = match put {
            Put::Created | Put::AlreadySame => bytes.len() as u64,
            Put::AlreadyOther => {
                let size = retry("measuring a result", || async { Ok(self.store.size(&location).await?) }).await?;
                size.ok_or_else(|| Trouble::Impossible(format!("{location} exists and does not")))?
            }
        };
        let stored_bytes = units::Bytes::new(stored_bytes).map_err(impossible)?;
        Ok(Done { location, width: output.width, height: output.height, stored_bytes, measures: output.measures })
    }

    fn event(
        &self,
        received: &Received,
        request: RequestPosition,
        accepted_at: BrokerTime,
        decided: Result<Done, Box<Rejection>>,
    ) -> Result<UsageEvent, Trouble> {
        let (outcome, output_bytes, measures) = match decided {
            Ok(Done { location, width, height, stored_bytes, measures }) => {
                (Outcome::Done { location, width, height }, stored_bytes, measures)
            }
            Err(rejection) => {
                let Rejection { reason, detail, measures } = *rejection;
                (Outcome::Rejected { reason, detail }, units::Bytes::ZERO, measures)
            }
        };
        let format = |format: Option<ImageFormat>| format.map(|f| label(f.name())).transpose();
        Ok(UsageEvent {
            customer_id: received.request.customer_id.clone(),
            request_id: received.request.request_id,
            fingerprint: received.fingerprint,
            request,
            accepted_at,
            outcome,
            usage: Usage {
                input_bytes: measures.input_bytes,
                output_bytes,
                input_pixels: measures.input_pixels,
                output_pixels: measures.output_pixels,
                cpu_micros: measures.cpu_micros,
                operation: label("resize")?,
                input_format: format(measures.input_format)?,
                output_format: format(measures.output_format)?,
                worker_class: self.rules.worker_class.clone(),
                engine_version: label(ENGINE_VERSION)?,
                key_id: received.attempt.key_id.clone(),
                region: self.rules.region.clone(),
            },
        })
    }

    async fn send(&self, event: &Record) -> Result<(), Trouble> {
        retry("answering", || async { Ok(self.producer.send(Topic::Usage, event).await?) }).await?;
        kill_point("after-ack");
        Ok(())
    }
}

fn label(word: &str) -> Result<Label, Trouble> {
    word.parse().map_err(impossible)
}

fn impossible(error: impl std::fmt::Display) -> Trouble {
    Trouble::Impossible(error.to_string())
}
