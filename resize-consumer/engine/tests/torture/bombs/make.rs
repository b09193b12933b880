//! The pieces that bombs are made of.

use std::io::Write as _;

use contract::resize::{OutputFormat, Resize};
use engine::{Engine, Limits};

/// A small picture of ours, to be changed.
pub(super) fn picture(params: &Resize) -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/photos/rocket.jpg");
    let photo = std::fs::read(path).expect("the photographs are part of the repository");
    Engine::default().resize(&photo, params, &Limits::default()).unwrap().bytes
}

pub(super) fn jpeg(progressive: bool) -> Vec<u8> {
    picture(&Resize {
        width: Some(8),
        format: Some(OutputFormat::Jpeg),
        progressive: Some(progressive),
        ..Resize::default()
    })
}

/// The JPEG with other sides in its frame header.
pub(super) fn claiming(mut jpeg: Vec<u8>, width: u16, height: u16) -> Vec<u8> {
    let frame = jpeg.windows(3).position(|bytes| matches!(bytes, [0xFF, 0xC0 | 0xC2, 0])).unwrap();
    jpeg[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    jpeg[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    jpeg
}

/// The progressive JPEG with its last scan again and again.
pub(super) fn with_scans(jpeg: &[u8], more: usize) -> Vec<u8> {
    let last = jpeg.windows(2).rposition(|pair| pair == [0xFF, 0xDA]).unwrap();
    let end = jpeg.len() - 2;
    [&jpeg[..end], &jpeg[last..end].repeat(more), &jpeg[end..]].concat()
}

/// Right after the start.
pub(super) fn with_segments(jpeg: &[u8], marker: u8, data: &[u8], count: usize) -> Vec<u8> {
    let length = u16::try_from(data.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[&[0xFF, marker], &length[..], data].concat().repeat(count), &jpeg[2..]].concat()
}

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

pub(super) fn chunk(kind: [u8; 4], data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap().to_be_bytes();
    let body = [&kind, data].concat();
    [&length[..], &body, &crc(&body).to_be_bytes()].concat()
}

/// Source: PNG, third edition, annex D.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}

/// A PNG's depth, color type and method of interlacing.
pub(super) type Kind = [u8; 3];
pub(super) const BILEVEL: Kind = [1, 0, 0];
pub(super) const GRAY: Kind = [8, 0, 0];
pub(super) const RGBA_16_INTERLACED: Kind = [16, 6, 1];

pub(super) fn png(width: u32, height: u32, [depth, color, interlace]: Kind, chunks: &[u8]) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[depth, color, 0, 0, interlace]].concat();
    [SIGNATURE, &chunk(*b"IHDR", &header), chunks, &chunk(*b"IEND", b"")].concat()
}

/// A zlib stream of these bytes and zeros, at least so many: the pixels of a black PNG, whose rows start with a 0.
pub(super) fn zeros_after(start: &[u8], bytes: u32) -> Vec<u8> {
    const SIDE: u32 = 1 << 14;
    let mut black = Vec::new();
    let mut encoder = png::Encoder::new(&mut black, SIDE, bytes.div_ceil(SIDE));
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_filter(png::Filter::NoFilter);
    let mut writer = encoder.write_header().unwrap();
    let mut rows = writer.stream_writer().unwrap();
    let mut row = vec![0; SIDE as usize];
    row[..start.len()].copy_from_slice(start);
    for _ in 0..bytes.div_ceil(SIDE) {
        rows.write_all(&row).unwrap();
        row.fill(0);
    }
    rows.finish().unwrap();
    writer.finish().unwrap();

    let (mut stream, mut rest) = (Vec::new(), &black[SIGNATURE.len()..]);
    while let [a, b, c, d, kind @ ..] = rest {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        if kind.starts_with(b"IDAT") {
            stream.extend(&kind[4..4 + length]);
        }
        rest = &rest[length + 12..];
    }
    stream
}

pub(super) fn zeros(bytes: u32) -> Vec<u8> {
    zeros_after(&[], bytes)
}

/// `RIFF` around chunks.
pub(super) fn webp(chunks: &[Vec<u8>]) -> Vec<u8> {
    let body = chunks.concat();
    [b"RIFF", &u32::try_from(body.len() + 4).unwrap().to_le_bytes()[..], b"WEBP", &body].concat()
}

pub(super) fn riff(kind: [u8; 4], data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap().to_le_bytes();
    [&kind[..], &length, data, &[0][..data.len() % 2]].concat()
}

/// The extended header; the flags are of RFC 9649, section 2.7.
pub(super) fn canvas(flags: u8, width: u32, height: u32) -> Vec<u8> {
    let [w0, w1, w2, _] = (width - 1).to_le_bytes();
    let [h0, h1, h2, _] = (height - 1).to_le_bytes();
    riff(*b"VP8X", &[flags, 0, 0, 0, w0, w1, w2, h0, h1, h2])
}

/// A lossless picture of one color: each of its five codes has one symbol, so that pixels take no bits.
pub(super) fn flat_lossless(width: u32, height: u32) -> Vec<u8> {
    let sides = (width - 1) | (height - 1) << 14;
    // No transform, color cache or further code groups; then for each code: simple, one symbol, of 1 bit, which is 0.
    let codes = 0x11_111_u32 << 3;
    riff(*b"VP8L", &[&[0x2F][..], &sides.to_le_bytes(), &codes.to_le_bytes(), &[0; 8]].concat())
}

pub(super) fn gif(screen: [u16; 2], blocks: &[u8]) -> Vec<u8> {
    let [width, height] = screen.map(u16::to_le_bytes);
    [b"GIF89a", &width[..], &height, &[0x80, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF], blocks, b";"].concat()
}

/// A frame that has but one pixel, whatever it says.
pub(super) fn gif_frame(sides: [u16; 2]) -> Vec<u8> {
    let [width, height] = sides.map(u16::to_le_bytes);
    [&[0x2C, 0, 0, 0, 0][..], &width, &height, &[0, 2, 2, 0x44, 0x01, 0]].concat()
}

/// Little-endian, one directory at offset 8: tag, type, count and value of each entry; then `data`.
pub(super) fn tiff(entries: &[(u16, u16, u32, u32)], next: u32, data: &[u8]) -> Vec<u8> {
    [b"II*\0\x08\0\0\0", &directory(entries, next)[..], data].concat()
}

/// Where `data` starts in a [`tiff`] of so many entries.
pub(super) fn tiff_data_offset(entries: u32) -> u32 {
    8 + 2 + 12 * entries + 4
}

pub(super) fn directory(entries: &[(u16, u16, u32, u32)], next: u32) -> Vec<u8> {
    let count = u16::try_from(entries.len()).unwrap().to_le_bytes();
    let entries = entries.iter().map(|(tag, kind, count, value)| {
        [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value.to_le_bytes()].concat()
    });
    [&count[..], &entries.collect::<Vec<_>>().concat(), &next.to_le_bytes()].concat()
}

/// A BMP's headers, then `data`.
pub(super) fn bmp(width: i32, height: i32, bits: u16, compression: u32, data: &[u8]) -> Vec<u8> {
    let sides = [width.to_le_bytes(), height.to_le_bytes()].concat();
    let file = [&b"BM"[..], &[0; 8], &(54_u32 + 8).to_le_bytes()].concat();
    let info =
        [&40_u32.to_le_bytes()[..], &sides, &1_u16.to_le_bytes(), &bits.to_le_bytes(), &compression.to_le_bytes()];
    [&file[..], &info.concat(), &[0; 12], &2_u32.to_le_bytes(), &[0; 4], &[0; 4], &[0xFF, 0xFF, 0xFF, 0], data].concat()
}
