//! Why a step refused. The pipeline adds the measures and makes a [`Rejection`](super::Rejection) of it.

use std::fmt::Display;

use contract::units::BadQuantity;
use contract::usage::Reason;

#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) reason: Reason,
    pub(crate) detail: String,
}

impl Fault {
    pub(crate) fn parameters(detail: impl Into<String>) -> Self {
        Self { reason: Reason::InvalidParameters, detail: detail.into() }
    }

    pub(crate) fn input_too_large(detail: impl Into<String>) -> Self {
        Self { reason: Reason::InputTooLarge, detail: detail.into() }
    }

    pub(crate) fn output_too_large(detail: impl Into<String>) -> Self {
        Self { reason: Reason::OutputTooLarge, detail: detail.into() }
    }

    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }

    /// The format is known; what this image does with it is not.
    pub(crate) fn feature(detail: impl Into<String>) -> Self {
        Self { reason: Reason::UnsupportedFeature, detail: detail.into() }
    }

    pub(crate) fn unsupported(detail: impl Into<String>) -> Self {
        Self { reason: Reason::UnsupportedFormat, detail: detail.into() }
    }

    pub(crate) fn corrupt(what: &str, detail: impl Display) -> Self {
        Self { reason: Reason::CorruptImage, detail: format!("corrupt {what}: {detail}") }
    }

    /// Good as far as it goes, but a part is missing.
    pub(crate) fn truncated(what: &str, detail: impl Display) -> Self {
        Self { reason: Reason::TruncatedImage, detail: format!("truncated {what}: {detail}") }
    }

    /// Ours: a step failed on pixels that decoded well. Never told as the input's fault.
    pub(crate) fn engine(step: &str, detail: impl Display) -> Self {
        // The label is well-formed (a test says so); the contract gives no other way to make one.
        let reason = "engine_failed".parse().map_or(Reason::UnsupportedFormat, Reason::Other);
        Self { reason, detail: format!("the engine failed to {step} this image: {detail}") }
    }
}

impl From<BadQuantity> for Fault {
    fn from(bad: BadQuantity) -> Self {
        Self::engine("measure", bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_of_ours_has_a_reason_of_its_own() {
        assert_eq!(Fault::engine("encode", "no memory").reason, Reason::Other("engine_failed".parse().unwrap()));
    }
}
