//! Decimals, amounts, the one rounding, and the currencies.

use crate::currency::minor_decimals;
use crate::money::{Amount, Decimal, Price, round_line};
use crate::quantity::{Positive, Quantity};

#[test]
fn half_goes_away_from_zero() {
    let check = |exact: &str, decimals: u8, expected: &str| {
        let rounded = round_line(&exact.parse::<Decimal>().unwrap(), decimals).unwrap();
        assert_eq!((rounded.to_string().as_str(), rounded.decimals()), (expected, decimals), "{exact}");
    };
    check("0", 2, "0.00");
    check("0.004999999999999999", 2, "0.00");
    check("0.005", 2, "0.01"); // half to even would give 0.00
    check("0.015", 2, "0.02");
    check("0.025", 2, "0.03"); // and here 0.02
    check("0.014999999999999999", 2, "0.01");
    check("-0.005", 2, "-0.01");
    check("-0.025", 2, "-0.03");
    check("-0.004999999999999999", 2, "0.00");
    check("9.995", 2, "10.00");
    check("99.5", 0, "100");
    check("0.5", 0, "1");
    check("0.4", 0, "0");
    check("-2.5", 0, "-3");
    check("1.0005", 3, "1.001");
    check("1.00005", 4, "1.0001");
    check("12", 3, "12.000");
    check("1701411834604692317316873037158841057.274", 2, "1701411834604692317316873037158841057.27");
}

#[test]
fn money_past_an_i128_of_minor_units_is_not_money() {
    let most: Decimal = "1701411834604692317316873037158841057.27".parse().unwrap();
    assert_eq!(round_line(&most, 2).unwrap().minor_units(), i128::MAX);
    assert_eq!(round_line(&most.plus(&"0.005".parse().unwrap()), 2), None);
    assert_eq!(Amount::new(i128::MAX, 2).plus(&Amount::new(1, 2)), None);
    assert_eq!(Amount::new(1, 2).plus(&Amount::new(1, 3)), None);
}

/// The product that a 28-digit decimal type rounds silently.
#[test]
fn products_are_exact() {
    let exact = "250000000000.123457".parse::<Decimal>().unwrap().times(&"1.234567890123".parse().unwrap());
    assert_eq!(exact.to_string(), "308641972530.902416048010915211");
}

#[test]
fn numbers_have_one_spelling() {
    for good in ["0", "1", "-1", "0.1", "-0.05", "1000000", "12345678901234567890123456789.5"] {
        assert_eq!(good.parse::<Decimal>().unwrap().to_string(), good);
    }
    for bad in ["", "-", ".", "1.", ".5", "1.0", "01", "-0", "+1", "1e3", "1_000", " 1", "NaN", "0x1", &"9".repeat(121)]
    {
        assert!(bad.parse::<Decimal>().is_err(), "{bad:?}");
    }
    for good in ["0", "12", "0.00", "-0.05", "1234.5678", "-3"] {
        assert_eq!(good.parse::<Amount>().unwrap().to_string(), good);
    }
    for bad in ["", "-", "1.", ".5", "-0", "-0.00", "00.1", "+1.00", "1.00000", "1e2", "1.-1", "1.2.3"] {
        assert!(bad.parse::<Amount>().is_err(), "{bad:?}");
    }
    for good in ["0", "7", "170141183460469231731687303715884105727"] {
        assert_eq!(good.parse::<Quantity>().unwrap().to_string(), good);
    }
    for bad in ["", "-1", "-0", "+7", "07", "1.0", "170141183460469231731687303715884105728"] {
        assert!(bad.parse::<Quantity>().is_err(), "{bad:?}");
    }
}

#[test]
fn a_price_is_a_plain_decimal_of_12_places_at_most() {
    for (good, shown) in
        [("0", "0"), ("5.00", "5"), ("0.000000000001", "0.000000000001"), ("100", "100"), ("1.500", "1.5")]
    {
        assert_eq!(good.parse::<Price>().unwrap().as_decimal().to_string(), shown);
    }
    assert!("999999999999999999.999999999999".parse::<Price>().is_ok());
    let bad =
        ["", "-1", "+1", "1e2", ".5", "5.", "01", "0.0000000000001", "1000000000000000000", "1,50", "€1", "NaN", "１"];
    for bad in bad {
        assert!(bad.parse::<Price>().is_err(), "{bad:?}");
    }
}

#[test]
fn quantities_never_wrap_nor_go_below_nothing() {
    let most = Quantity::new(i128::MAX).unwrap();
    assert_eq!(
        most.plus(Quantity::ONE, "cpu_micros").unwrap_err().to_string(),
        "the sum of cpu_micros passes 2^127 - 1"
    );
    assert!(Quantity::new(-1).is_err());
    assert_eq!(Quantity::ONE.split(most), (Quantity::ONE, Quantity::ZERO));
    assert_eq!(most.packages(Positive::new(most).unwrap()), Quantity::ONE);
    assert!(Positive::new(Quantity::ZERO).is_none());
}

#[test]
fn minor_units_are_those_of_iso_4217() {
    let decimals = |code: &str| minor_decimals(&code.parse().unwrap());
    for (code, expected) in [
        ("EUR", Some(2)),
        ("USD", Some(2)),
        ("AED", Some(2)),
        ("XCG", Some(2)),
        ("ZWG", Some(2)),
        ("JPY", Some(0)),
        ("ISK", Some(0)),
        ("XPF", Some(0)),
        ("BHD", Some(3)),
        ("TND", Some(3)),
        ("CLF", Some(4)),
        ("UYW", Some(4)),
        ("XAU", None), // no minor unit
        ("XXX", None),
        ("DEM", None), // withdrawn
        ("AAA", None),
    ] {
        assert_eq!(decimals(code), expected, "{code}");
    }
    let letters = || (b'A'..=b'Z').map(char::from);
    let codes = letters().flat_map(|a| letters().flat_map(move |b| letters().map(move |c| format!("{a}{b}{c}"))));
    assert_eq!(codes.filter(|code| decimals(code).is_some()).count(), 165, "17 + 139 + 7 + 2, each found");
}
