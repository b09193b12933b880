//! One version of a customer's account: topic `accounts`, key `customer_id`.
//!
//! Versions are numbered from 1 without gaps. Of two with one number the first in the log counts; the other is a named
//! conflict.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{CustomerId, Digest, KeyId, PlanName, Region};
use crate::record::{DecodeError, Record, RecordView};
use crate::resize::Presets;
use crate::time::BrokerTime;

pub const TYPE: &str = "pixtoll.account.changed.v1";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccountVersion {
    pub customer_id: CustomerId,
    #[schemars(range(min = 1))]
    pub version: u32,
    #[serde(rename = "effective_from_ms")]
    pub effective_from: BrokerTime,
    /// A plan of the price book.
    pub plan: PlanName,
    pub currency: Currency,
    pub home_region: Region,
    /// Empty when the customer publishes to the log directly.
    #[serde(default)]
    pub api_keys: Vec<ApiKey>,
    #[serde(default)]
    pub limits: Limits,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub presets: Presets,
}

/// An API key is 256 random bits, so its plain sha256 gives nothing away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApiKey {
    pub key_id: KeyId,
    pub sha256: Digest,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<u32>,
}

/// An ISO 4217 code.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = "^[A-Z]{3}$"))]
pub struct Currency(String);

impl Currency {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl TryFrom<String> for Currency {
    type Error = String;
    fn try_from(s: String) -> Result<Self, String> {
        if s.len() == 3 && s.bytes().all(|b| b.is_ascii_uppercase()) {
            Ok(Self(s))
        } else {
            Err(format!("currency {s:?} is not three letters such as EUR"))
        }
    }
}
impl std::str::FromStr for Currency {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        s.to_owned().try_into()
    }
}
impl From<Currency> for String {
    fn from(currency: Currency) -> String {
        currency.0
    }
}
impl std::fmt::Display for Currency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl AccountVersion {
    pub fn to_record(&self) -> Result<Record, serde_json::Error> {
        let key = self.customer_id.to_string();
        let id = format!("{key}@{}", self.version);
        Ok(Record::event(&key, &id, "/accounts", TYPE, serde_json::to_vec(self)?))
    }

    pub fn from_record(record: &RecordView<'_>) -> Result<Self, DecodeError> {
        let (key, ce_id) = record.attributes(TYPE)?;
        let (_, account): (_, Self) = record.body("account version")?;
        if account.version == 0 {
            return Err(DecodeError::Inconsistent("account versions start at 1".to_owned()));
        }
        if key != account.customer_id.as_str() || ce_id != format!("{key}@{}", account.version) {
            return Err(DecodeError::IdMismatch);
        }
        Ok(account)
    }
}
