//! What libjpeg doesn't say of a JPEG's bytes, or takes offence at. Source: ITU-T T.81, annexes B and G.

use crate::header::jpeg_segment;

const SCAN: u8 = 0xDA;
const END: u8 = 0xD9;

/// Is every bit of every coefficient sent by some scan? A picture that is cut between two scans, and ended there, is
/// decoded without a warning.
pub(super) fn has_all_scans(input: &[u8]) -> bool {
    const UNSENT: u8 = u8::MAX;
    // For each component, by its id, the lowest bit that was sent of each coefficient: 0 is all of it.
    let mut sent: Vec<(u8, [u8; 64])> = Vec::new();
    let mut progressive = false;
    let mut rest = input.get(2..).unwrap_or_default();
    while let Some((marker, segment, after)) = jpeg_segment(rest) {
        match (marker, segment) {
            (0xC0..=0xC2 | 0xC9 | 0xCA, [_, _, _, _, _, _, components @ ..]) => {
                progressive = matches!(marker, 0xC2 | 0xCA);
                sent = components.as_chunks().0.iter().map(|&[id, _, _]| (id, [UNSENT; 64])).collect();
            }
            (SCAN, &[count, ref scan @ ..]) => {
                let Some((scanned, &[from, to, bits, ..])) = scan.split_at_checked(2 * usize::from(count)) else {
                    return false;
                };
                let (from, to, lowest) = if progressive { (from, to, bits & 15) } else { (0, 63, 0) };
                for (id, coefficients) in &mut sent {
                    if scanned.as_chunks().0.iter().any(|[scanned, _table]| scanned == id) {
                        coefficients
                            .iter_mut()
                            .take(usize::from(to) + 1)
                            .skip(from.into())
                            .for_each(|bit| *bit = lowest);
                    }
                }
            }
            (END, _) => break,
            _ => {}
        }
        rest = after;
    }
    sent.iter().all(|(_, coefficients)| coefficients.iter().all(|bit| *bit == 0))
}

/// A progressive JPEG without the scans that don't show when it is shrunk to so many eighths, and take most of its time:
///
/// | eighths | left out |
/// |---|---|
/// | 1 | all coefficients but the mean of each block. The first scan of others is kept: without any, libjpeg takes the means for estimates and smooths them |
/// | 2, 3 | the last bit of luma's coefficients, but not of the means |
///
/// `None` if it has none of these, or has no end: then the decoder should see all of it.
pub(super) fn without_fine_scans(input: &[u8], eighths: u32) -> Option<Vec<u8>> {
    let mut kept = Vec::new();
    // Where what is to be kept next starts; `None` within a scan that is left out.
    let mut kept_from = Some(0);
    let (mut luma, mut begun) = (None, Vec::new());
    let mut rest = input.get(2..)?;
    loop {
        let (marker, segment, after) = jpeg_segment(rest)?;
        rest = after;
        let marker_bytes = if marker == END { 2 } else { 4 };
        let start = input.len() - after.len() - segment.len() - marker_bytes;
        match (marker, segment) {
            // Restarts, within a scan.
            (0x01 | 0xD0..=0xD7, _) => continue,
            (0xC2 | 0xCA, [_, _, _, _, _, _, first, ..]) => luma = Some(*first),
            (0xC0 | 0xC1 | 0xC9, _) => return None,
            _ => {}
        }
        let from = *kept_from.get_or_insert(start);
        match (marker, segment) {
            (SCAN, [_, component, .., first, _, bits]) if *first > 0 => {
                let is_fine = match eighths {
                    1 => begun.contains(component),
                    2 | 3 => luma == Some(*component) && *bits == 0x10,
                    _ => false,
                };
                if is_fine {
                    kept.extend_from_slice(input.get(from..start)?);
                    kept_from = None;
                }
                begun.push(*component);
            }
            (END, _) if !kept.is_empty() => {
                kept.extend_from_slice(input.get(from..)?);
                return Some(kept);
            }
            (END, _) => return None,
            _ => {}
        }
    }
}

/// The JPEG, of so many components, without what libjpeg warns of up to the first scan's pixels and decodes all the same.
pub(super) fn without_oddities(input: &[u8], components: u8) -> Vec<u8> {
    let mut mended = b"\xFF\xD8".to_vec();
    let mut progressive = false;
    let mut rest = input.get(2..).unwrap_or_default();
    while let Some((marker, segment, after)) = jpeg_segment(rest) {
        rest = after;
        let mut segment = segment.to_vec();
        match (marker, &mut segment[..]) {
            (0xC2 | 0xCA, _) => progressive = true,
            // The one major revision that there is.
            (0xE0, [b'J', b'F', b'I', b'F', 0, major, ..]) => *major = 1,
            // What libjpeg takes an unknown transform for: YCbCr, or YCCK.
            (0xEE, [b'A', b'd', b'o', b'b', b'e', _, _, _, _, _, _, transform, ..]) => match (components, *transform) {
                (4, 0 | 2) | (..4, 0 | 1) => {}
                (4, _) => *transform = 2,
                _ => *transform = 1,
            },
            // Metadata, and markers that stand alone.
            (0xE0..=0xEF | 0xFE | 0x01 | 0xD0..=0xD9, _) => continue,
            // A baseline scan has all coefficients, whole.
            (SCAN, [.., from, to, bits]) if !progressive => (*from, *to, *bits) = (0, 63, 0),
            _ => {}
        }
        let length = u16::try_from(segment.len() + 2).unwrap_or(u16::MAX);
        mended.extend([0xFF, marker]);
        mended.extend(length.to_be_bytes());
        mended.append(&mut segment);
        if marker == SCAN {
            break;
        }
    }
    mended.extend_from_slice(rest);
    mended
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: &[u8] = b"\xFF\xC0\0\x11\x08\0\x08\0\x08\x03\x01\x11\0\x02\x11\0\x03\x11\0";
    const ALL: &[u8] = b"\xFF\xDA\0\x0C\x03\x01\0\x02\0\x03\0\0\x3F\0pixels";

    fn jpeg(parts: &[&[u8]]) -> Vec<u8> {
        [b"\xFF\xD8", &parts.concat()[..]].concat()
    }

    #[test]
    fn every_bit_of_every_coefficient_must_be_sent() {
        let progressive = FRAME.iter().map(|byte| if *byte == 0xC0 { 0xC2 } else { *byte }).collect::<Vec<u8>>();
        let scan = |id: u8, from: u8, to: u8, bits: u8| [0xFF, 0xDA, 0, 8, 1, id, 0, from, to, bits, 7, 0xFF, 0, 7];
        let (y, cb, cr) = (scan(1, 0, 63, 0), scan(2, 0, 63, 0), scan(3, 0, 63, 0));
        for (name, parts, expected) in [
            ("one baseline scan", vec![FRAME, ALL], true),
            ("no scan", vec![FRAME], false),
            ("three baseline scans", vec![FRAME, &y, &cb, &cr], true),
            ("two of three", vec![FRAME, &y, &cr], false),
            ("the third behind the end", vec![FRAME, &y, &cb, b"\xFF\xD9", &cr], false),
            ("restarts are no scans", vec![FRAME, &y, b"\xFF\xD0\x07\xFF\xD1\x07", &cb, &cr], true),
            ("all at once", vec![&progressive, &y, &cb, &cr], true),
            ("in bands", vec![&progressive, &scan(1, 0, 5, 0), &scan(1, 6, 63, 0), &cb, &cr], true),
            ("a band is missing", vec![&progressive, &scan(1, 0, 5, 0), &scan(1, 7, 63, 0), &cb, &cr], false),
            ("bit by bit", vec![&progressive, &scan(1, 0, 63, 1), &cb, &cr, &scan(1, 0, 63, 0x10)], true),
            ("a bit is missing", vec![&progressive, &scan(1, 0, 63, 1), &cb, &cr], false),
        ] {
            assert_eq!(has_all_scans(&jpeg(&parts)), expected, "{name}");
        }
    }

    #[test]
    fn fine_scans_are_left_out_of_a_whole_progressive_jpeg() {
        let progressive = FRAME.iter().map(|byte| if *byte == 0xC0 { 0xC2 } else { *byte }).collect::<Vec<u8>>();
        let scan = |id: u8, from: u8, to: u8, bits: u8| {
            [&b"\xFF\xC4\0\x03t\xFF\xDA\0\x08\x01"[..], &[id, 0, from, to, bits], b"\x07\xFF\0\x07\xFF\xD3\x07"]
                .concat()
        };
        let table = &scan(1, 0, 0, 0)[..5];
        let (mean, rough, fine, chroma) =
            (scan(1, 0, 0, 0), scan(1, 1, 63, 1), scan(1, 1, 63, 0x10), scan(2, 1, 63, 0x10));
        let end = b"\xFF\xD9garbage";
        let whole = jpeg(&[&progressive, &mean, &rough, &fine, &chroma, &chroma, end]);
        let thumb = jpeg(&[&progressive, &mean, &rough, table, &chroma, table, end]);
        let small = jpeg(&[&progressive, &mean, &rough, table, &chroma, &chroma, end]);
        for (eighths, expected) in [(1, Some(thumb)), (2, Some(small.clone())), (3, Some(small)), (4, None), (8, None)]
        {
            assert!(without_fine_scans(&whole, eighths) == expected, "{eighths}");
        }
        for (name, input) in [
            ("cut", whole[..whole.len() - end.len()].to_vec()),
            ("baseline", jpeg(&[FRAME, &mean, &rough, &fine, end])),
            ("nothing fine", jpeg(&[&progressive, &mean, end])),
        ] {
            assert_eq!(without_fine_scans(&input, 1), None, "{name}");
        }
    }

    #[test]
    fn oddities_are_mended_and_all_else_is_kept() {
        let adobe = |transform: u8| [&b"\xFF\xEE\0\x0EAdobe\0\x64\0\0\0\0"[..], &[transform]].concat();
        let jfif = |major: u8| [&b"\xFF\xE0\0\x0AJFIF\0"[..], &[major, 2, 0]].concat();
        let odd_scan = [&ALL[..11], b"\0\0\x01pixels"].concat();
        let end = [FRAME, ALL].concat();
        for (name, components, odd, expected) in [
            ("a revision", 3, [&jfif(7), &end[..]].concat(), [&jfif(1), &end[..]].concat()),
            ("a transform", 3, [&adobe(2), &end[..]].concat(), [&adobe(1), &end[..]].concat()),
            ("a transform of four", 4, [&adobe(1), &end[..]].concat(), [&adobe(2), &end[..]].concat()),
            ("RGB", 3, [&adobe(0), &end[..]].concat(), [&adobe(0), &end[..]].concat()),
            ("CMYK", 4, [&adobe(0), &end[..]].concat(), [&adobe(0), &end[..]].concat()),
            ("garbage", 3, [b"garbage", FRAME, b"\0more", ALL].concat(), end.clone()),
            ("metadata", 3, [b"\xFF\xE1\0\x06Exif\xFF\xFE\0\x04??", &end[..]].concat(), end.clone()),
            ("a scan's parameters", 3, [FRAME, &odd_scan].concat(), end.clone()),
        ] {
            assert_eq!(without_oddities(&jpeg(&[&odd]), components), jpeg(&[&expected]), "{name}");
        }
    }
}
