//! The request's parameters, validated once.

use contract::request::{Fit, Resize};

use super::fault::Fault;
use super::limits::Limits;
use super::sniff::ImageFormat;

/// The sides that were asked for; at least one pixel each, at most [`Limits::output_side`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sides {
    Width(u32),
    Height(u32),
    Both(u32, u32),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) sides: Sides,
    pub(super) fit: Fit,
    pub(super) format: ImageFormat,
    /// 1 to 100.
    pub(super) quality: u8,
}

const DEFAULT_QUALITY: u8 = 80;

pub(super) fn check(params: &Resize, input_format: ImageFormat, limits: &Limits) -> Result<Wanted, Fault> {
    let side = |name: &str, value: Option<u32>| match value {
        Some(0) => Err(Fault::parameters(format!("{name} is 0; give at least 1 pixel"))),
        Some(pixels) if pixels > limits.output_side => {
            Err(Fault::parameters(format!("{name} {pixels} is over the limit of {} pixels", limits.output_side)))
        }
        allowed => Ok(allowed),
    };
    let sides = match (side("width", params.width)?, side("height", params.height)?) {
        (Some(width), Some(height)) => Sides::Both(width, height),
        (Some(width), None) => Sides::Width(width),
        (None, Some(height)) => Sides::Height(height),
        (None, None) => return Err(Fault::parameters("give a width, a height or both")),
    };
    let quality = match params.quality.unwrap_or(DEFAULT_QUALITY) {
        quality @ 1..=100 => quality,
        other => return Err(Fault::parameters(format!("quality {other} is not within 1 to 100"))),
    };
    let format = params.format.map_or(input_format, ImageFormat::from);
    Ok(Wanted { sides, fit: params.fit, format, quality })
}
