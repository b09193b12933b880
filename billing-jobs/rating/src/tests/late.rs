//! BILL-4 over random late arrivals that cross tiers, allowances, minimums and months; and that every bill, correction
//! and note is canonical JSON.

use contract::canonical::to_canonical_json;
use contract::ids::Digest;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{book, kind, quantity};
use crate::{Correction, Ledger, MonthUsage, PriceBook, Quantities, check_corrected, correct, rate, rate_with, settle};

const MONTHS: [&str; 4] = ["2026-10", "2026-11", "2026-12", "2027-01"];
const KINDS: [&str; 4] = ["eu resize jpeg webp", "us resize jpeg webp", "eu crop png avif", "us crop - webp"];

/// Prices of which sums often end half way between two cents.
fn price() -> impl Strategy<Value = String> {
    (0_u32..60).prop_map(|n| format!("0.{:03}", n * 5))
}

fn model() -> impl Strategy<Value = String> {
    let tiers = |model: &'static str| {
        (1_u32..30, 1_u32..30, price(), price(), price()).prop_map(move |(first, second, a, b, c)| {
            let second = first + second;
            format!(
                "model = {model:?}\ntiers = [ {{ up_to = \"{first}\", unit_price = {a:?} }}, {{ up_to = \"{second}\", unit_price = {b:?} }}, {{ unit_price = {c:?} }} ]\n"
            )
        })
    };
    prop_oneof![
        price().prop_map(|price| format!("model = \"per_unit\"\nunit_price = {price:?}\n")),
        tiers("graduated"),
        tiers("volume"),
        (1_u32..30, price())
            .prop_map(|(size, price)| format!("model = \"package\"\nsize = \"{size}\"\nprice = {price:?}\n")),
    ]
}

fn plan() -> impl Strategy<Value = String> {
    let charges = (model(), model(), model(), model());
    (charges, 0_u32..20, 0_u32..400, 0_usize..3, 0_u32..100).prop_map(
        |((eu, rest, avif, cpu), allowance, minimum, taxes, discount)| {
            let taxes = ["", "taxes = [ { name = \"vat\", percent = \"19\" } ]", "taxes = [ { name = \"vat\", percent = \"8.875\" }, { name = \"low\", percent = \"7\" } ]"][taxes];
            let low = if taxes.contains("low") { "tax = \"low\"\n" } else { "" };
            format!(
                "minimum = \"{}.{:02}\"\n{taxes}\n\
                 [[cpu_caps]]\nmicros_per_megapixel = \"20000000\"\nfilter = {{ operation = {{ only = [\"resize\"] }} }}\n\
                 [[allowances]]\nmeter = \"conversions\"\nquantity = \"{allowance}\"\n\
                 [[charges]]\nid = \"eu\"\nmeter = \"conversions\"\n{eu}filter = {{ region = {{ only = [\"eu\"] }} }}\n\
                 [[charges]]\nid = \"rest\"\nmeter = \"conversions\"\n{rest}{low}filter = {{ region = {{ except = [\"eu\"] }} }}\ndiscount_percent = \"{discount}\"\n\
                 [[charges]]\nid = \"avif\"\nmeter = \"conversions\"\n{avif}additive = true\nfilter = {{ output_format = {{ only = [\"avif\"] }} }}\n\
                 [[charges]]\nid = \"cpu\"\nmeter = \"cpu_seconds\"\n{cpu}",
                minimum / 100,
                minimum % 100
            )
        },
    )
}

/// Usage of one kind: conversions, and their CPU time and pixels.
#[derive(Debug, Clone)]
struct Arrival {
    month: usize,
    kind: usize,
    conversions: u8,
    cpu_micros: u32,
    pixels: u32,
}

fn arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    let arrival = (0..MONTHS.len(), 0..KINDS.len(), 1_u8..25, 0_u32..20_000_000, 0_u32..1_000_000);
    let arrival = arrival.prop_map(|(month, kind, conversions, cpu_micros, pixels)| Arrival {
        month,
        kind,
        conversions,
        cpu_micros,
        pixels,
    });
    vec(arrival, 0..8)
}

fn land(months: &mut [MonthUsage], arrivals: &[Arrival]) {
    for Arrival { month, kind: number, conversions, cpu_micros, pixels } in arrivals {
        let quantities = Quantities {
            conversions: quantity((*conversions).into()),
            cpu_micros: quantity((*cpu_micros).into()),
            input_pixels: quantity((*pixels).into()),
            ..Quantities::default()
        };
        months[*month].add(kind(KINDS[*number]), &quantities).unwrap();
    }
}

fn is_canonical(value: &impl serde::Serialize, line: &str) {
    assert_eq!(line.as_bytes(), to_canonical_json(value).unwrap());
}

/// Bills the months one after the other. Before each, what arrived meanwhile corrects the months before it.
fn bill_months(book: &PriceBook, steps: &[Vec<Arrival>]) {
    let (plan, currency) = ("p".parse().unwrap(), "EUR".parse().unwrap());
    let new = |month: &&str| MonthUsage::new("acme".parse().unwrap(), month.parse().unwrap());
    let mut months: Vec<MonthUsage> = MONTHS.iter().map(new).collect();
    let mut bills = Vec::new();
    let mut corrections: Vec<Vec<Correction>> = vec![Vec::new(); MONTHS.len()];
    for (number, arrivals) in steps.iter().enumerate() {
        land(&mut months, arrivals);
        let mut pending = Vec::new();
        for (original, (usage, earlier)) in bills.iter().zip(months.iter().zip(&mut corrections)) {
            let correction = correct(original, earlier, usage, book).unwrap();
            pending.extend(correction.clone());
            earlier.extend(correction);
            let rerated = rate(usage, book, &plan, &currency).unwrap();
            check_corrected(original, earlier, &rerated).unwrap();
            assert_eq!(correct(original, earlier, usage, book).unwrap(), None, "twice is once");
            // In cents, without the crate's own sums: lines and true-up, then what corrections add.
            let lines = |bill: &crate::Bill| -> i128 {
                let minimum = bill.minimum.as_ref().map_or(0, |minimum| minimum.true_up.minor_units());
                bill.lines.iter().map(|line| line.amount.minor_units()).sum::<i128>() + minimum
            };
            let added: i128 = earlier.iter().map(|correction| correction.total.minor_units()).sum();
            assert_eq!(lines(original) + added, lines(&rerated));
        }
        let Some(usage) = months.get(number) else { continue };
        let next = rate(usage, book, &plan, &currency).unwrap();
        let count = pending.len();
        let settled = settle(pending, Some(&next)).unwrap();
        assert_eq!(settled.on_bill.len() + settled.notes.len(), count, "each goes to one place");
        for note in &settled.notes {
            assert!(note.correction.total.is_negative());
            note.check().unwrap();
            is_canonical(note, &note.to_json_line().unwrap());
        }
        let ledger = Ledger { corrections: settled.on_bill, ..Ledger::default() };
        let bill = rate_with(usage, book, &plan, &currency, &ledger).unwrap();
        bill.check_against(usage).unwrap();
        assert!(!bill.net().unwrap().is_negative());
        is_canonical(&bill, &bill.to_json_line().unwrap());
        assert_eq!(usage.digest().unwrap(), Digest::of(&to_canonical_json(usage).unwrap()));
        bills.push(bill);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn original_and_corrections_are_the_full_re_rate(plan in plan(), steps in vec(arrivals(), 6)) {
        bill_months(&book("EUR", &plan), &steps);
    }
}
