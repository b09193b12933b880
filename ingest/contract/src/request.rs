//! The work asked for: topic `resize.requests`, key `request_id`.
//!
//! What belongs to the work is in the body and so in the fingerprint. What may differ between two attempts at the same
//! work (the API key used, a deadline) is a header.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::ids::{Conversion, CustomerId, Digest, Fingerprint, KeyId, RequestId};
use crate::record::{DecodeError, Record, RecordView};
use crate::resize::Resize;
use crate::time::BrokerTime;

pub const TYPE: &str = "pixtoll.resize.requested.v1";
pub const CE_KEY_ID: &str = "ce_keyid";
pub const CE_DEADLINE: &str = "ce_deadline";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResizeRequest {
    pub customer_id: CustomerId,
    pub request_id: RequestId,
    pub source: Source,
    pub resize: Resize,
}

/// Where the image is, named by its content. Exactly one place: `inline`, `location`, or (with neither) the customer's
/// own `sources/{customer_id}/{sha256}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// The sha256 of the image's bytes; the worker checks it.
    pub sha256: Digest,
    /// The image itself, base64 (RFC 4648, padded), below a limit of the deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<String>,
    /// An object in a bucket that the deployment allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

impl Source {
    /// A source that was uploaded to the customer's own place.
    pub fn stored(sha256: Digest) -> Self {
        Self { sha256, inline: None, location: None }
    }
}

/// What may differ between attempts at the same work, so travels in headers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attempt {
    pub key_id: Option<KeyId>,
    /// Past this the producer no longer wants the answer.
    pub deadline: Option<BrokerTime>,
}

/// A request as read from the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub request: ResizeRequest,
    pub fingerprint: Fingerprint,
    pub attempt: Attempt,
}

impl Received {
    pub fn conversion(&self) -> Conversion {
        Conversion {
            customer_id: self.request.customer_id.clone(),
            request_id: self.request.request_id,
            fingerprint: self.fingerprint,
        }
    }
}

impl ResizeRequest {
    /// The record to produce.
    pub fn to_record(&self, attempt: &Attempt) -> Result<Record, serde_json::Error> {
        let id = self.request_id.to_string();
        let source = format!("/customers/{}", self.customer_id);
        let mut record = Record::event(&id, &id, &source, TYPE, serde_json::to_vec(self)?);
        let mut header = |name: &str, value: String| record.headers.push((name.to_owned(), Some(value.into_bytes())));
        if let Some(key_id) = &attempt.key_id {
            header(CE_KEY_ID, key_id.to_string());
        }
        if let Some(deadline) = attempt.deadline {
            header(CE_DEADLINE, deadline.to_string());
        }
        Ok(record)
    }

    /// The fingerprint that every reader of [`ResizeRequest::to_record`] computes.
    pub fn fingerprint(&self) -> Result<Fingerprint, serde_json::Error> {
        canonical::fingerprint(&serde_json::to_value(self)?, &self.source.sha256)
    }

    /// Reads a record of `resize.requests`.
    pub fn from_record(record: &RecordView<'_>) -> Result<Received, DecodeError> {
        let (key, ce_id) = record.attributes(TYPE)?;
        let (body, request): (_, Self) = record.body("resize request")?;
        let id = request.request_id.to_string();
        if key != id || ce_id != id {
            return Err(DecodeError::IdMismatch);
        }
        if request.source.inline.is_some() && request.source.location.is_some() {
            return Err(DecodeError::Inconsistent("the source is both inline and at a location".to_owned()));
        }
        let fingerprint = canonical::fingerprint(&body, &request.source.sha256).map_err(DecodeError::NotJson)?;
        let attempt =
            Attempt { key_id: parse_header(record, CE_KEY_ID)?, deadline: parse_header(record, CE_DEADLINE)? };
        Ok(Received { request, fingerprint, attempt })
    }
}

fn parse_header<T: std::str::FromStr>(record: &RecordView<'_>, name: &'static str) -> Result<Option<T>, DecodeError> {
    let Some(text) = record.header(name)? else { return Ok(None) };
    text.parse().map(Some).map_err(|_| DecodeError::BadHeader { name, value: text.to_owned() })
}
