//! Tests are data: a price book in TOML, quantities, and the lines that they must give.

mod canonical;
mod corrections;
mod cover;
mod diff;
mod filters;
mod golden;
mod invariants;
mod late;
mod ledger;
mod models;
mod money;
mod price_book;
mod properties;
mod schema;

use contract::account::Currency;

use crate::{Bill, Line, MonthUsage, Outcome, PriceBook, Quantities, Quantity, RateError, UsageGroup};

fn quantity(value: i128) -> Quantity {
    Quantity::new(value).unwrap()
}

fn group(region: &str, outcome: Outcome) -> UsageGroup {
    UsageGroup {
        region: region.parse().unwrap(),
        operation: "resize".parse().unwrap(),
        input_format: Some("jpeg".parse().unwrap()),
        output_format: (outcome == Outcome::Done).then(|| "webp".parse().unwrap()),
        outcome,
    }
}

fn month(quantities: Quantities) -> MonthUsage {
    let mut usage = MonthUsage::new("acme".parse().unwrap(), "2026-10".parse().unwrap());
    usage.add(group("eu", Outcome::Done), &quantities).unwrap();
    usage
}

fn conversions(conversions: i128) -> Quantities {
    Quantities { conversions: quantity(conversions), ..Quantities::default() }
}

fn cpu_micros(cpu_micros: i128) -> Quantities {
    Quantities { cpu_micros: quantity(cpu_micros), ..Quantities::default() }
}

/// `eu resize jpeg webp`: region, operation, input and output format, `-` for none.
fn kind(kind: &str) -> UsageGroup {
    let words: Vec<&str> = kind.split(' ').collect();
    let format = |word: &str| (word != "-").then(|| word.parse().unwrap());
    UsageGroup {
        region: words[0].parse().unwrap(),
        operation: words[1].parse().unwrap(),
        input_format: format(words[2]),
        output_format: format(words[3]),
        outcome: Outcome::Done,
    }
}

fn month_of(groups: &[(&str, Quantities)]) -> MonthUsage {
    let mut usage = MonthUsage::new("acme".parse().unwrap(), "2026-10".parse().unwrap());
    for (group, quantities) in groups {
        usage.add(kind(group), quantities).unwrap();
    }
    usage
}

/// A price book of one plan, `p`. `plan` is TOML in which `[[charges]]` and `[[allowances]]` are the plan's.
fn book(currency: &str, plan: &str) -> PriceBook {
    let plan = plan.replace("[[", "[[plans.p.");
    let head = "version = 7\neffective_from = \"2026-10\"\nrating_version = 1\n";
    PriceBook::parse(&format!("{head}[plans.p]\ncurrency = {currency:?}\n{plan}")).unwrap()
}

fn try_bill(currency: &str, plan: &str, usage: &MonthUsage) -> Result<Bill, RateError> {
    let account_currency: Currency = currency.parse().unwrap();
    crate::rate(usage, &book(currency, plan), &"p".parse().unwrap(), &account_currency)
}

fn bill(currency: &str, plan: &str, usage: &MonthUsage) -> Bill {
    try_bill(currency, plan, usage).unwrap()
}

/// The lines and all that follows them, one text each.
fn show_bill(bill: &Bill) -> Vec<String> {
    let mut shown: Vec<String> = bill.lines.iter().map(show).collect();
    shown.extend(bill.minimum.iter().map(|m| format!("minimum {}: {} + {}", m.commitment, m.lines, m.true_up)));
    shown.extend(bill.adjustments.iter().map(|a| format!("adjustment {} {}", a.key, a.amount)));
    shown.extend(bill.corrections.iter().map(|c| format!("correction of {} {}", c.month, c.total)));
    shown.extend(bill.credits.iter().map(|c| format!("credit {} -{}, {} left", c.key, c.used, c.remaining)));
    let tax =
        |t: &crate::bill::TaxLine| format!("{} {}% of {} = {} -> {}", t.name, t.percent, t.base, t.exact, t.amount);
    shown.extend(bill.taxes.iter().map(tax));
    shown.push(format!("= {} ({})", bill.total, bill.residue));
    shown
}

/// `cpu #2 (100, 1000] 12.5 Second x 0.06 = 0.75 -> 0.75`, and ` - 0.1` for a discount
fn show(line: &Line) -> String {
    let tier = line.tier.as_ref().map_or(String::new(), |tier| match &tier.up_to {
        Some(up_to) => format!(" #{} ({}, {up_to}]", tier.number, tier.above),
        None => format!(" #{} ({}, ...)", tier.number, tier.above),
    });
    let off = line.discount.as_ref().map_or(String::new(), |discount| format!(" - {}", discount.exact));
    let Line { charge, quantity, unit, unit_price, exact, amount, .. } = line;
    format!("{charge}{tier} {quantity} {unit:?} x {unit_price}{off} = {exact} -> {amount}")
}
