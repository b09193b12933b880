//! Each price model at its edges. The amounts are worked out by hand in the comments.

use super::{bill, conversions, cpu_micros, month, quantity, show, try_bill};
use crate::{Meter, Quantities, RateError};

/// The lines, then `= total (residue)`.
fn check(plan: &str, quantities: Quantities, expected: &[&str]) {
    let bill = bill("EUR", plan, &month(quantities));
    let mut shown: Vec<String> = bill.lines.iter().map(show).collect();
    shown.push(format!("= {} ({})", bill.total, bill.residue));
    assert_eq!(shown, expected, "{quantities:?}");
}

const FLAT: &str = r#"
[[charges]]
id = "base"
model = "flat"
amount = "5.00"
"#;

#[test]
fn flat_is_charged_once_used_or_not() {
    for used in [0, 1, 1_000_000] {
        check(FLAT, conversions(used), &["base 1 Month x 5 = 5 -> 5.00", "= 5.00 (0)"]);
    }
}

#[test]
fn a_flat_amount_finer_than_a_cent_is_rounded_like_any_line() {
    // 0.125 lies half way between 0.12 and 0.13: away from zero. 0.125 - 0.13 = -0.005.
    let plan = FLAT.replace("5.00", "0.125");
    check(&plan, conversions(0), &["base 1 Month x 0.125 = 0.125 -> 0.13", "= 0.13 (-0.005)"]);
}

const PER_UNIT: &str = r#"
[[charges]]
id = "conv"
meter = "conversions"
model = "per_unit"
unit_price = "0.0021"
"#;

#[test]
fn per_unit_multiplies() {
    check(PER_UNIT, conversions(0), &["conv 0 Conversion x 0.0021 = 0 -> 0.00", "= 0.00 (0)"]);
    // 1 × 0.0021 = 0.0021, nearer to 0.00.
    check(PER_UNIT, conversions(1), &["conv 1 Conversion x 0.0021 = 0.0021 -> 0.00", "= 0.00 (0.0021)"]);
    // 1,000 × 0.0021 = 2.1
    check(PER_UNIT, conversions(1_000), &["conv 1000 Conversion x 0.0021 = 2.1 -> 2.10", "= 2.10 (0)"]);
    // 50 × 0.0021 = 0.105, half way: 0.11. 0.105 − 0.11 = −0.005.
    check(PER_UNIT, conversions(50), &["conv 50 Conversion x 0.0021 = 0.105 -> 0.11", "= 0.11 (-0.005)"]);
    // 2^127 − 1 = 170141183460469231731687303715884105727
    // × 0.0021 = 357296485266985386636543337803356622.0267
    check(
        PER_UNIT,
        conversions(i128::MAX),
        &[
            "conv 170141183460469231731687303715884105727 Conversion x 0.0021 = 357296485266985386636543337803356622.0267 -> 357296485266985386636543337803356622.03",
            "= 357296485266985386636543337803356622.03 (-0.0033)",
        ],
    );
}

#[test]
fn display_units_are_exact() {
    let plan = PER_UNIT.replace("conversions", "cpu_seconds").replace("0.0021", "0.000000000001");
    // 1 µs = 0.000001 s; × 10^-12 = 10^-18.
    check(
        &plan,
        cpu_micros(1),
        &["conv 0.000001 Second x 0.000000000001 = 0.000000000000000001 -> 0.00", "= 0.00 (0.000000000000000001)"],
    );
}

const GRADUATED: &str = r#"
[[charges]]
id = "cpu"
meter = "cpu_seconds"
model = "graduated"
tiers = [ { up_to = "100", unit_price = "0.08" }, { up_to = "1000", unit_price = "0.06" }, { unit_price = "0.04" } ]
"#;

#[test]
fn graduated_prices_each_part_in_its_tier() {
    let first = |quantity: &str, exact: &str, amount: &str| {
        format!("cpu #1 (0, 100] {quantity} Second x 0.08 = {exact} -> {amount}")
    };
    check(GRADUATED, cpu_micros(0), &[&first("0", "0", "0.00"), "= 0.00 (0)"]);
    // 1 µs: 0.000001 × 0.08 = 0.00000008
    check(GRADUATED, cpu_micros(1), &[&first("0.000001", "0.00000008", "0.00"), "= 0.00 (0.00000008)"]);
    // One below the edge: 99.999999 × 0.08 = 7.99999992 → 8.00; −0.00000008 over.
    check(GRADUATED, cpu_micros(99_999_999), &[&first("99.999999", "7.99999992", "8.00"), "= 8.00 (-0.00000008)"]);
    // The unit that reaches 100 is the first tier's: 100 × 0.08 = 8. No line for an empty second tier.
    check(GRADUATED, cpu_micros(100_000_000), &[&first("100", "8", "8.00"), "= 8.00 (0)"]);
    // One above: 0.000001 × 0.06 = 0.00000006 in the second.
    check(
        GRADUATED,
        cpu_micros(100_000_001),
        &[
            &first("100", "8", "8.00"),
            "cpu #2 (100, 1000] 0.000001 Second x 0.06 = 0.00000006 -> 0.00",
            "= 8.00 (0.00000006)",
        ],
    );
    // 100 × 0.08 + 900 × 0.06 + 234.5 × 0.04 = 8 + 54 + 9.38 = 71.38
    check(
        GRADUATED,
        cpu_micros(1_234_500_000),
        &[
            &first("100", "8", "8.00"),
            "cpu #2 (100, 1000] 900 Second x 0.06 = 54 -> 54.00",
            "cpu #3 (1000, ...) 234.5 Second x 0.04 = 9.38 -> 9.38",
            "= 71.38 (0)",
        ],
    );
}

#[test]
fn volume_prices_the_whole_quantity_in_the_tier_that_it_falls_in() {
    let volume = GRADUATED.replace("graduated", "volume");
    let first = |rest: &str| format!("cpu #1 (0, 100] {rest}");
    // Nothing falls into the first.
    check(&volume, cpu_micros(0), &[&first("0 Second x 0.08 = 0 -> 0.00"), "= 0.00 (0)"]);
    check(&volume, cpu_micros(1), &[&first("0.000001 Second x 0.08 = 0.00000008 -> 0.00"), "= 0.00 (0.00000008)"]);
    // 100 is the first tier's last: 100 × 0.08 = 8
    check(&volume, cpu_micros(100_000_000), &[&first("100 Second x 0.08 = 8 -> 8.00"), "= 8.00 (0)"]);
    // One above, and all of it is cheaper: 100.000001 × 0.06 = 6.00000006
    check(
        &volume,
        cpu_micros(100_000_001),
        &["cpu #2 (100, 1000] 100.000001 Second x 0.06 = 6.00000006 -> 6.00", "= 6.00 (0.00000006)"],
    );
    // 1000 × 0.06 = 60; 1000.000001 × 0.04 = 40.00000004
    check(&volume, cpu_micros(1_000_000_000), &["cpu #2 (100, 1000] 1000 Second x 0.06 = 60 -> 60.00", "= 60.00 (0)"]);
    check(
        &volume,
        cpu_micros(1_000_000_001),
        &["cpu #3 (1000, ...) 1000.000001 Second x 0.04 = 40.00000004 -> 40.00", "= 40.00 (0.00000004)"],
    );
    // 2^127 − 1 µs = 170141183460469231731687303715884.105727 s; × 0.04 = 6805647338418769269267492148635.36422908
    check(
        &volume,
        cpu_micros(i128::MAX),
        &[
            "cpu #3 (1000, ...) 170141183460469231731687303715884.105727 Second x 0.04 = 6805647338418769269267492148635.36422908 -> 6805647338418769269267492148635.36",
            "= 6805647338418769269267492148635.36 (0.00422908)",
        ],
    );
}

#[test]
fn the_allowance_may_move_a_volume_into_a_cheaper_or_dearer_tier() {
    // What the allowance leaves decides: 150 − 50 = 100 is in the first, 150.000001 − 50 in the second.
    let plan = ALLOWANCE.replace("conversions", "cpu_seconds") + &GRADUATED.replace("graduated", "volume");
    check(&plan, cpu_micros(150_000_000), &["cpu #1 (0, 100] 100 Second x 0.08 = 8 -> 8.00", "= 8.00 (0)"]);
    check(
        &plan,
        cpu_micros(150_000_001),
        &["cpu #2 (100, 1000] 100.000001 Second x 0.06 = 6.00000006 -> 6.00", "= 6.00 (0.00000006)"],
    );
}

const PACKAGE: &str = r#"
[[charges]]
id = "pack"
meter = "conversions"
model = "package"
size = "100"
price = "1.90"
"#;

#[test]
fn a_package_begun_is_a_package_paid() {
    check(PACKAGE, conversions(0), &["pack 0 Package x 1.9 = 0 -> 0.00", "= 0.00 (0)"]);
    check(PACKAGE, conversions(1), &["pack 1 Package x 1.9 = 1.9 -> 1.90", "= 1.90 (0)"]);
    check(PACKAGE, conversions(99), &["pack 1 Package x 1.9 = 1.9 -> 1.90", "= 1.90 (0)"]);
    check(PACKAGE, conversions(100), &["pack 1 Package x 1.9 = 1.9 -> 1.90", "= 1.90 (0)"]);
    check(PACKAGE, conversions(101), &["pack 2 Package x 1.9 = 3.8 -> 3.80", "= 3.80 (0)"]);
    // ceil((2^127 − 1) / 1) × 0.01
    let huge = PACKAGE.replace("\"100\"", "\"1\"").replace("1.90", "0.01");
    check(
        &huge,
        conversions(i128::MAX),
        &[
            "pack 170141183460469231731687303715884105727 Package x 0.01 = 1701411834604692317316873037158841057.27 -> 1701411834604692317316873037158841057.27",
            "= 1701411834604692317316873037158841057.27 (0)",
        ],
    );
}

#[test]
fn a_package_line_keeps_what_is_in_the_packages() {
    let bill = bill("EUR", PACKAGE, &month(conversions(101)));
    assert_eq!(bill.lines[0].usage.as_ref().unwrap().base_quantity, quantity(101));
    assert_eq!(bill.lines[0].package_size.as_ref().unwrap().to_string(), "100");
}

const ALLOWANCE: &str = r#"
[[allowances]]
meter = "conversions"
quantity = "50"
"#;

#[test]
fn the_free_allowance_comes_before_the_price_model() {
    let plan = &format!("{ALLOWANCE}{PACKAGE}");
    // Within it: nothing left, no package.
    check(plan, conversions(49), &["pack 0 Package x 1.9 = 0 -> 0.00", "= 0.00 (0)"]);
    check(plan, conversions(50), &["pack 0 Package x 1.9 = 0 -> 0.00", "= 0.00 (0)"]);
    // ceil((51 − 50) / 100) = 1; ceil((150 − 50) / 100) = 1; ceil((151 − 50) / 100) = 2
    check(plan, conversions(51), &["pack 1 Package x 1.9 = 1.9 -> 1.90", "= 1.90 (0)"]);
    check(plan, conversions(150), &["pack 1 Package x 1.9 = 1.9 -> 1.90", "= 1.90 (0)"]);
    check(plan, conversions(151), &["pack 2 Package x 1.9 = 3.8 -> 3.80", "= 3.80 (0)"]);

    // Tiers count what the allowance leaves: (150 − 50) × 0.08 = 8, all of it in the first.
    let cpu = ALLOWANCE.replace("conversions", "cpu_seconds");
    check(
        &format!("{cpu}{GRADUATED}"),
        cpu_micros(150_000_000),
        &["cpu #1 (0, 100] 100 Second x 0.08 = 8 -> 8.00", "= 8.00 (0)"],
    );
}

#[test]
fn an_allowance_is_for_its_own_meter_only() {
    let plan = &format!("{ALLOWANCE}{PACKAGE}{GRADUATED}");
    let used = Quantities { conversions: quantity(50), ..cpu_micros(100_000_000) };
    check(
        plan,
        used,
        &["pack 0 Package x 1.9 = 0 -> 0.00", "cpu #1 (0, 100] 100 Second x 0.08 = 8 -> 8.00", "= 8.00 (0)"],
    );
}

#[test]
fn a_meter_that_the_plan_does_not_declare_is_not_charged() {
    let used = Quantities { input_bytes: quantity(5_000_000), ..conversions(1_000) };
    check(PER_UNIT, used, &["conv 1000 Conversion x 0.0021 = 2.1 -> 2.10", "= 2.10 (0)"]);
    check("", used, &["= 0.00 (0)"]);
}

#[test]
fn each_meter_reads_its_own_quantity() {
    let used = Quantities {
        conversions: quantity(1),
        cpu_micros: quantity(2_000_000),
        input_bytes: quantity(3_000_000),
        input_pixels: quantity(4_000_000),
        output_bytes: quantity(5_000_000),
        output_pixels: quantity(6_000_000),
    };
    for (meter, expected) in Meter::ALL.into_iter().zip([
        "conv 1 Conversion x 1 = 1 -> 1.00",
        "conv 2 Second x 1 = 2 -> 2.00",
        "conv 3 Megabyte x 1 = 3 -> 3.00",
        "conv 4 Megapixel x 1 = 4 -> 4.00",
        "conv 5 Megabyte x 1 = 5 -> 5.00",
        "conv 6 Megapixel x 1 = 6 -> 6.00",
    ]) {
        let plan = PER_UNIT.replace("conversions", meter.name()).replace("0.0021", "1");
        check(&plan, used, &[expected, &format!("= {} (0)", &expected[expected.len() - 4..])]);
    }
}

#[test]
fn an_amount_past_an_i128_is_an_error_that_names_the_charge() {
    let plan = PER_UNIT.replace("0.0021", "1");
    let error = try_bill("EUR", &plan, &month(conversions(i128::MAX))).unwrap_err();
    assert!(matches!(&error, RateError::TooMuchMoney { .. }), "{error}");
    assert_eq!(error.to_string(), "customer acme: the amount of charge conv passes 2^127 - 1 minor units");
}
