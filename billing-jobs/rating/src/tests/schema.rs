//! The JSON Schema of a price book, and the example that PRICES.md explains.
//!
//! `UPDATE_EXPECT=1 cargo test -p pixtoll-rating` writes the schema anew after a deliberate change.

use expect_test::{expect, expect_file};

use crate::{PriceBook, price_book};

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
