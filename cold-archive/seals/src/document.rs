//! Stored JSON documents: canonical bytes (RFC 8785), so that equal values have equal hashes and a hash has one text.

use contract::canonical;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why bytes are not the document they should be, or why a value can't be written as one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DocumentError(String);

/// The bytes to store. A value that would not read back as itself, such as an integer past 2^53 − 1, is refused.
pub fn encode<T: Serialize + DeserializeOwned + PartialEq>(value: &T) -> Result<Vec<u8>, DocumentError> {
    let bytes = canonical::to_canonical_json(value).map_err(|error| DocumentError(error.to_string()))?;
    if decode::<T>(&bytes)? == *value {
        Ok(bytes)
    } else {
        Err(DocumentError("would not read back as itself".to_owned()))
    }
}

/// Reads a document back. Fields that this version does not know are ignored; bytes that are not in canonical form are
/// refused.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DocumentError> {
    let broken = |error: serde_json::Error| DocumentError(error.to_string());
    let value = canonical::parse(bytes).map_err(broken)?;
    if canonical::to_canonical_json(&value).map_err(broken)? != bytes {
        return Err(DocumentError("is not canonical JSON".to_owned()));
    }
    serde_json::from_value(value).map_err(broken)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn one_value_has_one_text() {
        let value = BTreeMap::from([("b".to_owned(), 2_u64), ("a".to_owned(), 1)]);
        assert_eq!(encode(&value).unwrap(), br#"{"a":1,"b":2}"#);
        for bad in [r#"{"b":2,"a":1}"#, r#"{"a": 1}"#, "{\"a\":1}\n", r#"{"a":1,"a":1}"#, r#"{"a":1.0}"#, "", "null"] {
            assert!(decode::<BTreeMap<String, u64>>(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(encode(&BTreeMap::from([("a".to_owned(), (1_u64 << 53) + 1)])).is_err());
    }
}
