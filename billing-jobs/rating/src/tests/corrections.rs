//! BILL-4 by hand: what late usage changes in a final bill, and where that goes.

use super::{book, conversions, month, try_bill};
use crate::correction::LineKey;
use crate::{
    Adjustment, Amount, Bill, Correction, Credit, Ledger, MonthUsage, Note, NoteKind, Settled, check_corrected,
    correct, settle,
};

const PLAN: &str = r#"minimum = "1.00"
taxes = [ { name = "vat", percent = "19" } ]
[[charges]]
id = "conv"
meter = "conversions"
model = "graduated"
tiers = [ { up_to = "100", unit_price = "0.021" }, { unit_price = "0.01" } ]
"#;

fn original(used: i128) -> Bill {
    try_bill("EUR", PLAN, &month(conversions(used))).unwrap()
}

fn corrected(original: &Bill, earlier: &[Correction], used: i128) -> Option<Correction> {
    correct(original, earlier, &month(conversions(used)), &book("EUR", PLAN)).unwrap()
}

fn show(correction: &Correction) -> String {
    let lines = correction
        .lines
        .iter()
        .map(|line| format!("{} {} - {} = {}", line.key, line.rerated, line.billed, line.amount));
    format!("{}: {}", correction.total, lines.collect::<Vec<_>>().join(", "))
}

#[test]
fn a_correction_is_the_difference_per_line() {
    let check = |before: i128, after: i128, expected: &str| {
        let original = original(before);
        let correction = corrected(&original, &[], after).unwrap();
        assert_eq!(show(&correction), expected, "{before} to {after}");
        correction.check().unwrap();
        check_corrected(
            &original,
            std::slice::from_ref(&correction),
            &try_bill("EUR", PLAN, &month(conversions(after))).unwrap(),
        )
        .unwrap();
        assert_eq!(corrected(&original, &[correction], after), None, "once is enough");
    };
    // Within the minimum: 10 × 0.021 = 0.21 and 0.79 up to 1.00; 20: 0.42 and 0.58. Nothing more to pay.
    check(10, 20, "0.00: conv#1 0.42 - 0.21 = 0.21, #minimum 0.58 - 0.79 = -0.21");
    // Past the minimum, 50 × 0.021 = 1.05: 0.84 more, 0.79 of which was paid as minimum.
    check(10, 50, "0.05: conv#1 1.05 - 0.21 = 0.84, #minimum 0.00 - 0.79 = -0.79");
    // Into the second tier: 2.10, and 50 × 0.01.
    check(90, 150, "0.71: conv#1 2.10 - 1.89 = 0.21, conv#2 0.50 - 0.00 = 0.50");
    // One more, which half a cent makes none: 0.231 − 0.21 → 0.02, and the minimum takes it.
    check(10, 11, "0.00: conv#1 0.23 - 0.21 = 0.02, #minimum 0.77 - 0.79 = -0.02");
    // Less, as when an earlier exception is mended: out of the second tier, below the minimum.
    check(150, 40, "-1.60: conv#1 0.84 - 2.10 = -1.26, conv#2 0.00 - 0.50 = -0.50, #minimum 0.16 - 0.00 = 0.16");
}

#[test]
fn corrections_take_up_where_the_last_one_stopped() {
    let original = original(90);
    let mut earlier = Vec::new();
    for (used, expected) in [
        (95, Some("0.11: conv#1 2.00 - 1.89 = 0.11")), // 1.995 → 2.00
        (95, None),
        (96, Some("0.02: conv#1 2.02 - 2.00 = 0.02")), // 2.016
        (200, Some("1.08: conv#1 2.10 - 2.02 = 0.08, conv#2 1.00 - 0.00 = 1.00")),
        (201, Some("0.01: conv#2 1.01 - 1.00 = 0.01")),
    ] {
        let correction = corrected(&original, &earlier, used);
        assert_eq!(correction.as_ref().map(show).as_deref(), expected, "{used}");
        earlier.extend(correction);
    }
    let rerated = try_bill("EUR", PLAN, &month(conversions(201))).unwrap();
    check_corrected(&original, &earlier, &rerated).unwrap();
    // One too many, one missing, another order, another bill's: each is named.
    let check = |corrections: &[Correction], expected: &str| {
        let broken = check_corrected(&original, corrections, &rerated).unwrap_err().to_string();
        assert_eq!(broken.replace("BILL-4 is broken in the bill of acme for 2026-10: ", ""), expected);
        assert!(
            correct(&original, corrections, &month(conversions(202)), &book("EUR", PLAN)).is_err()
                || corrections.len() == 3
        );
    };
    let with = |numbers: &[usize]| numbers.iter().map(|number| earlier[*number].clone()).collect::<Vec<_>>();
    check(&with(&[0, 0]), "what a correction takes as billed for conv#1 is 1.89, not 2.00");
    check(&with(&[0, 2]), "what a correction takes as billed for conv#1 is 2.02, not 2.00");
    check(&with(&[1, 0]), "what a correction takes as billed for conv#1 is 2.00, not 1.89");
    check(&with(&[0, 1, 2]), "original + corrections is conv#1 2.10, conv#2 1.00, not conv#1 2.10, conv#2 1.01");
    let mut forged = with(&[0]);
    forged[0].lines[0].amount = Amount::new(12, 2);
    check(&forged, "the correction of conv#1 is 0.12, not 0.11");
    let mut forged = with(&[0]);
    forged[0].total = Amount::new(12, 2);
    check(&forged, "the sum of a correction is 0.12, not 0.11");
    let mut foreign = with(&[0]);
    foreign[0].bill_sha256 = contract::ids::Digest::of(b"");
    assert!(check_corrected(&original, &foreign, &rerated).unwrap_err().what.contains("a correction's original"));
}

/// Late usage that moves no amount is named all the same: what was billed for is known of every bill.
#[test]
fn late_usage_that_costs_nothing_is_in_a_correction_without_lines() {
    let plan = "[[charges]]\nid = \"c\"\nmeter = \"conversions\"\nmodel = \"package\"\nsize = \"100\"\nprice = \"1\"\n";
    let original = try_bill("EUR", plan, &month(conversions(10))).unwrap();
    let correction = correct(&original, &[], &month(conversions(11)), &book("EUR", plan)).unwrap().unwrap();
    assert_eq!(show(&correction), "0.00: ");
    assert_eq!(correct(&original, &[correction], &month(conversions(11)), &book("EUR", plan)).unwrap(), None);
}

#[test]
fn what_the_account_brought_to_the_original_is_left_alone() {
    let ledger = Ledger {
        adjustments: vec![Adjustment {
            amount: "7.77".parse().unwrap(),
            currency: "EUR".parse().unwrap(),
            key: "fee".parse().unwrap(),
            reason: "setup".to_owned(),
            tax: None,
        }],
        credits: vec![Credit {
            currency: "EUR".parse().unwrap(),
            expires: None,
            key: "gift".parse().unwrap(),
            remaining: "5.00".parse().unwrap(),
        }],
        ..Ledger::default()
    };
    let (plan, currency) = ("p".parse().unwrap(), "EUR".parse().unwrap());
    let original = crate::rate_with(&month(conversions(90)), &book("EUR", PLAN), &plan, &currency, &ledger).unwrap();
    assert_eq!(
        show(&corrected(&original, &[], 150).unwrap()),
        "0.71: conv#1 2.10 - 1.89 = 0.21, conv#2 0.50 - 0.00 = 0.50"
    );
}

#[test]
fn a_correction_is_made_by_the_originals_own_book_and_usage() {
    let original = original(10);
    let check = |usage: &MonthUsage, book: &crate::PriceBook, expected: &str| {
        let error = correct(&original, &[], usage, book).unwrap_err().to_string();
        assert_eq!(error, format!("BILL-4 is broken in the bill of acme for 2026-10: {expected}"));
    };
    let usage = month(conversions(11));
    let mut other = book("EUR", PLAN);
    other.version = 8;
    check(&usage, &other, "the price book is 8, not 7");
    let november = MonthUsage { month: "2026-11".parse().unwrap(), ..usage.clone() };
    check(&november, &book("EUR", PLAN), "the month of the usage is 2026-11, not 2026-10");
    let somebody = MonthUsage { customer_id: "somebody".parse().unwrap(), ..usage };
    check(&somebody, &book("EUR", PLAN), "the customer of the usage is somebody, not acme");
}

/// The next bill, of November, by some plan.
fn november(currency: &str, plan: &str, used: i128, corrections: &[Correction]) -> Bill {
    let usage = MonthUsage { month: "2026-11".parse().unwrap(), ..month(conversions(used)) };
    let ledger = Ledger { corrections: corrections.to_vec(), ..Ledger::default() };
    crate::rate_with(&usage, &book(currency, plan), &"p".parse().unwrap(), &currency.parse().unwrap(), &ledger).unwrap()
}

#[test]
fn a_correction_goes_onto_the_next_bill_or_into_a_note() {
    let more = corrected(&original(90), &[], 150).unwrap(); // 0.71
    let less = corrected(&original(150), &[], 40).unwrap(); // -1.60
    let check = |pending: &[&Correction], next: Option<&Bill>, on_bill: &[&str], notes: &[&str]| {
        let pending = pending.iter().map(|correction| (*correction).clone()).collect();
        let Settled { on_bill: put, notes: made } = settle(pending, next).unwrap();
        assert_eq!(put.iter().map(|correction| correction.total.to_string()).collect::<Vec<_>>(), on_bill);
        let show = |note: &Note| format!("{:?} {} with {}", note.kind, note.correction.total, note.total);
        assert_eq!(made.iter().map(show).collect::<Vec<_>>(), notes);
        for note in &made {
            note.check().unwrap();
        }
    };
    let next = |used| november("EUR", PLAN, used, &[]);
    check(&[], Some(&next(0)), &[], &[]);
    // The minimum of 1.00 is what November costs: 1.60 less is too much. 1.60 × 19 % = 0.304 → 0.30.
    check(&[&more], Some(&next(0)), &["0.71"], &[]);
    check(&[&less], Some(&next(0)), &[], &["CreditNote -1.60 with -1.90"]);
    // 1.00 + 0.71 − 1.60 = 0.11: what adds goes first, so that both fit.
    check(&[&less, &more], Some(&next(0)), &["0.71", "-1.60"], &[]);
    // A second 1.60 does not; of 200 it does: 2.10 + 1.00 + 0.71 − 3.20 = 0.61.
    check(&[&less, &more, &less], Some(&next(0)), &["0.71", "-1.60"], &["CreditNote -1.60 with -1.90"]);
    check(&[&less, &more, &less], Some(&next(200)), &["0.71", "-1.60", "-1.60"], &[]);
    // 76 × 0.021 = 1.596 → 1.60, which is just enough; 75 × 0.021 = 1.575 → 1.58 is not.
    check(&[&less], Some(&next(76)), &["-1.60"], &[]);
    check(&[&less], Some(&next(75)), &[], &["CreditNote -1.60 with -1.90"]);
    // The customer has left. 0.71 × 19 % = 0.1349 → 0.13.
    check(&[&less, &more], None, &[], &["Invoice 0.71 with 0.84", "CreditNote -1.60 with -1.90"]);
    // Another currency, other taxes.
    let dollars = november("USD", PLAN, 1_000, &[]);
    check(&[&more], Some(&dollars), &[], &["Invoice 0.71 with 0.84"]);
    for taxes in ["percent = \"20\"", "percent = \"19.5\""] {
        let other = november("EUR", &PLAN.replace("percent = \"19\"", taxes), 1_000, &[]);
        check(&[&more], Some(&other), &[], &["Invoice 0.71 with 0.84"]);
    }
    let untaxed = november("EUR", &PLAN.replace("taxes = [ { name = \"vat\", percent = \"19\" } ]\n", ""), 1_000, &[]);
    check(&[&more], Some(&untaxed), &[], &["Invoice 0.71 with 0.84"]);
}

#[test]
fn on_a_bill_a_correction_stands_ahead_of_credits_and_tax() {
    let more = corrected(&original(90), &[], 150).unwrap();
    let bill = november("EUR", PLAN, 0, std::slice::from_ref(&more));
    // 0.00 + 1.00 + 0.71 = 1.71, × 19 % = 0.3249 → 0.32.
    assert_eq!(
        super::show_bill(&bill),
        [
            "conv #1 (0, 100] 0 Conversion x 0.021 = 0 -> 0.00",
            "minimum 1.00: 0.00 + 1.00",
            "correction of 2026-10 0.71",
            "vat 19% of 1.71 = 0.3249 -> 0.32",
            "= 2.03 (0.0049)",
        ]
    );
    bill.check().unwrap();
    let mut spoilt = bill.clone();
    spoilt.corrections.clear();
    assert!(spoilt.check().unwrap_err().to_string().contains("the base of tax vat is 1.71, not 1.00"));
    // A correction is of an earlier bill of the same customer, under the same taxes.
    let try_with = |correction: Correction| {
        let ledger = Ledger { corrections: vec![correction], ..Ledger::default() };
        let usage = MonthUsage { month: "2026-11".parse().unwrap(), ..month(conversions(0)) };
        let (plan, currency) = ("p".parse().unwrap(), "EUR".parse().unwrap());
        crate::rate_with(&usage, &book("EUR", PLAN), &plan, &currency, &ledger).unwrap_err().to_string()
    };
    let of = |spoil: &dyn Fn(&mut Correction)| {
        let mut correction = more.clone();
        spoil(&mut correction);
        try_with(correction)
    };
    assert_eq!(
        of(&|c| c.month = "2026-11".parse().unwrap()),
        "customer acme: the correction of 2026-11 of acme is not of an earlier bill"
    );
    assert_eq!(
        of(&|c| c.customer_id = "other".parse().unwrap()),
        "customer acme: the correction of 2026-10 of other is not of an earlier bill"
    );
    assert_eq!(
        of(&|c| c.currency = "USD".parse().unwrap()),
        "customer acme: the correction of 2026-10 is 0.71 USD, not an amount of EUR"
    );
    assert_eq!(
        of(&|c| c.taxes.clear()),
        "customer acme: the correction of 2026-10 was taxed at other rates, so it needs a note of its own"
    );
}

#[test]
fn a_forged_note_is_seen() {
    let more = corrected(&original(90), &[], 150).unwrap();
    let note = settle(vec![more], None).unwrap().notes.remove(0);
    assert_eq!(note.kind, NoteKind::Invoice);
    let line = note.to_json_line().unwrap();
    assert_eq!(serde_json::from_str::<Note>(&line).unwrap(), note);
    let check = |spoil: &dyn Fn(&mut Note)| {
        let mut spoilt = note.clone();
        spoil(&mut spoilt);
        assert!(spoilt.check().is_err());
    };
    check(&|n| n.total = Amount::new(85, 2));
    check(&|n| n.kind = NoteKind::CreditNote);
    check(&|n| n.taxes.clear());
    check(&|n| n.correction.total = Amount::new(72, 2));
}

#[test]
fn line_keys_have_one_spelling() {
    for good in ["base", "cpu#2", "#minimum", "a.b-c_d"] {
        assert_eq!(good.parse::<LineKey>().unwrap().to_string(), good);
    }
    for bad in ["", "#", "#2", "cpu#", "cpu#x", "cpu#02", "cpu#+2", "cpu#-1", "CPU", "minimum#", "##minimum"] {
        assert!(bad.parse::<LineKey>().is_err(), "{bad}");
    }
}
