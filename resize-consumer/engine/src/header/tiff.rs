//! A TIFF's first directory; the others are counted. Source: TIFF 6.0, sections 8 and 15 to 17.

use std::collections::BTreeSet;

use contract::usage::Reason;

use super::{Directory, Header, cut};
use crate::fault::Fault;
use crate::limits::Limits;
use crate::sniff::InputFormat;

const WIDTH: u16 = 256;
const HEIGHT: u16 = 257;
const BITS_PER_SAMPLE: u16 = 258;
const COMPRESSION: u16 = 259;
const PHOTOMETRIC: u16 = 262;
const FILL_ORDER: u16 = 266;
const STRIP_OFFSETS: u16 = 273;
const SAMPLES_PER_PIXEL: u16 = 277;
const PLANAR_CONFIGURATION: u16 = 284;
const PREDICTOR: u16 = 317;
const TILE_WIDTH: u16 = 322;
const TILE_OFFSETS: u16 = 324;
const EXTRA_SAMPLES: u16 = 338;
const SAMPLE_FORMAT: u16 = 339;
const XMP: u16 = 700;
const IPTC: u16 = 33_723;
const PHOTOSHOP: u16 = 34_377;
const ICC: u16 = 34_675;

pub(super) fn read(input: &[u8], limits: &Limits) -> Result<Header, Fault> {
    let first = Directory::first(input).filter(Directory::is_whole).ok_or_else(|| cut(InputFormat::Tiff))?;
    let (Some(width), Some(height)) = (first.side(WIDTH), first.side(HEIGHT)) else {
        return Err(Fault::corrupt("TIFF", "it doesn't say its sides"));
    };
    let mut header = Header::new(InputFormat::Tiff, (width, height));
    let bits = first.number(BITS_PER_SAMPLE).unwrap_or(1);
    let samples = first.number(SAMPLES_PER_PIXEL).unwrap_or(1);
    let color = colors(&first, bits, samples)?;
    header.has_alpha = color == 3 && samples > 3 && first.number(EXTRA_SAMPLES) != Some(0);
    header.channels = if color == 1 { 1 } else { 3 + u8::from(header.has_alpha) };
    header.sample_bytes = if bits > 8 { 2 } else { 1 };

    // Tiles reach over the right edge, and what does is unpacked too.
    let tile = first.number(TILE_WIDTH).unwrap_or(1).max(1);
    let padded_width = u64::from(width).div_ceil(tile).saturating_mul(tile);
    let padded_pixels = padded_width.saturating_mul(height.into());
    if padded_pixels > limits.input_pixels.max(header.pixels()) {
        let detail = format!("{padded_pixels} in its tiles; the limit is {}", limits.input_pixels);
        return Err(Fault::new(Reason::TooManyPixels, detail));
    }
    header.held_bytes = padded_width.saturating_mul(bits * samples).div_ceil(8).saturating_mul(height.into());

    let parts = first.count(STRIP_OFFSETS).max(first.count(TILE_OFFSETS));
    header.parts = parts.try_into().unwrap_or(u32::MAX);

    header.take_exif(input);
    header.metadata_bytes = [XMP, IPTC, PHOTOSHOP, ICC].iter().map(|tag| first.length(*tag)).sum();
    if header.metadata_bytes <= limits.metadata_bytes {
        header.icc = first.bytes(ICC).map(<[u8]>::to_vec);
    }
    header.frames = count(first, limits.frames);
    Ok(header)
}

/// How many samples of a pixel are color; refuses what is not decoded.
fn colors(first: &Directory<'_>, bits: u64, samples: u64) -> Result<u64, Fault> {
    let unsupported = |what: &str| Err(Fault::feature(format!("a TIFF {what}")));
    match first.number(COMPRESSION).unwrap_or(1) {
        1 | 4 | 5 | 8 | 32_773 | 32_946 => {}
        2 | 3 => return unsupported("compressed by CCITT Group 3"),
        // What is inside says its own sides, and the decoder would believe them.
        6 | 7 => return unsupported("compressed by JPEG"),
        34_712 => return unsupported("compressed by JPEG 2000"),
        50_000 => return unsupported("compressed by Zstandard"),
        50_001 => return unsupported("compressed by WebP"),
        other => return unsupported(&format!("compressed by method {other}")),
    }
    if first.number(FILL_ORDER) == Some(2) {
        return unsupported("whose bits are in reverse order");
    }
    // The decoder panics.
    if first.number(PLANAR_CONFIGURATION) == Some(2) && first.number(TILE_WIDTH).is_some() {
        return unsupported("in tiles of one color each");
    }
    let format = first.number(SAMPLE_FORMAT).unwrap_or(1);
    if format != 1 {
        return unsupported(if format == 3 { "of floating-point samples" } else { "of signed samples" });
    }
    let (name, color) = match first.number(PHOTOMETRIC) {
        Some(0 | 1) => ("gray", 1),
        Some(2) => ("RGB", 3),
        Some(5) => ("CMYK", 4),
        Some(3) => return unsupported("with a palette"),
        Some(6) => return unsupported("of YCbCr samples"),
        Some(8..=10) => return unsupported("of Lab samples"),
        Some(other) => return unsupported(&format!("of photometric interpretation {other}")),
        None => return Err(Fault::corrupt("TIFF", "it doesn't say what its samples mean")),
    };
    // The decoder drops samples that are no color before it adds up differences, which are then the wrong ones.
    let dropped = samples > color && (samples > 4 || first.number(EXTRA_SAMPLES) == Some(0));
    match (bits, name) {
        (8 | 16, "RGB") if (3..=8).contains(&samples) && !(dropped && first.number(PREDICTOR) == Some(2)) => Ok(color),
        (8 | 16, "gray" | "CMYK") | (1, "gray") if samples == color => Ok(color),
        _ => unsupported(&format!("of {samples} {name} samples of {bits} bits")),
    }
}

/// The directories of the chain, at most one more than `limit`. A chain that bites its tail ends there.
fn count(first: Directory<'_>, limit: u32) -> u32 {
    let (mut count, mut seen) = (1, BTreeSet::new());
    let mut next = first;
    while count <= limit && seen.insert(next.next_offset()) {
        let Some(directory) = next.next() else { break };
        (next, count) = (directory, count + 1);
    }
    count
}
