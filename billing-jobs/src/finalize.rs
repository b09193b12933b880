//! Making a month's draft final: one create-only put of a run, chained to the run before. That put is the commit.

use anyhow::{Context as _, bail};
use bytes::Bytes;
use contract::layout::{self, DraftFile};
use contract::{BrokerTime, CustomerId, Digest, Month};
use seals::run::{Run, StoredRun, Version};
use seals::{read_runs, run};
use service::BadUsage;
use store::{Put, Store};

use crate::closing::Closing;
use crate::draft::Draft;
use crate::reconcile::{Report, bills_agree};

/// Two finalizations at once: one wins, the other starts again on top, this often.
const TRIES: usize = 3;

/// What may be missing or strange in a month that becomes final by exception. Sums that don't add up may not.
///
/// BILL-1, too, where all that breaks it is a customer who can't be billed.
const OPENED_BY_EXCEPTION: [&str; 3] = ["LOG-1", "LOG-2", "LAND-1"];

/// An operator's decision, recorded in the run.
#[derive(Debug)]
pub(crate) struct Decision {
    pub(crate) operator: String,
    pub(crate) exception: Option<String>,
    /// Development: months of producers' times become final, too.
    pub(crate) producer_times: bool,
    pub(crate) at: BrokerTime,
}

#[derive(Debug)]
pub(crate) enum Finalized {
    Now(Run),
    /// Some run has done it before; nothing was changed.
    Before(Run),
}

/// The run that made a month final, if there is one.
pub(crate) fn of_month(runs: &[StoredRun], month: Month) -> Option<&Run> {
    runs.iter().map(|stored| &stored.run).find(|run| run.month == month)
}

/// What only an exception opens, in words; an error for what nothing opens: a month that is not over, and bills that are
/// wrong.
pub(crate) fn check(
    draft: &Draft,
    report: &Report,
    closing: &Closing,
    decision: &Decision,
) -> Result<Vec<String>, BadUsage> {
    let month = draft.month();
    let refuse = |why: String| Err(BadUsage(format!("{month} is not finalized: {why}")));
    if decision.operator.trim().is_empty() {
        return refuse("say who decides it with --operator".to_owned());
    }
    if decision.at < month.end() {
        return refuse(format!("it ends at {}", month.end()));
    }
    if closing.producer_times && !decision.producer_times {
        return refuse("its times are the producers'; in development, pass --producer-times".to_owned());
    }
    let mut opened = Vec::new();
    for check in report.checks.iter().filter(|check| !check.holds) {
        let first = check.broken.first().map_or("", String::as_str);
        let what = format!("{} is broken: {} ({first})", check.invariant, check.numbers);
        let only_unbilled = check.invariant == "BILL-1" && bills_agree(draft);
        if !only_unbilled && !OPENED_BY_EXCEPTION.contains(&check.invariant) {
            return refuse(what);
        }
        opened.push(what);
    }
    opened.extend(closing.open.iter().map(|open| format!("it can't be closed yet: {open}")));
    match opened.first() {
        Some(first) if decision.exception.is_none() => {
            let more = opened.len() - 1;
            refuse(format!("{first} (and {more} more); wait, or record an --exception"))
        }
        _ => Ok(opened),
    }
}

/// Commits the run. `draft` is what was checked, at its cut; `opened` is what the decision's exception opened.
pub(crate) async fn commit(
    store: &Store,
    draft: &Draft,
    decision: &Decision,
    opened: &[String],
) -> anyhow::Result<Finalized> {
    let table = layout::draft_file(draft.month(), &draft.id(), DraftFile::Table);
    let table = store.get(&table).await?.with_context(|| format!("{table} is missing"))?;
    for _ in 0..TRIES {
        let runs = read_runs(store).await?;
        if let Some(run) = of_month(&runs, draft.month()) {
            return Ok(Finalized::Before(run.clone()));
        }
        let last = runs.last();
        if last.map(|stored| stored.sha256) != draft.inputs.previous_run_sha256 {
            bail!(BadUsage(format!(
                "{} is not finalized: another month became final since the draft; run `billing-jobs draft` again",
                draft.month()
            )));
        }
        let run =
            Run { bills_parquet_sha256: Digest::of(&table), opened: opened.to_vec(), ..build(draft, last, decision)? };
        run::check_link(last, &run).map_err(anyhow::Error::msg)?;
        let bytes = Bytes::from(run.encode()?);
        service::kill_point("before-run-put");
        match store.create(&layout::run(run.seq), bytes).await? {
            Put::Created | Put::AlreadySame => {
                service::kill_point("after-run-put");
                return Ok(Finalized::Now(run));
            }
            Put::AlreadyOther => tracing::warn!(seq = run.seq, "another run was first; looking again"),
        }
    }
    bail!("other finalizations were first {TRIES} times running; try again")
}

fn build(draft: &Draft, last: Option<&StoredRun>, decision: &Decision) -> anyhow::Result<Run> {
    let customers: Vec<CustomerId> = draft.bills.iter().map(|bill| bill.customer_id.clone()).collect();
    let next_invoice = |run: &Run| run.first_invoice_number.checked_add(run.customers.len() as u64);
    let first_invoice_number =
        last.map_or(Some(1), |stored| next_invoice(&stored.run)).context("invoice numbers ran out")?;
    Ok(Run {
        version: Version::V1,
        seq: last.map_or(1, |stored| stored.run.seq + 1),
        previous_sha256: last.map(|stored| stored.sha256),
        month: draft.month(),
        customers,
        inputs_sha256: draft.id(),
        bills_sha256: Digest::of(&draft.bills_jsonl),
        bills_parquet_sha256: Digest::of(&draft.bills_parquet),
        price_book: draft.inputs.price_book,
        cut: draft.inputs.cut.clone(),
        first_invoice_number,
        finalized_at_ms: decision.at.as_millis(),
        operator: decision.operator.clone(),
        exception: decision.exception.clone(),
        opened: Vec::new(),
    })
}
