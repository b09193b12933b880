//! The subcommands, each a list of steps.

use contract::{Digest, Month};
use rating::Bill;
use seals::{StoredRun, read_runs};
use serde_json::json;
use service::output::{self, line};
use service::{BadUsage, Failed, Shutdown, clock};
use store::Store;

use crate::accounts::Accounts;
use crate::closing::closing;
use crate::config::{Command, DraftArgs, FinalizeArgs, MonthArgs, PriceBookCommand, RollupArgs, ShowArgs};
use crate::draft::{self, Draft};
use crate::finalize::{self, Decision, Finalized};
use crate::lake::Lake;
use crate::reconcile::{Check, reconcile};
use crate::rollup::{Job, Shard, Stored};
use crate::{price_books, print, rollup, usage};

/// Runs one subcommand; an interrupt ends it between two writes, each of which is whole or absent.
pub async fn run(command: Command, shutdown: Shutdown) -> anyhow::Result<()> {
    tokio::select! {
        outcome = dispatch(command) => outcome,
        () = shutdown.requested() => anyhow::bail!("interrupted; what was stored is whole, run it again"),
    }
}

async fn dispatch(command: Command) -> anyhow::Result<()> {
    match command {
        Command::PriceBook(PriceBookCommand::Publish { file, store }) => publish(&open(&store.store)?, &file).await,
        Command::PriceBook(PriceBookCommand::List { store, output }) => {
            list(&open_to_read(&store.store)?, output.json).await
        }
        Command::PriceBook(PriceBookCommand::Check { file, output }) => check(&file, output.json),
        Command::PriceBook(PriceBookCommand::Schema) => {
            line(serde_json::to_string_pretty(&rating::price_book::json_schema())?);
            Ok(())
        }
        Command::PriceBook(PriceBookCommand::Diff { old, new, month }) => diff(&old, &new, month).await,
        Command::Rollup(args) => roll_up(args).await,
        Command::Draft(args) => draft(args).await,
        Command::Show(args) => show(args).await,
        Command::Reconcile(args) => reconcile_month(args).await,
        Command::Finalize(args) => finalize_month(args).await,
    }
}

/// For what writes nothing: a mistyped place is an error, not a new folder.
fn open_to_read(url: &str) -> anyhow::Result<Store> {
    Ok(Store::open_read_only(url).map_err(|error| BadUsage(format!("--store: {error}")))?)
}

fn open(url: &str) -> anyhow::Result<Store> {
    Ok(Store::open(url).map_err(|error| BadUsage(format!("--store: {error}")))?)
}

async fn publish(store: &Store, file: &std::path::Path) -> anyhow::Result<()> {
    let (published, new) = price_books::publish(store, file).await?;
    let (version, from) = (published.book.version, published.book.effective_from);
    let how = if new { "published" } else { "was published before" };
    line(format!("price book {version}, effective from {from}, {how}: sha256 {}", published.reference.sha256));
    Ok(())
}

fn check(file: &std::path::Path, as_json: bool) -> anyhow::Result<()> {
    let findings = price_books::check(file, &price_books::read(file)?);
    match (as_json, findings.as_slice()) {
        (true, _) => output::json(&json!({ "findings": findings }))?,
        (false, []) => line(format!("{}: no mistake found", file.display())),
        (false, findings) => findings.iter().for_each(|finding| line(finding.to_string())),
    }
    if findings.is_empty() { Ok(()) } else { Err(Failed.into()) }
}

/// What a month's usage would have cost by two books, neither of which needs to be effective in it.
async fn diff(old: &str, new: &str, args: MonthArgs) -> anyhow::Result<()> {
    let store = open(&args.store.store)?;
    let (old, new) = (price_books::find(&store, old).await?, price_books::find(&store, new).await?);
    let lake = Lake::read_for(&store, args.region.clone(), args.month).await?;
    let rollups = rollup::roll_up(&lake, &whole(&args, Stored::Reuse), &print::progress()).await?;
    let (usage, accounts) = (usage::month_usage(&rollups, args.month)?, Accounts::read(&lake).await?);
    let states = accounts.for_month(args.month);
    let months = usage.values().filter_map(|used| {
        let account = states.get(&used.customer_id)?;
        Some((used, &account.plan, &account.currency))
    });
    let (mut differences, mut incomparable) = (Vec::new(), Vec::new());
    for compared in rating::diff(&old, &new, months) {
        match compared {
            Ok(difference) if difference.charges.is_empty() => {}
            Ok(difference) => differences.push(difference),
            Err(customer) => incomparable.push(customer.why.to_string()),
        }
    }
    if args.output.json {
        return Ok(output::json(&json!({
            "month": args.month, "differences": differences, "not_comparable": incomparable,
        }))?);
    }
    print::differences(&differences);
    for why in incomparable {
        line(format!("not comparable: {why}"));
    }
    Ok(())
}

async fn list(store: &Store, as_json: bool) -> anyhow::Result<()> {
    for published in price_books::list(store).await? {
        let (version, from) = (published.book.version, published.book.effective_from);
        let plans: Vec<String> = published.book.plans().map(|(name, _)| name.to_string()).collect();
        if as_json {
            let sha256 = published.reference.sha256;
            output::json(&json!({ "version": version, "effective_from": from, "sha256": sha256, "plans": plans }))?;
        } else {
            line(format!("price book {version} from {from}: {}", plans.join(", ")));
        }
    }
    Ok(())
}

async fn roll_up(args: RollupArgs) -> anyhow::Result<()> {
    let shard = shard(&args.shard)?;
    let args = args.month;
    let lake = Lake::read_for(&open(&args.store.store)?, args.region, args.month).await?;
    let job = Job { month: args.month, stored: Stored::Reuse, shard, resources: args.resources.resources() };
    let rollups = rollup::roll_up(&lake, &job, &print::progress()).await?;
    let reused = rollups.iter().filter(|rollup| rollup.reused).count();
    let figures = rollup::total(&rollups);
    if args.output.json {
        return Ok(output::json(&json!({ "id_hours": rollups.len(), "reused": reused, "figures": figures }))?);
    }
    line(format!("{} id-hours of {}, {reused} of them reused", rollups.len(), args.month));
    line(format!(
        "{} landed = {} billable + {} unbillable + {} duplicates; request ids with more than one body: {}",
        figures.landed, figures.billable, figures.unbillable, figures.duplicates, figures.conflicts
    ));
    Ok(())
}

/// Its number may be left to the scheduler, as Kubernetes gives it to each pod of an Indexed Job.
fn shard(text: &str) -> anyhow::Result<Shard> {
    let index = || std::env::var("JOB_COMPLETION_INDEX").unwrap_or_default();
    let whole = if text.starts_with('/') { format!("{}{text}", index()) } else { text.to_owned() };
    Ok(whole.parse().map_err(|why| BadUsage(format!("--shard {whole:?}: {why}")))?)
}

/// A draft at the newest cut, written.
async fn draft(args: MonthArgs) -> anyhow::Result<()> {
    let store = open(&args.store.store)?;
    let lake = Lake::read(&store, args.region.clone()).await?;
    let prices = price_books::for_month(&store, args.month).await?;
    let last = read_runs(&store).await?.last().map(|stored| stored.sha256);
    let job = whole(&args, Stored::Reuse);
    let draft = draft::compute(&lake, &job, &prices, last, &print::progress()).await?;
    draft::write(&store, &draft).await?;
    let report = reconcile(&lake, &draft, None).await?;
    let closing = closing(&lake, &draft);
    if args.output.json {
        return Ok(output::json(&json!({
            "draft": draft.id(), "month": args.month, "bills": draft.bills, "unbilled": draft.unbilled,
            "account_conflicts": draft.account_conflicts, "gaps": draft.inputs.gaps, "closing": closing, "answered": report.answered,
        }))?);
    }
    line(format!("draft {} of {}", draft.id(), args.month));
    print::bills(&draft.bills, None);
    draft.unbilled.iter().for_each(|unbilled| line(format!("not billed: {}", unbilled.why)));
    draft.account_conflicts.iter().for_each(|twice| line(format!("account version stands twice: {twice}")));
    print::gaps(&draft.inputs.gaps);
    print::closing(&closing, report.answered);
    Ok(())
}

fn whole(args: &MonthArgs, stored: Stored) -> Job {
    Job { month: args.month, stored, shard: Shard::WHOLE, resources: args.resources.resources() }
}

/// A month as some draft saw it: computed again from that draft's own inputs.
struct Recomputed {
    lake: Lake,
    draft: Draft,
    stored: bytes::Bytes,
}

/// Finds the draft that was asked for (else the final one, else the furthest) and computes it again at its cut.
async fn recompute(store: &Store, args: &DraftArgs) -> anyhow::Result<Recomputed> {
    let month = args.month.month;
    let runs = read_runs(store).await?;
    let id = chosen(store, args, &runs).await?;
    let inputs = draft::read_inputs(store, month, &id).await?;
    if inputs.roster != [args.month.region.clone()] {
        let roster: Vec<&str> = inputs.roster.iter().map(contract::Region::as_str).collect();
        let (asked, roster) = (&args.month.region, roster.join(", "));
        anyhow::bail!(BadUsage(format!("draft {id} is of region {roster}, not {asked}; pass --region {roster}")));
    }
    let lake = Lake::read(store, args.month.region.clone()).await?.at(&inputs.cut)?;
    let prices = price_books::by_reference(store, inputs.price_book).await?;
    let last = inputs.previous_run_sha256;
    let job = whole(&args.month, Stored::Mistrust);
    let draft = draft::compute(&lake, &job, &prices, last, &print::progress()).await?;
    anyhow::ensure!(draft.inputs == inputs, "BILL-3: the inputs of draft {id} can't be found again as they were");
    let stored = draft::stored_bills(store, month, &id).await?;
    Ok(Recomputed { lake, draft, stored })
}

async fn chosen(store: &Store, args: &DraftArgs, runs: &[StoredRun]) -> anyhow::Result<Digest> {
    let month = args.month.month;
    let fixed = args.draft.or_else(|| finalize::of_month(runs, month).map(|run| run.inputs_sha256));
    let found = match fixed {
        Some(id) => Some(id),
        None => draft::furthest(store, month, runs.last().map(|stored| stored.sha256)).await?,
    };
    Ok(found.ok_or_else(|| no_draft(month))?)
}

fn no_draft(month: Month) -> BadUsage {
    BadUsage(format!("there is no draft of {month}; run `billing-jobs draft --month {month}`"))
}

async fn show(args: ShowArgs) -> anyhow::Result<()> {
    let store = open_to_read(&args.draft.month.store.store)?;
    let month = args.draft.month.month;
    let runs = read_runs(&store).await?;
    let id = chosen(&store, &args.draft, &runs).await?;
    let run = finalize::of_month(&runs, month).filter(|run| run.inputs_sha256 == id);
    let stored = draft::stored_bills(&store, month, &id).await?;
    let mut bills: Vec<Bill> = Vec::new();
    for text in String::from_utf8(stored.to_vec())?.lines() {
        bills.push(serde_json::from_str(text)?);
    }
    let wanted = |bill: &Bill| args.customer.as_ref().is_none_or(|customer| bill.customer_id == *customer);
    if args.draft.month.output.json {
        return bills.iter().filter(|bill| wanted(bill)).try_for_each(|bill| Ok(output::json(bill)?));
    }
    match run {
        Some(run) => line(format!("{month} is final: run {} by {}, draft {id}", run.seq, run.operator)),
        None => line(format!("{month} is not final: draft {id}")),
    }
    match &args.customer {
        None => print::bills(&bills, run.map(|run| run.first_invoice_number)),
        Some(customer) => match bills.iter().find(|bill| wanted(bill)) {
            Some(bill) => print::bill(bill),
            None => return Err(BadUsage(format!("{month} has no bill of {customer}")).into()),
        },
    }
    Ok(())
}

async fn reconcile_month(args: DraftArgs) -> anyhow::Result<()> {
    let store = open(&args.month.store.store)?;
    let (as_json, month) = (args.month.output.json, args.month.month);
    if let Err(segments::ChainError::Broken { path, why }) = Lake::read(&store, args.month.region.clone()).await {
        let check = Check { invariant: "LAND-1", holds: false, numbers: why, broken: vec![path] };
        if as_json {
            output::json(&json!({ "month": month, "checks": [check] }))?;
        } else {
            line(format!("{} BROKEN: {}: {}", check.invariant, check.broken.join(", "), check.numbers));
        }
        return Err(Failed.into());
    }
    let Recomputed { lake, draft, stored } = recompute(&store, &args).await?;
    let report = reconcile(&lake, &draft, Some(&stored)).await?;
    let closing = closing(&lake, &draft);
    if as_json {
        let gaps = &draft.inputs.gaps;
        let found = json!({ "month": month, "draft": draft.id(), "report": report, "gaps": gaps, "closing": closing });
        output::json(&found)?;
    } else {
        line(format!("{month}, draft {}", draft.id()));
        print::report(&report);
        print::gaps(&draft.inputs.gaps);
        print::closing(&closing, report.answered);
    }
    if report.holds() { Ok(()) } else { Err(Failed.into()) }
}

async fn finalize_month(args: FinalizeArgs) -> anyhow::Result<()> {
    let store = open(&args.draft.month.store.store)?;
    let (as_json, month) = (args.draft.month.output.json, args.draft.month.month);
    let decision = Decision {
        operator: args.operator,
        exception: args.exception,
        producer_times: args.producer_times,
        at: clock::now(),
    };
    let finalized = if let Some(run) = finalize::of_month(&read_runs(&store).await?, month) {
        Finalized::Before(run.clone())
    } else {
        let Recomputed { lake, draft, stored } = recompute(&store, &args.draft).await?;
        let report = reconcile(&lake, &draft, Some(&stored)).await?;
        let opened = finalize::check(&draft, &report, &closing(&lake, &draft), &decision)?;
        finalize::commit(&store, &draft, &decision, &opened).await?
    };
    let (run, how) = match &finalized {
        Finalized::Now(run) => (run, "is final now"),
        Finalized::Before(run) => (run, "was final before; nothing changed"),
    };
    if as_json {
        return Ok(output::json(run)?);
    }
    let invoices = match run.customers.len() as u64 {
        0 => "no invoices".to_owned(),
        count => format!("invoices {} to {}", run.first_invoice_number, run.first_invoice_number + count - 1),
    };
    line(format!("{month} {how}: run {} by {}, {invoices}, bills sha256 {}", run.seq, run.operator, run.bills_sha256));
    Ok(())
}
