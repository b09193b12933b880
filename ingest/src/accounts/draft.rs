//! What the next version of an account should say. No IO.

use contract::account::{ApiKey, Currency, Limits};
use contract::ids::{Digest, Label, PlanName};
use contract::resize::Resize;
use contract::{AccountVersion, BrokerTime, CustomerId, KeyId, Region};
use service::BadUsage;

use crate::random;

/// A version as it was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) customer_id: CustomerId,
    pub(crate) plan: PlanName,
    pub(crate) currency: Currency,
    pub(crate) home_region: Region,
    pub(crate) effective_from: Option<BrokerTime>,
    pub(crate) new_key_id: Option<KeyId>,
    pub(crate) revoked_key_ids: Vec<KeyId>,
    pub(crate) requests_per_second: Option<u32>,
    /// To be added to those that the account has.
    pub(crate) presets: Vec<(Label, Resize)>,
}

/// A key that is about to be given out: the only place that holds its text.
pub(crate) struct NewKey {
    pub(crate) id: KeyId,
    /// 256 random bits as 64 lower-case hex digits: what a client presents.
    pub(crate) text: String,
}

impl NewKey {
    pub(crate) fn make(id: KeyId) -> anyhow::Result<Self> {
        Ok(Self { id, text: hex::encode(random::bytes::<32>()?) })
    }

    fn hashed(&self) -> ApiKey {
        ApiKey { key_id: self.id.clone(), sha256: Digest::of(self.text.as_bytes()) }
    }
}

impl Draft {
    /// The version after `latest`; keys and limits of that one stay unless the draft says otherwise.
    pub(crate) fn next(
        &self,
        latest: Option<&AccountVersion>,
        key: Option<&NewKey>,
        now: BrokerTime,
    ) -> anyhow::Result<AccountVersion> {
        let customer = &self.customer_id;
        let version = latest.map_or(Some(1), |latest| latest.version.checked_add(1));
        let version = version.ok_or_else(|| anyhow::anyhow!("{customer} has as many versions as there can be"))?;
        let mut api_keys = latest.map(|latest| latest.api_keys.clone()).unwrap_or_default();
        for revoked in &self.revoked_key_ids {
            let before = api_keys.len();
            api_keys.retain(|key| key.key_id != *revoked);
            if api_keys.len() == before {
                return Err(BadUsage(format!("--revoke-key-id {revoked}: {customer} has no such key")).into());
            }
        }
        if let Some(key) = key {
            if api_keys.iter().any(|there| there.key_id == key.id) {
                let why = format!("--api-key-id {}: {customer} has such a key; choose another name", key.id);
                return Err(BadUsage(why).into());
            }
            api_keys.push(key.hashed());
        }
        let limits = match self.requests_per_second {
            None => latest.map(|latest| latest.limits.clone()).unwrap_or_default(),
            Some(0) => Limits { requests_per_second: None },
            limit => Limits { requests_per_second: limit },
        };
        let mut presets = latest.map(|latest| latest.presets.clone()).unwrap_or_default();
        for (name, resize) in &self.presets {
            let defined = presets.entry(name.clone()).or_insert_with(|| resize.clone());
            if defined != resize {
                let why = format!("--preset {name}: {customer} has one of other meaning; choose another name");
                return Err(BadUsage(why).into());
            }
        }
        Ok(AccountVersion {
            customer_id: customer.clone(),
            version,
            effective_from: self.effective_from.unwrap_or(now),
            plan: self.plan.clone(),
            currency: self.currency.clone(),
            home_region: self.home_region.clone(),
            api_keys,
            limits,
            presets,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: BrokerTime = BrokerTime::from_millis(1_793_000_000_000);

    fn draft() -> Draft {
        Draft {
            customer_id: "acme".parse().unwrap(),
            plan: "starter".parse().unwrap(),
            currency: "EUR".parse().unwrap(),
            home_region: "local".parse().unwrap(),
            effective_from: None,
            new_key_id: None,
            revoked_key_ids: Vec::new(),
            requests_per_second: None,
            presets: Vec::new(),
        }
    }

    fn key(id: &str) -> NewKey {
        NewKey { id: id.parse().unwrap(), text: format!("secret of {id}") }
    }

    fn key_ids(account: &AccountVersion) -> Vec<&str> {
        account.api_keys.iter().map(|key| key.key_id.as_str()).collect()
    }

    #[test]
    fn the_first_version_is_one_and_holds_from_now() {
        let first = draft().next(None, None, NOW).unwrap();
        assert_eq!((first.version, first.effective_from), (1, NOW));
        let later = NOW.plus_millis(5);
        let second = Draft { effective_from: Some(later), ..draft() }.next(Some(&first), None, NOW).unwrap();
        assert_eq!((second.version, second.effective_from), (2, later));
        let last = AccountVersion { version: u32::MAX, ..first };
        assert!(draft().next(Some(&last), None, NOW).is_err());
    }

    #[test]
    fn keys_and_limits_stay_until_something_is_said() {
        let first = Draft { requests_per_second: Some(50), ..draft() }.next(None, Some(&key("k1")), NOW).unwrap();
        assert_eq!(first.api_keys[0].sha256, Digest::of(b"secret of k1"));
        let second = Draft { plan: "pro".parse().unwrap(), ..draft() }.next(Some(&first), None, NOW).unwrap();
        assert_eq!((&second.api_keys, &second.limits), (&first.api_keys, &first.limits));

        let rotate = Draft { revoked_key_ids: vec!["k1".parse().unwrap()], requests_per_second: Some(0), ..draft() };
        let third = rotate.next(Some(&second), Some(&key("k2")), NOW).unwrap();
        assert_eq!((key_ids(&third), third.limits.requests_per_second), (vec!["k2"], None));
    }

    #[test]
    fn a_key_is_neither_made_twice_nor_revoked_when_absent() {
        let first = draft().next(None, Some(&key("k1")), NOW).unwrap();
        let again = draft().next(Some(&first), Some(&key("k1")), NOW).unwrap_err();
        assert!(again.to_string().contains("--api-key-id k1"), "{again}");
        let revoke = Draft { revoked_key_ids: vec!["k9".parse().unwrap()], ..draft() };
        let absent = revoke.next(Some(&first), None, NOW).unwrap_err();
        assert!(absent.to_string().contains("--revoke-key-id k9"), "{absent}");
        assert!(absent.downcast_ref::<BadUsage>().is_some());
    }

    #[test]
    fn a_preset_stays_and_never_changes_its_meaning() {
        let with = |name: &str, width| {
            let resize = Resize { width: Some(width), ..Resize::default() };
            Draft { presets: vec![(name.parse().unwrap(), resize)], ..draft() }
        };
        let first = with("thumb", 64).next(None, None, NOW).unwrap();
        let second = with("wide", 900).next(Some(&first), None, NOW).unwrap();
        assert_eq!(second.presets.keys().map(Label::as_str).collect::<Vec<_>>(), ["thumb", "wide"]);
        assert_eq!(with("thumb", 64).next(Some(&second), None, NOW).unwrap().presets, second.presets);
        let other = with("thumb", 65).next(Some(&second), None, NOW).unwrap_err();
        assert!(other.to_string().contains("--preset thumb"), "{other}");
    }

    #[test]
    fn two_keys_are_256_bits_each_and_differ() {
        let [one, other] = ["a", "b"].map(|id| NewKey::make(id.parse().unwrap()).unwrap().text);
        assert_eq!((one.len(), other.len()), (64, 64));
        assert_ne!(one, other);
    }
}
