//! Walks a WebP's chunks. Sources: RFC 9649, sections 2 and 3.4; RFC 6386, section 9.1.

use super::{Frame, Header, at, cut, index};
use crate::fault::Fault;
use crate::limits::Limits;
use crate::sniff::InputFormat;

/// Before the first chunk: `RIFF`, the size of all that follows it, `WEBP`.
const START: usize = 12;
const ANIMATION: u8 = 0x02;
const ALPHA: u8 = 0x10;

struct Chunk<'a> {
    kind: [u8; 4],
    data: &'a [u8],
    /// Where the next one starts.
    end: usize,
    whole: bool,
}

pub(super) fn read(input: &[u8], limits: &Limits) -> Result<Header, Fault> {
    let corrupt = |detail| Fault::corrupt("WebP", detail);
    let size = at(input, 4).map(u32::from_le_bytes).ok_or_else(|| cut(InputFormat::Webp))?;
    // The last byte may be padding that nobody wrote. A size that is too small says nothing of what is there.
    let said = index(size).saturating_add(8);
    let mut header = Header::new(InputFormat::Webp, (0, 0));
    header.truncated = said > input.len() + 1;
    let end = if said < START + 8 { input.len() } else { said.min(input.len()) };
    let body = &input[..end];

    let (mut extended, mut picture_start) = (false, None);
    let (mut frames, mut place) = (0_u32, START);
    while let Some(chunk) = chunk(body, place) {
        match (&chunk.kind, chunk.data) {
            (b"VP8X", &[flags, _, _, _, w0, w1, w2, h0, h1, h2, ..]) if place == START => {
                extended = flags & ANIMATION != 0;
                header.has_alpha = flags & ALPHA != 0;
                header.stored = (1 + uint24([w0, w1, w2]), 1 + uint24([h0, h1, h2]));
            }
            (b"ALPH", _) => picture_start = picture_start.or(Some(place)),
            (b"VP8 " | b"VP8L", data) if header.frame.is_none() && !extended => {
                let (width, height) = picture(&mut header, chunk.kind, data)?;
                let chunks = picture_start.unwrap_or(place)..chunk.end.min(end);
                header.has_alpha |= picture_start.is_some();
                header.truncated |= !chunk.whole;
                header.stored = (width, height);
                header.frame = Some(Frame { chunks, left: 0, top: 0, width, height });
            }
            (b"ANMF", data) if frames <= limits.frames => {
                if frames == 0 {
                    first_frame(&mut header, data, chunk.end.min(end), place + 8, chunk.whole)?;
                }
                frames += 1;
            }
            (b"ICCP", data) => {
                header.metadata_bytes += data.len() as u64;
                if header.icc.is_none() && header.metadata_bytes <= limits.metadata_bytes {
                    header.icc = Some(data.to_vec());
                }
            }
            (b"VP8 " | b"VP8L" | b"VP8X" | b"ANIM" | b"ANMF", _) => {}
            (kind, data) => {
                header.metadata_bytes += data.len() as u64;
                if kind == b"EXIF" {
                    header.take_exif(data);
                }
            }
        }
        place = chunk.end;
    }
    header.frames = frames.max(1);
    header.channels = if header.has_alpha { 4 } else { 3 };
    match header.frame {
        Some(_) => Ok(header),
        None if header.truncated => Err(cut(InputFormat::Webp)),
        None => Err(corrupt("it has no picture")),
    }
}

/// `None` at the end, or where not even a chunk's start is left.
fn chunk(body: &[u8], place: usize) -> Option<Chunk<'_>> {
    let length = index(u32::from_le_bytes(at(body, place + 4)?));
    let rest = &body[place + 8..];
    let data = rest.get(..length).unwrap_or(rest);
    let end = place.saturating_add(8).saturating_add(length).saturating_add(length % 2);
    Some(Chunk { kind: at(body, place)?, data, end, whole: data.len() == length })
}

/// The sides of a bitstream; notes what kind it is.
fn picture(header: &mut Header, kind: [u8; 4], data: &[u8]) -> Result<(u32, u32), Fault> {
    let cut = || cut(InputFormat::Webp);
    if &kind == b"VP8L" {
        let [signature, bits @ ..]: [u8; 5] = at(data, 0).ok_or_else(cut)?;
        if signature != 0x2F {
            return Err(Fault::corrupt("WebP", "its lossless picture has no signature"));
        }
        let bits = u32::from_le_bytes(bits);
        header.lossless = true;
        header.has_alpha |= bits >> 28 & 1 == 1;
        return Ok((1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)));
    }
    let [tag, _, _, 0x9D, 0x01, 0x2A, w0, w1, h0, h1] = at(data, 0).ok_or_else(cut)? else {
        return Err(Fault::corrupt("WebP", "its picture has no start code"));
    };
    if tag & 1 != 0 {
        return Err(Fault::corrupt("WebP", "its picture is no key frame"));
    }
    let side = |bytes| u32::from(u16::from_le_bytes(bytes) & 0x3FFF);
    Ok((side([w0, w1]), side([h0, h1])))
}

/// The picture within the first `ANMF`, whose data starts at `start`.
fn first_frame(header: &mut Header, data: &[u8], end: usize, start: usize, whole: bool) -> Result<(), Fault> {
    let [x0, x1, x2, y0, y1, y2, w0, w1, w2, h0, h1, h2, _, _, _, _]: [u8; 16] =
        at(data, 0).ok_or_else(|| cut(InputFormat::Webp))?;
    let (left, top) = (2 * uint24([x0, x1, x2]), 2 * uint24([y0, y1, y2]));
    let (width, height) = (1 + uint24([w0, w1, w2]), 1 + uint24([h0, h1, h2]));
    let mut place = 16;
    while let Some(chunk) = chunk(data, place) {
        header.has_alpha |= &chunk.kind == b"ALPH";
        if let b"VP8 " | b"VP8L" = &chunk.kind {
            let sides = picture(header, chunk.kind, chunk.data)?;
            let (canvas_width, canvas_height) = header.stored;
            if sides != (width, height) || left + width > canvas_width || top + height > canvas_height {
                return Err(Fault::corrupt("WebP", "its first frame is not of the size it says"));
            }
            header.has_alpha |= sides != header.stored;
            header.truncated |= !whole;
            header.frame = Some(Frame { chunks: start + 16..end, left, top, width, height });
            return Ok(());
        }
        place = chunk.end;
    }
    Err(Fault::corrupt("WebP", "its first frame has no picture"))
}

fn uint24([low, middle, high]: [u8; 3]) -> u32 {
    u32::from_le_bytes([low, middle, high, 0])
}
