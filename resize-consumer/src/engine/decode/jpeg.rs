//! JPEG through libjpeg-turbo, shrunk in the DCT as far as quality allows.
//!
//! Only the safe API of the `turbojpeg` crate is used, and a decompressor is made for each image. A used one is not
//! clean: it keeps the tables of the image before, which an image without its own would be decoded with, and after a
//! broken header it refuses the next image. Making one costs less than a microsecond.

use turbojpeg::{Colorspace, Decompressor, Error, Image, PixelFormat, ScalingFactor};

use crate::engine::fault::Fault;
use crate::engine::geometry::Plan;
use crate::engine::header::Header;
use crate::engine::limits::Limits;
use crate::engine::pixels::{Layout, PixelBuffer};

/// The DCT shrinks to N/8 of a side.
const EIGHTHS: u32 = 8;
/// How much larger than the output the shrunk picture stays, so that Lanczos3 and not the DCT decides the quality.
const HEADROOM: f64 = 1.5;

pub(super) fn decode(
    input: &[u8],
    header: &Header,
    plan: &Plan,
    limits: &Limits,
    to: &mut PixelBuffer,
) -> Result<f64, Fault> {
    let mut decompressor = Decompressor::new().map_err(|error| Fault::engine("decode", error))?;
    let eighths = eighths(plan);
    let factor = ScalingFactor::new(eighths as usize, EIGHTHS as usize);
    decompressor.set_scaling_factor(factor).map_err(|error| Fault::engine("decode", error))?;
    decompressor.set_scan_limit(limits.input_scans).map_err(|error| Fault::engine("decode", error))?;

    let seen = decompressor.read_header(input).map_err(fault)?;
    if (seen.width, seen.height) != (header.stored.0 as usize, header.stored.1 as usize) {
        return Err(Fault::corrupt("JPEG", "it has more than one frame header"));
    }
    let (format, layout) = match seen.colorspace {
        Colorspace::Gray => (PixelFormat::GRAY, Layout::Gray),
        Colorspace::RGB | Colorspace::YCbCr => (PixelFormat::RGB, Layout::Rgb),
        Colorspace::CMYK | Colorspace::YCCK => (PixelFormat::CMYK, Layout::Rgba),
    };
    let scaled = |side: u32| (side * eighths).div_ceil(EIGHTHS);
    let (width, height) = (scaled(header.stored.0), scaled(header.stored.1));
    let pixels = to.reshape(layout, width, height);
    let (width, height) = (width as usize, height as usize);
    let image = Image { pixels, width, pitch: width * format.size(), height, format };
    decompressor.decompress(input, image).or_else(harmless).map_err(fault)?;
    if format == PixelFormat::CMYK {
        cmyk_to_rgb(to);
    }
    Ok(f64::from(eighths) / f64::from(EIGHTHS))
}

/// The smallest N for which N/8 of what is kept leaves headroom over the output on both axes.
fn eighths(plan: &Plan) -> u32 {
    let enough = |n: &u32| {
        let factor = f64::from(*n) / f64::from(EIGHTHS);
        plan.crop.width * factor >= f64::from(plan.stored.0) * HEADROOM
            && plan.crop.height * factor >= f64::from(plan.stored.1) * HEADROOM
    };
    (1..EIGHTHS).find(enough).unwrap_or(EIGHTHS)
}

/// libjpeg-turbo decodes a picture of which most is missing and only warns; the crate makes an error of any warning,
/// told apart by its text. One is harmless: padding before the end-of-image marker. It is the first warning or
/// the text would be another's, and it comes after all pixels, so they are all there.
fn harmless(error: Error) -> Result<(), Error> {
    match &error {
        Error::TurboJpegError(text) if text.ends_with("extraneous bytes before marker 0xd9") => Ok(()),
        _ => Err(error),
    }
}

fn fault(error: Error) -> Fault {
    match error {
        Error::TurboJpegError(text) if text.contains("image has more than") => Fault::input_too_large(text),
        Error::TurboJpegError(text) => Fault::corrupt("JPEG", text.trim_start_matches("Corrupt JPEG data: ")),
        Error::BadColorspace(_) | Error::BadSubsamp(_) => Fault::unsupported(format!("this kind of JPEG: {error}")),
        other => Fault::corrupt("JPEG", other),
    }
}

/// Ink to light, in place. CMYK in JPEG is stored inverted, as Adobe does it, so each color is ink-free × key-free.
fn cmyk_to_rgb(pixels: &mut PixelBuffer) {
    let count = pixels.width as usize * pixels.height as usize;
    for at in 0..count {
        let Some(&[c, m, y, k]) = pixels.bytes.get(at * 4..).and_then(|rest| rest.first_chunk()) else { return };
        let light = |ink_free: u8| u8::try_from((u32::from(ink_free) * u32::from(k) + 127) / 255).unwrap_or(u8::MAX);
        pixels.bytes[at * 3..at * 3 + 3].copy_from_slice(&[light(c), light(m), light(y)]);
    }
    pixels.reshape(Layout::Rgb, pixels.width, pixels.height);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::geometry::Rect;

    #[test]
    fn the_dct_leaves_headroom_on_both_axes() {
        for (kept, output, expected) in [
            ((1411.0, 1411.0), (240, 240), 3),
            ((1440.0, 1440.0), (240, 240), 2),
            ((4000.0, 3000.0), (64, 48), 1),
            ((4000.0, 3000.0), (64, 1500), 6),
            ((640.0, 427.0), (640, 427), 8),
            ((640.0, 427.0), (1280, 854), 8),
        ] {
            let crop = Rect { left: 0.0, top: 0.0, width: kept.0, height: kept.1 };
            assert_eq!(eighths(&Plan { output, stored: output, crop }), expected, "{kept:?} → {output:?}");
        }
    }
}
