//! A price book, and what it makes of a customer's month by plain integer arithmetic.

use std::collections::BTreeMap;

use anyhow::Result;
use contract::{CustomerId, Month};
use system_tests::harness::{Ledger, Sides};

pub(crate) const BOOK: &str = r#"
version = 1
effective_from = "2020-01"
rating_version = 1

[plans.per-conversion]
currency = "EUR"
[[plans.per-conversion.charges]]
id = "base-fee"
model = "flat"
amount = "5.00"
[[plans.per-conversion.charges]]
id = "conversions"
meter = "conversions"
model = "per_unit"
unit_price = "0.0721"

[plans.tiers]
currency = "EUR"
[[plans.tiers.charges]]
id = "pixels"
meter = "output_megapixels"
model = "graduated"
tiers = [ { up_to = "0.5", unit_price = "0.30" }, { up_to = "1", unit_price = "0.20" }, { unit_price = "0.1111" } ]

[plans.packages]
currency = "EUR"
[[plans.packages.allowances]]
meter = "conversions"
quantity = "10"
[[plans.packages.charges]]
id = "packages"
meter = "conversions"
model = "package"
size = "25"
price = "1.90"

[plans.yen]
currency = "JPY"
[[plans.yen.allowances]]
meter = "input_megabytes"
quantity = "0.5"
[[plans.yen.charges]]
id = "bytes"
meter = "input_megabytes"
model = "per_unit"
unit_price = "12.5"
"#;

/// (customer, plan, currency); the last has an account and uses nothing.
pub(crate) const CUSTOMERS: [(&str, &str, &str); 5] = [
    ("acme", "per-conversion", "EUR"),
    ("globex", "tiers", "EUR"),
    ("initech", "packages", "EUR"),
    ("tiny", "yen", "JPY"),
    ("idle", "per-conversion", "EUR"),
];

/// What a customer used in a month.
#[derive(Debug, Clone, Copy, Default)]
struct Used {
    conversions: i128,
    input_bytes: i128,
    output_pixels: i128,
}

/// Each customer's total of a month in the currency's smallest unit.
pub(crate) fn totals(ledger: &Ledger, month: Month) -> Result<BTreeMap<CustomerId, i128>> {
    let mut used: BTreeMap<CustomerId, Used> = BTreeMap::new();
    for (conversion, fate) in ledger.conversions() {
        let Ok((width, height)): Result<Sides, _> = fate.outcome else { continue };
        if fate.accepted_at.is_some_and(|time| month.start() <= time && time < month.end()) {
            let used = used.entry(conversion.customer_id).or_default();
            used.conversions += 1;
            used.input_bytes += i128::from(fate.input_bytes);
            used.output_pixels += i128::from(width) * i128::from(height);
        }
    }
    let mut totals = BTreeMap::new();
    for (customer, plan, _) in CUSTOMERS {
        let customer: CustomerId = customer.parse()?;
        let used = used.get(&customer).copied().unwrap_or_default();
        totals.insert(customer, total(plan, used));
    }
    Ok(totals)
}

fn total(plan: &str, used: Used) -> i128 {
    match plan {
        "per-conversion" => 500 + half_up(used.conversions * 721, 100),
        "tiers" => {
            // Each tier is a line of its own, rounded by itself. (above, up to, hundredths of a cent per megapixel)
            let tiers = [(0, 500_000, 3000), (500_000, 1_000_000, 2000), (1_000_000, i128::MAX, 1111)];
            let within = |above: i128, up_to: i128| (used.output_pixels.min(up_to) - above).max(0);
            tiers.into_iter().map(|(above, up_to, price)| half_up(within(above, up_to) * price, 100_000_000)).sum()
        }
        "packages" => {
            let beyond = (used.conversions - 10).max(0);
            (beyond + 24) / 25 * 190
        }
        _ => half_up((used.input_bytes - 500_000).max(0) * 125, 10_000_000),
    }
}

/// Rounded, a half and more up. Nothing here is negative.
fn half_up(numerator: i128, denominator: i128) -> i128 {
    (2 * numerator + denominator) / (2 * denominator)
}
