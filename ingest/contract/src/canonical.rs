//! One byte form for every JSON value (RFC 8785), and the fingerprint made from it.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

use crate::ids::{Digest, Fingerprint};

/// The largest integer that every JSON reader takes for the same number (RFC 7493, section 2.2).
pub(crate) const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// Parses I-JSON (RFC 7493): an object with a name twice, or an integer past ±(2^53 − 1), is an error, because two
/// readers could then see two different bodies.
pub fn parse(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice::<Strict>(bytes).map(|strict| strict.0)
}

/// The RFC 8785 form of a value.
pub fn to_canonical_json<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    serde_json_canonicalizer::to_vec(value)
}

/// The fingerprint of a request's body as received: all its fields, also those this version does not know, with the
/// source put as the sha256 of the image alone, so that an image inlined and the same image stored count as one.
pub fn fingerprint(body: &Value, source_sha256: &Digest) -> Result<Fingerprint, serde_json::Error> {
    let mut body = body.clone();
    if let Value::Object(fields) = &mut body {
        fields.insert("source".to_owned(), Value::String(source_sha256.to_string()));
    }
    let digest = Digest::of(&to_canonical_json(&body)?);
    let mut head = [0; 16];
    head.copy_from_slice(&digest.as_bytes()[..16]);
    Ok(Fingerprint::from_bytes(head))
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

fn safe_integer<E: de::Error>(magnitude: u64, number: Number) -> Result<Value, E> {
    if magnitude <= MAX_SAFE_INTEGER {
        Ok(Value::Number(number))
    } else {
        Err(E::custom(format_args!("integer {number} is past 2^53 - 1, so not I-JSON")))
    }
}

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an I-JSON value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }
    fn visit_i64<E: de::Error>(self, v: i64) -> Result<Value, E> {
        safe_integer(v.unsigned_abs(), v.into())
    }
    fn visit_u64<E: de::Error>(self, v: u64) -> Result<Value, E> {
        safe_integer(v, v.into())
    }
    fn visit_f64<E: de::Error>(self, v: f64) -> Result<Value, E> {
        Number::from_f64(v).map(Value::Number).ok_or_else(|| E::custom("a number that is not finite"))
    }
    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::String(v.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = BTreeMap::new();
        while let Some((name, Strict(value))) = map.next_entry::<String, Strict>()? {
            if fields.contains_key(&name) {
                return Err(de::Error::custom(format_args!("the name {name:?} stands twice, so not I-JSON")));
            }
            fields.insert(name, value);
        }
        Ok(Value::Object(fields.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: Digest = Digest::from_bytes([0xab; 32]);

    fn print_of(body: &str) -> String {
        fingerprint(&parse(body.as_bytes()).unwrap(), &IMAGE).unwrap().to_string()
    }

    #[test]
    fn only_i_json_is_taken() {
        for bad in
            [r#"{"a":1,"a":1}"#, r#"{"a":{"b":1,"b":2}}"#, "9007199254740992", "-9007199254740992", "1e999", "{", ""]
        {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
        for good in ["9007199254740991", r#"{"a":[1,2.5,null,true,"x"]}"#] {
            assert!(parse(good.as_bytes()).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_fingerprint_sees_every_field_but_neither_order_nor_spelling() {
        let one = print_of(r#"{"b":1,"a":"é","source":{"sha256":"x"}}"#);
        assert_eq!(one, print_of("{ \"a\": \"\\u00e9\", \"source\": {\"inline\": \"AA==\"}, \"b\": 1.0 }"));
        assert_ne!(one, print_of(r#"{"b":2,"a":"é","source":{}}"#));
        assert_ne!(one, print_of(r#"{"b":1,"a":"é","unknown":null,"source":{}}"#));
    }

    /// Computed outside this crate: sha256 of `{"a":1,"source":"abab…ab"}`, first 16 bytes. It may never change.
    #[test]
    fn the_fingerprint_of_a_known_body_is_pinned() {
        assert_eq!(print_of(r#"{"a":1}"#), "1aabc65522bfb50ed0e4fe0200472110");
    }

    /// From RFC 8785, section 3.2.2 (the numbers) and 3.2.3 (the order of names).
    #[test]
    fn canonical_form_follows_rfc_8785() {
        let value = parse(br#"{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"a":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/"}"#).unwrap();
        let text = String::from_utf8(to_canonical_json(&value).unwrap()).unwrap();
        assert_eq!(
            text,
            "{\"a\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\",\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27]}"
        );
    }
}
