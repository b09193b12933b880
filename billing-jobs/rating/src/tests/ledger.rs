//! What comes after the lines, in its order: discount, round, minimum, adjustments, credits, tax. By hand in comments.

use super::{book, conversions, month, show_bill};
use crate::{Adjustment, Amount, Bill, Credit, Ledger, RateError};

fn adjustment(key: &str, amount: &str, tax: Option<&str>) -> Adjustment {
    Adjustment {
        amount: amount.parse().unwrap(),
        currency: "EUR".parse().unwrap(),
        key: key.parse().unwrap(),
        reason: "as agreed".to_owned(),
        tax: tax.map(|tax| tax.parse().unwrap()),
    }
}

fn credit(key: &str, remaining: &str, expires: Option<&str>) -> Credit {
    Credit {
        currency: "EUR".parse().unwrap(),
        expires: expires.map(|month| month.parse().unwrap()),
        key: key.parse().unwrap(),
        remaining: remaining.parse().unwrap(),
    }
}

fn try_rate(plan: &str, used: i128, ledger: &Ledger) -> Result<Bill, RateError> {
    let (plan_name, currency) = ("p".parse().unwrap(), "EUR".parse().unwrap());
    crate::rate_with(&month(conversions(used)), &book("EUR", plan), &plan_name, &currency, ledger)
}

fn check(plan: &str, used: i128, ledger: &Ledger, expected: &[&str]) -> Bill {
    let bill = try_rate(plan, used, ledger).unwrap();
    assert_eq!(show_bill(&bill), expected, "{used}");
    bill
}

const DISCOUNTED: &str = r#"
[[charges]]
id = "conv"
meter = "conversions"
model = "per_unit"
unit_price = "0.0021"
discount_percent = "12.5"
[[charges]]
id = "base"
model = "flat"
amount = "10"
discount_percent = "100"
"#;

#[test]
fn a_discount_is_taken_off_before_rounding() {
    let none = Ledger::default();
    let base = "base 1 Month x 10 - 10 = 0 -> 0.00";
    // 1000 × 0.0021 = 2.1; 12.5 % of it are 0.2625; 1.8375 → 1.84. Rounded first, 2.10 − 0.26 would give the same,
    // but 60 × 0.0021 = 0.126, less 0.01575 is 0.11025 → 0.11; rounded first: 0.13 − 0.02 = 0.11; 20 × 0.0021 = 0.042,
    // less 0.00525 is 0.03675 → 0.04; rounded first: 0.04 − 0.01 = 0.03.
    check(DISCOUNTED, 0, &none, &["conv 0 Conversion x 0.0021 - 0 = 0 -> 0.00", base, "= 0.00 (0)"]);
    check(
        DISCOUNTED,
        20,
        &none,
        &["conv 20 Conversion x 0.0021 - 0.00525 = 0.03675 -> 0.04", base, "= 0.04 (-0.00325)"],
    );
    check(
        DISCOUNTED,
        1_000,
        &none,
        &["conv 1000 Conversion x 0.0021 - 0.2625 = 1.8375 -> 1.84", base, "= 1.84 (-0.0025)"],
    );
}

const MINIMUM: &str = r#"minimum = "2.00"
[[charges]]
id = "conv"
meter = "conversions"
model = "per_unit"
unit_price = "0.0021"
discount_percent = "10"
"#;

#[test]
fn the_minimum_looks_at_discounted_and_rounded_lines() {
    let none = Ledger::default();
    check(
        MINIMUM,
        0,
        &none,
        &["conv 0 Conversion x 0.0021 - 0 = 0 -> 0.00", "minimum 2.00: 0.00 + 2.00", "= 2.00 (0)"],
    );
    // 1000 × 0.0021 = 2.1, above the minimum, but 10 % less is 1.89: 0.11 are lacking.
    check(
        MINIMUM,
        1_000,
        &none,
        &["conv 1000 Conversion x 0.0021 - 0.21 = 1.89 -> 1.89", "minimum 2.00: 1.89 + 0.11", "= 2.00 (0)"],
    );
    // 1056 × 0.0021 = 2.2176; less 0.22176 is 1.99584 → 2.00, of which nothing is lacking.
    check(
        MINIMUM,
        1_056,
        &none,
        &[
            "conv 1056 Conversion x 0.0021 - 0.22176 = 1.99584 -> 2.00",
            "minimum 2.00: 2.00 + 0.00",
            "= 2.00 (-0.00416)",
        ],
    );
    // 10,000 × 0.0021 = 21; less 2.1 is 18.9.
    check(
        MINIMUM,
        10_000,
        &none,
        &["conv 10000 Conversion x 0.0021 - 2.1 = 18.9 -> 18.90", "minimum 2.00: 18.90 + 0.00", "= 18.90 (0)"],
    );
}

#[test]
fn adjustments_come_after_the_minimum_and_are_not_rounded() {
    // The minimum is not met by an adjustment, nor is it lowered by one: 2.00 − 0.50 + 3.00 = 4.50.
    let adjustments = vec![adjustment("late-fee", "3.00", None), adjustment("goodwill", "-0.50", None)];
    let ledger = Ledger { adjustments, ..Ledger::default() };
    let bill = check(
        MINIMUM,
        0,
        &ledger,
        &[
            "conv 0 Conversion x 0.0021 - 0 = 0 -> 0.00",
            "minimum 2.00: 0.00 + 2.00",
            "adjustment goodwill -0.50",
            "adjustment late-fee 3.00",
            "= 4.50 (0)",
        ],
    );
    assert_eq!(bill.adjustments[0].reason, "as agreed");
    // An operator may give back more than the month costs.
    let ledger = Ledger { adjustments: vec![adjustment("refund", "-5.00", None)], ..Ledger::default() };
    assert_eq!(try_rate(MINIMUM, 0, &ledger).unwrap().total, Amount::new(-300, 2));
}

const TEN: &str = r#"
[[charges]]
id = "base"
model = "flat"
amount = "10.00"
"#;

#[test]
fn credits_pay_in_the_order_of_expiry_then_grant() {
    let base = "base 1 Month x 10 = 10 -> 10.00";
    let check = |credits: &[Credit], expected: &[&str]| {
        let ledger = Ledger { credits: credits.to_vec(), ..Ledger::default() };
        let expected: Vec<&str> = std::iter::once(base).chain(expected.iter().copied()).collect();
        check(TEN, 0, &ledger, &expected)
    };
    check(&[], &["= 10.00 (0)"]);
    check(&[credit("a", "4.00", None)], &["credit a -4.00, 0.00 left", "= 6.00 (0)"]);
    check(&[credit("a", "10.00", None)], &["credit a -10.00, 0.00 left", "= 0.00 (0)"]);
    check(&[credit("a", "25.00", None)], &["credit a -10.00, 15.00 left", "= 0.00 (0)"]);
    check(&[credit("a", "0.00", None)], &["= 10.00 (0)"]);
    // The bill is of October. What expires in October no longer pays; November's is the first to be used up.
    check(
        &[
            credit("lasting", "100.00", None),
            credit("december", "4.00", Some("2026-12")),
            credit("november-1", "3.00", Some("2026-11")),
            credit("november-2", "2.50", Some("2026-11")),
            credit("october", "50.00", Some("2026-10")),
        ],
        &[
            "credit november-1 -3.00, 0.00 left",
            "credit november-2 -2.50, 0.00 left",
            "credit december -4.00, 0.00 left",
            "credit lasting -0.50, 99.50 left",
            "= 0.00 (0)",
        ],
    );
    // Nothing is owed, nothing is used.
    let adjustments = vec![adjustment("refund", "-10.00", None)];
    let ledger = Ledger { adjustments, credits: vec![credit("a", "5.00", None)], ..Ledger::default() };
    assert!(try_rate(TEN, 0, &ledger).unwrap().credits.is_empty());
}

const TAXED: &str = r#"minimum = "20.00"
taxes = [ { name = "vat", percent = "19" }, { name = "reduced", percent = "7" }, { name = "none", percent = "0" } ]
[[charges]]
id = "conv"
meter = "conversions"
model = "per_unit"
unit_price = "0.0333"
[[charges]]
id = "book"
model = "flat"
amount = "4.444"
tax = "reduced"
[[charges]]
id = "conv-top"
meter = "conversions"
model = "per_unit"
additive = true
unit_price = "0.0333"
"#;

#[test]
fn tax_is_computed_once_per_rate_after_credits() {
    let lines = [
        "conv 100 Conversion x 0.0333 = 3.33 -> 3.33",
        "book 1 Month x 4.444 = 4.444 -> 4.44",
        "conv-top 100 Conversion x 0.0333 = 3.33 -> 3.33",
        // 20.00 − 11.10
        "minimum 20.00: 11.10 + 8.90",
    ];
    let with = |rest: &[&'static str]| -> Vec<&'static str> { lines.into_iter().chain(rest.iter().copied()).collect() };
    // 3.33 + 3.33 + 8.90 = 15.56 at 19 %: 2.9564 → 2.96, not 0.63 + 0.63 + 1.69 = 2.95 line by line.
    // 4.44 at 7 %: 0.3108 → 0.31. Residue: 4.444 − 4.44 + 2.9564 − 2.96 + 0.3108 − 0.31 = 0.0012.
    check(
        TAXED,
        100,
        &Ledger::default(),
        &with(&[
            "vat 19% of 15.56 = 2.9564 -> 2.96",
            "reduced 7% of 4.44 = 0.3108 -> 0.31",
            "none 0% of 0.00 = 0 -> 0.00",
            "= 23.27 (0.0012)",
        ]),
    );
    // The adjustment that names no tax is subject to the first: 15.56 + 1.00. The credit of 18.00 pays that first:
    // 16.56, then 1.44 of 4.44, of which 3.00 are left: 0.21.
    let adjustments = vec![adjustment("a", "1.00", None), adjustment("b", "2.00", Some("none"))];
    let ledger = Ledger { adjustments, credits: vec![credit("c", "18.00", None)], ..Ledger::default() };
    check(
        TAXED,
        100,
        &ledger,
        &with(&[
            "adjustment a 1.00",
            "adjustment b 2.00",
            "credit c -18.00, 0.00 left",
            "vat 19% of 0.00 = 0 -> 0.00",
            "reduced 7% of 3.00 = 0.21 -> 0.21",
            "none 0% of 2.00 = 0 -> 0.00",
            "= 5.21 (0.004)",
        ]),
    );
    // One base is negative: 4.44 − 10.00 = −5.56, at 7 % −0.3892 → −0.39. Owed ahead of credits: 15.56 − 5.56 = 10.00,
    // so no more than that is used, of the other base: 5.56 × 19 % = 1.0564 → 1.06.
    let adjustments = vec![adjustment("a", "-10.00", Some("reduced"))];
    let ledger = Ledger { adjustments, credits: vec![credit("c", "18.00", None)], ..Ledger::default() };
    check(
        TAXED,
        100,
        &ledger,
        &with(&[
            "adjustment a -10.00",
            "credit c -10.00, 8.00 left",
            "vat 19% of 5.56 = 1.0564 -> 1.06",
            "reduced 7% of -5.56 = -0.3892 -> -0.39",
            "none 0% of 0.00 = 0 -> 0.00",
            "= 0.67 (0.0012)",
        ]),
    );
}

#[test]
fn what_the_account_brings_must_fit_the_bill() {
    let check = |ledger: Ledger, expected: &str| {
        let error = try_rate(TAXED, 1, &ledger).unwrap_err();
        assert!(matches!(error, RateError::BadLedger { .. }), "{error}");
        assert_eq!(error.to_string(), format!("customer acme: {expected}"));
    };
    let adjustments = |adjustments: &[Adjustment]| Ledger { adjustments: adjustments.to_vec(), ..Ledger::default() };
    let credits = |credits: &[Credit]| Ledger { credits: credits.to_vec(), ..Ledger::default() };
    let a = adjustment("a", "1.00", None);
    check(adjustments(&[a.clone(), a.clone()]), "adjustment a stands twice");
    check(
        adjustments(&[Adjustment { currency: "USD".parse().unwrap(), ..a.clone() }]),
        "adjustment a is 1.00 USD, not an amount of EUR",
    );
    check(adjustments(&[adjustment("a", "1.000", None)]), "adjustment a is 1.000 EUR, not an amount of EUR");
    check(
        adjustments(&[adjustment("a", "1.00", Some("gst"))]),
        "adjustment a is subject to gst, which the plan does not have",
    );
    let c = credit("c", "1.00", None);
    check(credits(&[c.clone(), c.clone()]), "credit c stands twice");
    check(
        credits(&[Credit { currency: "USD".parse().unwrap(), ..c.clone() }]),
        "credit c is 1.00 USD, not an amount of EUR",
    );
    check(credits(&[credit("c", "-1.00", None)]), "credit c has -1.00 left");
}

#[test]
fn money_past_an_i128_is_an_error_that_names_what() {
    let most = Amount::new(i128::MAX, 2).to_string();
    let ledger = Ledger { adjustments: vec![adjustment("a", &most, None)], ..Ledger::default() };
    let error = try_rate(TEN, 0, &ledger).unwrap_err();
    assert_eq!(error.to_string(), "customer acme: the amount of adjustment a passes 2^127 - 1 minor units");
    let ledger = Ledger { adjustments: vec![adjustment("a", &most, None)], ..Ledger::default() };
    let error = try_rate(
        &TEN.replace("10.00", "0").replacen('\n', "taxes = [ { name = \"vat\", percent = \"1\" } ]\n", 1),
        0,
        &ledger,
    );
    assert_eq!(error.unwrap_err().to_string(), "customer acme: the amount of tax vat passes 2^127 - 1 minor units");
}

/// BILL-2 of everything after the lines, broken on purpose.
#[test]
fn bill_2_is_named_when_broken() {
    let adjustments = vec![adjustment("a", "1.00", None), adjustment("b", "2.00", Some("none"))];
    let credits = vec![credit("c", "18.00", None), credit("d", "1.00", None)];
    let discounted = TAXED.replace("amount = \"4.444\"", "amount = \"4.444\"\ndiscount_percent = \"50\"");
    let bill = try_rate(&discounted, 100, &Ledger { adjustments, credits, ..Ledger::default() }).unwrap();
    bill.check().unwrap();
    let check = |spoil: &dyn Fn(&mut Bill), expected: &str| {
        let mut spoilt = bill.clone();
        spoil(&mut spoilt);
        let broken = spoilt.check().unwrap_err().to_string();
        assert_eq!(broken.replace("BILL-2 is broken in the bill of acme for 2026-10: ", ""), expected);
    };
    let cents = |cents| Amount::new(cents, 2);
    check(
        &|b| b.lines[1].discount.as_mut().unwrap().exact = "2".parse().unwrap(),
        "the discount of a line of book is 2, not 2.222",
    );
    check(&|b| b.lines[1].discount = None, "the exact amount of a line of book is 2.222, not 4.444");
    let minimum = |b: &mut Bill| b.minimum.clone().unwrap();
    check(
        &|b| b.minimum = Some(crate::bill::Minimum { lines: cents(1), ..minimum(b) }),
        "the sum of lines that the minimum looks at is 0.01, not 8.88",
    );
    check(
        &|b| b.minimum = Some(crate::bill::Minimum { true_up: cents(0), ..minimum(b) }),
        "the true-up to the minimum is 0.00, not 11.12",
    );
    check(&|b| b.minimum = None, "the use of credit c is 18.00, not between 0.00 and 11.88");
    check(&|b| drop(b.adjustments.remove(0)), "the sum of the taxes' bases is 4.00, not 3.00");
    check(&|b| b.adjustments[0].currency = "USD".parse().unwrap(), "the currency of an adjustment is USD, not EUR");
    check(&|b| b.credits[0].used = cents(-1), "the use of credit c is -0.01, not between 0.00 and 23.00");
    check(&|b| b.credits[0].remaining = cents(5), "what is left of credit c is 0.05, not 0.00");
    check(&|b| b.credits[1].remaining = cents(5), "what is left of credit d is 0.05, not 0.00");
    check(&|b| b.credits.clear(), "the base of tax vat is 0.00, not 18.78");
    check(&|b| b.taxes[1].base = cents(1), "the exact amount of tax reduced is 0.14, not 0.0007");
    check(&|b| b.taxes[1].exact = "1".parse().unwrap(), "the exact amount of tax reduced is 1, not 0.14");
    check(&|b| b.taxes[1].amount = cents(15), "the amount of tax reduced is 0.15, not 0.14");
    check(&|b| b.taxes.clear(), "the total is 4.14, not 4.00");
    check(&|b| drop(b.taxes.remove(2)), "the sum of the taxes' bases is 2.00, not 4.00");
}
