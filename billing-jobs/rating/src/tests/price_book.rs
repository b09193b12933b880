//! What a price book may say, and how a mistake in it is answered.

use expect_test::{Expect, expect};

use crate::price_book::{Metered, Model, Pricing};
use crate::{Meter, PriceBook};

const GOOD: &str = r#"version = 3
effective_from = "2026-01"
rating_version = 1

[plans.basic]
currency = "EUR"
[[plans.basic.allowances]]
meter = "cpu_seconds"
quantity = "0.5"
[[plans.basic.charges]]
id = "base"
model = "flat"
amount = "5.00"
[[plans.basic.charges]]
id = "cpu"
meter = "cpu_seconds"
model = "graduated"
tiers = [
  { up_to = "100", unit_price = "0.08" },
  { up_to = "1000.000001", unit_price = "0.06" },
  { unit_price = "0.04" },
]
[[plans.basic.charges]]
id = "packs"
meter = "conversions"
model = "package"
size = "100"
price = "1.90"
"#;

#[test]
fn a_good_book_is_read() {
    let book = PriceBook::parse(GOOD).unwrap();
    assert_eq!((book.version, book.effective_from.to_string().as_str()), (3, "2026-01"));
    let plan = book.plan(&"basic".parse().unwrap()).unwrap();
    assert_eq!(plan.minor_decimals, 2);
    assert_eq!(plan.allowances[&Meter::CpuSeconds].get(), 500_000);
    let ids: Vec<_> = plan.charges.iter().map(|charge| charge.id.as_str()).collect();
    assert_eq!(ids, ["base", "cpu", "packs"]);
    let Pricing::Metered(Metered { model: Model::Graduated(tiers), .. }) = &plan.charges[1].pricing else { panic!() };
    let ends: Vec<_> = tiers.iter().map(|tier| tier.up_to.map(crate::Quantity::get)).collect();
    assert_eq!(ends, [Some(100_000_000), Some(1_000_000_001), None]);
    assert_eq!(book.plans().count(), 1);
}

/// A mistake, made by replacing `from` in the good book once, and its answer: line, place, what is wrong, what to do.
fn check(from: &str, to: &str, expected: &Expect) {
    assert!(GOOD.contains(from), "{from}");
    let error = PriceBook::parse(&GOOD.replacen(from, to, 1)).unwrap_err();
    expected.assert_eq(&error.to_string());
}

#[test]
fn mistakes_of_form() {
    check(
        "version = 3",
        "version = ",
        &expect!["line 1: `version =`: string values must be quoted, expected literal string"],
    );
    check("version = 3", "version = -3", &expect!["line 1: `version = -3`: invalid value: integer `-3`, expected u32"]);
    check("version = 3", "version = 0", &expect!["line 1: the price book: versions start at 1"]);
    check("version = 3\n", "", &expect![[r#"line 1: `effective_from = "2026-01"`: missing field `version`"#]]);
    check(
        "version = 3",
        "version = 3\nversoin = 4",
        &expect![
            "line 2: `versoin = 4`: unknown field `versoin`, expected one of `version`, `effective_from`, `rating_version`, `plans`"
        ],
    );
    check(
        "rating_version = 1",
        "rating_version = 2",
        &expect!["line 3: `rating_version = 2`: rating version 2 is not known to this build, which knows 1"],
    );
    check(
        "\"2026-01\"",
        "\"2026-13\"",
        &expect![[r#"line 2: the price book: "2026-13" is not a month from 1970-01 to 9998-12, such as 2026-10"#]],
    );
    check(
        "\"2026-01\"",
        "2026-01-01",
        &expect![[
            r#"line 2: `effective_from = 2026-01-01`: invalid type: map, expected text in quotes, such as "0.0021" (a TOML number is not exact) or "2026-01""#
        ]],
    );
    check(
        "plans.basic]",
        "plans.Basic]",
        &expect![[r#"line 5: `[plans.Basic]`: plan "Basic" is not 1 to 64 of a-z 0-9 _ - "#]],
    );
    check(
        "\"EUR\"",
        "\"eur\"",
        &expect![[r#"line 6: `currency = "eur"`: currency "eur" is not three letters such as EUR"#]],
    );
    check("\"EUR\"", "\"XAU\"", &expect!["line 6: plan basic: XAU is not an ISO 4217 currency with a minor unit"]);
    check(
        "amount = \"5.00\"",
        "amuont = \"5.00\"",
        &expect![[
            r#"line 13: `amuont = "5.00"`: unknown field `amuont`, expected one of `id`, `model`, `meter`, `filter`, `additive`, `amount`, `unit_price`, `tiers`, `size`, `price`, `discount_percent`, `tax`"#
        ]],
    );
    check(
        "[[plans.basic.charges]]",
        "[[plans.basic.charge]]",
        &expect![
            "line 10: `[[plans.basic.charge]]`: unknown field `charge`, expected one of `currency`, `minimum`, `taxes`, `cpu_caps`, `allowances`, `charges`"
        ],
    );
    check(
        "model = \"flat\"",
        "model = \"tiered\"",
        &expect![[
            r#"line 12: `model = "tiered"`: unknown variant `tiered`, expected one of `flat`, `per_unit`, `graduated`, `volume`, `package`"#
        ]],
    );
    check(
        "meter = \"conversions\"",
        "meter = \"requests\"",
        &expect![[
            r#"line 25: `meter = "requests"`: unknown variant `requests`, expected one of `conversions`, `cpu_seconds`, `input_megabytes`, `input_megapixels`, `output_megabytes`, `output_megapixels`"#
        ]],
    );
}

#[test]
fn mistakes_in_numbers() {
    check(
        "\"5.00\"",
        "5.00",
        &expect![[
            r#"line 13: `amount = 5.00`: invalid type: floating point `5.0`, expected text in quotes, such as "0.0021" (a TOML number is not exact) or "2026-01""#
        ]],
    );
    check(
        "\"5.00\"",
        "5",
        &expect![[
            r#"line 13: `amount = 5`: invalid type: integer `5`, expected text in quotes, such as "0.0021" (a TOML number is not exact) or "2026-01""#
        ]],
    );
    check(
        "{ up_to = \"100\", unit_price = \"0.08\" }",
        "{ up_to = \"100\", unit_price = 0.08 }",
        &expect![[
            r#"line 19: `{ up_to = "100", unit_price = 0.08 },`: invalid type: floating point `0.08`, expected text in quotes, such as "0.0021" (a TOML number is not exact) or "2026-01""#
        ]],
    );
    check(
        "\"5.00\"",
        "\"-5.00\"",
        &expect![[
            r#"line 13: plan basic, charge base: "-5.00" is not a price such as "0.0021": not negative, at most 18 digits before the point and 12 after it"#
        ]],
    );
    check(
        "\"5.00\"",
        "\"5e2\"",
        &expect![[
            r#"line 13: plan basic, charge base: "5e2" is not a price such as "0.0021": not negative, at most 18 digits before the point and 12 after it"#
        ]],
    );
    check(
        "\"5.00\"",
        "\"0.0000000000001\"",
        &expect![[
            r#"line 13: plan basic, charge base: "0.0000000000001" is not a price such as "0.0021": not negative, at most 18 digits before the point and 12 after it"#
        ]],
    );
    check(
        "size = \"100\"",
        "size = \"0.5\"",
        &expect![[
            r#"line 27: plan basic, charge packs: "0.5" is not a multiple of 1, the step that conversions counts in"#
        ]],
    );
    check(
        "size = \"100\"",
        "size = \"0\"",
        &expect!["line 27: plan basic, charge packs: a package of 0 holds nothing: give it a size"],
    );
    check(
        "size = \"100\"",
        "size = \"many\"",
        &expect![[
            r#"line 27: plan basic, charge packs: "many" is not a quantity such as "100" or "0.5": not negative, at most 18 digits before the point"#
        ]],
    );
    check(
        "quantity = \"0.5\"",
        "quantity = \"0.0000005\"",
        &expect![[
            r#"line 9: plan basic, allowance of cpu_seconds: "0.0000005" is not a multiple of 0.000001, the step that cpu_seconds counts in"#
        ]],
    );
}

#[test]
fn mistakes_in_charges() {
    check("amount = \"5.00\"\n", "", &expect!["line 11: plan basic, charge base: model flat needs `amount`: add it"]);
    check(
        "amount = \"5.00\"",
        "unit_price = \"5.00\"",
        &expect!["line 11: plan basic, charge base: model flat needs `amount`: add it"],
    );
    check(
        "amount = \"5.00\"",
        "amount = \"5.00\"\nmeter = \"conversions\"",
        &expect!["line 14: plan basic, charge base: model flat has no `meter`: remove it, or choose another model"],
    );
    check(
        "meter = \"conversions\"\n",
        "",
        &expect!["line 24: plan basic, charge packs: model package needs `meter`: add it"],
    );
    check(
        "price = \"1.90\"",
        "price = \"1.90\"\nunit_price = \"1\"",
        &expect![
            "line 29: plan basic, charge packs: model package has no `unit_price`: remove it, or choose another model"
        ],
    );
}

#[test]
fn mistakes_in_tiers() {
    check(
        "\"1000.000001\"",
        "\"100\"",
        &expect!["line 20: plan basic, charge cpu: `up_to` must be more than 100, where the tier begins"],
    );
    check(
        "{ up_to = \"100\", ",
        "{ up_to = \"0\", ",
        &expect!["line 19: plan basic, charge cpu: `up_to` must be more than 0, where the tier begins"],
    );
    check(
        "{ up_to = \"100\", unit_price = \"0.08\" }",
        "{ unit_price = \"0.08\" }",
        &expect![
            "line 20: plan basic, charge cpu: the tier before this one has no `up_to`, so none is left: give it one"
        ],
    );
    check(
        "  { unit_price = \"0.04\" },\n",
        "",
        &expect![
            "line 18: plan basic, charge cpu: the last tier must have no `up_to`, so that every quantity has a price: add one"
        ],
    );
}

#[test]
fn mistakes_in_a_plan() {
    check(
        "id = \"cpu\"",
        "id = \"base\"",
        &expect!["line 15: plan basic, charge base: the plan has two charges of this id: rename one"],
    );
    check(
        "meter = \"conversions\"",
        "meter = \"cpu_seconds\"",
        &expect![
            "line 24: plan basic, charge packs: cpu_seconds of any kind is charged by cpu already, so it would be billed twice: narrow a filter, or say `additive = true` to charge it on top"
        ],
    );
    check(
        "meter = \"cpu_seconds\"\nquantity",
        "meter = \"input_megabytes\"\nquantity",
        &expect![
            "line 8: plan basic, allowance of input_megabytes: no charge of the plan has this meter, so nothing is there to be free: remove it"
        ],
    );
    let twice = "[[plans.basic.allowances]]\nmeter = \"cpu_seconds\"\nquantity = \"1\"\n";
    check(
        "[[plans.basic.charges]]",
        &format!("{twice}[[plans.basic.charges]]"),
        &expect![
            "line 11: plan basic, allowance of cpu_seconds: the plan has two allowances of this meter: add them up in one"
        ],
    );
}

#[test]
fn a_file_too_large_is_refused_unread() {
    let error = PriceBook::parse(&"#".repeat((1 << 20) + 1)).unwrap_err();
    assert!(error.problem.contains("1048577 bytes"), "{error}");
}

#[test]
fn a_graduated_charge_has_a_tier() {
    let start = GOOD.find("tiers = [").unwrap();
    let end = GOOD[start..].find("]\n").unwrap() + start;
    check(
        &GOOD[start..=end],
        "tiers = []",
        &expect![
            "line 18: plan basic, charge cpu: the last tier must have no `up_to`, so that every quantity has a price: add one"
        ],
    );
}
