//! Which account state bills a customer's month.

use std::collections::BTreeMap;

use anyhow::Context as _;
use contract::account::Currency;
use contract::ids::PlanName;
use contract::layout::Topic;
use contract::{BrokerTime, CustomerId, Month};
use serde::{Deserialize, Serialize};

use crate::lake::Lake;
use crate::query::{Row, rows};

/// One version of an account, as far as billing looks at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) version: i64,
    #[serde(rename = "effective_from_ms")]
    pub(crate) effective_from: BrokerTime,
    pub(crate) plan: PlanName,
    pub(crate) currency: Currency,
}

/// All landed accounts.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    versions: BTreeMap<CustomerId, BTreeMap<i64, Account>>,
    /// Two different versions with one number, of which the first in the log counts.
    pub(crate) conflicts: Vec<String>,
}

impl Accounts {
    pub(crate) async fn read(lake: &Lake) -> anyhow::Result<Self> {
        let (_, batches) = lake.rows(Topic::Accounts, lake.segments(Topic::Accounts)).await?;
        let mut found = Vec::new();
        // Rows come by epoch, partition and offset. A broker's clock that steps back does not reorder a partition.
        let mut latest = BTreeMap::new();
        for row in rows(&batches) {
            if row.optional_text("quarantine_reason")?.is_none() {
                let chain = (row.int64("epoch")?, row.int64("partition")?);
                let time = latest.entry(chain).or_insert(BrokerTime::from_millis(i64::MIN));
                *time = row.time("append_time")?.max(*time);
                let place = (*time, chain, row.int64("offset")?);
                found.push((place, row.text("customer_id")?.parse::<CustomerId>()?, account(row)?));
            }
        }
        found.sort_by_key(|(place, _, _)| *place);
        let mut accounts = Self::default();
        for (_, customer_id, account) in found {
            accounts.add(&customer_id, account);
        }
        Ok(accounts)
    }

    /// Of two versions with one number the first counts; the same one again is a retry.
    fn add(&mut self, customer_id: &CustomerId, account: Account) {
        let versions = self.versions.entry(customer_id.clone()).or_default();
        match versions.get(&account.version) {
            None => drop(versions.insert(account.version, account)),
            Some(first) if *first == account => {}
            Some(_) => self.conflicts.push(format!("{customer_id}@{}", account.version)),
        }
    }

    /// The versions that are missing below a landed one: they may yet change what a month is billed by.
    pub(crate) fn gaps(&self) -> Vec<String> {
        let mut gaps = Vec::new();
        for (customer_id, versions) in &self.versions {
            let highest = versions.keys().next_back().copied().unwrap_or(0);
            let missing = (1..highest).filter(|version| !versions.contains_key(version));
            gaps.extend(missing.map(|version| format!("version {version} of account {customer_id} is not landed")));
        }
        gaps
    }

    /// The account states that bill `month`: the highest-numbered version effective by its start, else the customer's
    /// first, if that is effective before its end.
    pub(crate) fn for_month(&self, month: Month) -> BTreeMap<&CustomerId, &Account> {
        let state = |versions: &'_ BTreeMap<i64, Account>| -> Option<i64> {
            let by_start = versions.values().rev().find(|account| account.effective_from <= month.start());
            let first = || versions.values().next().filter(|account| account.effective_from < month.end());
            by_start.or_else(first).map(|account| account.version)
        };
        let billed = self
            .versions
            .iter()
            .filter_map(|(customer_id, versions)| Some((customer_id, versions.get(&state(versions)?)?)));
        billed.collect()
    }
}

fn account(row: Row<'_>) -> anyhow::Result<Account> {
    Ok(Account {
        version: row.int64("version")?,
        effective_from: row.time("effective_from")?,
        plan: row.text("plan")?.parse()?,
        currency: row.text("currency")?.parse().map_err(anyhow::Error::msg).context("currency")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts(versions: &[(i64, &str, &str)]) -> Accounts {
        let mut accounts = Accounts::default();
        for (version, from, plan) in versions {
            let account = Account {
                version: *version,
                effective_from: from.parse().unwrap(),
                plan: plan.parse().unwrap(),
                currency: "EUR".parse().unwrap(),
            };
            accounts.add(&"acme".parse().unwrap(), account);
        }
        accounts
    }

    #[test]
    fn a_plan_change_takes_effect_at_a_months_start() {
        let check = |versions: &[(i64, &str, &str)], month: &str, plan: Option<&str>| {
            let accounts = accounts(versions);
            let billed = accounts.for_month(month.parse().unwrap());
            assert_eq!(billed.values().next().map(|a| a.plan.as_str()), plan, "{versions:?} in {month}");
        };
        let first = (1, "2026-09-15T00:00:00Z", "a");
        check(&[first], "2026-08", None);
        check(&[first], "2026-09", Some("a")); // its first: bills from the middle of its first month
        check(&[first], "2026-10", Some("a"));
        let second = (2, "2026-10-01T00:00:00Z", "b");
        check(&[first, second], "2026-10", Some("b")); // effective by the start: at it is by it
        check(&[first, second], "2026-09", Some("a"));
        let late = (2, "2026-10-01T00:00:00.001Z", "b");
        check(&[first, late], "2026-10", Some("a"));
        check(&[first, late], "2026-11", Some("b"));
        check(&[first, second, (3, "2026-10-01T00:00:00Z", "c")], "2026-10", Some("c"));
    }

    #[test]
    fn a_version_that_is_missing_is_named() {
        let first = (1, "2026-09-01T00:00:00Z", "a");
        let third = (3, "2026-09-01T00:00:00Z", "c");
        assert_eq!(accounts(&[first, third]).gaps(), ["version 2 of account acme is not landed"]);
        assert_eq!(accounts(&[first]).gaps(), [""; 0]);
    }

    #[test]
    fn of_two_versions_with_one_number_the_first_counts_and_the_other_is_named() {
        let accounts = accounts(&[(1, "2026-09-01T00:00:00Z", "a"), (1, "2026-09-01T00:00:00Z", "b")]);
        assert_eq!(accounts.conflicts, ["acme@1"]);
        let billed = accounts.for_month("2026-10".parse().unwrap());
        assert_eq!(billed.values().next().unwrap().plan.as_str(), "a");
    }
}
