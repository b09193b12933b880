//! Copyright and artist, as EXIF, into an image that has been encoded: the one thing that is carried over, on request.

use crate::exif::Credits;
use crate::sniff::ImageFormat;

/// Of each text; what is longer is left out, not cut.
const TEXT_BYTES: usize = 4_096;

/// `bytes` with the credits, if there are any.
pub(super) fn put(bytes: Vec<u8>, format: ImageFormat, credits: &Credits) -> Vec<u8> {
    let Some(tiff) = tiff(credits) else { return bytes };
    let with = match format {
        ImageFormat::Jpeg => jpeg(&bytes, &tiff),
        ImageFormat::Png => png(&bytes, &tiff),
        ImageFormat::Webp => webp(&bytes, &tiff),
    };
    with.unwrap_or(bytes)
}

/// A TIFF block of one directory. Source: TIFF 6.0, section 2; CIPA DC-008 (Exif 2.32), section 4.6.4.
fn tiff(credits: &Credits) -> Option<Vec<u8>> {
    const ARTIST: u16 = 0x013B;
    const COPYRIGHT: u16 = 0x8298;
    const ASCII: u16 = 2;
    const HEADER_BYTES: usize = 8;
    const ENTRY_BYTES: usize = 12;
    /// What fits into the entry itself.
    const VALUE_BYTES: usize = 4;

    // In the order of their tags, as TIFF wants them, each with the NUL that ends it.
    let entries: Vec<(u16, Vec<u8>)> = [(ARTIST, &credits.artist), (COPYRIGHT, &credits.copyright)]
        .into_iter()
        .filter_map(|(tag, text)| Some((tag, text.as_ref()?)))
        .filter(|(_, text)| !text.is_empty() && text.len() <= TEXT_BYTES)
        .map(|(tag, text)| (tag, [text, &b"\0"[..]].concat()))
        .collect();
    if entries.is_empty() {
        return None;
    }
    let mut tiff = b"MM\0*\0\0\0\x08".to_vec();
    tiff.extend(u16::try_from(entries.len()).ok()?.to_be_bytes());
    let mut texts = Vec::new();
    let texts_at = HEADER_BYTES + 2 + entries.len() * ENTRY_BYTES + 4;
    for (tag, text) in &entries {
        tiff.extend(tag.to_be_bytes());
        tiff.extend(ASCII.to_be_bytes());
        tiff.extend(u32::try_from(text.len()).ok()?.to_be_bytes());
        if text.len() <= VALUE_BYTES {
            tiff.extend(text);
            tiff.resize(tiff.len() + VALUE_BYTES - text.len(), 0);
        } else {
            tiff.extend(u32::try_from(texts_at + texts.len()).ok()?.to_be_bytes());
            texts.extend(text);
            texts.resize(texts.len().next_multiple_of(2), 0);
        }
    }
    tiff.extend([0; 4]); // no other directory
    tiff.extend(texts);
    Some(tiff)
}

/// An APP1 segment behind JFIF's APP0, which wants to be the first. Source: ITU-T T.81, annex B; JFIF 1.02.
fn jpeg(bytes: &[u8], tiff: &[u8]) -> Option<Vec<u8>> {
    let at = match bytes.get(2..6)? {
        &[0xFF, 0xE0, high, low] => 4 + usize::from(u16::from_be_bytes([high, low])),
        _ => 2,
    };
    let (head, rest) = bytes.split_at_checked(at)?;
    let signature = b"Exif\0\0";
    let length = u16::try_from(2 + signature.len() + tiff.len()).ok()?;
    Some([head, b"\xFF\xE1", &length.to_be_bytes(), signature, tiff, rest].concat())
}

/// An eXIf chunk behind the header. Source: PNG, third edition, sections 5 and 11.3.4.5.
fn png(bytes: &[u8], tiff: &[u8]) -> Option<Vec<u8>> {
    const HEADER_END: usize = 8 + 4 + 4 + 13 + 4;
    let (head, rest) = bytes.split_at_checked(HEADER_END)?;
    let typed = [b"eXIf", tiff].concat();
    let length = u32::try_from(tiff.len()).ok()?;
    Some([head, &length.to_be_bytes(), &typed, &crc(&typed).to_be_bytes(), rest].concat())
}

/// Source: PNG, third edition, annex D. Bit by bit: it is for a few bytes.
fn crc(bytes: &[u8]) -> u32 {
    let bit = |crc: u32, _| if crc & 1 == 1 { 0xEDB8_8320 ^ (crc >> 1) } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), bit))
}

/// An EXIF chunk at the end, and an extended header, made if there is none. Source: RFC 9649, section 2.7.
fn webp(bytes: &[u8], tiff: &[u8]) -> Option<Vec<u8>> {
    const EXIF: u8 = 1 << 3;
    const ALPHA: u8 = 1 << 4;
    let chunks = bytes.get(12..)?;
    let mut body = if chunks.starts_with(b"VP8X") {
        chunks.to_vec()
    } else {
        let (width, height, has_alpha) = match chunks.get(..8)? {
            // Behind the frame's tag and start code: 14 bits each (RFC 6386, section 9.1).
            [b'V', b'P', b'8', b' ', ..] => {
                let side = |at: usize| Some(u16::from_le_bytes(*chunks.get(at..)?.first_chunk()?) & 0x3FFF);
                (u32::from(side(14)?), u32::from(side(16)?), false)
            }
            // Behind the signature: 14 bits of width − 1, 14 of height − 1, one of alpha (RFC 9649, section 3.4).
            [b'V', b'P', b'8', b'L', ..] => {
                let bits = u32::from_le_bytes(*chunks.get(9..)?.first_chunk()?);
                ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bits >> 28 & 1 == 1)
            }
            _ => return None,
        };
        let less_one = |side: u32| side.checked_sub(1).map(u32::to_le_bytes);
        let ([w0, w1, w2, _], [h0, h1, h2, _]) = (less_one(width)?, less_one(height)?);
        let flags = if has_alpha { ALPHA } else { 0 };
        [&b"VP8X\x0A\0\0\0"[..], &[flags, 0, 0, 0, w0, w1, w2, h0, h1, h2], chunks].concat()
    };
    *body.get_mut(8)? |= EXIF;
    body.extend(b"EXIF");
    body.extend(u32::try_from(tiff.len()).ok()?.to_le_bytes());
    body.extend(tiff);
    body.resize(body.len().next_multiple_of(2), 0);
    let size = u32::try_from(body.len() + 4).ok()?;
    Some([b"RIFF", &size.to_le_bytes(), b"WEBP", &body[..]].concat())
}
