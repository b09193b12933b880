//! What the commands print: a table for people, JSON for programs.

use std::io::IsTerminal as _;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rating::{Bill, Difference};
use service::output::line;

use crate::closing::Closing;
use crate::lake::AcceptedGap;
use crate::reconcile::{Harvest, Report};

/// So many partitions that keep a month open are named; JSON has all.
const OPEN_SHOWN: usize = 3;

/// A bar on stderr, drawn only for a person.
pub(crate) fn progress() -> ProgressBar {
    let target =
        if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(None, target);
    match ProgressStyle::with_template("{spinner} rolling up {msg} [{bar:30}] {pos}/{len}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn table(header: &[&str], right_aligned: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header(header);
    for column in right_aligned {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// One row per bill.
pub(crate) fn bills(bills: &[Bill], first_invoice_number: Option<u64>) {
    let mut table = table(&["invoice", "customer", "plan", "lines", "total", "currency", "residue"], &[0, 3, 4, 6]);
    for (number, bill) in (first_invoice_number.unwrap_or(0)..).zip(bills) {
        table.add_row([
            first_invoice_number.map_or("draft".to_owned(), |_| number.to_string()),
            bill.customer_id.to_string(),
            bill.plan.to_string(),
            bill.lines.len().to_string(),
            bill.total.to_string(),
            bill.currency.to_string(),
            bill.residue.to_string(),
        ]);
    }
    line(table.to_string());
}

/// One row per line of a bill.
pub(crate) fn bill(bill: &Bill) {
    line(format!("{}  {}  plan {}, {}", bill.customer_id, bill.month, bill.plan, bill.currency));
    let mut table = table(&["charge", "tier", "quantity", "unit", "unit price", "exact", "amount"], &[2, 4, 5, 6]);
    for item in &bill.lines {
        let unit = serde_json::to_value(item.unit).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
        let tier = item.tier.as_ref().map_or(String::new(), |tier| match &tier.up_to {
            Some(up_to) => format!("{} to {up_to}", tier.above),
            None => format!("above {}", tier.above),
        });
        table.add_row([
            match &item.discount {
                Some(discount) => format!("{}, {} % off", item.charge, discount.percent),
                None => item.charge.to_string(),
            },
            tier,
            item.quantity.to_string(),
            unit,
            item.unit_price.to_string(),
            item.exact.to_string(),
            item.amount.to_string(),
        ]);
    }
    for (what, amount) in beside_lines(bill) {
        table.add_row([&*what, "", "", "", "", "", &amount]);
    }
    table.add_row(["total", "", "", "", "", "", &bill.total.to_string()]);
    line(table.to_string());
    for (meter, figures) in &bill.meters {
        line(format!(
            "{meter}: {} used = {} charged + {} free + {} waived + {} unassigned",
            meter.display(figures.billable),
            meter.display(figures.charged),
            meter.display(figures.free),
            meter.display(figures.waived),
            meter.display(figures.unassigned)
        ));
    }
}

/// What a bill adds to its lines, in the order of the operations.
fn beside_lines(bill: &Bill) -> Vec<(String, String)> {
    let minimum =
        bill.minimum.iter().map(|m| (format!("up to the minimum of {}", m.commitment), m.true_up.to_string()));
    let adjustments = bill.adjustments.iter().map(|a| (format!("{}: {}", a.key, a.reason), a.amount.to_string()));
    let corrections = bill.corrections.iter().map(|c| (format!("correction of {}", c.month), c.total.to_string()));
    let credits = bill.credits.iter().map(|c| (format!("credit {}", c.key), format!("-{}", c.used)));
    let taxes = bill.taxes.iter().map(|t| (format!("{} {} % of {}", t.name, t.percent, t.base), t.amount.to_string()));
    minimum.chain(adjustments).chain(corrections).chain(credits).chain(taxes).collect()
}

/// One row per customer who would pay another sum.
pub(crate) fn differences(differences: &[Difference]) {
    if differences.is_empty() {
        return line("nobody would pay another sum");
    }
    let mut table = table(&["customer", "plan", "old", "new", "more", "currency", "charges"], &[2, 3, 4]);
    for found in differences {
        let charges: Vec<&str> = found.charges.keys().map(String::as_str).collect();
        table.add_row([
            found.customer_id.to_string(),
            found.plan.to_string(),
            found.old.to_string(),
            found.new.to_string(),
            found.more.to_string(),
            found.currency.to_string(),
            charges.join(", "),
        ]);
    }
    line(table.to_string());
}

/// One row per invariant.
pub(crate) fn report(report: &Report) {
    let mut table = table(&["invariant", "", "numbers"], &[]);
    for check in &report.checks {
        table.add_row([check.invariant, if check.holds { "holds" } else { "BROKEN" }, &check.numbers]);
    }
    line(table.to_string());
    for check in &report.checks {
        check.broken.iter().for_each(|broken| line(format!("{}: {broken}", check.invariant)));
    }
    if report.conflicts > 0 {
        line(format!("request ids used for more than one body, each of which is billed: {}", report.conflicts));
    }
}

/// What was never landed, by whose decision.
pub(crate) fn gaps(gaps: &[AcceptedGap]) {
    for AcceptedGap { opened, gap } in gaps {
        let to = gap.to.map_or("?".to_owned(), |to| to.to_string());
        line(format!(
            "gap before {opened}: offsets [{}, {to}) are missing; accepted by {} at {}: {}",
            gap.from, gap.operator, gap.decided_at, gap.reason
        ));
    }
}

/// The two harvest figures, and what keeps the month open.
pub(crate) fn closing(closing: &Closing, answered: Harvest) {
    let landed = closing.landed_up_to.as_deref().unwrap_or("nothing");
    let (done, accepted) = (answered.answered + answered.dead_lettered, answered.accepted);
    line(format!("harvest: landed up to {landed}; {done} of {accepted} accepted requests answered"));
    if closing.producer_times {
        line("note: the timestamps are the producers' (development); such bills prove nothing");
    }
    closing.open.iter().take(OPEN_SHOWN).for_each(|open| line(format!("open: {open}")));
    if closing.open.len() > OPEN_SHOWN {
        line(format!("open: and {} partitions more", closing.open.len() - OPEN_SHOWN));
    }
}
