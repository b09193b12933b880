//! Quantities with their units. Integers, never negative, checked where they are added up.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A quantity that can't be: negative, or past what an i64 holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{unit} {value} is outside 0..=9223372036854775807")]
pub struct BadQuantity {
    unit: &'static str,
    value: i128,
}

macro_rules! unit {
    ($(#[$doc:meta])* $type:ident, $unit:literal) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
        )]
        #[serde(try_from = "i64", into = "i64")]
        #[schemars(extend("minimum" = 0))]
        pub struct $type(i64);

        impl $type {
            pub const ZERO: Self = Self(0);

            /// # Errors
            /// when `value` is negative or more than an i64 holds.
            pub fn new(value: impl Into<i128>) -> Result<Self, BadQuantity> {
                let value = value.into();
                match i64::try_from(value) {
                    Ok(fits) if fits >= 0 => Ok(Self(fits)),
                    _ => Err(BadQuantity { unit: $unit, value }),
                }
            }
            pub const fn get(self) -> i64 {
                self.0
            }
        }
        impl TryFrom<i64> for $type {
            type Error = BadQuantity;
            fn try_from(value: i64) -> Result<Self, BadQuantity> {
                Self::new(value)
            }
        }
        impl From<$type> for i64 {
            fn from(quantity: $type) -> i64 {
                quantity.0
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

unit!(
    /// Bytes of an encoded image.
    Bytes, "bytes"
);
unit!(
    /// Width × height.
    Pixels, "pixels"
);
unit!(
    /// Microseconds of one thread's CPU clock.
    CpuMicros, "cpu_micros"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_impossible_quantity_is_an_error_never_clamped() {
        assert_eq!(Bytes::new(0_i64).unwrap(), Bytes::ZERO);
        assert_eq!(Bytes::new(i64::MAX).unwrap().get(), i64::MAX);
        assert!(Bytes::new(-1_i64).is_err());
        assert!(Bytes::new(u64::MAX).is_err());
        assert!(serde_json::from_str::<CpuMicros>("-5").is_err());
        assert!(serde_json::from_str::<CpuMicros>("1.5").is_err());
    }
}
