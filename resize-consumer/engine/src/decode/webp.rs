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

#[cfg(test)]
mod tests {
    use contract::resize::Resize;
    use contract::usage::Reason;
    use image::{DynamicImage, ImageFormat};

    use super::*;
    use crate::libwebp::Settings;
    use crate::limits::Limits;
    use crate::sniff::InputFormat;
    use crate::{geometry, header, params};

    const LOSSY: Settings =
        Settings { quality: 90.0, method: 0, lossless: false, noise_shaping: 50, filter_strength: 60 };
    const LOSSLESS: Settings = Settings { lossless: true, ..LOSSY };

    /// A WebP of waves, with alpha or without.
    fn webp((width, height): (u32, u32), alpha: bool, settings: &Settings) -> Vec<u8> {
        let mut pixels: Vec<u8> = (0..width * height)
            .flat_map(|at| {
                let (x, y) = (at % width, at / width);
                [x * 5, y * 7, x * y / 9, 250 - (x + y) * 3 % 200].map(|value| u8::try_from(value % 256).unwrap())
            })
            .collect();
        if !alpha {
            pixels.chunks_exact_mut(4).for_each(|pixel| pixel[3] = 255);
        }
        libwebp::encode((width, height), settings, Pixels::Rgba(&mut pixels, 4 * width as usize)).unwrap()
    }

    fn kinds(sides: (u32, u32)) -> [(&'static str, Vec<u8>, Color); 4] {
        [
            ("lossy", webp(sides, false, &LOSSY), Color::VideoYcc),
            ("lossy with alpha", webp(sides, true, &LOSSY), Color::Rgba),
            ("lossless", webp(sides, false, &LOSSLESS), Color::Rgb),
            ("lossless with alpha", webp(sides, true, &LOSSLESS), Color::Rgba),
        ]
    }

    /// Decoded into a picture that is full of another one.
    fn decoded(input: &[u8], params: &Resize, full_of: u8) -> Result<Picture, Fault> {
        let limits = Limits::default();
        let header = header::read(input, InputFormat::Webp, &limits)?;
        let wanted = params::check(params, &header, &limits)?;
        let plan = geometry::plan(&header, &wanted)?;
        let mut picture = Picture::default();
        picture.packed(Color::Rgba, 300, 300).fill(full_of);
        let shrunk = decode(input, &header, &plan, &wanted, &mut picture)?;
        assert!(f64::from(picture.width) >= shrunk * f64::from(header.stored.0));
        Ok(picture)
    }

    fn partial() -> Resize {
        Resize { allow_partial: Some(true), ..Resize::default() }
    }

    /// The VP8, VP8L or ALPH and VP8 chunks of a WebP.
    fn chunks(webp: &[u8]) -> &[u8] {
        if &webp[12..16] == b"VP8X" { &webp[30..] } else { &webp[12..] }
    }

    /// A frame of these chunks at (left, top), both even, on a canvas; and the first bytes of another.
    fn animation(canvas: (u32, u32), frame: (u32, u32), (left, top): (u32, u32), chunks: &[u8]) -> Vec<u8> {
        let chunk =
            |kind: &[u8; 4], data: &[u8]| [&kind[..], &u32::try_from(data.len()).unwrap().to_le_bytes(), data].concat();
        let uint24 = |value: u32| value.to_le_bytes()[..3].to_vec();
        let sides = |(width, height)| [uint24(width - 1), uint24(height - 1)].concat();
        let place = [uint24(left / 2), uint24(top / 2)].concat();
        let body = [
            &b"WEBP"[..],
            &chunk(b"VP8X", &[&[0x12, 0, 0, 0][..], &sides(canvas)].concat()),
            &chunk(b"ANIM", &[9, 9, 9, 9, 0, 0]),
            &chunk(b"ANMF", &[&place, &sides(frame), &[0; 4][..], chunks].concat()),
            &chunk(b"ANMF", &[0; 24]),
        ]
        .concat();
        chunk(b"RIFF", &body)
    }

    const SIDES: [(u32, u32); 6] = [(1, 1), (17, 1), (2, 9), (33, 31), (64, 48), (101, 67)];

    #[test]
    fn every_pixel_is_written_whatever_was_there() {
        for sides in SIDES {
            let turned = animation((200, 90), sides, (50, 20), chunks(&webp(sides, true, &LOSSY)));
            for (kind, webp, color) in kinds(sides).into_iter().chain([("animated", turned, Color::Rgba)]) {
                for width in [None, Some(1), Some(7)] {
                    let params = Resize { width, ..Resize::default() };
                    let (dark, light) = (decoded(&webp, &params, 0).unwrap(), decoded(&webp, &params, 255).unwrap());
                    assert_eq!((dark.color, light.color), (color, color));
                    assert_eq!(dark.bytes, light.bytes, "{kind} {sides:?} → {width:?}");
                }
            }
        }
    }

    #[test]
    fn pixels_are_what_another_decoder_sees() {
        for sides in SIDES {
            for (kind, webp, color) in kinds(sides) {
                let mut ours = decoded(&webp, &Resize::default(), 7).unwrap();
                let theirs = image::load_from_memory_with_format(&webp, ImageFormat::WebP).unwrap();
                assert_eq!((ours.width, ours.height), (theirs.width(), theirs.height()));
                let (theirs, tolerance) = match color {
                    Color::Rgba => (theirs.into_rgba8().into_raw(), if kind == "lossy with alpha" { 2 } else { 0 }),
                    Color::Rgb => (theirs.into_rgb8().into_raw(), 0),
                    _ => {
                        // Luma alone, of pixels that are cut to 0 to 255: chroma is spread in more than one way.
                        let luma =
                            |[r, g, b]: &[u8; 3]| (66 * u32::from(*r) + 129 * u32::from(*g) + 25 * u32::from(*b)) >> 8;
                        let (pixels, _) = theirs.as_rgb8().unwrap().as_raw().as_chunks();
                        ours.bytes.truncate(pixels.len());
                        (pixels.iter().map(|pixel| u8::try_from(16 + luma(pixel)).unwrap()).collect(), 40)
                    }
                };
                let far = || ours.bytes.iter().zip(&theirs).map(|(a, b)| a.abs_diff(*b));
                let mean = far().map(f64::from).sum::<f64>() / f64::from(ours.width * ours.height);
                assert!(far().max() <= Some(tolerance) && mean < 3.0, "{kind} {sides:?}: {:?}, {mean}", far().max());
                assert_eq!(ours.bytes.len(), theirs.len());
            }
        }
    }

    #[test]
    fn the_first_frame_stands_on_its_canvas() {
        let (canvas, sides) = ((120, 100), (33, 31));
        for (kind, webp, _) in kinds(sides) {
            let frame = image::load_from_memory_with_format(&webp, ImageFormat::WebP).unwrap();
            let alone = animation(sides, sides, (0, 0), chunks(&webp));
            for (input, canvas, place) in [
                (animation(canvas, sides, (12, 34), chunks(&webp)), canvas, (12, 34)),
                (animation(canvas, sides, (86, 68), chunks(&webp)), canvas, (86, 68)),
                (alone, sides, (0, 0)),
            ] {
                let ours = decoded(&input, &Resize::default(), 7).unwrap();
                assert_eq!((ours.color, ours.width, ours.height), (Color::Rgba, canvas.0, canvas.1));
                let mut expected = DynamicImage::new_rgba8(canvas.0, canvas.1);
                image::imageops::replace(&mut expected, &frame.to_rgba8(), place.0, place.1);
                let far = ours.bytes.iter().zip(expected.as_bytes()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
                assert!(far <= 2, "{kind} at {place:?}: {far}");
            }
        }
        let outside = animation(canvas, sides, (88, 68), chunks(&webp(sides, false, &LOSSY)));
        assert_eq!(decoded(&outside, &Resize::default(), 0).unwrap_err().reason, Reason::CorruptImage);
    }

    #[test]
    fn what_is_missing_is_blank() {
        let sides = (101, 167);
        for (kind, webp, color) in kinds(sides) {
            let whole = decoded(&webp, &partial(), 7).unwrap();
            let mut rows_seen = Vec::new();
            for tenths in 1..10 {
                let part = &webp[..webp.len() * tenths / 10];
                let fault = decoded(part, &Resize::default(), 0).unwrap_err();
                assert_eq!(fault.reason, Reason::TruncatedImage, "{kind}: {}", fault.detail);
                let Ok(ours) = decoded(part, &partial(), 7) else { continue };
                assert_eq!(ours.bytes, decoded(part, &partial(), 99).unwrap().bytes, "{kind}");
                let row = 101 * color.channels();
                let blank = match color {
                    Color::VideoYcc => 235,
                    Color::Rgba => 0,
                    _ => 255,
                };
                let same = |n: &usize| ours.bytes[n * row..][..row] == whole.bytes[n * row..][..row];
                let empty = |n: usize| ours.bytes[n * row..][..row].iter().all(|byte| *byte == blank);
                let rows = (0..167).take_while(same).count();
                // The loop filter has not gone over the last rows that there are.
                assert!((rows + 9..167).all(empty), "{kind}, {tenths} tenths: {rows} rows");
                rows_seen.push(rows);
            }
            assert!(rows_seen.is_sorted() && rows_seen.last() > rows_seen.first(), "{kind}: {rows_seen:?}");
        }
    }

    #[test]
    fn sides_that_do_not_agree_are_refused() {
        let webp = webp((33, 31), false, &LOSSY);
        let (mut y, mut u, mut v) = ([0; 34 * 34], [0; 17 * 17], [0; 17 * 17]);
        for (sides, rows, expected) in [
            ((33, 31), 31, Ok(())),
            ((33, 32), 34, Err(Failure::Refused)),
            ((34, 31), 34, Err(Failure::Refused)),
            ((33, 30), 30, Err(Failure::Refused)),
        ] {
            let mut to = |y: &mut [u8]| {
                let planes = Pixels::Planes([&mut y[..34 * rows], &mut u, &mut v], [34, 17]);
                libwebp::decode(chunks(&webp), sides, true, planes)
            };
            assert_eq!(to(&mut y), expected, "{sides:?}");
            let planes = Pixels::Planes([&mut y[..34 * rows], &mut u, &mut v], [34, 17]);
            assert_eq!(libwebp::decode_rows(chunks(&webp), sides, planes).map(|_| ()), expected, "{sides:?}");
        }
    }
}
