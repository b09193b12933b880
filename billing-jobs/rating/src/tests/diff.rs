//! Who would pay more under another book. The amounts are worked out by hand in comments.

use super::{book, conversions, month};
use crate::{Difference, MonthUsage, NotComparable, PriceBook, RateError};

const OLD: &str = r#"minimum = "3.00"
taxes = [ { name = "vat", percent = "10" } ]
[[charges]]
id = "conv"
meter = "conversions"
model = "per_unit"
unit_price = "0.01"
[[charges]]
id = "support"
model = "flat"
amount = "1.00"
"#;

const NEW: &str = r#"
taxes = [ { name = "vat", percent = "10" } ]
[[charges]]
id = "conv"
meter = "conversions"
model = "graduated"
tiers = [ { up_to = "100", unit_price = "0.02" }, { unit_price = "0.005" } ]
[[charges]]
id = "support"
model = "flat"
amount = "1.00"
"#;

fn show(difference: &Result<Difference, NotComparable>) -> String {
    match difference {
        Ok(Difference { customer_id, old, new, more, charges, .. }) => {
            let charges: Vec<String> =
                charges.iter().map(|(id, both)| format!("{id} {} {}", both.old, both.new)).collect();
            format!("{customer_id}: {old} {new} {more}; {}", charges.join(", "))
        }
        Err(NotComparable { customer_id, why }) => format!("{customer_id}: {why}"),
    }
}

#[test]
fn each_customers_difference_is_told_with_the_charges_that_make_it() {
    let usage = |used| month(conversions(used));
    let check = |usage: &MonthUsage, plan: &str, currency: &str, expected: &str| {
        let (plan, currency) = (plan.parse().unwrap(), currency.parse().unwrap());
        let found = crate::diff(&book("EUR", OLD), &book("EUR", NEW), [(usage, &plan, &currency)]);
        assert_eq!(found.iter().map(show).collect::<Vec<_>>(), [expected]);
    };
    // Old: 0 + 1 + 2 up to the minimum = 3.00, with tax 3.30. New: 0 + 1, with tax 1.10.
    check(&usage(0), "p", "EUR", "acme: 3.30 1.10 -2.20; #minimum 2.00 0.00, #tax 0.30 0.10");
    // Old: 2 + 1 = 3.00, 3.30. New: 100 × 0.02 + 100 × 0.005 = 2.50, + 1 = 3.50, 3.85.
    check(&usage(200), "p", "EUR", "acme: 3.30 3.85 0.55; #tax 0.30 0.35, conv 2.00 2.50");
    // Old: 3 + 1 = 4.00, 4.40. New: 2.00 + 200 × 0.005 = 3.00, + 1 = 4.00: the same.
    check(&usage(300), "p", "EUR", "acme: 4.40 4.40 0.00; ");
    // A month before either is effective.
    let early = MonthUsage { month: "2026-01".parse().unwrap(), ..usage(300) };
    check(&early, "p", "EUR", "acme: 4.40 4.40 0.00; ");
    check(&usage(1), "q", "EUR", "acme: customer acme has plan q, which price book 7 does not have");
    check(&usage(1), "p", "USD", "acme: customer acme pays in USD, but plan p is priced in EUR");
}

#[test]
fn a_plan_that_the_new_book_lacks_is_told() {
    let without = PriceBook::parse("version = 8\neffective_from = \"2026-11\"\nrating_version = 1\n").unwrap();
    let (plan, currency) = ("p".parse().unwrap(), "EUR".parse().unwrap());
    let usage = month(conversions(1));
    let found = crate::diff(&book("EUR", OLD), &without, [(&usage, &plan, &currency)]);
    assert!(matches!(*found[0].as_ref().unwrap_err().why, RateError::UnknownPlan { .. }));
}
