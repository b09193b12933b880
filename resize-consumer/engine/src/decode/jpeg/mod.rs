//! JPEG through libjpeg-turbo, shrunk in the DCT as far as quality allows.
//!
//! Only the safe API of the `turbojpeg` crate is used, and a decompressor is made for each image. A used one is not
//! clean: it keeps the tables of the image before, which an image without its own would be decoded with, and after a
//! broken header it refuses the next image. Making one costs less than a microsecond.
//!
//! `decompress_to_yuv` writes as many bytes as the file needs, whatever subsampling the caller's planes have. So it is
//! called here only, with planes laid out as that very file's header says.
//!
//! libjpeg decodes a picture of which most is missing and only warns, and the crate makes an error of any warning. Only
//! the first one's text is known. What it may be:
//!
//! | the warning | what may come after it, untold | so |
//! |---|---|---|
//! | bytes before the end-of-image marker | nothing, that is the end | harmless |
//! | an unknown JFIF revision or Adobe transform, a bad ICC marker, bytes between the header's segments, a baseline scan with parameters of a progressive one | anything | decoded again without the oddity |
//! | all others | | rejected, or with `allows_partial` good enough |
//!
//! And it doesn't miss a scan that isn't there: see [`stream::has_all_scans`].

mod stream;

use turbojpeg::{Colorspace, Decompressor, Error, Image, PixelFormat, ScalingFactor, Subsamp, YuvImage};

use contract::usage::Reason;

use crate::fault::Fault;
use crate::geometry::Plan;
use crate::header::Header;
use crate::limits::Limits;
use crate::params::{Target, Wanted};
use crate::picture::{Color, Picture, Subsampling};
use crate::sniff::ImageFormat;

/// The DCT shrinks to N/8 of a side.
const EIGHTHS: u32 = 8;

pub(super) fn decode(
    input: &[u8],
    header: &Header,
    plan: &Plan,
    limits: &Limits,
    wanted: &Wanted,
    to: &mut Picture,
) -> Result<f64, Fault> {
    let several_scans = header.held_bytes > 0;
    if several_scans && !wanted.allows_partial && !stream::has_all_scans(input) {
        return Err(Fault::truncated("JPEG", "scans are missing"));
    }
    let eighths = eighths(plan, headroom(wanted));
    let shows_all = eighths > 1 && is_exact(wanted);
    let shortened = if several_scans && !shows_all { stream::without_fine_scans(input, eighths) } else { None };
    let input = shortened.as_deref().unwrap_or(input);
    let mut decoded = decompress(input, header, eighths, limits, to);
    if decoded.as_ref().is_err_and(Trouble::is_oddity) {
        decoded = decompress(&stream::without_oddities(input, header.channels), header, eighths, limits, to);
    }
    match decoded {
        Err(trouble) if !(trouble.is_harmless() || wanted.allows_partial && trouble.has_pixels) => Err(trouble.into()),
        _ => Ok(f64::from(eighths) / f64::from(EIGHTHS)),
    }
}

/// What [`decode`] makes of the picture.
pub(super) fn decoded_sides(header: &Header, plan: &Plan, wanted: &Wanted) -> (u32, u32) {
    scaled(header.stored, eighths(plan, headroom(wanted)))
}

fn scaled((width, height): (u32, u32), eighths: u32) -> (u32, u32) {
    ((width * eighths).div_ceil(EIGHTHS), (height * eighths).div_ceil(EIGHTHS))
}

fn decompress(input: &[u8], header: &Header, eighths: u32, limits: &Limits, to: &mut Picture) -> Result<(), Trouble> {
    let mut decompressor = Decompressor::new()?;
    decompressor.set_scaling_factor(ScalingFactor::new(eighths as usize, EIGHTHS as usize))?;
    decompressor.set_scan_limit(limits.scans)?;
    let seen = decompressor.read_header(input)?;
    if (seen.width, seen.height) != (header.stored.0 as usize, header.stored.1 as usize) {
        return Err(Trouble::new("it has more than one frame header"));
    }
    let (width, height) = scaled(header.stored, eighths);
    let decoded = match (seen.colorspace, subsampling(seen.subsamp)) {
        (Colorspace::YCbCr, Some(subsampling)) => {
            let (across, down) = subsampling;
            let padded = (width.next_multiple_of(across), height.next_multiple_of(down));
            let pixels = to.reshape(Color::Ycc, padded.0, padded.1, subsampling);
            let image =
                YuvImage { pixels, width: width as usize, align: 1, height: height as usize, subsamp: seen.subsamp };
            let decoded = decompressor.decompress_to_yuv(input, image);
            to.cut_luma(width, height);
            decoded
        }
        (colorspace, _) => {
            let (format, color) = match colorspace {
                Colorspace::Gray => (PixelFormat::GRAY, Color::Gray),
                Colorspace::RGB | Colorspace::YCbCr => (PixelFormat::RGB, Color::Rgb),
                Colorspace::CMYK | Colorspace::YCCK => (PixelFormat::CMYK, Color::Cmyk),
            };
            let pixels = to.packed(color, width, height);
            let (width, height) = (width as usize, height as usize);
            let image = Image { pixels, width, pitch: width * format.size(), height, format };
            decompressor.decompress(input, image)
        }
    };
    decoded.map_err(|error| {
        let trouble = Trouble::from(error);
        // After a warning all rows have been written, after an error they have not.
        let has_pixels = WARNINGS.iter().any(|warning| trouble.text.starts_with(warning));
        Trouble { has_pixels, ..trouble }
    })
}

/// `None` for what has no planes of chroma, or not of one subsampling.
fn subsampling(subsamp: Subsamp) -> Option<Subsampling> {
    match subsamp {
        Subsamp::None => Some((1, 1)),
        Subsamp::Sub2x1 => Some((2, 1)),
        Subsamp::Sub2x2 => Some((2, 2)),
        Subsamp::Sub1x2 => Some((1, 2)),
        Subsamp::Sub4x1 => Some((4, 1)),
        Subsamp::Sub1x4 => Some((1, 4)),
        _ => None,
    }
}

/// How much larger than the output the shrunk picture stays, so that the filter and not the DCT decides the quality.
/// Over 24 photographs, as JPEG of quality 80 and 64 to 1,500 wide, 1.2 loses 0 to 0.3 dB (PSNR-Y) against 1.5 and is up
/// to a quarter faster; 1 loses up to 0.8 dB more. What loses less in the encoding keeps more.
fn headroom(wanted: &Wanted) -> f64 {
    if is_exact(wanted) { 1.5 } else { 1.2 }
}

fn is_exact(wanted: &Wanted) -> bool {
    match wanted.target {
        Target::One(ImageFormat::Png) | Target::Smallest(_) => true,
        Target::One(ImageFormat::Jpeg | ImageFormat::Webp) => wanted.lossless || wanted.quality > 90,
    }
}

/// The smallest N for which N/8 of what is kept leaves headroom over the output on both axes. 6 and 7 are left out:
/// without SIMD they cost more than all 8 do with it.
fn eighths(plan: &Plan, headroom: f64) -> u32 {
    let enough = |n: &u32| {
        let factor = f64::from(*n) / f64::from(EIGHTHS);
        plan.crop.width * factor >= f64::from(plan.stored.0) * headroom
            && plan.crop.height * factor >= f64::from(plan.stored.1) * headroom
    };
    [1, 2, 3, 4, 5].into_iter().find(enough).unwrap_or(EIGHTHS)
}

/// How libjpeg's warnings start (`jerror.h`); its errors start otherwise.
const WARNINGS: [&str; 5] = [
    "Corrupt JPEG data: ",
    "Premature end of JPEG file",
    "Inconsistent progression sequence",
    "Invalid SOS parameters for sequential JPEG",
    "Warning: ",
];

/// What libjpeg says.
#[derive(Debug)]
struct Trouble {
    text: String,
    has_pixels: bool,
}

impl Trouble {
    fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), has_pixels: false }
    }

    fn is_harmless(&self) -> bool {
        self.has_pixels && self.text.ends_with("extraneous bytes before marker 0xd9")
    }

    /// Something that [`stream::without_oddities`] mends.
    fn is_oddity(&self) -> bool {
        let mended =
            ["JFIF revision", "Adobe color transform", "bad ICC marker", "bytes before marker", "SOS parameters"];
        !self.is_harmless() && mended.iter().any(|words| self.text.contains(words))
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error {
            Error::TurboJpegError(text) => Self::new(text),
            other => Self::new(other.to_string()),
        }
    }
}

impl From<Trouble> for Fault {
    fn from(Trouble { text, .. }: Trouble) -> Self {
        let contains = |words: &[&str]| words.iter().any(|words| text.contains(words));
        if contains(&["image has more than"]) {
            Self::new(Reason::TooManyScans, text)
        } else if contains(&["Premature end", "premature end"]) {
            Self::truncated("JPEG", text.trim_start_matches(WARNINGS[0]))
        } else if contains(&["Unsupported", "unknown colorspace", "unknown subsampling", "lossless"]) {
            Self::feature(text)
        } else if contains(&["Insufficient memory", "allocation failure"]) {
            Self::engine("decode", text)
        } else {
            Self::corrupt("JPEG", text.trim_start_matches(WARNINGS[0]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Rect;

    #[test]
    fn the_dct_leaves_headroom_on_both_axes() {
        for (kept, output, expected) in [
            ((1919.0, 1919.0), (200, 200), 2),
            ((1920.0, 1920.0), (200, 200), 1),
            ((1279.0, 1279.0), (400, 400), 4),
            ((1280.0, 1280.0), (400, 400), 3),
            ((4000.0, 3000.0), (64, 48), 1),
            ((4000.0, 3000.0), (64, 1500), 5),
            ((4000.0, 3000.0), (64, 1600), 8),
            ((640.0, 427.0), (640, 427), 8),
            ((640.0, 427.0), (1280, 854), 8),
        ] {
            let crop = Rect { left: 0.0, top: 0.0, width: kept.0, height: kept.1 };
            assert_eq!(
                eighths(&Plan { stored: output, crop, ..Plan::default() }, 1.2),
                expected,
                "{kept:?} → {output:?}"
            );
        }
    }
}
