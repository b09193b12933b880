//! WebP through libwebp: planes as they are stored where it is lossy and opaque, else RGB or RGBA.
//!
//! All of the picture is decoded, although libwebp could scale on the way: its rescaler is slower than our means of
//! blocks (`shrink.rs`) and less sharp than Lanczos3. Of an animation it is the first frame, on a canvas that is
//! transparent around it.

use crate::fault::Fault;
use crate::geometry::Plan;
use crate::header::{Frame, Header};
use crate::libwebp::{self, Failure, Pixels};
use crate::params::Wanted;
use crate::picture::{Color, HALF, Picture};
use crate::shrink;

/// Shrunk so much, blocks don't show, so the loop filter, a sixth of the time, is left out.
const HIDES_BLOCKS: f64 = 2.0;

pub(super) fn decode(
    input: &[u8],
    header: &Header,
    plan: &Plan,
    wanted: &Wanted,
    to: &mut Picture,
) -> Result<f64, Fault> {
    let missing = || Fault::corrupt("WebP", "it has no picture");
    let frame = header.frame.as_ref().ok_or_else(missing)?;
    let chunks = input.get(frame.chunks.clone()).ok_or_else(missing)?;
    let color = match (header.has_alpha, header.lossless) {
        (true, _) => Color::Rgba,
        (false, true) => Color::Rgb,
        (false, false) => Color::VideoYcc,
    };
    let sides = (frame.width, frame.height);
    to.reshape(color, header.stored.0, header.stored.1, HALF);
    if sides != header.stored {
        to.bytes.fill(0);
    }
    let loop_filter = plan.crop.width < HIDES_BLOCKS * f64::from(plan.stored.0)
        || plan.crop.height < HIDES_BLOCKS * f64::from(plan.stored.1);
    match libwebp::decode(chunks, sides, loop_filter, pixels(to, frame)?) {
        Err(Failure::Truncated | Failure::Corrupt) if wanted.allows_partial => {
            let rows = libwebp::decode_rows(chunks, sides, pixels(to, frame)?).map_err(fault)?;
            blank(to, frame.top + rows);
        }
        result => result.map_err(fault)?,
    }
    let factor = shrink::factor(plan, wanted.filter, color);
    shrink::shrink(to, factor);
    Ok(1.0 / f64::from(factor))
}

/// Where the frame goes.
fn pixels<'a>(to: &'a mut Picture, frame: &Frame) -> Result<Pixels<'a>, Fault> {
    if to.color.is_planar() {
        let planes = <[_; 3]>::try_from(to.samples_mut()).map_err(|_| Fault::engine("decode", "planes are missing"))?;
        let distances = [planes[0].0.width as usize, planes[1].0.width as usize];
        return Ok(Pixels::Planes(planes.map(|(_, samples)| samples), distances));
    }
    let channels = to.color.channels();
    let distance = to.width as usize * channels;
    let start = frame.top as usize * distance + frame.left as usize * channels;
    let pixels = &mut to.bytes[start..];
    Ok(if channels == 4 { Pixels::Rgba(pixels, distance) } else { Pixels::Rgb(pixels, distance) })
}

/// What is missing from this row on is transparent, or white.
fn blank(picture: &mut Picture, row: u32) {
    let (color, mut white) = (picture.color, [235, 128, 128].into_iter());
    for (plane, samples) in picture.samples_mut() {
        let value = match color {
            Color::Rgba => 0,
            Color::VideoYcc => white.next().unwrap_or_default(),
            _ => 255,
        };
        let start = row.div_ceil(plane.subsampling.1) as usize * plane.width as usize * color.channels();
        samples[start..].fill(value);
    }
}

fn fault(failure: Failure) -> Fault {
    match failure {
        Failure::Truncated => Fault::truncated("WebP", "its pixels end too early"),
        Failure::Corrupt => Fault::corrupt("WebP", "its pixels can't be decoded"),
        Failure::Refused => Fault::corrupt("WebP", "its headers contradict each other"),
        Failure::OutOfMemory => Fault::engine("decode", "out of memory"),
    }
}
