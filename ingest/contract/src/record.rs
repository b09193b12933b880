//! A record on the log, as Kafka hands it over, and the CloudEvents 1.0 attributes in its headers.
//!
//! Binary content mode of the Kafka protocol binding: attributes are headers named `ce_…`, the payload is the data.
//! Source: CloudEvents "Kafka Protocol Binding", version 1.0.2, section 3.2.

use serde::de::DeserializeOwned;

use crate::canonical;
use crate::ids::Digest;
use crate::time::BrokerTime;

pub const CONTENT_TYPE: &str = "content-type";
pub const JSON: &str = "application/json";
pub const CE_SPECVERSION: &str = "ce_specversion";
pub const CE_ID: &str = "ce_id";
pub const CE_SOURCE: &str = "ce_source";
pub const CE_TYPE: &str = "ce_type";

pub type Header<'a> = (&'a str, Option<&'a [u8]>);

/// A record to be produced. Header names and order are part of what is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub key: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    pub payload: Option<Vec<u8>>,
}

impl Record {
    /// A CloudEvent with JSON data.
    pub(crate) fn event(key: &str, id: &str, source: &str, kind: &str, payload: Vec<u8>) -> Self {
        let header = |name: &str, value: &str| (name.to_owned(), Some(value.as_bytes().to_vec()));
        Self {
            key: Some(key.as_bytes().to_vec()),
            headers: vec![
                header(CE_SPECVERSION, "1.0"),
                header(CE_ID, id),
                header(CE_SOURCE, source),
                header(CE_TYPE, kind),
                header(CONTENT_TYPE, JSON),
            ],
            payload: Some(payload),
        }
    }

    pub fn view(&self) -> RecordView<'_> {
        RecordView {
            key: self.key.as_deref(),
            headers: self.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect(),
            payload: self.payload.as_deref(),
        }
    }
}

/// A record that was read, borrowed from wherever it lies.
#[derive(Debug, Clone)]
pub struct RecordView<'a> {
    pub key: Option<&'a [u8]>,
    pub headers: Vec<Header<'a>>,
    pub payload: Option<&'a [u8]>,
}

/// Why a record can't be taken for what its topic holds. [`DecodeError::code`] goes into the dead letter.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("no key")]
    MissingKey,
    #[error("no header {0}")]
    MissingHeader(&'static str),
    #[error("header {name} is {value:?}")]
    BadHeader { name: &'static str, value: String },
    #[error("type {0:?} is not one that this topic holds")]
    UnknownType(String),
    #[error("not I-JSON: {0}")]
    NotJson(serde_json::Error),
    #[error("not a {kind}: {error}")]
    Invalid { kind: &'static str, error: serde_json::Error },
    #[error("key, ce_id and body name different ids")]
    IdMismatch,
    #[error("{0}")]
    Inconsistent(String),
}

impl DecodeError {
    /// A short stable word for counters and dead letters.
    pub fn code(&self) -> &'static str {
        match self {
            Self::MissingKey => "missing_key",
            Self::MissingHeader(_) => "missing_header",
            Self::BadHeader { .. } => "bad_header",
            Self::UnknownType(_) => "unknown_type",
            Self::NotJson(_) => "not_json",
            Self::Invalid { .. } => "invalid",
            Self::IdMismatch => "id_mismatch",
            Self::Inconsistent(_) => "inconsistent",
        }
    }
}

impl<'a> RecordView<'a> {
    /// The first header of that name, if it is there and text.
    pub fn header(&self, name: &'static str) -> Result<Option<&'a str>, DecodeError> {
        let Some((_, value)) = self.headers.iter().find(|(n, _)| *n == name) else { return Ok(None) };
        let bytes = value.unwrap_or_default();
        std::str::from_utf8(bytes)
            .map(Some)
            .map_err(|_| DecodeError::BadHeader { name, value: String::from_utf8_lossy(bytes).into_owned() })
    }

    fn required(&self, name: &'static str) -> Result<&'a str, DecodeError> {
        self.header(name)?.filter(|v| !v.is_empty()).ok_or(DecodeError::MissingHeader(name))
    }

    /// Bytes of key, headers and payload.
    pub fn size(&self) -> usize {
        let length = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + length(*value)).sum();
        length(self.key) + length(self.payload) + headers
    }

    /// Whether this is a tick, which every consumer passes over.
    pub fn is_tick(&self) -> bool {
        matches!(self.header(CE_TYPE), Ok(Some(crate::tick::TYPE)))
    }

    /// Checks the attributes of a CloudEvent of type `expected`; answers (key, ce_id).
    pub(crate) fn attributes(&self, expected: &'static str) -> Result<(&'a str, &'a str), DecodeError> {
        let key = self.key.ok_or(DecodeError::MissingKey)?;
        let key = std::str::from_utf8(key).map_err(|_| DecodeError::IdMismatch)?;
        let version = self.required(CE_SPECVERSION)?;
        if version != "1.0" {
            return Err(DecodeError::BadHeader { name: CE_SPECVERSION, value: version.to_owned() });
        }
        self.required(CE_SOURCE)?;
        let kind = self.required(CE_TYPE)?;
        if kind != expected {
            return Err(DecodeError::UnknownType(kind.to_owned()));
        }
        Ok((key, self.required(CE_ID)?))
    }

    /// The payload as I-JSON and as the record type.
    pub(crate) fn body<T: DeserializeOwned>(&self, kind: &'static str) -> Result<(serde_json::Value, T), DecodeError> {
        let value = canonical::parse(self.payload.unwrap_or_default()).map_err(DecodeError::NotJson)?;
        let typed = T::deserialize(&value).map_err(|error| DecodeError::Invalid { kind, error })?;
        Ok((value, typed))
    }

    /// What tells this record from any other that could stand at its offset: the sha256 of [`RecordView::identity`].
    pub fn digest(&self, appended_at: BrokerTime) -> Digest {
        let mut identity = Vec::new();
        self.identity(appended_at, &mut identity);
        Digest::of(&identity)
    }

    /// Writes the record's key, payload, headers in order and append time into `identity` instead of what is there, each
    /// part after its length as a big-endian u64, and each telling null from empty.
    pub fn identity(&self, appended_at: BrokerTime, identity: &mut Vec<u8>) {
        identity.clear();
        let mut part = |part: &[u8]| {
            identity.extend_from_slice(&(part.len() as u64).to_be_bytes());
            identity.extend_from_slice(part);
        };
        let mut optional = |value: Option<&[u8]>| {
            part(if value.is_some() { b"1" } else { b"0" });
            part(value.unwrap_or_default());
        };
        optional(self.key);
        optional(self.payload);
        for (name, value) in &self.headers {
            optional(Some(name.as_bytes()));
            optional(*value);
        }
        part(&appended_at.as_millis().to_be_bytes());
    }
}
