//! Identities. Each is parsed once, at the edge; holding one means that it is well-formed.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::time::BrokerTime;

/// What is wrong with an id, and what one looks like.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {value:?} is not {expected}")]
pub struct BadId {
    kind: &'static str,
    value: String,
    expected: &'static str,
}

fn bad(kind: &'static str, value: &str, expected: &'static str) -> BadId {
    BadId { kind, value: value.chars().take(80).collect(), expected }
}

/// A name of `$min` to 64 characters out of `[a-z0-9_-]` and `$extra`.
macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $min:literal, $extra:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $type(String);

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl $type {
            pub fn as_str(&self) -> &str {
                &self.0
            }
            /// Whether `s` is one.
            pub fn is_valid(s: &str) -> bool {
                let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b) || $extra.contains(char::from(b));
                ($min..=64).contains(&s.len()) && s.bytes().all(allowed)
            }
        }
        impl FromStr for $type {
            type Err = BadId;
            fn from_str(s: &str) -> Result<Self, BadId> {
                if Self::is_valid(s) {
                    Ok(Self(s.to_owned()))
                } else {
                    Err(bad($kind, s, concat!($min, " to 64 of a-z 0-9 _ - ", $extra)))
                }
            }
        }
        impl TryFrom<String> for $type {
            type Error = BadId;
            fn try_from(s: String) -> Result<Self, BadId> {
                s.parse()
            }
        }
        impl From<$type> for String {
            fn from(id: $type) -> String {
                id.0
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": concat!("^[a-z0-9_", $extra, "-]{", $min, ",64}$") })
            }
        }
    };
}

name!(
    /// A customer: opaque, no personal data. Part of topic keys and object paths.
    CustomerId, "customer id", 3, ""
);
name!(
    /// The name of one API key of an account (never the key).
    KeyId, "key id", 1, ""
);
name!(
    /// A region: one log and one lake.
    Region, "region", 1, ""
);
name!(
    /// The name of a plan in a price book.
    PlanName, "plan", 1, ""
);
name!(
    /// A word that a usage event is grouped by: an operation, a format, an engine version. Open, so that an older
    /// reader takes a newer writer's words.
    Label, "label", 1, "."
);

/// A producer's id of one piece of work: a UUIDv7 minted at the first attempt and reused on every retry.
///
/// The canonical text form is lower case with hyphens; no other form is accepted, so that key, `ce_id` and body compare
/// as text. Order is that of the bytes. Source: RFC 9562, section 5.7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestId(Uuid);

impl RequestId {
    /// Builds an id from the time of minting and 74 bits of randomness, both from the caller.
    pub fn from_parts(minted_at: BrokerTime, random: [u8; 10]) -> Self {
        let millis = u64::try_from(minted_at.as_millis()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// Reads the 16 bytes as stored in a segment.
    pub fn from_bytes(bytes: [u8; 16]) -> Result<Self, BadId> {
        Self::checked(Uuid::from_bytes(bytes))
    }

    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The producer's clock at the first attempt: the leading 48 bits, milliseconds since 1970.
    pub fn minted_at(&self) -> BrokerTime {
        let millis = self.as_bytes()[..6].iter().fold(0_i64, |acc, byte| (acc << 8) | i64::from(*byte));
        BrokerTime::from_millis(millis)
    }

    fn checked(uuid: Uuid) -> Result<Self, BadId> {
        if uuid.get_version_num() == 7 && uuid.get_variant() == uuid::Variant::RFC4122 {
            Ok(Self(uuid))
        } else {
            Err(bad("request id", &uuid.to_string(), "a UUIDv7"))
        }
    }
}

impl FromStr for RequestId {
    type Err = BadId;
    fn from_str(s: &str) -> Result<Self, BadId> {
        let not_canonical = || bad("request id", s, "a UUIDv7 in lower case with hyphens");
        // Of the forms that the parser takes, only the one with hyphens has 36 characters.
        if s.len() != 36 || s.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(not_canonical());
        }
        Self::checked(Uuid::try_parse(s).map_err(|_| not_canonical())?)
    }
}
impl TryFrom<String> for RequestId {
    type Error = BadId;
    fn try_from(s: String) -> Result<Self, BadId> {
        s.parse()
    }
}
impl From<RequestId> for String {
    fn from(id: RequestId) -> String {
        id.to_string()
    }
}
impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}
impl JsonSchema for RequestId {
    fn schema_name() -> Cow<'static, str> {
        "RequestId".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "UUIDv7, lower case with hyphens, minted at the first attempt and reused on every retry",
            "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
        })
    }
}

/// 255 for what is not a lower-case hex digit.
fn hex_digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => 255,
    }
}

/// `$len` bytes, written as lower-case hex.
macro_rules! hex_bytes {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $len:literal, $digits:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $type([u8; $len]);

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut digits = [0; 2 * $len];
                hex::encode_to_slice(self.0, &mut digits).map_err(serde::ser::Error::custom)?;
                serializer.serialize_str(std::str::from_utf8(&digits).map_err(serde::ser::Error::custom)?)
            }
        }

        impl $type {
            pub const fn from_bytes(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }
        impl FromStr for $type {
            type Err = BadId;
            fn from_str(s: &str) -> Result<Self, BadId> {
                let mut bytes = [0; $len];
                let mut all = s.len() == 2 * $len;
                for (byte, pair) in bytes.iter_mut().zip(s.as_bytes().chunks_exact(2)) {
                    let (high, low) = (hex_digit(pair[0]), hex_digit(pair[1]));
                    all &= (high | low) < 16;
                    *byte = high << 4 | low;
                }
                if all { Ok(Self(bytes)) } else { Err(bad($kind, s, concat!($digits, " lower-case hex digits"))) }
            }
        }
        impl TryFrom<String> for $type {
            type Error = BadId;
            fn try_from(s: String) -> Result<Self, BadId> {
                s.parse()
            }
        }
        impl From<$type> for String {
            fn from(id: $type) -> String {
                id.to_string()
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($type), "({})"), self)
            }
        }
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": concat!("^[0-9a-f]{", $digits, "}$") })
            }
        }
    };
}

hex_bytes!(
    /// A sha256.
    Digest, "sha256", 32, "64"
);
hex_bytes!(
    /// The first 16 bytes of a sha256 over a request's canonical body: see [`crate::canonical`].
    Fingerprint, "fingerprint", 16, "32"
);

impl Digest {
    /// The sha256 of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

/// The sha256 over parts, each preceded by its length as a big-endian u64: no two lists of parts share an input.
#[derive(Debug, Default)]
pub struct DigestOfParts {
    hasher: Sha256,
    /// Not yet hashed: many parts are short.
    pending: Vec<u8>,
}

impl DigestOfParts {
    const PENDING_BYTES: usize = 16 << 10;

    pub fn add(&mut self, part: &[u8]) {
        self.pending.extend_from_slice(&(part.len() as u64).to_be_bytes());
        self.pending.extend_from_slice(part);
        if self.pending.len() >= Self::PENDING_BYTES {
            self.hasher.update(&self.pending);
            self.pending.clear();
        }
    }

    pub fn finish(mut self) -> Digest {
        self.hasher.update(&self.pending);
        Digest(self.hasher.finalize().into())
    }
}

/// One conversion: what is billed exactly once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conversion {
    pub customer_id: CustomerId,
    pub request_id: RequestId,
    pub fingerprint: Fingerprint,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_only_what_is_safe_in_a_key_and_a_path() {
        for good in ["acme", "a-b_c", "123", &"x".repeat(64)] {
            assert_eq!(good.parse::<CustomerId>().unwrap().as_str(), good);
        }
        for bad in ["", "ab", "Acme", "a/b/c", "../x", "a.b.c", "a b c", "ümlaut", &"x".repeat(65)] {
            assert!(bad.parse::<CustomerId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_request_id_is_a_canonical_uuid_v7_and_tells_its_time() {
        let id: RequestId = "019a3b5c-7e00-7abc-8def-0123456789ab".parse().unwrap();
        assert_eq!(id.minted_at().as_millis(), 0x019a_3b5c_7e00);
        assert_eq!(RequestId::from_bytes(*id.as_bytes()).unwrap(), id);
        for bad in [
            "019A3B5C-7E00-7ABC-8DEF-0123456789AB",   // upper case
            "019a3b5c7e007abc8def0123456789ab",       // no hyphens
            "{019a3b5c-7e00-7abc-8def-0123456789ab}", // braces
            "019a3b5c-7e00-4abc-8def-0123456789ab",   // version 4
            "019a3b5c-7e00-7abc-0def-0123456789ab",   // another variant
            "",
        ] {
            assert!(bad.parse::<RequestId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn parts_are_told_apart_by_length() {
        let joined = |parts: &[&str]| {
            let mut digest = DigestOfParts::default();
            for part in parts {
                digest.add(part.as_bytes());
            }
            digest.finish()
        };
        assert_ne!(joined(&["ab", "c"]), joined(&["a", "bc"]));
        assert_ne!(joined(&["ab"]), joined(&["ab", ""]));
        assert_eq!(joined(&["ab"]), Digest::of(b"\0\0\0\0\0\0\0\x02ab"));
        let long = "c".repeat(DigestOfParts::PENDING_BYTES);
        let all = ["\0\0\0\0\0\0\x40\0", &long, "\0\0\0\0\0\0\0\x01d"].concat();
        assert_eq!(joined(&[&long, "d"]), Digest::of(all.as_bytes()));
    }
}
