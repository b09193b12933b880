//! Closing the month through the real `billing-jobs`, and its bills computed again by plain integer loops.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use contract::ids::Conversion;
use contract::layout::{self, DraftFile};
use contract::{CustomerId, Digest, Month};
use serde_json::Value;
use service::output::line;

use super::plan::{PRICE_BOOK, Plan, Pricing};
use super::say::done;
use crate::harness::{Landed, Launch, Ledger, System, UsageRow, wait_for};

/// Each customer's total in cents, as billed.
pub(super) type Totals = BTreeMap<CustomerId, i128>;

fn billing(system: &System) -> Result<Launch> {
    system.tool("billing-jobs")
}

async fn job(system: &System, command: &[&str], month: Month) -> Result<String> {
    let month = month.to_string();
    billing(system)?.args(command).args(["--store", system.store.url(), "--month", &month]).finish().await?.ok()
}

/// The month can be closed once idle partitions have been ticked past its end.
pub(super) async fn wait_until_closable(system: &System, month: Month) -> Result<()> {
    fs::write(system.folder().join("prices.toml"), PRICE_BOOK)?;
    let file = system.folder().join("prices.toml");
    let file = file.to_str().context("a path that is not UTF-8")?;
    line(
        billing(system)?
            .args(["price-book", "publish", file, "--store", system.store.url()])
            .finish()
            .await?
            .ok()?
            .trim_end(),
    );
    wait_for("the watermarks to pass the month's end", Duration::from_mins(1), || async {
        let draft: Value = serde_json::from_str(&job(system, &["draft", "--json"], month).await?)?;
        let open = draft["closing"]["open"].as_array().context("no word of what is open")?;
        Ok(open.is_empty().then_some(()))
    })
    .await
}

/// Rolls up, drafts, reconciles, finalizes; prints what a finance person sees. Leaves the bills under `data/bills`.
pub(super) async fn close(system: &System, plan: &Plan, month: Month, data: &Path) -> Result<Totals> {
    for command in [
        &["rollup"][..],
        &["draft"],
        &["reconcile"],
        &["finalize", "--operator", "demo", "--producer-times"],
        &["show"],
    ] {
        line(format!("$ billing-jobs {} --month {month}", command.join(" ")));
        line(job(system, command, month).await?.trim_end());
    }
    for (customer_id, _) in &plan.customers {
        line(job(system, &["show", "--customer", customer_id.as_str()], month).await?.trim_end());
    }
    let again = job(system, &["finalize", "--operator", "demo", "--producer-times"], month).await?;
    ensure!(again.contains("was final before"), "a second finalize said: {again}");
    done("finalized a second time: nothing changed");
    copy_bills(system, month, data).await?;
    totals(&job(system, &["show", "--json"], month).await?)
}

fn totals(json_lines: &str) -> Result<Totals> {
    let mut totals = Totals::new();
    for text in json_lines.lines() {
        let bill: Value = serde_json::from_str(text)?;
        let customer = bill["customer_id"].as_str().context("a bill without a customer")?;
        let total = bill["total"].as_str().context("a bill without a total")?;
        let (whole, cents) = total.split_once('.').context("a total without cents")?;
        ensure!(cents.len() == 2, "a total of {total}");
        totals.insert(customer.parse()?, format!("{whole}{cents}").parse()?);
    }
    Ok(totals)
}

async fn copy_bills(system: &System, month: Month, data: &Path) -> Result<()> {
    let run = system.store.get(&layout::run(1)).await?.context("no final run")?;
    let run: Value = serde_json::from_slice(&run)?;
    let inputs: Digest = run["inputs_sha256"].as_str().context("a run without inputs")?.parse()?;
    fs::create_dir_all(data.join("bills"))?;
    for (file, name) in
        [(DraftFile::Inputs, "inputs.json"), (DraftFile::Lines, "bills.jsonl"), (DraftFile::Table, "bills.parquet")]
    {
        let path = layout::draft_file(month, &inputs, file);
        let bytes = system.store.get(&path).await?.with_context(|| format!("{path} is missing"))?;
        fs::write(data.join("bills").join(name), bytes)?;
    }
    Ok(())
}

/// Holds the billed totals against the ledger: who published knows how many conversions were done in the month. CPU time
/// it can't know; that is added up here from the landed events by the winner rule.
pub(super) fn check(billed: &Totals, plan: &Plan, ledger: &Ledger, landed: &Landed) -> Result<()> {
    let cpu = cpu_micros_of_winners(landed, plan.month);
    let mut expected = Totals::new();
    for (customer_id, pricing) in &plan.customers {
        let done = ledger.conversions().into_iter().filter(|(conversion, fate)| {
            conversion.customer_id == *customer_id
                && fate.outcome.is_ok()
                && fate.accepted_at.is_some_and(|time| plan.month.contains(time))
        });
        let conversions = i128::try_from(done.count())?;
        let cents = match pricing {
            Pricing::PerConversion => half_up(conversions * 21, 100), // 0.0021 EUR is 21/100 of a cent
            Pricing::CpuTiers => 500 + cpu_tiers(cpu.get(customer_id).copied().unwrap_or(0)),
            Pricing::Packages => {
                (conversions - 10).max(0).div_euclid(20).saturating_mul(190)
                    + if (conversions - 10).max(0) % 20 > 0 { 190 } else { 0 }
            }
        };
        expected.insert(customer_id.clone(), cents);
    }
    if *billed != expected {
        bail!("billed {billed:?} cents, the publisher's own ledger says {expected:?}");
    }
    Ok(())
}

/// 0.80 EUR a second up to 0.2 s, 0.60 up to 1 s, 0.40 above; each tier rounded to the cent by itself.
fn cpu_tiers(micros: i128) -> i128 {
    let tiers = [(0, 200_000, 80), (200_000, 1_000_000, 60), (1_000_000, i128::MAX, 40)];
    let tier =
        |(above, up_to, cents): (i128, i128, i128)| half_up((micros.min(up_to) - above).max(0) * cents, 1_000_000);
    tiers.into_iter().map(tier).sum()
}

fn half_up(numerator: i128, denominator: i128) -> i128 {
    (2 * numerator + denominator) / (2 * denominator)
}

/// The CPU time of each customer's billable conversions of a month: done before rejected, then the earliest, then the
/// lowest place.
fn cpu_micros_of_winners(landed: &Landed, month: Month) -> BTreeMap<CustomerId, i128> {
    let mut winners: BTreeMap<&Conversion, (_, &UsageRow)> = BTreeMap::new();
    for (at, event) in landed.answers() {
        let rank = (event.rejected.is_some(), event.accepted_at, at);
        let best = winners.entry(&event.conversion).or_insert((rank, event));
        if rank < best.0 {
            *best = (rank, event);
        }
    }
    let mut cpu = BTreeMap::new();
    for (conversion, (_, event)) in winners {
        if event.rejected.is_none() && month.contains(event.accepted_at) {
            *cpu.entry(conversion.customer_id.clone()).or_default() += i128::from(event.cpu_micros);
        }
    }
    cpu
}
