//! From requests to final bills, through the real binaries: to the cent what the publisher's own ledger says.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::{fs, iter};

use anyhow::{Context, Result};
use contract::account::Limits;
use contract::footer::Clock;
use contract::request::Resize;
use contract::usage::Reason;
use contract::{AccountVersion, BrokerTime, CustomerId, Digest, Month};
use rustix::process::Signal;
use serde_json::Value;
use system_tests::harness::{Finished, Launch, Photo, Planned, Publisher, System, Topics, wait_for};

use crate::mixture::{resize, tiny};
use crate::prices::{BOOK, CUSTOMERS, totals};
use crate::{PATIENCE, customer, now};

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

/// A system with topics for past months, its accounts and prices.
async fn opened(test: &str, partitions: i32, clock: Clock, month: Month) -> Result<(System, Publisher)> {
    let system = System::in_files(Topics::kafka(partitions, clock).await?, test)?;
    let mut publisher = system.publisher()?;
    for (customer_id, plan, currency) in CUSTOMERS {
        // What comes later in the month takes effect at the next month's start, even if it comes twice.
        for (version, plan, effective_from) in
            [(1, plan, month.start()), (2, "packages", month.end().plus_millis(-1)), (3, plan, month.end())]
        {
            let account = AccountVersion {
                customer_id: customer(customer_id)?,
                version,
                effective_from,
                plan: plan.parse()?,
                currency: currency.parse().map_err(anyhow::Error::msg)?,
                home_region: "local".parse()?,
                api_keys: Vec::new(),
                limits: Limits::default(),
            };
            publisher.account(&account, None).await?;
        }
    }
    let book = system.folder().join("prices.toml");
    fs::write(&book, BOOK)?;
    let book = book.to_str().context("a folder whose name is not UTF-8")?;
    system.launch("billing-jobs")?.prefixed(["price-book", "publish", book]).finish().await?.ok()?;
    Ok((system, publisher))
}
