//! PNG through the `png` crate: every color type and depth to 8 bits a channel, row by row. Of an animation it is the
//! default image.
//!
//! The CRC of each chunk of pixels is checked, so a flipped bit is found. The Adler-32 of what they unpack to is not:
//! it would find what the CRC has found.

use std::io::{Cursor, ErrorKind};

use contract::usage::Reason;
use png::{ColorType, Decoder, DecodingError, InterlaceInfo, Limits, Reader, Transformations};

use crate::fault::Fault;
use crate::geometry::Plan;
use crate::header::Header;
use crate::params::Wanted;
use crate::picture::{Color, Picture};
use crate::shrink::{self, Blocks};

/// What the decoder may allocate beside the pixels: a few rows and small chunks.
const WORKING_BYTES: usize = 8 << 20;

type PngReader<'a> = Reader<Cursor<&'a [u8]>>;

pub(super) fn decode(
    input: &[u8],
    header: &Header,
    plan: &Plan,
    wanted: &Wanted,
    to: &mut Picture,
) -> Result<f64, Fault> {
    let mut decoder = Decoder::new_with_limits(Cursor::new(input), Limits { bytes: WORKING_BYTES });
    // Neither is used, and both may unpack to any size.
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(fault)?;
    let color = match reader.output_color_type().0 {
        ColorType::Grayscale => Color::Gray,
        ColorType::GrayscaleAlpha => Color::GrayAlpha,
        ColorType::Rgb => Color::Rgb,
        ColorType::Rgba => Color::Rgba,
        ColorType::Indexed => return Err(Fault::corrupt("PNG", "its palette is missing")),
    };
    let (width, height) = header.stored;
    let row_bytes = width as usize * color.channels();
    let info = reader.info();
    if (info.width, info.height) != header.stored || reader.output_line_size(width) != Some(row_bytes) {
        return Err(Fault::corrupt("PNG", "it has more than one header"));
    }
    if info.frame_control.is_some_and(|frame| (frame.width, frame.height) != header.stored) {
        return Err(Fault::corrupt("PNG", "its first frame is not of its own size"));
    }
    let interlaced = reader.info().interlaced;
    let factor = if interlaced { 1 } else { shrink::factor(plan, wanted.filter, color) };
    let pixels = to.packed(color, width.div_ceil(factor), height.div_ceil(factor));
    let missing = if color.has_alpha() { 0 } else { 255 };
    let mut done = 0;
    let decoded = if interlaced {
        pixels.fill(missing);
        passes(&mut reader, pixels, row_bytes, color, &mut done)
    } else if factor == 1 {
        rows(&mut reader, pixels, row_bytes, &mut done)
    } else {
        blocks(&mut reader, pixels, row_bytes, (height, factor, color), &mut done)
    };
    // To the end of the file, so that a part of one is never taken for the whole.
    if let Err(error) = decoded.and_then(|()| reader.finish()) {
        if !wanted.allows_partial || done == 0 {
            return Err(fault(error));
        }
        pixels[done..].fill(missing);
    }
    Ok(1.0 / f64::from(factor))
}

/// Each row to its place. `done` counts the bytes that have been written from the start.
fn rows(
    reader: &mut PngReader<'_>,
    pixels: &mut [u8],
    row_bytes: usize,
    done: &mut usize,
) -> Result<(), DecodingError> {
    for row in pixels.chunks_exact_mut(row_bytes) {
        reader.read_row(row)?.ok_or_else(ended)?;
        *done += row_bytes;
    }
    Ok(())
}

/// Means of the rows as they come: what is large is never there as a whole.
fn blocks(
    reader: &mut PngReader<'_>,
    pixels: &mut [u8],
    row_bytes: usize,
    (height, factor, color): (u32, u32, Color),
    done: &mut usize,
) -> Result<(), DecodingError> {
    let mut blocks = Blocks::new(factor, color.channels(), row_bytes);
    let mut row = vec![0; row_bytes];
    for n in 1..=height {
        reader.read_row(&mut row)?.ok_or_else(ended)?;
        if blocks.add(&row) || n == height {
            blocks.take(&mut pixels[*done..][..blocks.row_bytes()]);
            *done += blocks.row_bytes();
        }
    }
    Ok(())
}

/// Adam7's passes, each pixel over all of its block, so that one of which the last passes are missing is only coarse.
fn passes(
    reader: &mut PngReader<'_>,
    pixels: &mut [u8],
    row_bytes: usize,
    color: Color,
    done: &mut usize,
) -> Result<(), DecodingError> {
    let bits = 8 * u8::try_from(color.channels()).unwrap_or(u8::MAX);
    while let Some(row) = reader.next_interlaced_row()? {
        if let InterlaceInfo::Adam7(place) = row.interlace() {
            png::splat_interlaced_row(pixels, row_bytes, row.data(), place, bits);
        }
        *done = pixels.len();
    }
    Ok(())
}

fn ended() -> DecodingError {
    DecodingError::IoError(ErrorKind::UnexpectedEof.into())
}

fn fault(error: DecodingError) -> Fault {
    match error {
        DecodingError::LimitsExceeded => {
            Fault::new(Reason::MetadataTooLarge, format!("a PNG whose metadata takes over {WORKING_BYTES} bytes"))
        }
        DecodingError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            Fault::truncated("PNG", "it ends too early")
        }
        other => Fault::corrupt("PNG", other),
    }
}

#[cfg(test)]
mod tests {
    use contract::resize::Resize;

    use super::*;
    use crate::sniff::InputFormat;
    use crate::tests::png_chunk;
    use crate::{geometry, header, limits, params};

    /// A PNG's parts, by hand, so that every kind can be made.
    struct Written {
        sides: (u32, u32),
        depth: u8,
        color: u8,
        interlaced: bool,
        palette: Vec<u8>,
        transparent: Vec<u8>,
    }

    impl Written {
        fn new(sides: (u32, u32), depth: u8, color: u8) -> Self {
            Self { sides, depth, color, interlaced: false, palette: vec![], transparent: vec![] }
        }

        /// With these samples, one or two bytes each as the depth is; unfiltered, in a stored block of deflate.
        fn file(&self, samples: impl Fn(u32, u32) -> Vec<u16>) -> Vec<u8> {
            const ADAM7: [[u32; 4]; 7] =
                [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]];
            let passes = if self.interlaced { &ADAM7[..] } else { &[[0, 0, 1, 1]] };
            let mut raw = Vec::new();
            for [left, top, across, down] in passes {
                let columns: Vec<u32> = (*left..self.sides.0).step_by(*across as usize).collect();
                if columns.is_empty() {
                    continue;
                }
                for y in (*top..self.sides.1).step_by(*down as usize) {
                    let bits: Vec<bool> = columns
                        .iter()
                        .flat_map(|x| samples(*x, y))
                        .flat_map(|sample| (0..self.depth).rev().map(move |bit| sample >> bit & 1 == 1))
                        .collect();
                    raw.push(0);
                    raw.extend(bits.chunks(8).map(|bits| {
                        bits.iter().enumerate().fold(0, |byte, (n, bit)| byte | u8::from(*bit) << (7 - n))
                    }));
                }
            }
            let mut zlib = vec![0x78, 0x01];
            let blocks: Vec<&[u8]> = raw.chunks(60_000).collect();
            for (n, block) in (1..).zip(&blocks) {
                let length = u16::try_from(block.len()).unwrap();
                zlib.push(u8::from(n == blocks.len()));
                zlib.extend(length.to_le_bytes());
                zlib.extend((!length).to_le_bytes());
                zlib.extend(*block);
            }
            let (a, b) = raw.iter().fold((1, 0), |(a, b), byte| {
                let a = (a + u32::from(*byte)) % 65_521;
                (a, (b + a) % 65_521)
            });
            zlib.extend((b << 16 | a).to_be_bytes());
            let (width, height) = (self.sides.0.to_be_bytes(), self.sides.1.to_be_bytes());
            let kind = [self.depth, self.color, 0, 0, self.interlaced.into()];
            let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
            file.extend(png_chunk(*b"IHDR", &[&width[..], &height, &kind].concat()));
            if !self.palette.is_empty() {
                file.extend(png_chunk(*b"PLTE", &self.palette));
            }
            if !self.transparent.is_empty() {
                file.extend(png_chunk(*b"tRNS", &self.transparent));
            }
            for part in zlib.chunks(1_000) {
                file.extend(png_chunk(*b"IDAT", part));
            }
            file.extend(png_chunk(*b"IEND", &[]));
            file
        }
    }

    /// Decoded into a picture that is full of another one.
    fn decoded(input: &[u8], params: &Resize) -> Result<(Picture, f64), Fault> {
        let limits = limits::Limits::default();
        let header = header::read(input, InputFormat::Png, &limits)?;
        let wanted = params::check(params, &header, &limits)?;
        let plan = geometry::plan(&header, &wanted)?;
        let mut picture = Picture::default();
        picture.packed(Color::Rgba, 500, 500).fill(0x77);
        let shrunk = decode(input, &header, &plan, &wanted, &mut picture)?;
        assert_eq!(picture.bytes.len() as u64, picture.pixel_count() * picture.color.channels() as u64);
        Ok((picture, shrunk))
    }

    fn partial() -> Resize {
        Resize { allow_partial: Some(true), ..Resize::default() }
    }

    #[test]
    fn every_color_type_and_depth_is_read_interlaced_or_not() {
        let palette: Vec<u8> = (0..=255).flat_map(|n: u8| [n, 255 - n, n / 2]).collect();
        for (color, depths, channels) in
            [(0, &[1, 2, 4, 8, 16][..], 1), (2, &[8, 16], 3), (3, &[1, 2, 4, 8], 1), (4, &[8, 16], 2), (6, &[8, 16], 4)]
        {
            for depth in depths {
                for interlaced in [false, true] {
                    for transparent in [false, true] {
                        for sides in [(1, 1), (3, 2), (17, 9), (100, 21)] {
                            let sample = |x: u32, y: u32, channel: u32| {
                                let value = (x * 7 + y * 31 + channel * 91) * if *depth == 16 { 201 } else { 1 };
                                u16::try_from(value % (1 << depth)).unwrap()
                            };
                            let mut written = Written { interlaced, ..Written::new(sides, *depth, color) };
                            let first: Vec<u16> = (0..channels).map(|channel| sample(0, 0, channel)).collect();
                            written.transparent = match color {
                                0 | 2 if transparent => first.iter().flat_map(|s| s.to_be_bytes()).collect(),
                                3 if transparent => vec![90, 40],
                                _ => vec![],
                            };
                            if color == 3 {
                                written.palette = palette[..3 << depth].to_vec();
                            }
                            let file =
                                written.file(|x, y| (0..channels).map(|channel| sample(x, y, channel)).collect());
                            let (picture, shrunk) = decoded(&file, &Resize::default()).unwrap();
                            assert!((shrunk - 1.0).abs() < 1e-9);
                            let transparent = !written.transparent.is_empty();
                            for (at, pixel) in (0..).zip(picture.bytes.chunks_exact(picture.color.channels())) {
                                let (x, y) = (at % sides.0, at / sides.0);
                                let samples: Vec<u16> = (0..channels).map(|channel| sample(x, y, channel)).collect();
                                let mut expected: Vec<u8> = match depth {
                                    16 => samples.iter().map(|s| s.to_be_bytes()[0]).collect(),
                                    _ if color == 3 => palette[3 * usize::from(samples[0])..][..3].to_vec(),
                                    _ => samples
                                        .iter()
                                        .map(|s| u8::try_from(s * 255 / ((1 << depth) - 1)).unwrap())
                                        .collect(),
                                };
                                if transparent {
                                    expected.push(match color {
                                        3 => *[90, 40].get(usize::from(samples[0])).unwrap_or(&255),
                                        _ if samples == first => 0,
                                        _ => 255,
                                    });
                                }
                                let what =
                                    format!("color {color}, {depth} bits, {interlaced} {transparent} at {x}, {y}");
                                assert_eq!(pixel, expected, "{what}");
                            }
                        }
                    }
                }
            }
        }
    }

    fn waves(x: u32, y: u32) -> Vec<u16> {
        [x * 3, y * 5, x + y].map(|value| u16::try_from(value % 256).unwrap()).to_vec()
    }

    #[test]
    fn rows_are_shrunk_as_the_whole_would_be() {
        let file = Written::new((301, 203), 8, 2).file(waves);
        let whole = decoded(&file, &Resize::default()).unwrap().0;
        for (width, factor) in [(61, 1), (60, 2), (30, 4), (1, 16)] {
            let params = Resize { width: Some(width), height: Some(1_000), ..Resize::default() };
            let (shrunk, by) = decoded(&file, &params).unwrap();
            let mut expected = Picture::default();
            expected.packed(whole.color, 301, 203).copy_from_slice(&whole.bytes);
            shrink::shrink(&mut expected, factor);
            assert!((by - 1.0 / f64::from(factor)).abs() < 1e-9, "{width}: {by}");
            assert_eq!((shrunk.width, shrunk.height), (expected.width, expected.height));
            assert_eq!(shrunk.bytes, expected.bytes);
        }
    }

    #[test]
    fn what_is_missing_is_blank() {
        for (color, missing) in [(2, 255), (6, 0)] {
            let with_alpha = |x, y| [waves(x, y), vec![9]].concat();
            let written = Written::new((101, 167), 8, color);
            let file = if color == 2 { written.file(waves) } else { written.file(with_alpha) };
            let whole = decoded(&file, &partial()).unwrap().0;
            let row = 101 * whole.color.channels();
            for tenths in 1..10 {
                let part = &file[..file.len() * tenths / 10];
                let fault = decoded(part, &Resize::default()).unwrap_err();
                assert_eq!(fault.reason, Reason::TruncatedImage, "{}", fault.detail);
                let ours = decoded(part, &partial()).unwrap().0;
                let rows =
                    (0..167).take_while(|n| ours.bytes[n * row..][..row] == whole.bytes[n * row..][..row]).count();
                assert!(rows.abs_diff(167 * tenths / 10) <= 3, "{rows} rows of {tenths} tenths");
                assert!(ours.bytes[rows * row..].iter().all(|byte| *byte == missing));
            }
            let small = Resize { width: Some(10), ..partial() };
            let (half, shrunk) = decoded(&file[..file.len() / 2], &small).unwrap();
            assert_eq!((half.bytes.last(), shrunk < 1.0), (Some(&missing), color == 2));
        }
    }

    #[test]
    fn of_an_interlaced_one_that_is_cut_the_first_passes_are_seen() {
        let file = Written { interlaced: true, ..Written::new((96, 80), 8, 2) }.file(waves);
        assert_eq!(decoded(&file[..file.len() / 3], &Resize::default()).unwrap_err().reason, Reason::TruncatedImage);
        let picture = decoded(&file[..file.len() / 3], &partial()).unwrap().0;
        // A third is more than the first five passes of seven: every other row and every other pixel of it.
        for (at, pixel) in (0..).zip(picture.bytes.chunks_exact(3)) {
            let (x, y) = (at % 96, at / 96);
            if y < 60 {
                let expected: Vec<u8> =
                    waves(x / 2 * 2, y / 2 * 2).iter().map(|sample| u8::try_from(*sample).unwrap()).collect();
                if x % 2 == 0 && y % 2 == 0 {
                    assert_eq!(pixel, expected, "{x}, {y}");
                }
            }
            assert_ne!(pixel, [0x77; 3], "of the picture before");
        }
    }

    #[test]
    fn a_flipped_bit_is_found() {
        let file = Written::new((101, 67), 8, 2).file(waves);
        for place in [60, 1_500, file.len() / 2, file.len() - 30] {
            let mut broken = file.clone();
            broken[place] ^= 0x10;
            let fault = decoded(&broken, &Resize::default()).unwrap_err();
            assert_eq!(fault.reason, Reason::CorruptImage, "{}", fault.detail);
        }

        let mut large = Written::new((400, 400), 8, 2).file(waves);
        let whole = decoded(&large, &partial()).unwrap().0;
        let place = large.len() / 2;
        large[place] ^= 1;
        let ours = decoded(&large, &partial()).unwrap().0;
        let rows = ours.bytes.iter().zip(&whole.bytes).take_while(|(a, b)| a == b).count() / 1_200;
        // What has been unpacked but not been looked at is lost with the rest.
        assert!((50..=200).contains(&rows), "{rows}");
        assert!(ours.bytes[1_200 * (rows + 1)..].iter().all(|byte| *byte == 255));
    }

    #[test]
    fn an_animations_default_image_is_read() {
        let file = Written::new((20, 10), 8, 2).file(waves);
        let expected = decoded(&file, &Resize::default()).unwrap().0.bytes;
        let header = 8 + 25;
        let frame = |width: u32, height: u32| {
            let sides = [width.to_be_bytes(), height.to_be_bytes()].concat();
            png_chunk(*b"fcTL", &[&[0; 4][..], &sides, &[0; 8], &[0, 1, 0, 1, 0, 0]].concat())
        };
        let count = png_chunk(*b"acTL", &[0, 0, 0, 1, 0, 0, 0, 0]);
        let animated = |frame: &[u8]| [&file[..header], &count, frame, &file[header..]].concat();
        for animated in [animated(&[]), animated(&frame(20, 10))] {
            assert_eq!(decoded(&animated, &Resize::default()).unwrap().0.bytes, expected);
        }
        let fault = decoded(&animated(&frame(20, 9)), &Resize::default()).unwrap_err();
        assert_eq!(fault.reason, Reason::CorruptImage, "{}", fault.detail);
    }
}
