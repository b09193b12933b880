//! Holes and overlaps of a meter's charges, and of CPU caps: told with what falls into them.

use expect_test::{Expect, expect};

use super::filters::CAPPED;
use crate::PriceBook;
use crate::price_book::check as check_book;

const HEAD: &str = "version = 1\neffective_from = \"2026-10\"\nrating_version = 1\n[plans.p]\ncurrency = \"EUR\"\n";

fn check_filters(filters: &[&str], expected: &Expect) {
    let mut toml = HEAD.to_owned();
    for (number, filter) in filters.iter().enumerate() {
        let (filter, additive) =
            filter.split_once(" additive").map_or((*filter, ""), |(f, _)| (f, "additive = true\n"));
        let filter = if filter.is_empty() { String::new() } else { format!("filter = {{ {filter} }}\n") };
        let charge = "meter = \"conversions\"\nmodel = \"per_unit\"\nunit_price = \"1\"\n";
        let id = format!("[[plans.p.charges]]\nid = \"c{number}\"\n");
        toml.extend([&id, charge, additive, &filter]);
    }
    let found: Vec<String> = check_book("b.toml", &toml).iter().map(ToString::to_string).collect();
    expected.assert_eq(&found.join("\n"));
}

#[test]
fn filters_that_share_a_meter_out_are_good() {
    let good = expect![""];
    check_filters(&[""], &good);
    check_filters(&["region = { only = [\"eu\"] }", "region = { except = [\"eu\"] }"], &good);
    check_filters(&["region = { except = [] }"], &good);
    check_filters(
        &[
            "region = { only = [\"eu\"] }, output_format = { only = [\"webp\", \"avif\"] }",
            "region = { only = [\"eu\"] }, output_format = { except = [\"avif\", \"webp\"] }",
            "region = { except = [\"eu\"] }, input_format = { only = [\"png\"] }",
            "region = { except = [\"eu\"] }, input_format = { except = [\"png\"] }, operation = { only = [\"crop\"] }",
            "region = { except = [\"eu\"] }, input_format = { except = [\"png\"] }, operation = { except = [\"crop\"] }",
            "region = { only = [\"eu\"] } additive",
            " additive",
        ],
        &good,
    );
}

#[test]
fn holes_and_overlaps_are_told_with_what_falls_into_them() {
    check_filters(
        &["region = { only = [\"eu\"] }"],
        &expect![
            "b.toml:7: plan p: no charge takes conversions of region other than those named, but additive ones at most: add a charge for it, or let one take all `except` what the others name"
        ],
    );
    check_filters(
        &["region = { except = [\"eu\"] }", "region = { only = [\"us\"] } additive"],
        &expect![
            "b.toml:7: plan p: no charge takes conversions of region eu, but additive ones at most: add a charge for it, or let one take all `except` what the others name"
        ],
    );
    check_filters(
        &[" additive"],
        &expect![
            "b.toml:7: plan p: no charge takes conversions of any kind, but additive ones at most: add a charge for it, or let one take all `except` what the others name"
        ],
    );
    check_filters(
        &["", ""],
        &expect![
            "b.toml:12: plan p, charge c1: conversions of any kind is charged by c0 already, so it would be billed twice: narrow a filter, or say `additive = true` to charge it on top"
        ],
    );
    check_filters(
        &["region = { only = [\"eu\", \"us\"] }", "region = { except = [\"eu\"] }"],
        &expect![
            "b.toml:13: plan p, charge c1: conversions of region us is charged by c0 already, so it would be billed twice: narrow a filter, or say `additive = true` to charge it on top"
        ],
    );
    // A hole and two overlaps, in the order of the file.
    check_filters(
        &[
            "output_format = { only = [\"webp\"] }",
            "output_format = { only = [\"webp\", \"avif\"] }, region = { only = [\"eu\"] }",
            "region = { except = [\"eu\"] }",
        ],
        &expect![[r"
            b.toml:7: plan p: no charge takes conversions of region eu, output_format other than those named, but additive ones at most: add a charge for it, or let one take all `except` what the others name
            b.toml:13: plan p, charge c1: conversions of region eu, output_format webp is charged by c0 already, so it would be billed twice: narrow a filter, or say `additive = true` to charge it on top
            b.toml:19: plan p, charge c2: conversions of region other than those named, output_format webp is charged by c0 already, so it would be billed twice: narrow a filter, or say `additive = true` to charge it on top"]],
    );
    check_filters(
        &["region = { only = [] }"],
        &expect!["b.toml:11: plan p, charge c0: it takes no region at all: name one, or remove the condition"],
    );
}

#[test]
fn more_labels_than_can_be_checked_are_refused() {
    let labels = |of: &str| (0..60).map(|n| format!("{:?}", format!("{of}{n}"))).collect::<Vec<_>>();
    let mut charges = Vec::new();
    for (n, region) in labels("r").iter().enumerate() {
        for (m, format) in labels("f").iter().enumerate().take(4) {
            let filter = format!(
                "filter = {{ region = {{ only = [{region}] }}, input_format = {{ only = [{format}] }}, output_format = {{ only = [\"o{n}\"] }}, operation = {{ only = [\"p{n}\"] }} }}"
            );
            charges.push(format!("[[plans.p.charges]]\nid = \"c{n}-{m}\"\nmeter = \"conversions\"\nmodel = \"per_unit\"\nunit_price = \"1\"\n{filter}\n"));
        }
    }
    let found = check_book("b.toml", &format!("{HEAD}{}", charges.concat()));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].reason, "plan p: the filters of conversions name more labels than can be checked: use fewer");
}

#[test]
fn two_caps_for_one_group_and_caps_of_nothing_are_mistakes() {
    let check = |from: &str, to: &str, expected: &Expect| {
        assert!(CAPPED.contains(from));
        let plan = CAPPED.replacen(from, to, 1).replace("[[", "[[plans.p.");
        let found: Vec<String> = check_book("b", &format!("{HEAD}{plan}")).iter().map(ToString::to_string).collect();
        expected.assert_eq(&found.join("\n"));
    };
    check(
        "only = [\"crop\"]",
        "except = [\"crop\"]",
        &expect![
            "b:11: plan p: an earlier CPU cap takes operation resize, input_format jpeg, output_format webp too: narrow a filter"
        ],
    );
    check(
        "\"7\"",
        "\"7.5\"",
        &expect![[r#"b:11: plan p, CPU cap 2: "7.5" is not a whole number of microseconds, such as "30000""#]],
    );
    let caps_only = format!("{HEAD}[[plans.p.cpu_caps]]\nmicros_per_megapixel = \"1\"\n");
    let found: Vec<String> = check_book("b", &caps_only).iter().map(ToString::to_string).collect();
    expect!["b:7: plan p: no charge of the plan has the meter cpu_seconds, so there is nothing to cap: remove it"]
        .assert_eq(&found.join("\n"));
    assert!(PriceBook::parse(&caps_only).is_err());
}
