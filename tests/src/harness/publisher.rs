//! Publishes, and writes down what it did.

use anyhow::{Context, Result, ensure};
use contract::ids::{Conversion, CustomerId};
use contract::layout::{self, Topic};
use contract::request::{Attempt, Source};
use contract::resize::Resize;
use contract::usage::{Reason, RequestPosition};
use contract::{AccountVersion, BrokerTime, Digest, Record, RequestId, ResizeRequest};
use futures::{StreamExt, TryStreamExt};
use log::{Delivered, Producer};
use store::{Put, Store};

use super::{Expected, Ledger, Photo, Sent, Sides, Topics};

/// Records on their way at once.
const IN_FLIGHT: usize = 64;

/// A record of `resize.requests` about to be sent. Sending a clone of it is a producer's retry.
#[derive(Debug, Clone)]
pub struct Planned {
    pub record: Record,
    /// Where it goes; by its key where absent.
    pub partition: Option<i32>,
    /// Its timestamp, where the topics take producers' times.
    pub time: Option<BrokerTime>,
    pub conversion: Option<Conversion>,
    pub input_bytes: u64,
    pub input: Sides,
    pub expected: Expected,
}

impl Planned {
    /// A request over `photo` that will be done.
    pub fn request(request: &ResizeRequest, photo: &Photo) -> Result<Self> {
        Ok(Self {
            record: request.to_record(&Attempt::default())?,
            partition: None,
            time: None,
            conversion: Some(Conversion {
                customer_id: request.customer_id.clone(),
                request_id: request.request_id,
                fingerprint: request.fingerprint()?,
            }),
            input_bytes: photo.bytes.len() as u64,
            input: photo.sides,
            expected: Expected::Done { output: photo.resized(&request.resize) },
        })
    }

    /// A record that can't be read, for the reason of that code.
    pub fn undecodable(record: Record, code: &'static str) -> Self {
        Self {
            record,
            partition: None,
            time: None,
            conversion: None,
            input_bytes: 0,
            input: (0, 0),
            expected: Expected::DeadLetter(code),
        }
    }

    #[must_use]
    pub fn rejected(self, reason: Reason) -> Self {
        Self { expected: Expected::Rejected(reason), ..self }
    }

    #[must_use]
    pub fn at(self, time: BrokerTime) -> Self {
        Self { time: Some(time), ..self }
    }
}

#[derive(Debug)]
pub struct Publisher {
    pub ledger: Ledger,
    producer: Producer,
    store: Store,
    minted: u64,
    seed: String,
}

impl Publisher {
    pub fn new(topics: &Topics, store: Store) -> Result<Self> {
        let producer = Producer::new(&topics.settings()?)?;
        let seed = topics.name(Topic::Requests);
        Ok(Self { ledger: Ledger::default(), producer, store, minted: 0, seed })
    }

    /// A new id, minted at `time`.
    pub fn mint(&mut self, time: BrokerTime) -> RequestId {
        self.minted += 1;
        let digest = Digest::of(format!("{}{}", self.seed, self.minted).as_bytes());
        let mut random = [0; 10];
        random.copy_from_slice(&digest.as_bytes()[..10]);
        RequestId::from_parts(time, random)
    }

    /// A request of a new id, minted at `time`, over a photograph in the customer's own place.
    pub fn request(
        &mut self,
        customer_id: &CustomerId,
        photo: &Photo,
        resize: &Resize,
        time: BrokerTime,
    ) -> ResizeRequest {
        ResizeRequest {
            customer_id: customer_id.clone(),
            request_id: self.mint(time),
            source: Source::stored(photo.sha256),
            resize: resize.clone(),
        }
    }

    /// Puts a photograph into the customer's own place.
    pub async fn upload(&self, customer_id: &CustomerId, photo: &Photo) -> Result<()> {
        let path = layout::source(customer_id, &photo.sha256);
        let put = self.store.create(&path, photo.bytes.clone()).await?;
        ensure!(put != Put::AlreadyOther, "{path} holds other bytes than its name says");
        Ok(())
    }

    /// Sends requests, some at a time, and enters each into the ledger once it is acknowledged.
    pub async fn publish(&mut self, planned: impl IntoIterator<Item = Planned>) -> Result<()> {
        let producer = &self.producer;
        let send = |planned: Planned| async move {
            let Planned { record, partition, time, conversion, input_bytes, input, expected } = planned;
            let delivered = producer.send_to(Topic::Requests, partition, time, &record).await;
            let Delivered { partition, offset } = delivered.context("publishing a request")?;
            let at = RequestPosition { partition, offset };
            anyhow::Ok(Sent { at, time, conversion, input_bytes, input, expected })
        };
        let sent: Vec<Sent> = futures::stream::iter(planned).map(send).buffered(IN_FLIGHT).try_collect().await?;
        self.ledger.requests.extend(sent);
        Ok(())
    }

    /// Enters a request that was sent by other means.
    pub fn enter(&mut self, planned: Planned, at: RequestPosition) {
        let Planned { time, conversion, input_bytes, input, expected, .. } = planned;
        self.ledger.requests.push(Sent { at, time, conversion, input_bytes, input, expected });
    }

    /// Sends a version of an account.
    pub async fn account(&mut self, account: &AccountVersion, time: Option<BrokerTime>) -> Result<()> {
        let sent = self.producer.send_to(Topic::Accounts, None, time, &account.to_record()?).await;
        sent.context("publishing an account")?;
        self.ledger.accounts.push(account.clone());
        Ok(())
    }

    /// Sends any record to any topic; the ledger does not hear of it.
    pub async fn raw(&self, topic: Topic, partition: Option<i32>, record: &Record) -> Result<Delivered> {
        Ok(self.producer.send_to(topic, partition, None, record).await?)
    }
}
