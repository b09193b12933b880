//! What a job takes at most, known from its header and plan before a pixel is decoded.
//!
//! Memory is what is held at once, the input aside:
//!
//! | step | holds |
//! |---|---|
//! | decode | the picture at the size it is decoded to; beside it a JPEG's coefficients if it has several scans, a lossless WebP's pixels, a WebP's alpha, a TIFF's samples, a GIF's frame |
//! | scale | the part that is kept, at the output's height; with alpha the decoded picture again, multiplied |
//! | turn, convert, place | the output twice |
//! | color profile | its tables as numbers, of which several tags may use the same |
//! | blur, sharpen | two to six bytes a pixel |
//! | encode | what the format's encoder works on, and the output's bytes |
//!
//! All of it is added up, since a buffer that was used once is kept for the next image. A test holds it against what the
//! system says a job took. Not in it is the copy that a JPEG with oddities is mended in.

use super::decode;
use super::encode;
use super::geometry::Plan;
use super::header::Header;
use super::params::{Target, Wanted};
use super::picture::Color;
use super::sniff::{ImageFormat, InputFormat};

/// Rows, tables, pools and filters: what doesn't grow with the picture, or only with its width.
const BASE_BYTES: u64 = 4_000_000;

/// Four bytes for each of a profile's, in each of seven tables.
const PROFILE_TIMES: u64 = 4 * 7;

/// An upper bound, in bytes.
pub(crate) fn memory(header: &Header, plan: &Plan, wanted: &Wanted) -> u64 {
    let alpha = header.has_alpha || wanted.keeps_alpha() && wanted.background[3] < 255;
    let if_alpha = |with, without| if alpha { with } else { without };
    let channels = if_alpha(4, 3);
    let planar = stays_planar(header, plan, wanted);
    // Planes of 4:2:0 are half as much as RGB.
    let bytes = |sides| if planar { (channels * area(sides)).div_ceil(2) } else { channels * area(sides) };
    let (picture, output) = (bytes(plan.stored), bytes(plan.output));
    let decoded = decoded_bytes(header, plan, wanted);
    let (front, back) = (decoded.max(output), picture.max(output));
    let effects = match (wanted.sharpen.is_some(), wanted.blur.is_some()) {
        (true, _) => if_alpha(6, 3),
        (_, true) => if_alpha(4, 2),
        _ => 0,
    };
    BASE_BYTES
        + header.icc.as_ref().map_or(0, |profile| PROFILE_TIMES * profile.len() as u64)
        + held_bytes(header)
        + front
        + back
        + scaling_bytes(header, plan, wanted, decoded)
        + effects * area(plan.output)
        + encoder_bytes(wanted, channels, planar) * area(plan.output)
}

fn area((width, height): (u32, u32)) -> u64 {
    u64::from(width) * u64::from(height)
}

/// Does the picture go from planes to planes?
fn stays_planar(header: &Header, plan: &Plan, wanted: &Wanted) -> bool {
    let decodes_to_planes = match header.format {
        InputFormat::Jpeg => header.chroma_shared > 1,
        InputFormat::Webp => !header.lossless && !header.has_alpha,
        _ => false,
    };
    decodes_to_planes && header.icc.is_none() && plan.keeps_planes() && encode::takes_planes(wanted, Color::Ycc)
}

/// The first picture of the pipeline, before it is shrunk if that comes after.
fn decoded_bytes(header: &Header, plan: &Plan, wanted: &Wanted) -> u64 {
    let pixels = match header.format {
        InputFormat::Jpeg | InputFormat::Png => area(decode::decoded_sides(header, plan, wanted)),
        _ => header.pixels(),
    };
    let channels = u64::from(header.channels);
    match header.format {
        // Two planes of chroma, each of which pixels share.
        InputFormat::Jpeg if channels == 3 => pixels + 2 * pixels.div_ceil(header.chroma_shared.into()),
        InputFormat::Webp if !header.lossless && !header.has_alpha => pixels + pixels.div_ceil(2) + 4 * 16_383,
        InputFormat::Gif => 4 * pixels,
        InputFormat::Tiff => channels * u64::from(header.sample_bytes) * pixels,
        _ => channels * pixels,
    }
}

/// What a decoder holds beside it.
fn held_bytes(header: &Header) -> u64 {
    let pixels = header.pixels();
    header.held_bytes
        + match header.format {
            InputFormat::Webp if header.lossless => 4 * pixels,
            InputFormat::Webp if header.has_alpha => 2 * pixels,
            _ => 0,
        }
}

/// Columns are scaled before rows: in between, the picture is as wide as what is kept of it and as high as it will be.
fn between(header: &Header, plan: &Plan, wanted: &Wanted) -> u64 {
    let (width, _) = decode::decoded_sides(header, plan, wanted);
    u64::from(plan.stored.1) * ceil(plan.crop.width * f64::from(width) / f64::from(header.stored.0))
}

fn scaling_bytes(header: &Header, plan: &Plan, wanted: &Wanted, decoded: u64) -> u64 {
    let whole = (plan.crop.width, plan.crop.height) == (f64::from(header.stored.0), f64::from(header.stored.1));
    if whole && plan.stored == decode::decoded_sides(header, plan, wanted) {
        return 0;
    }
    let channels = if header.format == InputFormat::Jpeg && header.channels == 3 { 1 } else { header.channels };
    u64::from(channels) * between(header, plan, wanted) + if header.has_alpha { decoded } else { 0 }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "of a side, so within u32 and not negative"
)]
fn ceil(side: f64) -> u64 {
    side.ceil() as u64
}

/// For each pixel of the output.
fn encoder_bytes(wanted: &Wanted, channels: u64, planar: bool) -> u64 {
    let of = |format| match format {
        ImageFormat::Jpeg if wanted.progressive => 7,
        ImageFormat::Jpeg => 4,
        ImageFormat::Png => 2 * channels,
        ImageFormat::Webp if wanted.lossless => 30,
        ImageFormat::Webp if planar => 3,
        ImageFormat::Webp => channels + 2,
    };
    match wanted.target {
        Target::One(format) => of(format),
        Target::Smallest(_) => 30 + 2 * channels,
    }
}

/// An upper bound, in units of a pixel gone over once by the cheapest step, a scan of a JPEG. The others are weighed by
/// what they take on noise, the worst there is, so that a unit takes 1 to 3.5 ns whatever the image and the output.
pub(crate) fn work(header: &Header, plan: &Plan, wanted: &Wanted) -> u64 {
    /// To start a decoder for a strip or tile.
    const PART: u64 = 4_000;
    let decoding = match header.format {
        InputFormat::Jpeg => u64::from(header.scans),
        InputFormat::Webp => 8,
        _ => 4 * u64::from(header.sample_bytes),
    };
    let color = if header.icc.is_some() { 10 } else { 0 };
    let effects = if wanted.blur.is_some() { 25 } else { 0 } + if wanted.sharpen.is_some() { 15 } else { 0 };
    let of = |format| match format {
        ImageFormat::Jpeg if wanted.progressive => 8,
        ImageFormat::Jpeg => 5,
        ImageFormat::Png => 8,
        ImageFormat::Webp if wanted.lossless => 60,
        ImageFormat::Webp => 20,
    };
    let encoding = match wanted.target {
        Target::One(format) => of(format),
        // Two of them at most: a lossless WebP and a PNG.
        Target::Smallest(_) => 60 + of(ImageFormat::Png),
    };
    decoding * header.pixels()
        + PART * u64::from(header.parts)
        + between(header, plan, wanted)
        + (color + effects + encoding) * area(plan.output)
}
