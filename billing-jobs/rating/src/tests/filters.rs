//! Charges that share a meter out, charges on top, the cap on CPU time, and BILL-1 of all three.

use super::{bill, book, conversions, month_of, quantity, show};
use crate::bill::{AdditiveFigures, Bill, MeterFigures};
use crate::price_book::Pricing;
use crate::{Meter, MonthUsage, Quantities};

/// The lines, then each meter and additive charge: used = charged + free + waived + unassigned.
fn check(plan: &str, usage: &MonthUsage, expected: &[&str]) -> Bill {
    let bill = bill("EUR", plan, usage);
    let mut shown: Vec<String> = bill.lines.iter().map(show).collect();
    for (meter, MeterFigures { billable, charged, free, unassigned, waived }) in &bill.meters {
        shown.push(format!("{meter}: {billable} = {charged} + {free} + {waived} + {unassigned}"));
    }
    for (id, AdditiveFigures { charged, matched, waived, .. }) in &bill.additive {
        shown.push(format!("{id} on top: {matched} = {charged} + {waived}"));
    }
    assert_eq!(shown, expected);
    bill
}

const BY_REGION: &str = r#"
[[charges]]
id = "eu"
meter = "conversions"
model = "per_unit"
unit_price = "0.01"
filter = { region = { only = ["eu", "eu-2"] } }
[[charges]]
id = "rest"
meter = "conversions"
model = "per_unit"
unit_price = "0.02"
filter = { region = { except = ["eu", "eu-2"] } }
"#;

fn used() -> MonthUsage {
    month_of(&[
        ("eu resize jpeg webp", conversions(30)),
        ("eu-2 resize png avif", conversions(10)),
        ("us crop jpeg webp", conversions(7)),
        ("nowhere-yet resize jpeg webp", conversions(5)),
    ])
}

#[test]
fn a_filter_takes_its_part_and_a_region_to_come_falls_to_the_rest() {
    // 30 + 10 at 0.01; 7 + 5 at 0.02
    check(
        BY_REGION,
        &used(),
        &[
            "eu 40 Conversion x 0.01 = 0.4 -> 0.40",
            "rest 12 Conversion x 0.02 = 0.24 -> 0.24",
            "conversions: 52 = 52 + 0 + 0 + 0",
        ],
    );
    let none = MonthUsage { groups: std::collections::BTreeMap::new(), ..used() };
    check(
        BY_REGION,
        &none,
        &[
            "eu 0 Conversion x 0.01 = 0 -> 0.00",
            "rest 0 Conversion x 0.02 = 0 -> 0.00",
            "conversions: 0 = 0 + 0 + 0 + 0",
        ],
    );
}

#[test]
fn conditions_hold_at_once_and_an_unknown_format_is_among_the_rest() {
    let plan = r#"
[[charges]]
id = "crop-webp"
meter = "conversions"
model = "per_unit"
unit_price = "1"
filter = { operation = { only = ["crop"] }, output_format = { only = ["webp"] } }
[[charges]]
id = "crop-other"
meter = "conversions"
model = "per_unit"
unit_price = "2"
filter = { operation = { only = ["crop"] }, output_format = { except = ["webp"] } }
[[charges]]
id = "not-crop"
meter = "conversions"
model = "per_unit"
unit_price = "3"
filter = { operation = { except = ["crop"] } }
"#;
    let used = month_of(&[
        ("eu crop jpeg webp", conversions(1)),
        ("eu crop jpeg avif", conversions(10)),
        ("eu crop - -", conversions(100)),
        ("eu resize jpeg webp", conversions(1_000)),
    ]);
    check(
        plan,
        &used,
        &[
            "crop-webp 1 Conversion x 1 = 1 -> 1.00",
            "crop-other 110 Conversion x 2 = 220 -> 220.00",
            "not-crop 1000 Conversion x 3 = 3000 -> 3000.00",
            "conversions: 1111 = 1111 + 0 + 0 + 0",
        ],
    );
}

/// A line's digest is that of the groups it looks at: the same as that of a month which has only those.
#[test]
fn a_line_names_the_groups_behind_it() {
    let bill = bill("EUR", BY_REGION, &used());
    let digest = |number: usize| bill.lines[number].usage.as_ref().unwrap().quantities_sha256;
    let only = |eu: bool| {
        let mut part = used();
        part.groups.retain(|group, _| group.region.as_str().starts_with("eu") == eu);
        part.digest().unwrap()
    };
    assert_eq!((digest(0), digest(1)), (only(true), only(false)));
    assert_eq!(bill.quantities_sha256, used().digest().unwrap());
}

#[test]
fn an_allowance_is_shared_in_price_book_order() {
    let check = |allowance: u32, expected: [&str; 2]| {
        let plan = format!("[[allowances]]\nmeter = \"conversions\"\nquantity = \"{allowance}\"\n{BY_REGION}");
        let bill = bill("EUR", &plan, &used());
        assert_eq!(
            bill.lines.iter().map(|line| line.quantity.to_string()).collect::<Vec<_>>(),
            expected,
            "{allowance}"
        );
        let figures = bill.meters[&Meter::Conversions];
        assert_eq!(figures.free.get(), i128::from(allowance.min(52)));
    };
    check(0, ["40", "12"]);
    check(39, ["1", "12"]);
    check(40, ["0", "12"]); // the first takes it all
    check(45, ["0", "7"]); // 5 are left for the second
    check(52, ["0", "0"]);
    check(60, ["0", "0"]); // 8 of it stay unused
}

const SURCHARGE: &str = r#"
[[charges]]
id = "avif"
meter = "conversions"
model = "per_unit"
unit_price = "0.5"
additive = true
filter = { output_format = { only = ["avif"] } }
"#;

#[test]
fn an_additive_charge_comes_on_top_and_has_no_part_in_the_allowance() {
    let plan = format!("[[allowances]]\nmeter = \"conversions\"\nquantity = \"45\"\n{SURCHARGE}{BY_REGION}");
    // The surcharge stands first, yet all 45 go to the charges that share: 40 to eu, 5 to the rest. 10 × 0.5 = 5.
    let bill = check(
        &plan,
        &used(),
        &[
            "avif 10 Conversion x 0.5 = 5 -> 5.00",
            "eu 0 Conversion x 0.01 = 0 -> 0.00",
            "rest 7 Conversion x 0.02 = 0.14 -> 0.14",
            "conversions: 52 = 7 + 45 + 0 + 0",
            "avif on top: 10 = 10 + 0",
        ],
    );
    let broken = |spoil: &dyn Fn(&mut Bill), expected: &str| {
        let mut spoilt = bill.clone();
        spoil(&mut spoilt);
        let broken = spoilt.check_against(&used()).unwrap_err().to_string();
        assert_eq!(broken.replace(" is broken in the bill of acme for 2026-10", ""), expected);
    };
    let id = || "avif".parse().unwrap();
    broken(
        &|b| b.additive.get_mut(&id()).unwrap().matched = quantity(11),
        "BILL-1: avif charged + waived is 10, not 11",
    );
    broken(&|b| b.additive.get_mut(&id()).unwrap().waived = quantity(1), "BILL-1: avif charged + waived is 11, not 10");
    broken(&|b| b.additive.get_mut(&id()).unwrap().charged = quantity(9), "BILL-1: avif charged is 9, not 10");
    broken(&|b| b.additive.clear(), "BILL-1: an additive charge without figures is avif, not 10");
    broken(&|b| b.lines[0].usage.as_mut().unwrap().additive = false, "BILL-1: conversions charged is 7, not 17");
    broken(
        &|b| b.additive.get_mut(&id()).unwrap().meter = Meter::CpuSeconds,
        "BILL-1: cpu_seconds taken by avif is 10, not 0 at most",
    );
    broken(
        &|b| {
            let figures = b.additive.get_mut(&id()).unwrap();
            (figures.matched, figures.charged) = (quantity(53), quantity(53));
            b.lines[0].usage.as_mut().unwrap().base_quantity = quantity(53);
            (b.lines[0].quantity, b.lines[0].exact) = ("53".parse().unwrap(), "26.5".parse().unwrap());
        },
        "BILL-1: conversions taken by avif is 53, not 52 at most",
    );
}

pub(super) const CAPPED: &str = r#"
[[cpu_caps]]
micros_per_megapixel = "1000"
filter = { operation = { only = ["resize"] }, input_format = { only = ["jpeg"] }, output_format = { only = ["webp"] } }
[[cpu_caps]]
micros_per_megapixel = "7"
filter = { operation = { only = ["crop"] } }
[[allowances]]
meter = "cpu_seconds"
quantity = "0.0001"
[[charges]]
id = "cpu"
meter = "cpu_seconds"
model = "per_unit"
unit_price = "100"
[[charges]]
id = "on-top"
meter = "cpu_seconds"
model = "per_unit"
unit_price = "1"
additive = true
filter = { operation = { only = ["resize"] } }
"#;

fn pixels(cpu_micros: i128, input: i128, output: i128) -> Quantities {
    Quantities {
        cpu_micros: quantity(cpu_micros),
        input_pixels: quantity(input),
        output_pixels: quantity(output),
        ..conversions(1)
    }
}

#[test]
fn cpu_time_above_the_cap_is_waived_and_shown() {
    let used = month_of(&[
        // 2,500,000 pixels in and out: capped at 2,500 µs, of which all is used and 500 more: 500 waived.
        ("eu resize jpeg webp", pixels(3_000, 2_000_000, 500_000)),
        // Its own group, so its own cap: 1,000 µs, not used up. Nothing moves over from the region before.
        ("us resize jpeg webp", pixels(900, 1_000_000, 0)),
        // No cap is for it.
        ("eu resize png webp", pixels(5_000, 1, 1)),
        // floor(7 × 999,999 / 10^6) = floor(6.999993) = 6: 4 of 10 waived.
        ("eu crop png webp", pixels(10, 999_999, 0)),
    ]);
    // Used 3,000 + 900 + 5,000 + 10 = 8,910; waived 504; free 100; charged 8,306 µs × 100 = 0.8306.
    // On top: 3,000 + 900 + 5,000 = 8,900, 500 waived: 8,400 µs × 1 = 0.0084.
    check(
        CAPPED,
        &used,
        &[
            "cpu 0.008306 Second x 100 = 0.8306 -> 0.83",
            "on-top 0.0084 Second x 1 = 0.0084 -> 0.01",
            "cpu_seconds: 8910 = 8306 + 100 + 504 + 0",
            "on-top on top: 8900 = 8400 + 500",
        ],
    );
}

#[test]
fn the_edges_of_the_cap() {
    let check = |cpu: i128, input: i128, output: i128, waived: i128| {
        let bill = bill("EUR", CAPPED, &month_of(&[("eu resize jpeg webp", pixels(cpu, input, output))]));
        let figures = bill.meters[&Meter::CpuSeconds];
        assert_eq!((figures.billable.get(), figures.waived.get()), (cpu, waived));
    };
    check(0, 0, 0, 0);
    check(5, 0, 0, 5); // no pixels, no CPU time
    check(1_000, 1_000_000, 0, 0);
    check(1_001, 1_000_000, 0, 1);
    check(1_001, 500_000, 500_999, 1); // floor(1000.999)
    check(1_001, 500_000, 501_000, 0);
    // A cap past 2^127 − 1 µs: 10^6 pixels × 1000 µs of (2^127 − 1) − 10^6 pixels.
    check(1_000, i128::MAX - 1_000_000, 1_000_000, 0);
}

/// A price book that passed its check has no hole; were there one, the usage in it would be seen.
#[test]
fn usage_that_no_charge_takes_is_unassigned() {
    let mut book = book("EUR", BY_REGION);
    book.plan_mut(&"p".parse().unwrap()).charges.pop();
    let bill = crate::rate(&used(), &book, &"p".parse().unwrap(), &"EUR".parse().unwrap()).unwrap();
    let figures = bill.meters[&Meter::Conversions];
    assert_eq!((figures.billable, figures.charged, figures.unassigned), (quantity(52), quantity(40), quantity(12)));
    assert_eq!(bill.unassigned().collect::<Vec<_>>(), [(Meter::Conversions, quantity(12))]);
}

/// Two charges that take the same usage break BILL-1, were a price book to have them.
#[test]
fn usage_that_two_charges_take_breaks_bill_1() {
    let mut book = book("EUR", BY_REGION);
    let Pricing::Metered(metered) = &mut book.plan_mut(&"p".parse().unwrap()).charges[1].pricing else { panic!() };
    metered.filter = crate::filter::Filter::default();
    let error = crate::rate(&used(), &book, &"p".parse().unwrap(), &"EUR".parse().unwrap()).unwrap_err();
    assert!(error.to_string().contains("BILL-1 is broken"), "{error}");
}
