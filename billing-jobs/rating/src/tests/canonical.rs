//! What serde writes of a bill is canonical JSON already; and a small decimal computes what a big one does.

use proptest::prelude::*;

use crate::money::{Decimal, round_line};

/// Most numbers of a bill, some around the end of what an i128 holds, and any.
fn decimal() -> impl Strategy<Value = Decimal> {
    let digits = prop_oneof![
        -2_000_000_000_i128..2_000_000_000,
        any::<i128>(),
        (0_u32..127, any::<i128>()).prop_map(|(shift, any)| any >> shift),
        Just(i128::MAX),
        Just(i128::MIN),
        Just(0),
        (0_u32..39).prop_map(|zeros| 10_i128.pow(zeros)),
        (0_u32..38).prop_map(|zeros| -5 * 10_i128.pow(zeros)),
    ];
    let decimals = prop_oneof![0_u32..30, 0_u32..60];
    (digits, decimals).prop_map(|(digits, decimals)| Decimal::new(digits, decimals))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// The left side with digits in an i128 where they fit, the right in a `BigDecimal` always.
    #[test]
    fn small_and_big_decimals_agree(a in decimal(), b in decimal(), decimals in 0_u8..5) {
        let (big_a, big_b) = (a.grown(), b.grown());
        prop_assert_eq!(a.to_string(), big_a.to_string());
        for (small, big) in [
            (a.plus(&b), big_a.plus(&big_b)),
            (a.minus(&b), big_a.minus(&big_b)),
            (a.times(&b), big_a.times(&big_b)),
            (a.times(&b).minus(&a), big_a.times(&big_b).minus(&big_a)),
        ] {
            prop_assert_eq!(small.to_string(), big.to_string());
            prop_assert_eq!(&small, &big);
        }
        prop_assert_eq!(a.cmp(&b), big_a.cmp(&big_b));
        prop_assert_eq!(a.cmp(&big_b), big_a.cmp(&b));
        prop_assert_eq!(round_line(&a, decimals), round_line(&big_a, decimals));
        let text = a.to_string();
        if text.len() <= 120 {
            prop_assert_eq!(text.parse::<Decimal>().unwrap(), a);
        }
    }
}
