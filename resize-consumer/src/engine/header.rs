//! An image's sides and orientation, read from its header: by plain bounds-checked code, but for WebP's sides, which
//! libwebp reads from its first bytes. No codec decodes anything before the sides are known to be within the limits.

use webp::BitstreamFeatures;

use super::exif;
use super::fault::Fault;
use super::orient::Orientation;
use super::sniff::{ImageFormat, PNG_SIGNATURE};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) format: ImageFormat,
    /// Width and height before the picture is turned upright; neither is 0.
    pub(super) stored: (u32, u32),
    pub(super) orientation: Orientation,
}

pub(super) fn read(input: &[u8], format: ImageFormat) -> Result<Header, Fault> {
    let (stored, exif) = match format {
        ImageFormat::Jpeg => jpeg(input)?,
        ImageFormat::Png => png(input).ok_or_else(|| Fault::corrupt("PNG", "its header is cut short or wrong"))?,
        ImageFormat::Webp => webp(input)?,
    };
    if stored.0 == 0 || stored.1 == 0 {
        return Err(Fault::corrupt(format.name(), format!("its header says {}×{} pixels", stored.0, stored.1)));
    }
    Ok(Header { format, stored, orientation: exif.and_then(exif::orientation).unwrap_or_default() })
}

type SidesAndExif<'a> = ((u32, u32), Option<&'a [u8]>);

/// Walks the segments up to the first scan. Source: ITU-T T.81, annex B.
fn jpeg(input: &[u8]) -> Result<SidesAndExif<'_>, Fault> {
    let cut = || Fault::corrupt("JPEG", "its header is cut short or wrong");
    let (mut sides, mut exif) = (None, None);
    let mut rest = input.get(2..).ok_or_else(cut)?;
    loop {
        let (marker, segment, after) = jpeg_segment(rest).ok_or_else(cut)?;
        match (marker, segment) {
            // SOF0–2, 9 and 10: baseline, extended and progressive, Huffman or arithmetic.
            (0xC0..=0xC2 | 0xC9 | 0xCA, &[precision, h1, h0, w1, w0, ..]) => {
                if precision != 8 {
                    return Err(Fault::unsupported(format!("a JPEG of {precision} bits per sample")));
                }
                let frame = (u16::from_be_bytes([w1, w0]).into(), u16::from_be_bytes([h1, h0]).into());
                sides = sides.or(Some(frame));
            }
            (0xC3 | 0xC5..=0xC7 | 0xCB | 0xCD..=0xCF, _) => {
                return Err(Fault::unsupported("a lossless or hierarchical JPEG"));
            }
            (0xE1, segment) if segment.starts_with(b"Exif\0\0") => exif = exif.or(Some(segment)),
            (0xDA, _) => return Ok((sides.ok_or_else(cut)?, exif)),
            (0xD8 | 0xD9 | 0xC0..=0xC2 | 0xC9 | 0xCA, _) => return Err(cut()),
            _ => {}
        }
        rest = after;
    }
}

/// The marker at the start, its parameters and what follows.
fn jpeg_segment(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let mut rest = input.strip_prefix(b"\xff")?;
    while let Some(after_fill) = rest.strip_prefix(b"\xff") {
        rest = after_fill;
    }
    let (&marker, rest) = rest.split_first()?;
    if matches!(marker, 0x01 | 0xD0..=0xD9) {
        return Some((marker, &[], rest));
    }
    let length = u16::from_be_bytes(*rest.first_chunk()?);
    let (segment, after) = rest.split_at_checked(length.into())?;
    Some((marker, segment.get(2..)?, after))
}

const MAX_PNG_SIDE: u32 = i32::MAX.unsigned_abs();

/// Walks the chunks up to the pixels. Source: PNG, third edition, sections 5.3 and 11.2.1.
fn png(input: &[u8]) -> Option<SidesAndExif<'_>> {
    let (mut sides, mut exif) = (None, None);
    let mut rest = input.strip_prefix(PNG_SIGNATURE)?;
    loop {
        let (length, typed) = rest.split_first_chunk()?;
        let (kind, data) = typed.split_first_chunk::<4>()?;
        if kind == b"IDAT" {
            return Some((sides?, exif));
        }
        let (data, after) = data.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        match (kind, sides) {
            (b"IHDR", None) => {
                let (width, rest) = data.split_first_chunk()?;
                let (width, height) = (u32::from_be_bytes(*width), u32::from_be_bytes(*rest.first_chunk()?));
                sides = (width.max(height) <= MAX_PNG_SIDE).then_some((width, height));
            }
            (_, None) => return None, // also behind an IHDR that says too much
            (b"eXIf", _) => exif = Some(data),
            _ => {}
        }
        let (_crc, next) = after.split_first_chunk::<4>()?;
        rest = next;
    }
}

/// libwebp reads the sides, from the first bytes of the bitstream; we look whether the file is all there, and for EXIF.
/// Source: the WebP container specification, RFC 9649, section 2.
fn webp(input: &[u8]) -> Result<SidesAndExif<'_>, Fault> {
    let features = BitstreamFeatures::new(input).ok_or_else(|| Fault::corrupt("WebP", "its header is wrong"))?;
    if features.has_animation() {
        return Err(Fault::unsupported("an animated WebP"));
    }
    let chunks = riff_chunks(input).ok_or_else(|| Fault::corrupt("WebP", "it is cut short"))?;
    Ok(((features.width(), features.height()), webp_exif(chunks)))
}

/// What the RIFF header says is there, if it is there.
fn riff_chunks(input: &[u8]) -> Option<&[u8]> {
    let size = u32::from_le_bytes(*input.get(4..)?.first_chunk()?);
    input.get(8..)?.get(..usize::try_from(size).ok()?)?.get(4..)
}

fn webp_exif(mut chunks: &[u8]) -> Option<&[u8]> {
    loop {
        let (kind, rest) = chunks.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (data, after) = rest.split_at_checked(length)?;
        if kind == b"EXIF" {
            return Some(data);
        }
        chunks = after.get(length % 2..)?;
    }
}
