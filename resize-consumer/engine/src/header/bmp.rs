//! A BMP's two headers. Source: Windows GDI, `BITMAPFILEHEADER`, `BITMAPCOREHEADER`, `BITMAPINFOHEADER` to
//! `BITMAPV5HEADER`.

use super::{Header, at, cut, index};
use crate::fault::Fault;
use crate::sniff::InputFormat;

const FILE_HEADER: usize = 14;

pub(super) fn read(input: &[u8]) -> Result<Header, Fault> {
    let cut = || cut(InputFormat::Bmp);
    let u16_at = |offset| at(input, FILE_HEADER + offset).map(u16::from_le_bytes).ok_or_else(cut);
    let u32_at = |offset| at(input, FILE_HEADER + offset).map(u32::from_le_bytes).ok_or_else(cut);
    let size = u32_at(0)?;
    if size == 12 {
        return Ok(Header::new(InputFormat::Bmp, (u16_at(4)?.into(), u16_at(6)?.into())));
    }
    if !matches!(size, 40 | 52 | 56 | 108 | 124) {
        return Err(Fault::feature(format!("a BMP with a header of {size} bytes")));
    }
    let compression = u32_at(16)?;
    if let Some(what) = unsupported(compression) {
        return Err(Fault::feature(format!("a BMP with {what}")));
    }
    // A negative height says that the first row is the upper one.
    let (width, height) = (u32_at(4)?.cast_signed(), u32_at(8)?.cast_signed());
    let width = u32::try_from(width).map_err(|_| Fault::corrupt("BMP", format!("its width is {width}")))?;
    let mut header = Header::new(InputFormat::Bmp, (width, height.unsigned_abs()));
    // Alpha has a mask of its own, or there is none.
    if compression == 3 && size >= 56 && u32_at(52)? != 0 {
        (header.has_alpha, header.channels) = (true, 4);
    }
    if size == 124 && u32_at(56)?.to_be_bytes() == *b"MBED" {
        let (start, length) = (index(u32_at(112)?), index(u32_at(116)?));
        let profile = input.get(FILE_HEADER..).and_then(|rest| rest.get(start..)?.get(..length));
        header.metadata_bytes = length as u64;
        header.icc = profile.map(<[u8]>::to_vec);
    }
    Ok(header)
}

fn unsupported(compression: u32) -> Option<&'static str> {
    match compression {
        0..=3 | 6 => None,
        4 => Some("a JPEG inside"),
        5 => Some("a PNG inside"),
        11..=13 => Some("CMYK pixels"),
        _ => Some("an unknown compression"),
    }
}
