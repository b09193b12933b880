//! Any price book and usage, against computations that share nothing with the crate but the text of the price book.
//!
//! Quantities are in base units, money in 10^-18 of the currency's unit: a price has 12 decimals at most, a base unit is
//! 10^-6 of a display unit at the least, so that whole numbers of these are exact.

use bigdecimal::num_bigint::BigInt;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::subsequence;

use super::{group, quantity, try_bill};
use crate::{Bill, Meter, MonthUsage, Outcome, Quantities, Quantity, RateError};

const CURRENCIES: [(&str, u32); 4] = [("JPY", 0), ("EUR", 2), ("BHD", 3), ("UYW", 4)];

/// In 10^-12 of the currency's unit.
type Price = u64;

#[derive(Debug, Clone)]
enum Spec {
    Flat(Price),
    PerUnit(Price),
    /// The widths of the tiers but the last, their prices, and the last's.
    Graduated(Vec<(u32, Price)>, Price),
    Package(u32, Price),
}

#[derive(Debug, Clone)]
struct Plan {
    currency: (&'static str, u32),
    /// With an allowance each. The meter of a flat charge plays no part.
    charges: Vec<(Meter, u32, Spec)>,
}

fn price() -> impl Strategy<Value = Price> {
    // Prices of which sums often end half way between two minor units, and any other.
    prop_oneof![(0_u64..40).prop_map(|n| n * 2_500_000_000), 0_u64..5_000_000_000_000, Just(1)]
}

fn spec() -> impl Strategy<Value = Spec> {
    prop_oneof![
        price().prop_map(Spec::Flat),
        price().prop_map(Spec::PerUnit),
        (vec((1_u32..80, price()), 0..4), price()).prop_map(|(tiers, last)| Spec::Graduated(tiers, last)),
        (1_u32..60, price()).prop_map(|(size, price)| Spec::Package(size, price)),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let charges = subsequence(Meter::ALL.to_vec(), 0..=6).prop_shuffle().prop_flat_map(|meters| {
        let charge = |meter| (Just(meter), prop_oneof![Just(0_u32), 0_u32..120], spec());
        meters.into_iter().map(charge).collect::<Vec<_>>()
    });
    (0..CURRENCIES.len(), charges).prop_map(|(currency, charges)| Plan { currency: CURRENCIES[currency], charges })
}

fn fixed(digits: u64, decimals: u32) -> String {
    let one = 10_u64.pow(decimals);
    format!("{}.{:0>width$}", digits / one, digits % one, width = usize::try_from(decimals).unwrap())
}

impl Plan {
    fn to_toml(&self) -> String {
        self.charges.iter().enumerate().map(|(number, charge)| charge_toml(number, charge)).collect::<Vec<_>>().concat()
    }
}

fn charge_toml(number: usize, (meter, allowance, spec): &(Meter, u32, Spec)) -> String {
    let price = |price: Price| fixed(price, 12);
    let base = |quantity: u32| match meter {
        Meter::Conversions => quantity.to_string(),
        _ => fixed(quantity.into(), 6),
    };
    let model = match spec {
        Spec::Flat(amount) => {
            return format!("[[charges]]\nid = \"c{number}\"\nmodel = \"flat\"\namount = \"{}\"\n", price(*amount));
        }
        Spec::PerUnit(unit) => format!("model = \"per_unit\"\nunit_price = \"{}\"", price(*unit)),
        Spec::Graduated(tiers, last) => {
            let mut up_to = 0;
            let mut list = Vec::new();
            for (width, unit) in tiers {
                up_to += width;
                list.push(format!("{{ up_to = \"{}\", unit_price = \"{}\" }}", base(up_to), price(*unit)));
            }
            list.push(format!("{{ unit_price = \"{}\" }}", price(*last)));
            format!("model = \"graduated\"\ntiers = [{}]", list.join(", "))
        }
        Spec::Package(size, each) => {
            format!("model = \"package\"\nsize = \"{}\"\nprice = \"{}\"", base(*size), price(*each))
        }
    };
    let charge = format!("[[charges]]\nid = \"c{number}\"\nmeter = \"{meter}\"\n{model}\n");
    match allowance {
        0 => charge,
        _ => format!("[[allowances]]\nmeter = \"{meter}\"\nquantity = \"{}\"\n{charge}", base(*allowance)),
    }
}

/// Goes through the units one by one. Gives each line's exact amount, in 10^-18.
fn slow(plan: &Plan, used: &[u32; 6]) -> Vec<i128> {
    let mut lines = Vec::new();
    for (meter, allowance, spec) in &plan.charges {
        let used = used[Meter::ALL.iter().position(|other| other == meter).unwrap()];
        let per_base_unit = if *meter == Meter::Conversions { 1_000_000 } else { 1 };
        let mut exact = match spec {
            Spec::Graduated(tiers, _) => vec![0; tiers.len() + 1],
            _ => vec![0],
        };
        let mut reached = 0;
        let mut paid = 0;
        for unit in 0..used {
            if unit < *allowance {
                continue;
            }
            match spec {
                Spec::Flat(_) => {}
                Spec::PerUnit(price) => exact[0] += i128::from(*price) * per_base_unit,
                Spec::Graduated(tiers, last) => {
                    let mut end = 0;
                    let ends = tiers.iter().map(|(width, _)| {
                        end += width;
                        end
                    });
                    let tier = ends.filter(|end| paid >= *end).count();
                    let price = tiers.get(tier).map_or(*last, |(_, price)| *price);
                    exact[tier] += i128::from(price) * per_base_unit;
                    reached = tier;
                }
                Spec::Package(size, price) => {
                    if paid % size == 0 {
                        exact[0] += i128::from(*price) * 1_000_000;
                    }
                }
            }
            paid += 1;
        }
        if let Spec::Flat(amount) = spec {
            exact[0] = i128::from(*amount) * 1_000_000;
        }
        exact.truncate(reached + 1);
        lines.extend(exact);
    }
    lines
}

/// A decimal in 10^-18.
fn atto(decimal: &impl ToString) -> BigInt {
    let text = decimal.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    format!("{whole}{fraction:0<18}").parse().unwrap()
}

fn half_away_from_zero(exact: &BigInt, decimals: u32) -> BigInt {
    let unit = BigInt::from(10).pow(18 - decimals);
    (exact + &unit / 2) / unit // exact is never negative here
}

fn quantities(used: &[u32; 6]) -> Quantities {
    let [conversions, cpu_micros, input_bytes, input_pixels, output_bytes, output_pixels] =
        used.map(|used| quantity(used.into()));
    Quantities { conversions, cpu_micros, input_bytes, input_pixels, output_bytes, output_pixels }
}

fn usage(groups: &[(&str, Outcome, Quantities)]) -> MonthUsage {
    let mut usage = MonthUsage::new("acme".parse().unwrap(), "2026-10".parse().unwrap());
    for (region, outcome, quantities) in groups {
        usage.add(group(region, *outcome), quantities).unwrap();
    }
    usage
}

/// All of a bill but what names its input.
fn without_digests(bill: &Bill) -> Bill {
    let mut bill = bill.clone();
    bill.quantities_sha256 = contract::ids::Digest::of(b"");
    for usage in bill.lines.iter_mut().filter_map(|line| line.usage.as_mut()) {
        usage.quantities_sha256 = contract::ids::Digest::of(b"");
    }
    bill
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_unit_by_unit_computation_agrees(plan in plan(), used in [0_u32..400, 0..400, 0..400, 0..400, 0..400, 0..400]) {
        let (currency, decimals) = plan.currency;
        let usage = usage(&[("eu", Outcome::Done, quantities(&used))]);
        let bill = try_bill(currency, &plan.to_toml(), &usage).unwrap();

        let exact: Vec<BigInt> = slow(&plan, &used).into_iter().map(BigInt::from).collect();
        let rounded: Vec<BigInt> = exact.iter().map(|exact| half_away_from_zero(exact, decimals)).collect();
        prop_assert_eq!(bill.lines.iter().map(|line| atto(&line.exact)).collect::<Vec<_>>(), &exact[..]);
        prop_assert_eq!(bill.lines.iter().map(|line| line.amount.minor_units().into()).collect::<Vec<BigInt>>(), &rounded[..]);

        let total: BigInt = rounded.iter().sum();
        prop_assert!(bill.total.minor_units() >= 0);
        prop_assert_eq!(BigInt::from(bill.total.minor_units()), total.clone());
        let residue = exact.iter().sum::<BigInt>() - total * BigInt::from(10).pow(18 - decimals);
        let stated = bill.residue.to_string();
        prop_assert_eq!(atto(&stated.trim_start_matches('-')) * if stated.starts_with('-') { -1 } else { 1 }, residue);

        // BILL-1, and BILL-3: the line says it all, in numbers that every JSON reader takes for the same.
        let checked = bill.check_against(&usage).unwrap();
        for (meter, allowance, spec) in &plan.charges {
            if let Some(figures) = checked.meters.get(meter) && !matches!(spec, Spec::Flat(_)) {
                let used = meter.read(&quantities(&used)).get();
                let free = used.min((*allowance).into());
                prop_assert_eq!((figures.billable.get(), figures.free.get(), figures.charged.get()), (used, free, used - free));
            }
        }
        let line = bill.to_json_line().unwrap();
        prop_assert!(!line.contains('\n'));
        prop_assert!(contract::canonical::parse(line.as_bytes()).is_ok());
        prop_assert_eq!(line.as_bytes(), contract::canonical::to_canonical_json(&bill).unwrap());
        let read: Bill = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(read.to_json_line().unwrap(), line);
        prop_assert_eq!(read, bill);
    }

    #[test]
    fn splitting_usage_over_groups_changes_nothing(
        plan in plan(),
        parts in vec([0_u32..200, 0..200, 0..200, 0..200, 0..200, 0..200], 1..5),
        rejected in [0_u32..200, 0..200, 0..200, 0..200, 0..200, 0..200],
    ) {
        const REGIONS: [&str; 5] = ["eu", "us", "ap", "sa", "af"];
        let whole = parts.iter().map(quantities).reduce(|a, b| a.plus(&b).unwrap()).unwrap();
        let mut split: Vec<_> = REGIONS.iter().zip(&parts).map(|(region, part)| (*region, Outcome::Done, quantities(part))).collect();
        split.push(("eu", Outcome::Rejected, quantities(&rejected)));
        let rate = |groups: &[_]| try_bill(plan.currency.0, &plan.to_toml(), &usage(groups)).unwrap();
        let bill = rate(&split);
        prop_assert_eq!(without_digests(&bill), without_digests(&rate(&[("eu", Outcome::Done, whole)])));
        split.reverse();
        prop_assert_eq!(bill.to_json_line().unwrap(), rate(&split).to_json_line().unwrap());
    }

    #[test]
    fn one_event_more_changes_one_customers_bill(plan in plan(), used in vec(0_u32..200, 6), who in 0_usize..6) {
        let rate = |used: &[u32]| -> Vec<String> {
            let customers = used.iter().enumerate().map(|(number, used)| {
                let mut usage = usage(&[("eu", Outcome::Done, quantities(&[*used; 6]))]);
                usage.customer_id = format!("customer-{number}").parse().unwrap();
                usage
            });
            customers.map(|usage| try_bill(plan.currency.0, &plan.to_toml(), &usage).unwrap().to_json_line().unwrap()).collect()
        };
        let mut more = used.clone();
        more[who] += 1;
        let (before, after) = (rate(&used), rate(&more));
        prop_assert_eq!((0..6).filter(|number| before[*number] != after[*number]).collect::<Vec<_>>(), [who]);
    }

    #[test]
    fn twice_the_usage_at_one_price_is_twice_the_exact_amount(
        prices in vec(price(), 6),
        used in [0_u32..400, 0..400, 0..400, 0..400, 0..400, 0..400],
    ) {
        let charges = Meter::ALL.into_iter().zip(&prices).map(|(meter, price)| (meter, 0, Spec::PerUnit(*price)));
        let plan = Plan { currency: ("EUR", 2), charges: charges.collect() };
        let exact = |used: &[u32; 6]| -> Vec<BigInt> {
            let usage = usage(&[("eu", Outcome::Done, quantities(used))]);
            try_bill("EUR", &plan.to_toml(), &usage).unwrap().lines.iter().map(|line| atto(&line.exact)).collect()
        };
        let doubled: Vec<BigInt> = exact(&used).into_iter().map(|exact| exact * 2).collect();
        prop_assert_eq!(exact(&used.map(|used| used * 2)), doubled);
    }

    /// Big integers, in closed form; and the error exactly where an i128 of minor units ends.
    #[test]
    fn huge_quantities_stay_exact(
        unit in 0_u64..5_000_000_000_000,
        last in 0_u64..5_000_000_000_000,
        size in 1_u32..1_000_000_000,
        width in 1_u32..1_000_000_000,
        used in (0_u32..127, any::<i128>()).prop_map(|(shift, any)| (any & i128::MAX) >> shift),
        currency in 0..CURRENCIES.len(),
    ) {
        let currency = CURRENCIES[currency];
        let metered = |spec| (Meter::CpuSeconds, 0, spec);
        let amount = |base: &BigInt, price: u64| base * price;
        let base = BigInt::from(used);
        let packages = (&base + (size - 1)) / size;
        let low = base.clone().min(width.into());
        for (spec, exact) in [
            (Spec::PerUnit(unit), vec![amount(&base, unit)]),
            (Spec::Package(size, unit), vec![amount(&(packages * 1_000_000), unit)]),
            (Spec::Graduated(vec![(width, unit)], last), {
                let high = &base - &low;
                let first = amount(&low, unit);
                if high == BigInt::ZERO { vec![first] } else { vec![first, amount(&high, last)] }
            }),
        ] {
            let rounded: Vec<_> = exact.iter().map(|exact| half_away_from_zero(exact, currency.1)).collect();
            let total: BigInt = rounded.iter().sum();
            let plan = Plan { currency, charges: vec![metered(spec)] };
            let quantities = Quantities { cpu_micros: Quantity::new(used).unwrap(), ..Quantities::default() };
            match try_bill(currency.0, &plan.to_toml(), &usage(&[("eu", Outcome::Done, quantities)])) {
                Ok(bill) => {
                    prop_assert_eq!(bill.lines.iter().map(|line| atto(&line.exact)).collect::<Vec<_>>(), exact);
                    prop_assert_eq!(BigInt::from(bill.total.minor_units()), total);
                }
                Err(RateError::TooMuchMoney { .. }) => prop_assert!(total > BigInt::from(i128::MAX)),
                Err(other) => prop_assert!(false, "{other}"),
            }
        }
    }
}
