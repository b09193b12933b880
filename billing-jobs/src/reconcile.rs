//! The invariants that can be known from the lake, each with its numbers.

use anyhow::Context as _;
use contract::footer::Clock;
use contract::layout::Topic;
use contract::time::CLOSING_MARGIN_MS;
use contract::{IdHour, Month};
use datafusion::prelude::SessionContext;
use rating::{Bill, Broken, Checked};
use segments::{Chain, Segment};
use serde::Serialize;

use crate::draft::Draft;
use crate::lake::Lake;
use crate::query::{ask, count, rows, session};
use crate::rollup;

/// How far brokers' clocks may differ, or one may step back.
pub(crate) const BROKER_SKEW_MS: i64 = CLOSING_MARGIN_MS;
/// How many ids of what breaks an invariant are listed.
const LISTED: usize = 20;

/// One invariant of the design, held against what is there.
#[derive(Debug, Serialize)]
pub(crate) struct Check {
    pub(crate) invariant: &'static str,
    pub(crate) holds: bool,
    /// What was compared, as a sentence of numbers.
    pub(crate) numbers: String,
    /// What breaks it, the first few.
    pub(crate) broken: Vec<String>,
}

/// Accepted requests of a month, and how many of them are answered: the second harvest figure.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Harvest {
    pub(crate) accepted: i64,
    pub(crate) answered: i64,
    pub(crate) dead_lettered: i64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) checks: Vec<Check>,
    pub(crate) answered: Harvest,
    /// Request ids used for more than one body: legal, all billed, named.
    pub(crate) conflicts: u64,
}

impl Report {
    pub(crate) fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.holds)
    }
}

/// Checks a month's draft against the lake it was computed from. `stored` is what stands in the store as its bills.
pub(crate) async fn reconcile(lake: &Lake, draft: &Draft, stored: Option<&[u8]>) -> anyhow::Result<Report> {
    let month = draft.month();
    let tables = month_tables(lake, month).await?;
    let (log_1, answered) = log_1(&tables).await?;
    let mut checks = vec![log_1, log_2(&tables).await?, land_1(lake, month), dedup_1(lake, draft, &tables).await?];
    checks.extend([bill_1(draft), bill_2(draft)]);
    checks.extend(stored.map(|stored| bill_3(draft, stored)));
    Ok(Report { checks, answered, conflicts: rollup::total(&draft.rollups).conflicts })
}

/// The month's requests and events by broker time, and all dead letters.
async fn month_tables(lake: &Lake, month: Month) -> anyhow::Result<SessionContext> {
    let (start, end) = (month.start(), month.end());
    let overlaps = |s: &&Segment| s.footer.min_append_time < end && s.footer.max_append_time >= start;
    // An answer comes after its request, however long after.
    let answers = |s: &&Segment| s.footer.max_append_time.plus_millis(BROKER_SKEW_MS) >= start;
    let requests = lake.rows(Topic::Requests, lake.segments(Topic::Requests).filter(overlaps)).await?;
    let events = lake.rows(Topic::Usage, lake.segments(Topic::Usage).filter(answers)).await?;
    let letters = lake.rows(Topic::DeadLetters, lake.segments(Topic::DeadLetters).filter(answers)).await?;
    let context = session(vec![("all_requests", requests), ("all_events", events), ("letters", letters)])?;
    let of_month = |column: &str| {
        let (start, end) = (start.as_millis(), end.as_millis());
        format!(
            "{column} >= arrow_cast({start}, 'Timestamp(Millisecond, Some(\"UTC\"))') AND \
             {column} < arrow_cast({end}, 'Timestamp(Millisecond, Some(\"UTC\"))')"
        )
    };
    let requests = format!("CREATE VIEW requests AS SELECT * FROM all_requests WHERE {}", of_month("append_time"));
    let events = format!("CREATE VIEW events AS SELECT * FROM all_events WHERE {}", of_month("accepted_at"));
    for view in [&requests, &events, include_str!("accepted.sql"), include_str!("unrequested.sql")] {
        ask(&context, view).await?;
    }
    Ok(context)
}

async fn log_1(tables: &SessionContext) -> anyhow::Result<(Check, Harvest)> {
    let counted = async |filter: &str| count(tables, &format!("SELECT count(*) AS count FROM accepted {filter}")).await;
    let accepted = counted("").await?;
    let answered = counted("WHERE answered").await?;
    let dead_lettered = counted("WHERE dead AND NOT answered").await?;
    let unanswered = accepted - answered - dead_lettered;
    let broken = "SELECT request_id, \"partition\", \"offset\" FROM accepted WHERE NOT answered AND NOT dead ORDER BY \"partition\", \"offset\"";
    let mut named = Vec::new();
    for row in rows(&ask(tables, &format!("{broken} LIMIT {LISTED}")).await?) {
        let (partition, offset) = (row.int64("partition")?, row.int64("offset")?);
        let id = row.request_id("request_id")?.map_or("that can't be read".to_owned(), |id| id.to_string());
        named.push(format!("request {id} at {partition}/{offset} has no answer"));
    }
    let numbers =
        format!("{accepted} accepted = {answered} answered + {dead_lettered} dead-lettered + {unanswered} unanswered");
    let check = Check { invariant: "LOG-1", holds: unanswered == 0, numbers, broken: named };
    Ok((check, Harvest { accepted, answered, dead_lettered }))
}

async fn log_2(tables: &SessionContext) -> anyhow::Result<Check> {
    let done = count(tables, "SELECT count(*) AS count FROM events WHERE outcome = 'done'").await?;
    let unrequested = count(tables, "SELECT count(*) AS count FROM unrequested").await?;
    let mut broken = Vec::new();
    let first = format!("SELECT * FROM unrequested ORDER BY request_id LIMIT {LISTED}");
    for row in rows(&ask(tables, &first).await?) {
        let (customer, id) =
            (row.text("customer_id")?, row.request_id("request_id")?.context("an event without an id")?);
        broken.push(format!("event {id} of {customer} answers no landed request"));
    }
    let numbers = format!("{done} done events, {unrequested} of them without a request");
    Ok(Check { invariant: "LOG-2", holds: unrequested == 0, numbers, broken })
}

/// The chains' links were checked when they were read; here the append times.
fn land_1(lake: &Lake, month: Month) -> Check {
    let segments: usize = lake.chains.values().map(|chain| chain.segments.len()).sum();
    let records: u64 = lake.chains.values().flat_map(|chain| &chain.segments).map(|s| s.footer.records).sum();
    let mut broken: Vec<String> = lake.chains.values().flat_map(|chain| backwards(chain, month)).collect();
    broken.truncate(LISTED);
    let chains = lake.chains.len();
    let numbers = format!("{chains} chains of {segments} segments and {records} records, without hole or overlap");
    Check { invariant: "LAND-1", holds: broken.is_empty(), numbers, broken }
}

/// Where append times step back in or beside the month.
fn backwards(chain: &Chain, month: Month) -> Vec<String> {
    let mut found = Vec::new();
    for pair in chain.segments.windows(2) {
        let [before, after] = pair else { continue };
        let by_broker = before.footer.clock == Clock::Broker && after.footer.clock == Clock::Broker;
        let (latest, earliest) = (before.footer.max_append_time, after.footer.min_append_time);
        let concerns = earliest < month.end() && latest >= month.start();
        if by_broker && concerns && earliest.plus_millis(BROKER_SKEW_MS) < latest {
            found.push(format!("{}: append times go back from {latest} to {earliest}", after.path));
        }
    }
    found
}

/// Landed by the footers, against what the rollups made of it; and no event of the month outside the rollups.
async fn dedup_1(lake: &Lake, draft: &Draft, tables: &SessionContext) -> anyhow::Result<Check> {
    let units = rollup::units(&draft.rollups);
    let footers = || lake.segments(Topic::Usage).map(|segment| &segment.footer);
    let landed: u64 =
        footers().flat_map(|f| &f.rows_per_id_hour).filter(|(unit, _)| units.contains(unit)).map(|(_, n)| n).sum();
    let quarantined: u64 = footers().map(|footer| footer.quarantined).sum();
    let of_quarantine: Vec<&Segment> = lake.segments(Topic::Usage).filter(|s| s.footer.quarantined > 0).collect();
    let context = session(vec![("landed", lake.rows(Topic::Usage, of_quarantine).await?)])?;
    let found = count(&context, "SELECT count(quarantine_reason) AS count FROM landed").await?;
    let found = u64::try_from(found).context("a negative count")?;
    let sum = rollup::total(&draft.rollups);
    let right = sum.billable + sum.unbillable + sum.duplicates + found;
    let numbers = format!(
        "{} landed = {} billable + {} unbillable + {} duplicates + {found} quarantined",
        landed + quarantined,
        sum.billable,
        sum.unbillable,
        sum.duplicates
    );
    let holds = landed + quarantined == right;
    let mut broken = if holds { Vec::new() } else { vec![format!("the right side is {right}")] };
    let of_month = "SELECT DISTINCT id_hour FROM events WHERE quarantine_reason IS NULL ORDER BY id_hour";
    for row in rows(&ask(tables, of_month).await?) {
        let id_hour: IdHour = row.text("id_hour")?.parse()?;
        if !units.contains(&id_hour) {
            broken.push(format!("events of the month have ids minted in {id_hour}, too far from it to be rolled up"));
        }
    }
    Ok(Check { invariant: "DEDUP-1", holds: broken.is_empty(), numbers, broken })
}

/// Holds a bill against the usage that it is made from.
fn agrees(draft: &Draft, bill: &Bill) -> Result<Checked, Broken> {
    match draft.usage.get(&bill.customer_id) {
        Some(usage) => bill.check_against(usage),
        None => bill.check(),
    }
}

/// Whether every bill that there is agrees with its usage; customers that can't be billed are another matter.
pub(crate) fn bills_agree(draft: &Draft) -> bool {
    draft.bills.iter().all(|bill| agrees(draft, bill).is_ok())
}

fn bill_1(draft: &Draft) -> Check {
    let mut broken = Vec::new();
    let mut meters = 0_usize;
    for bill in &draft.bills {
        match agrees(draft, bill) {
            Ok(checked) => meters += checked.meters.len(),
            Err(error) => broken.push(error.to_string()),
        }
    }
    broken.extend(draft.unbilled.iter().map(|u| format!("{} conversions not billed: {}", u.conversions, u.why)));
    broken.truncate(LISTED);
    let bills = draft.bills.len();
    let numbers = format!("{bills} bills, {meters} meters: billable = charged + free + waived + unassigned in each");
    Check { invariant: "BILL-1", holds: broken.is_empty(), numbers, broken }
}

fn bill_2(draft: &Draft) -> Check {
    let broken: Vec<String> = draft.bills.iter().filter_map(|bill| bill.check().err()).map(|e| e.to_string()).collect();
    let residues = draft.bills.iter().map(|bill| &bill.residue);
    let lines: usize = draft.bills.iter().map(|bill| bill.lines.len()).sum();
    let bills = draft.bills.len();
    let residue = residues.cloned().reduce(|sum, residue| sum.plus(&residue));
    let residue = residue.map_or("0".to_owned(), |residue| residue.to_string());
    let numbers = format!("{lines} rounded lines add up to {bills} totals; residue of rounding {residue}");
    Check { invariant: "BILL-2", holds: broken.is_empty(), numbers, broken }
}

fn bill_3(draft: &Draft, stored: &[u8]) -> Check {
    let holds = draft.bills_jsonl == stored;
    let numbers = format!("{} bytes stored, {} recomputed", stored.len(), draft.bills_jsonl.len());
    let broken = if holds { Vec::new() } else { vec!["the recomputed bills differ from the stored ones".to_owned()] };
    Check { invariant: "BILL-3", holds, numbers, broken }
}
