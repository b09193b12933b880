//! How one request is answered. The steps stand in [`Answerer::decide`]; each may reject.

use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use contract::ids::Label;
use contract::layout::{self, Topic};
use contract::request::Received;
use contract::resize::Resize;
use contract::time::id_in_range;
use contract::usage::{Outcome, Reason, RequestPosition, Usage};
use contract::{BrokerTime, Record, UsageEvent, units};
use engine::{ENGINE_VERSION, ImageFormat, InputFormat, Measures, Output, Rejection};
use log::Producer;
use service::kill_point;
use store::{Put, Store, StoreError};

use crate::careful::{Careful, Job};
use crate::config::Rules;
use crate::memory::Memory;
use crate::metrics::{self, Metrics};
use crate::pool::Pool;
use crate::presets::Presets;
use crate::retry::{Retries, Trouble, time_left};
use crate::watchdog::Progress;

pub(crate) struct Answerer {
    pub(crate) store: Store,
    pub(crate) producer: Producer,
    pub(crate) pool: Pool,
    pub(crate) careful: Arc<Careful>,
    pub(crate) rules: Rules,
    pub(crate) retries: Retries,
    pub(crate) memory: Arc<Memory>,
    pub(crate) presets: Arc<Presets>,
    pub(crate) metrics: Metrics,
    pub(crate) progress: Arc<Progress>,
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
    /// Nothing to do.
    Tick,
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
    /// Returns once the answer is on the log, acknowledged. `careful`: the owner before may have died of it.
    pub(crate) async fn answer(&self, work: Work, careful: bool) -> Result<(), Trouble> {
        match work {
            Work::Tick => Ok(()),
            Work::DeadLetter(letter) => {
                self.retries.broker("sending a dead letter", || self.producer.send_dead_letter(&letter)).await?;
                self.metrics.dead_letters.inc();
                Ok(())
            }
            Work::Request { received, partition, offset, accepted_at } => {
                let decided = match self.decide(&received, accepted_at, careful).await {
                    Ok(done) => Ok(done),
                    Err(Stopped::Rejected(rejection)) => Err(rejection),
                    Err(Stopped::Trouble(trouble)) => return Err(trouble),
                };
                let position = RequestPosition { partition, offset };
                let event = self.event(&received, position, accepted_at, decided)?;
                tracing::debug!(request_id = %event.request_id, done = event.outcome.is_done(), "answered");
                self.send(&event.to_record()?).await?;
                self.metrics.answered(&event);
                Ok(())
            }
        }
    }

    async fn decide(&self, received: &Received, accepted_at: BrokerTime, careful: bool) -> Result<Done, Stopped> {
        self.check_age(received, accepted_at)?;
        check_deadline(received)?;
        let params = self.params(received).await?;
        let mut held = self.memory.reserve(self.largest(received)).await;
        let source = self.source(received).await?;
        held.adjust(source.len() as u64);
        let output = self.resize(received, params, source, careful).await?;
        held.adjust(output.bytes.len() as u64);
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

    /// What to make of the image, with what a preset says of it.
    async fn params(&self, received: &Received) -> Result<Resize, Stopped> {
        let request = &received.request;
        let Some(name) = &request.resize.preset else { return Ok(request.resize.clone()) };
        let _outside = self.progress.outside();
        let found = self.presets.find(&request.customer_id, name);
        let found = match received.attempt.deadline {
            None => found.await,
            Some(deadline) => match tokio::time::timeout(time_left(deadline), found).await {
                Ok(found) => found,
                Err(_) => return late(deadline),
            },
        };
        match found {
            Some(preset) => Ok(request.resize.clone().or(&preset)),
            None => reject(Reason::UnknownPreset, format!("the account has no preset {name}")),
        }
    }

    /// The most bytes that the source may have.
    fn largest(&self, received: &Received) -> u64 {
        received.request.source.inline.as_ref().map_or(self.rules.limits.input_bytes, |inline| inline.len() as u64)
    }

    /// The image, whose digest is yet to be checked.
    async fn source(&self, received: &Received) -> Result<Bytes, Stopped> {
        let source = &received.request.source;
        match (&source.inline, &source.location) {
            (Some(base64), _) => self.inlined(base64),
            (None, Some(_)) => reject(Reason::SourceNotAllowed, "no other bucket is allowed here"),
            (None, None) => self.stored(received).await,
        }
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

    async fn stored(&self, received: &Received) -> Result<Bytes, Stopped> {
        let path = layout::source(&received.request.customer_id, &received.request.source.sha256);
        let (limit, deadline, since) = (self.rules.limits.input_bytes, received.attempt.deadline, Instant::now());
        let read = || self.store.get_limited(&path, limit);
        let read = self.retries.store("reading a source", deadline, read).await;
        metrics::observe(&self.metrics.stages.fetch, since.elapsed());
        match (read, deadline) {
            (Ok(Some(bytes)), _) => Ok(bytes),
            (Ok(None), _) => reject(Reason::SourceMissing, format!("there is no {path}; upload it, then ask again")),
            (Err(Trouble::Store(StoreError::TooLarge { size_bytes, .. })), _) => {
                reject(Reason::InputTooLarge, format!("{size_bytes} bytes, more than {limit}"))
            }
            (Err(Trouble::Late), Some(deadline)) => late(deadline),
            (Err(trouble), _) => Err(trouble.into()),
        }
    }

    async fn resize(
        &self,
        received: &Received,
        params: Resize,
        input: Bytes,
        careful: bool,
    ) -> Result<Output, Stopped> {
        let request = &received.request;
        let job = Job {
            customer: request.customer_id.clone(),
            source: request.source.sha256,
            input,
            params,
            limits: self.rules.limits,
            deadline: received.attempt.deadline,
        };
        let resized = self.careful.resize(job, careful).await?;
        self.metrics.stages.resized(resized.as_ref().map_or_else(|rejection| &rejection.measures, |o| &o.measures));
        resized.map_err(Stopped::Rejected)
    }

    /// Create-only: where the name is taken, the work was done before, and what is stored there counts.
    async fn put(&self, received: &Received, output: Output) -> Result<Done, Stopped> {
        let location = layout::result(&received.conversion());
        let bytes = Bytes::from(output.bytes);
        kill_point("before-put");
        let since = Instant::now();
        let create = || self.store.create(&location, bytes.clone());
        let put = self.retries.store("storing a result", None, create).await?;
        metrics::observe(&self.metrics.stages.put, since.elapsed());
        kill_point("after-put");
        let stored_bytes = match put {
            Put::Created | Put::AlreadySame => bytes.len() as u64,
            Put::AlreadyOther => {
                let size = self.retries.store("measuring a result", None, || self.store.size(&location)).await?;
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
        let format = |name: Option<&str>| name.map(label).transpose();
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
                input_format: format(measures.input_format.map(InputFormat::name))?,
                output_format: format(measures.output_format.map(ImageFormat::name))?,
                worker_class: self.rules.worker_class.clone(),
                engine_version: label(ENGINE_VERSION)?,
                key_id: received.attempt.key_id.clone(),
                region: self.rules.region.clone(),
            },
        })
    }

    async fn send(&self, event: &Record) -> Result<(), Trouble> {
        let since = Instant::now();
        self.retries.broker("answering", || self.producer.send(Topic::Usage, event)).await?;
        metrics::observe(&self.metrics.stages.produce, since.elapsed());
        kill_point("after-ack");
        Ok(())
    }
}

/// Work past its deadline is not begun. What decides is this machine's clock, as no broker's is at hand; all that depends
/// on it is whether the request is rejected.
fn check_deadline(received: &Received) -> Result<(), Stopped> {
    match received.attempt.deadline {
        Some(deadline) if time_left(deadline).is_zero() => late(deadline),
        _ => Ok(()),
    }
}

fn late<T>(deadline: BrokerTime) -> Result<T, Stopped> {
    reject(Reason::DeadlineExceeded, past(deadline))
}

/// What a rejection for being late says.
pub(crate) fn past(deadline: BrokerTime) -> String {
    format!("its deadline was {deadline}")
}

fn label(word: &str) -> Result<Label, Trouble> {
    word.parse().map_err(impossible)
}

fn impossible(error: impl std::fmt::Display) -> Trouble {
    Trouble::Impossible(error.to_string())
}
