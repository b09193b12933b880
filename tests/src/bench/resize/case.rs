//! What is compared: a set of pictures, a size and a format each, and how much faster than sharp it is to be.

use clap::ValueEnum;
use contract::resize::OutputFormat::{self, Jpeg, Png, Webp};

/// A folder of the corpus; `tests/bench/corpus.py` says what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Set {
    Jpeg,
    Progressive,
    Large,
    Png,
    Webp,
}

impl Set {
    pub(super) fn folder(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Progressive => "progressive",
            Self::Large => "large",
            Self::Png => "png",
            Self::Webp => "webp",
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) set: Set,
    /// Each output is as large as fits.
    pub(super) within: (u32, u32),
    pub(super) format: OutputFormat,
    /// Conversions per CPU-second, ours ÷ sharp's, at least.
    pub(super) target: f64,
}

impl Case {
    /// Its name as a folder's.
    pub(super) fn slug(self) -> String {
        self.name.replace('→', "to").replace('×', "x").replace(' ', "-").to_lowercase()
    }
}

/// Of every lossy output.
pub(super) const QUALITY: u8 = 80;
/// Mean output bytes, ours ÷ sharp's, at most. Fewer are no flaw, as the picture is measured too.
pub(super) const BYTES_TARGET: f64 = 1.05;

const THUMBNAIL: (u32, u32) = (64, 64);
const SMALL: (u32, u32) = (320, 240);
const MEDIUM: (u32, u32) = (800, 600);

#[rustfmt::skip] // a table
pub(super) const CASES: [Case; 10] = [
    Case { name: "JPEG → 320×240", set: Set::Jpeg, within: SMALL, format: Jpeg, target: 1.7 },
    Case { name: "JPEG → 800×600", set: Set::Jpeg, within: MEDIUM, format: Jpeg, target: 2.5 },
    Case { name: "JPEG → 64×64", set: Set::Jpeg, within: THUMBNAIL, format: Jpeg, target: 1.7 },
    Case { name: "progressive JPEG → 320×240", set: Set::Progressive, within: SMALL, format: Jpeg, target: 1.5 },
    Case { name: "8 MP JPEG → 320×240", set: Set::Large, within: SMALL, format: Jpeg, target: 1.25 },
    Case { name: "PNG → PNG 320×240", set: Set::Png, within: SMALL, format: Png, target: 2.0 },
    Case { name: "PNG → JPEG 320×240", set: Set::Png, within: SMALL, format: Jpeg, target: 2.0 },
    Case { name: "WebP → WebP 320×240", set: Set::Webp, within: SMALL, format: Webp, target: 1.6 },
    Case { name: "WebP → JPEG 320×240", set: Set::Webp, within: SMALL, format: Jpeg, target: 1.6 },
    Case { name: "JPEG → WebP 320×240", set: Set::Jpeg, within: SMALL, format: Webp, target: 1.3 },
];
