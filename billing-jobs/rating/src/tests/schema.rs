//! The JSON Schema of a price book, and the example that PRICES.md explains.
//!
//! `UPDATE_EXPECT=1 cargo test -p pixtoll-rating` writes the schema anew after a deliberate change.

use expect_test::{expect, expect_file};

use super::{bill, conversions, month, month_of, quantity, show_bill};
use crate::{Meter, PriceBook, Quantities, price_book};

#[test]
fn the_committed_schema_is_that_of_the_types() {
    let text = serde_json::to_string_pretty(&price_book::json_schema()).unwrap() + "\n";
    expect_file!["../../price-book.schema.json"].assert_eq(&text);
}

#[test]
fn every_mistake_is_told_with_file_and_line() {
    let found = |toml: &str| {
        let found = price_book::check("prices.toml", toml);
        assert_eq!(PriceBook::parse(toml).is_err(), !found.is_empty());
        found.iter().map(|finding| format!("{finding} [{}]", finding.column)).collect::<Vec<_>>().join("\n")
    };
    // What is not TOML.
    expect![[r"
        prices.toml:2: `version = 2`: duplicate key [1]
        prices.toml:4: `[plans.a`: unclosed table, expected `]` [9]"]]
    .assert_eq(&found("version = 1\nversion = 2\n\n[plans.a\ncurrency = EUR\n"));
    // What has not the form of a charge doesn't hide the mistakes in others, nor in other plans.
    let toml = r#"version = 0
effective_from = "2026-1"
rating_version = 1

[plans.a]
currency = "XAU"
minimum = "1"
[[plans.a.taxes]]
name = "vat"
percent = "190"
[[plans.a.charges]]
id = "x"
modle = "flat"
[[plans.a.charges]]
id = "y"
model = "per_unit"
amount = "-1"
meter = "conversions"
discount_percent = "12.34567"
tax = "gst"

[plans.b]
currency = "EUR"
minimum = "1.005"
taxes = [ { name = "vat", percent = "1" }, { name = "vat", percent = "2" } ]
[[plans.b.allowances]]
meter = "cpu_seconds"
quantity = "1"
[[plans.b.charges]]
id = "z"
model = "volume"
meter = "conversions"
filter = { region = { only = ["eu"] } }
tiers = [ { up_to = "5", unit_price = "x" } ]
[[plans.b.charges]]
id = "y"
model = "flat"
amount = "1"
tax = "gst"
filter = {}
"#;
    expect![[r#"
        prices.toml:1: the price book: versions start at 1 [11]
        prices.toml:2: the price book: "2026-1" is not a month from 1970-01 to 9998-12, such as 2026-10 [18]
        prices.toml:6: plan a: XAU is not an ISO 4217 currency with a minor unit [12]
        prices.toml:10: plan a, tax vat: "190" is not a percentage such as "12.5": from 0 to 100, at most 4 digits after the point [11]
        prices.toml:13: `modle = "flat"`: unknown field `modle`, expected one of `id`, `model`, `meter`, `filter`, `additive`, `amount`, `unit_price`, `tiers`, `size`, `price`, `discount_percent`, `tax` [1]
        prices.toml:15: plan a, charge y: model per_unit needs `unit_price`: add it [6]
        prices.toml:17: plan a, charge y: model per_unit has no `amount`: remove it, or choose another model [10]
        prices.toml:19: plan a, charge y: "12.34567" is not a percentage such as "12.5": from 0 to 100, at most 4 digits after the point [20]
        prices.toml:24: plan b: minimum "1.005" is not an amount of the plan's currency, such as "50.00" [11]
        prices.toml:25: plan b, tax vat: the plan has two taxes of this name: rename one [53]
        prices.toml:34: plan b, charge z: "x" is not a price such as "0.0021": not negative, at most 18 digits before the point and 12 after it [39]
        prices.toml:39: plan b, charge y: the plan has no tax gst: add it to its taxes [7]
        prices.toml:40: plan b, charge y: model flat has no `filter`: remove it, or choose another model [10]"#]].assert_eq(&found(toml));
}

const EXAMPLE: &str = include_str!("../../example-prices.toml");

/// The table in PRICES.md, where the amounts are worked out.
#[test]
fn the_example_is_good_and_bills_what_its_table_says() {
    assert_eq!(price_book::check("example-prices.toml", EXAMPLE), []);
    let used = |conversions, cpu_micros, input_pixels| Quantities {
        conversions: quantity(conversions),
        cpu_micros: quantity(cpu_micros),
        input_pixels: quantity(input_pixels),
        ..Quantities::default()
    };
    let usage = month_of(&[
        ("eu-central resize jpeg webp", used(1_300, 52_000_000, 1_500_000_000)),
        ("us-east resize png avif", used(160, 80_000_000, 300_000_000)),
    ]);
    let book = PriceBook::parse(EXAMPLE).unwrap();
    let bill = crate::rate(&usage, &book, &"team".parse().unwrap(), &"EUR".parse().unwrap()).unwrap();
    assert_eq!(
        show_bill(&bill),
        [
            "support 1 Month x 5 = 5 -> 5.00",
            "eu #1 (0, 1000] 1000 Conversion x 0.0021 = 2.1 -> 2.10",
            "eu #2 (1000, ...) 200 Conversion x 0.0015 = 0.3 -> 0.30",
            "elsewhere 2 Package x 0.25 = 0.5 -> 0.50",
            "avif 160 Conversion x 0.0005 = 0.08 -> 0.08",
            "cpu #2 (100, ...) 125 Second x 0.006 - 0.09375 = 0.65625 -> 0.66",
            "minimum 10.00: 8.64 + 1.36",
            "vat 19% of 5.00 = 0.95 -> 0.95",
            "reduced 7% of 5.00 = 0.35 -> 0.35",
            "= 11.30 (-0.00375)",
        ]
    );
    assert_eq!(bill.meters[&Meter::CpuSeconds].waived, quantity(7_000_000));
}

/// The amounts of PRICES.md's table of models.
#[test]
fn the_models_cost_what_their_table_says() {
    let tiers = "tiers = [{ up_to = \"100\", unit_price = \"0.02\" }, { unit_price = \"0.01\" }]";
    for (model, fields, expected) in [
        ("per_unit", "unit_price = \"0.01\"", "1.50"),
        ("graduated", tiers, "2.50"),
        ("volume", tiers, "1.50"),
        ("package", "size = \"100\"\nprice = \"1.90\"", "3.80"),
    ] {
        let plan = format!("[[charges]]\nid = \"c\"\nmeter = \"conversions\"\nmodel = \"{model}\"\n{fields}\n");
        assert_eq!(bill("EUR", &plan, &month(conversions(150))).total.to_string(), expected, "{model}");
    }
}

/// Every field of the schema stands in the example: it uses everything.
#[test]
fn the_example_uses_everything() {
    let schema = serde_json::to_value(price_book::json_schema()).unwrap();
    let of = |schema: &serde_json::Value| -> Vec<String> {
        schema["properties"].as_object().map(|fields| fields.keys().cloned().collect()).unwrap_or_default()
    };
    let mut fields = of(&schema);
    fields.extend(schema["$defs"].as_object().unwrap().values().flat_map(of));
    fields.retain(|field| field != "plans");
    assert!(fields.len() > 25, "{fields:?}");
    for field in fields {
        assert!(EXAMPLE.contains(&field), "{field}");
    }
    for model in ["flat", "per_unit", "graduated", "volume", "package", "only", "except"] {
        assert!(EXAMPLE.contains(model), "{model}");
    }
}
