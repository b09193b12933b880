//! Walks a PNG's chunks. Source: PNG, third edition, sections 5.3 and 11.

use png::{StreamingDecoder, UnfilterRegion};

use super::{Header, at, cut, index, metadata_too_large};
use crate::fault::Fault;
use crate::limits::Limits;
use crate::sniff::{InputFormat, PNG_SIGNATURE};

const MAX_SIDE: u32 = i32::MAX.unsigned_abs();

pub(super) fn read(input: &[u8], limits: &Limits) -> Result<Header, Fault> {
    let cut = || cut(InputFormat::Png);
    let mut rest = input.get(PNG_SIGNATURE.len()..).unwrap_or_default();
    let (kind, data, after) = chunk(rest).ok_or_else(cut)?;
    let mut header = match &kind {
        b"IHDR" => header_chunk(data).ok_or_else(|| Fault::corrupt("PNG", "its header is wrong"))?,
        b"CgBI" => return Err(Fault::feature("a PNG as Apple's devices have it (CgBI)")),
        _ => return Err(Fault::corrupt("PNG", "it doesn't start with its header")),
    };
    rest = after;
    let mut before_pixels = true;
    loop {
        // What comes after the first pixels may be cut or wrong: the decoder looks at that.
        let (kind, data, after) = match chunk(rest) {
            Some(chunk) => chunk,
            None if before_pixels && !rest.get(4..).unwrap_or_default().starts_with(b"IDAT") => return Err(cut()),
            None => break,
        };
        match &kind {
            b"IDAT" => before_pixels = false,
            b"IEND" => break,
            b"tRNS" if before_pixels && !header.has_alpha => {
                header.has_alpha = true;
                header.channels += 1;
            }
            b"acTL" if before_pixels => header.frames = at(data, 0).map_or(1, |n| u32::from_be_bytes(n).max(1)),
            b"iCCP" if before_pixels && header.icc.is_none() => {
                header.icc = profile(data, limits)?;
                header.metadata_bytes += header.icc.as_ref().map_or(data.len(), Vec::len) as u64;
            }
            // In lower case: nothing that a decoder must know. The frames of an animation are such.
            [b'a'..=b'z', ..] if !matches!(&kind, b"fcTL" | b"fdAT" | b"tRNS" | b"acTL") => {
                header.metadata_bytes += data.len() as u64;
                if &kind == b"eXIf" {
                    header.take_exif(data);
                }
            }
            _ => {}
        }
        rest = after;
    }
    Ok(header)
}

/// The type and data of the first chunk, and what follows. Its CRC is the decoder's business.
fn chunk(input: &[u8]) -> Option<([u8; 4], &[u8], &[u8])> {
    let (length, kind) = (u32::from_be_bytes(at(input, 0)?), at(input, 4)?);
    let (data, after) = input.get(8..)?.split_at_checked(index(length))?;
    Some((kind, data, after.get(4..)?))
}

fn header_chunk(data: &[u8]) -> Option<Header> {
    let (width, height) = (u32::from_be_bytes(at(data, 0)?), u32::from_be_bytes(at(data, 4)?));
    let [depth, color, _, _, interlace] = at(data, 8)?;
    let (channels, has_alpha) = match color {
        0 => (1, false),
        2 | 3 => (3, false),
        4 => (2, true),
        6 => (4, true),
        _ => return None,
    };
    let sample_bytes = if depth == 16 { 2 } else { 1 };
    let interlaced = interlace != 0;
    (width.max(height) <= MAX_SIDE).then_some(Header {
        has_alpha,
        channels,
        sample_bytes,
        interlaced,
        ..Header::new(InputFormat::Png, (width, height))
    })
}

/// A name, the compression method and a zlib stream. The profile's own first bytes say how long it is: no more than
/// that is unpacked, and nothing if that is too much. One that can't be unpacked says nothing.
fn profile(data: &[u8], limits: &Limits) -> Result<Option<Vec<u8>>, Fault> {
    const HEADER_BYTES: usize = 128;
    let Some(name) = data.iter().take(80).position(|byte| *byte == 0) else { return Ok(None) };
    let Some((0, stream)) = data.get(name + 1..).and_then(<[u8]>::split_first).map(|(m, s)| (*m, s)) else {
        return Ok(None);
    };
    let Some(start) = unpack(stream, HEADER_BYTES) else { return Ok(None) };
    let bytes = at(&start, 0).map_or(0, u32::from_be_bytes);
    if !start[36..].starts_with(b"acsp") || index(bytes) < HEADER_BYTES {
        return Ok(None);
    }
    if u64::from(bytes) > limits.metadata_bytes {
        return Err(metadata_too_large(bytes.into(), limits));
    }
    Ok(unpack(stream, index(bytes)))
}

/// The first `bytes` of a zlib stream. The `png` crate unpacks nothing but pixels in pieces, so the stream is put where
/// they would be.
fn unpack(stream: &[u8], bytes: usize) -> Option<Vec<u8>> {
    const BEFORE: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0\x3a\x7e\x9b\x55";
    // So that the last symbols are not held back.
    const AFTER: &[u8] = &[0; 16];
    let length = u32::try_from(stream.len() + AFTER.len()).ok()?;
    let head = [BEFORE, &length.to_be_bytes(), b"IDAT"].concat();
    let (mut decoder, mut region, mut unpacked) = (StreamingDecoder::new(), UnfilterRegion::default(), vec![0; bytes]);
    for mut input in [&head[..], stream, AFTER] {
        while !input.is_empty() && region.filled < bytes {
            let before = region.filled;
            let (used, _) = decoder.update(input, Some(&mut region.as_buf(&mut unpacked))).ok()?;
            if used == 0 && region.filled == before {
                return None;
            }
            input = &input[used..];
        }
    }
    (region.filled == bytes).then_some(unpacked)
}
