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
