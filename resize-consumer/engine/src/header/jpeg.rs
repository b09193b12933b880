//! Walks a JPEG's segments up to the first scan; if there are more, counts them. Source: ITU-T T.81, annex B.

use std::io::BufRead as _;

use super::{Header, cut};
use crate::fault::Fault;
use crate::limits::Limits;
use crate::sniff::InputFormat;

const START: u8 = 0xD8;
const END: u8 = 0xD9;
const SCAN: u8 = 0xDA;

/// A frame header: the first segment that says how large the picture is.
struct Frame {
    progressive: bool,
    width: u16,
    height: u16,
    /// Samples across and down of each component, where the least has 1.
    components: Vec<(u8, u8)>,
    /// What the components are called.
    ids: Vec<u8>,
}

pub(super) fn read(input: &[u8], limits: &Limits) -> Result<Header, Fault> {
    let corrupt = |detail| Fault::corrupt("JPEG", detail);
    let cut = || cut(InputFormat::Jpeg);
    let mut header = Header::new(InputFormat::Jpeg, (0, 0));
    let (mut found, mut exif, mut profile) = (None, None, Profile::default());
    let (mut jfif, mut transformed) = (false, None);
    let mut rest = input.get(2..).ok_or_else(cut)?;
    let scan = loop {
        let (marker, segment, after) = segment(rest).ok_or_else(cut)?;
        match (marker, segment) {
            (0xC0..=0xC2 | 0xC9 | 0xCA, segment) if found.is_none() => found = Some(frame(marker, segment)?),
            (0xC0..=0xC2 | 0xC9 | 0xCA, _) => return Err(corrupt("it has more than one frame header")),
            (0xC3 | 0xCB | 0xF7, _) => return Err(Fault::feature("a lossless JPEG")),
            (0xC5..=0xC7 | 0xCD..=0xCF, _) => return Err(Fault::feature("a hierarchical JPEG")),
            (SCAN, segment) => {
                rest = after;
                break segment;
            }
            (START, _) => return Err(corrupt("it starts twice")),
            (END, _) => return Err(corrupt("it ends before its pixels")),
            (0xE0..=0xEF | 0xFE, segment) => {
                header.metadata_bytes += segment.len() as u64;
                if let (0xE1, Some(block)) = (marker, segment.strip_prefix(b"Exif\0")) {
                    exif = exif.or(block.get(1..));
                } else if let (0xEE, [b'A', b'd', b'o', b'b', b'e', _, _, _, _, _, _, transform, ..]) =
                    (marker, segment)
                {
                    transformed = Some(*transform);
                } else if marker == 0xE0 && segment.starts_with(b"JFIF\0") {
                    jfif = true;
                } else if let (0xE2, Some([number, count, data @ ..])) =
                    (marker, segment.strip_prefix(b"ICC_PROFILE\0"))
                {
                    profile.add(*number, *count, data);
                }
            }
            _ => {}
        }
        rest = after;
    };
    let frame = found.ok_or_else(|| corrupt("its pixels come before its sides"))?;
    header.stored = (frame.width.into(), frame.height.into());
    header.channels = frame.components.len().try_into().unwrap_or(u8::MAX);
    // Adobe's word that colors are not transformed (its technical note 5116) counts unless JFIF says that they are.
    header.chroma_shared = chroma_shared(&frame, !jfif && (transformed == Some(0) || &frame.ids == b"RGB"));
    if frame.progressive || usize::from(scan.first().copied().unwrap_or(0)) < frame.components.len() {
        header.scans = count_scans(rest, limits.scans);
        header.held_bytes = coefficient_bytes(&frame);
    }
    if let Some(block) = exif {
        header.take_exif(block);
    }
    if header.metadata_bytes <= limits.metadata_bytes {
        header.icc = profile.join();
    }
    Ok(header)
}

/// The next marker, its parameters and what follows, past what is no marker.
pub(crate) fn segment(mut input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let marker = next_marker(&mut input)?;
    if matches!(marker, 0x01 | 0xD0..=0xD9) {
        return Some((marker, &[], input));
    }
    let length = u16::from_be_bytes(*input.first_chunk()?);
    // A length of less than itself says nothing of what follows: look on right behind it.
    let (segment, after) = input.split_at_checked(usize::from(length).max(2))?;
    Some((marker, segment.get(2..)?, after))
}

fn next_marker(input: &mut &[u8]) -> Option<u8> {
    loop {
        // Reading memory can't fail. This is memchr.
        input.skip_until(0xFF).ok()?;
        while let Some(after_fill) = input.strip_prefix(b"\xff") {
            *input = after_fill;
        }
        let (&marker, after) = input.split_first()?;
        *input = after;
        if marker != 0 {
            return Some(marker);
        }
    }
}

fn frame(marker: u8, segment: &[u8]) -> Result<Frame, Fault> {
    let &[precision, h1, h0, w1, w0, count, ref components @ ..] = segment else { return Err(cut(InputFormat::Jpeg)) };
    if precision != 8 {
        return Err(Fault::feature(format!("a JPEG of {precision} bits per sample")));
    }
    if !matches!(count, 1 | 3 | 4) {
        return Err(Fault::feature(format!("a JPEG of {count} components")));
    }
    let (components, _) = components.as_chunks::<3>();
    let ids = components.iter().map(|[id, ..]| *id).collect();
    let components: Vec<_> = components.iter().take(count.into()).map(|[_, hv, _]| (hv >> 4, hv & 15)).collect();
    if components.len() != usize::from(count)
        || components.iter().any(|(h, v)| !(1..=4).contains(h) || !(1..=4).contains(v))
    {
        return Err(Fault::corrupt("JPEG", "its frame header is wrong"));
    }
    Ok(Frame {
        progressive: matches!(marker, 0xC2 | 0xCA),
        width: u16::from_be_bytes([w1, w0]),
        height: u16::from_be_bytes([h1, h0]),
        components,
        ids,
    })
}

/// Scans from the first on, at most one more than `limit`: the decoder goes over all pixels for each.
fn count_scans(mut rest: &[u8], limit: u32) -> u32 {
    let mut scans = 1;
    while scans <= limit {
        match next_marker(&mut rest) {
            Some(SCAN) => scans += 1,
            None | Some(END) => break,
            // What a segment between two scans holds is no marker.
            Some(0x02..=0xCF | 0xDB..) => {
                let length = rest.first_chunk().map_or(0, |length| u16::from_be_bytes(*length));
                rest = rest.get(usize::from(length)..).unwrap_or_default();
            }
            Some(_) => {}
        }
    }
    scans
}

/// What else there is, in sampling or color, is not decoded to planes.
fn chroma_shared(frame: &Frame, rgb: bool) -> u8 {
    match frame.components[..] {
        [(h @ (1 | 2), v @ (1 | 2)) | (h @ 4, v @ 1) | (h @ 1, v @ 4), (1, 1), (1, 1)] if !rgb => h * v,
        _ => 1,
    }
}

/// 64 of two bytes for each block, in whole MCUs (section A.2).
fn coefficient_bytes(frame: &Frame) -> u64 {
    const BLOCK_BYTES: u64 = 128;
    let most = |side: fn(&(u8, u8)) -> u8| u64::from(frame.components.iter().map(side).max().unwrap_or(1));
    let mcus = u64::from(frame.width).div_ceil(8 * most(|c| c.0)) * u64::from(frame.height).div_ceil(8 * most(|c| c.1));
    frame.components.iter().map(|(h, v)| mcus * u64::from(*h) * u64::from(*v) * BLOCK_BYTES).sum()
}

/// A color profile in parts. Source: ICC.1:2022, annex B.4.
#[derive(Default)]
struct Profile<'a> {
    parts: Vec<(u8, &'a [u8])>,
    counts: Vec<u8>,
}

impl<'a> Profile<'a> {
    fn add(&mut self, number: u8, count: u8, data: &'a [u8]) {
        self.parts.push((number, data));
        self.counts.push(count);
    }

    /// All of it, or nothing: each part must be there once.
    fn join(mut self) -> Option<Vec<u8>> {
        self.parts.sort_by_key(|(number, _)| *number);
        let whole = self.counts.iter().all(|count| usize::from(*count) == self.parts.len())
            && self.parts.iter().zip(1_u8..).all(|((number, _), expected)| *number == expected);
        (whole && !self.parts.is_empty()).then(|| self.parts.iter().flat_map(|(_, data)| *data).copied().collect())
    }
}
