//! What every part of Pixtoll agrees on: types only, no IO, no clock, no randomness.
//!
//! Everything here is written somewhere that must decode for ever: a Kafka record, an object's path, a segment's
//! footer. `schemas/` holds the JSON Schema of each record and `samples/` one record of each published version;
//! tests keep both in step with the types.
//!
//! | module | what it fixes |
//! |---|---|
//! | [`ids`] | customers, request ids (UUIDv7), digests, fingerprints |
//! | [`time`] | broker time, hours, id-hours, months, age limits: half-open, UTC |
//! | [`units`] | quantities with their units |
//! | [`request`], [`resize`], [`usage`], [`account`], [`dead_letter`], [`tick`] | the records |
//! | [`record`] | how a record looks on the log: key, CloudEvents headers, payload |
//! | [`canonical`] | RFC 8785 bytes, and the fingerprint made from them |
//! | [`layout`] | every topic name and every object path |
//! | [`footer`] | what a landed segment says of itself |

pub mod account;
pub mod canonical;
pub mod dead_letter;
pub mod footer;
pub mod ids;
pub mod layout;
pub mod record;
pub mod request;
pub mod resize;
pub mod tick;
pub mod time;
pub mod units;
pub mod usage;

pub use account::AccountVersion;
pub use dead_letter::DeadLetter;
pub use footer::SegmentFooter;
pub use ids::{CustomerId, Digest, Fingerprint, KeyId, Region, RequestId};
pub use record::{DecodeError, Record};
pub use request::ResizeRequest;
pub use time::{BrokerTime, IdHour, Month};
pub use usage::UsageEvent;
