//! The real `billing-jobs`, as a finance person uses it.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use contract::account::Limits;
use contract::layout::Topic;
use contract::{AccountVersion, BrokerTime, CustomerId, Digest, Month};
use serde_json::Value;
use system_tests::harness::{Finished, Launch, Publisher, System, wait_for};

use crate::prices::{BOOK, CUSTOMERS};
use crate::{PATIENCE, customer, now};

pub(crate) const PARTITIONS: i32 = 2;
pub(crate) const MINUTE_MS: i64 = 60_000;
pub(crate) const HOUR_MS: i64 = 60 * MINUTE_MS;

pub(crate) type Totals = BTreeMap<CustomerId, i128>;

pub(crate) fn this_month() -> Result<Month> {
    Month::of(now()).context("the clock of this machine is out of range")
}

/// Accounts and prices. What changes within a month takes effect at the next one's start, however often it changes.
pub(crate) async fn open_accounts(system: &System, publisher: &mut Publisher, month: Month) -> Result<()> {
    for (customer_id, plan, currency) in CUSTOMERS {
        let changes = [(plan, month.start()), ("packages", month.end().plus_millis(-1)), (plan, month.end())];
        for (version, (plan, effective_from)) in (1..).zip(changes) {
            let account = AccountVersion {
                customer_id: customer(customer_id)?,
                version,
                effective_from,
                plan: plan.parse()?,
                currency: currency.parse().map_err(anyhow::Error::msg)?,
                home_region: "local".parse()?,
                api_keys: Vec::new(),
                limits: Limits::default(),
                presets: contract::resize::Presets::new(),
            };
            publisher.account(&account, None).await?;
        }
    }
    let book = system.folder().join("prices.toml");
    fs::write(&book, BOOK)?;
    let book = book.to_str().context("a folder whose name is not UTF-8")?;
    job(system, &["price-book", "publish", book])?.finish().await?.ok().map(drop)
}

pub(crate) fn job(system: &System, command: &[&str]) -> Result<Launch> {
    Ok(system.tool("billing-jobs")?.args(command).args(["--store", system.store.url()]))
}

/// A command on a month.
pub(crate) async fn on(system: &System, month: Month, command: &[&str]) -> Result<Finished> {
    job(system, command)?.args(["--month", &month.to_string()]).finish().await
}

pub(crate) async fn json(system: &System, month: Month, command: &str) -> Result<Value> {
    Ok(serde_json::from_str(&on(system, month, &[command, "--json"]).await?.ok()?)?)
}

pub(crate) async fn finalize(system: &System, month: Month) -> Result<Finished> {
    on(system, month, &["finalize", "--operator", "kim", "--producer-times"]).await
}

/// What keeps the month from closing, by a new draft.
pub(crate) async fn open(system: &System, month: Month) -> Result<Vec<String>> {
    let draft = json(system, month, "draft").await?;
    let open = draft["closing"]["open"].as_array().context("no word of what is open")?;
    Ok(open.iter().filter_map(|open| open.as_str().map(str::to_owned)).collect())
}

/// The bills' totals in the smallest unit of their currencies.
pub(crate) async fn billed(system: &System, month: Month) -> Result<Totals> {
    let bills = on(system, month, &["show", "--json"]).await?.ok()?;
    let mut totals = Totals::new();
    for bill in bills.lines() {
        let bill: Value = serde_json::from_str(bill)?;
        let text = |name: &str| bill[name].as_str().with_context(|| format!("no {name} in {bill}"));
        let decimals = if text("currency")? == "JPY" { None } else { Some(2) };
        let total = text("total")?;
        let places = total.split_once('.').map(|(_, decimals)| decimals.len());
        ensure!(places == decimals, "a total of {total} {}", text("currency")?);
        totals.insert(text("customer_id")?.parse()?, total.replace('.', "").parse()?);
    }
    Ok(totals)
}

/// Every object of the bills, with the digest of its bytes.
pub(crate) async fn bill_objects(system: &System) -> Result<BTreeMap<String, Digest>> {
    let mut objects = BTreeMap::new();
    for entry in system.store.list("bills").await? {
        let bytes = system.store.get(&entry.path).await?.context("gone")?;
        objects.insert(entry.path, Digest::of(&bytes));
    }
    Ok(objects)
}

/// Waits until every partition of requests and accounts is landed past `time`: ticks do that.
pub(crate) async fn landed_past(system: &System, time: BrokerTime) -> Result<()> {
    let past = async || {
        let landed = system.landed().await?;
        let head = |topic, partition| Some(landed.chain(topic, partition)?.head()?.footer.last_append_time);
        let required =
            [Topic::Requests, Topic::Accounts].into_iter().flat_map(|t| (0..PARTITIONS).map(move |p| (t, p)));
        let all =
            required.into_iter().all(|(topic, partition)| head(topic, partition).is_some_and(|head| head >= time));
        Ok(all.then_some(()))
    };
    wait_for("all partitions to be landed past the month", PATIENCE, past).await
}
