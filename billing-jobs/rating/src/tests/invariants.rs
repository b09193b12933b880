//! BILL-1 and BILL-2 broken on purpose, and what rating refuses.

use super::{bill, book, conversions, cpu_micros, group, month, quantity};
use crate::bill::MeterFigures;
use crate::{Amount, Bill, Meter, MonthUsage, Outcome, Quantities};

const PLAN: &str = r#"
[[allowances]]
meter = "conversions"
quantity = "50"

[[charges]]
id = "base"
model = "flat"
amount = "5.00"

[[charges]]
id = "pack"
meter = "conversions"
model = "package"
size = "100"
price = "1.90"

[[charges]]
id = "cpu"
meter = "cpu_seconds"
model = "graduated"
tiers = [ { up_to = "1", unit_price = "0.0849" }, { unit_price = "0.04" } ]
"#;

fn used() -> MonthUsage {
    month(Quantities { conversions: quantity(251), ..cpu_micros(1_500_000) })
}

#[test]
fn a_whole_bill_passes_and_says_what_was_compared() {
    let bill = bill("EUR", PLAN, &used());
    let checked = bill.check_against(&used()).unwrap();
    let conversions = checked.meters[&Meter::Conversions];
    assert_eq!(
        (conversions.billable, conversions.free, conversions.charged),
        (quantity(251), quantity(50), quantity(201))
    );
    // 5.00 + 3 × 1.90 + 0.08 (of 0.0849) + 0.02 (of 0.5 × 0.04)
    assert_eq!(checked.sum_of_lines.to_string(), "10.80");
    assert_eq!(checked.residue.to_string(), "0.0049");
}

fn meter(bill: &mut Bill) -> &mut MeterFigures {
    bill.meters.get_mut(&Meter::Conversions).unwrap()
}

#[test]
fn bill_1_and_bill_2_are_named_when_broken() {
    let check = |spoil: &dyn Fn(&mut Bill), expected: &str| {
        let mut spoilt = bill("EUR", PLAN, &used());
        spoil(&mut spoilt);
        let broken = spoilt.check_against(&used()).unwrap_err().to_string();
        assert_eq!(broken.replace(" is broken in the bill of acme for 2026-10", ""), expected);
    };
    check(&|b| meter(b).billable = quantity(252), "BILL-1: conversions billable is 252, not 251");
    check(
        &|b| meter(b).free = quantity(51),
        "BILL-1: conversions charged + free + waived + unassigned is 252, not 251",
    );
    check(
        &|b| meter(b).waived = quantity(1),
        "BILL-1: conversions charged + free + waived + unassigned is 252, not 251",
    );
    check(&|b| meter(b).charged = quantity(200), "BILL-1: conversions charged is 200, not 201");
    check(&|b| drop(b.lines.remove(1)), "BILL-1: conversions charged is 201, not 0");
    check(
        &|b| b.lines[3].usage.as_mut().unwrap().base_quantity = quantity(1),
        "BILL-1: the quantity of a line of cpu is 0.5, not 0.000001",
    );
    check(&|b| b.lines[1].quantity = "4".parse().unwrap(), "BILL-1: the quantity of a line of pack is 4, not 201");
    check(&|b| b.lines[1].quantity = "2".parse().unwrap(), "BILL-1: the quantity of a line of pack is 2, not 201");
    check(
        &|b| b.meters.retain(|meter, _| *meter != Meter::Conversions),
        "BILL-1: a charged meter without figures is conversions, not 201",
    );
    check(&|b| b.lines[0].amount = Amount::new(501, 2), "BILL-2: the amount of a line of base is 5.01, not 5.00");
    check(&|b| b.lines[0].amount = Amount::new(5_000, 3), "BILL-2: the amount of a line of base is 5.000, not 5.00");
    check(
        &|b| b.lines[2].exact = "0.085".parse().unwrap(),
        "BILL-2: the exact amount of a line of cpu is 0.085, not 0.0849",
    );
    check(&|b| b.lines[0].unit_price = "6".parse().unwrap(), "BILL-2: the exact amount of a line of base is 5, not 6");
    check(&|b| drop(b.lines.remove(0)), "BILL-2: the total is 10.80, not 5.80");
    check(&|b| b.total = Amount::new(1_081, 2), "BILL-2: the total is 10.81, not 10.80");
    check(&|b| b.residue = "0.005".parse().unwrap(), "BILL-2: the residue is 0.005, not 0.0049");
    check(&|b| b.currency = "JPY".parse().unwrap(), "BILL-2: the amount of a line of base is 5.00, not 5");
    check(&|b| b.currency = "XXX".parse().unwrap(), "BILL-2: the currency is XXX, not one with a minor unit");
}

#[test]
fn bill_1_sees_another_months_usage() {
    let bill = bill("EUR", PLAN, &used());
    let mut more = used();
    more.add(group("eu", Outcome::Rejected), &conversions(1)).unwrap();
    assert!(bill.check_against(&more).unwrap_err().to_string().contains("digest of the quantities"));
    let other = MonthUsage { month: "2026-11".parse().unwrap(), ..used() };
    assert!(bill.check_against(&other).unwrap_err().to_string().contains("the month"));
}

#[test]
fn rejections_are_recorded_not_billed() {
    let mut usage = used();
    let before = bill("EUR", PLAN, &usage);
    usage.add(group("eu", Outcome::Rejected), &conversions(1_000)).unwrap();
    let after = bill("EUR", PLAN, &usage);
    assert_eq!((&before.lines, &before.meters, before.total), (&after.lines, &after.meters, after.total));
    assert_ne!(before.quantities_sha256, after.quantities_sha256);
}

#[test]
fn book_plan_and_account_must_fit() {
    let book = book("EUR", PLAN);
    let check = |usage: &MonthUsage, plan: &str, currency: &str, expected: &str| {
        let error = crate::rate(usage, &book, &plan.parse().unwrap(), &currency.parse().unwrap()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check(&used(), "q", "EUR", "customer acme has plan q, which price book 7 does not have");
    check(&used(), "p", "USD", "customer acme pays in USD, but plan p is priced in EUR");
    let early = MonthUsage { month: "2026-09".parse().unwrap(), ..used() };
    check(&early, "p", "EUR", "price book 7 is effective from 2026-10, too late for 2026-09");
    let mut huge = month(conversions(i128::MAX));
    huge.add(group("us", Outcome::Done), &conversions(1)).unwrap();
    check(&huge, "p", "EUR", "customer acme: the sum of conversions passes 2^127 - 1");
}

#[test]
fn a_stored_bill_is_read_whole_or_not_at_all() {
    let bill = bill("EUR", PLAN, &used());
    let line = bill.to_json_line().unwrap();
    assert_eq!(serde_json::from_str::<Bill>(&line).unwrap(), bill);
    for (from, to) in [
        ("\"total\":", "\"discount\":\"1\",\"total\":"), // unknown
        ("\"total\":\"10.80\"", "\"total\":10.80"),      // a float
        ("\"total\":\"10.80\"", "\"total\":\"10.800000\""),
        ("\"rating_version\":1", "\"rating_version\":2"),
        ("\"residue\":\"0.0049\"", "\"residue\":\"0.00490\""),
        ("\"free\":\"50\"", "\"free\":\"-50\""),
    ] {
        assert!(line.contains(from), "{line}");
        assert!(serde_json::from_str::<Bill>(&line.replacen(from, to, 1)).is_err(), "{to}");
    }
}

#[test]
fn stored_usage_names_a_group_once() {
    let text = serde_json::to_string(&used()).unwrap();
    assert_eq!(serde_json::from_str::<MonthUsage>(&text).unwrap(), used());
    let row = &text[text.find("[{").unwrap() + 1..=text.find("}]").unwrap()];
    let twice = text.replace(row, &format!("{row},{row}"));
    assert!(serde_json::from_str::<MonthUsage>(&twice).unwrap_err().to_string().contains("stands twice"), "{twice}");
}

/// Computed outside this crate: the sha256 of the canonical JSON, which stands here as an auditor would write it.
#[test]
fn the_digest_is_that_of_the_canonical_json() {
    let canonical = concat!(
        r#"{"customer_id":"acme","groups":[{"group":{"input_format":"jpeg","operation":"resize","outcome":"done","#,
        r#""output_format":"webp","region":"eu"},"quantities":{"conversions":"251","cpu_micros":"1500000","#,
        r#""input_bytes":"0","input_pixels":"0","output_bytes":"0","output_pixels":"0"}}],"month":"2026-10"}"#,
    );
    assert_eq!(used().digest().unwrap(), contract::ids::Digest::of(canonical.as_bytes()));
    assert_eq!(
        used().digest().unwrap().to_string(),
        "ad3b8db8b46a8c808739cdb96ab20823f3f1e623a59bf2f6ffebd4a0408e42a8"
    );
}
