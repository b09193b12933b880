//! The one thing that is read from EXIF: which way up the picture is.
//!
//! Source: CIPA DC-008 (Exif 2.32), sections 4.5.2 and 4.6.4; TIFF 6.0, section 2. EXIF that can't be read says
//! nothing: it never makes a good image a bad one.

use super::orient::Orientation;

const ORIENTATION: u16 = 0x0112;
const SHORT: u16 = 3;
const ENTRY_BYTES: usize = 12;

/// Reads the orientation from a TIFF block, with or without the `Exif\0\0` that JPEG puts before it.
pub(super) fn orientation(block: &[u8]) -> Option<Orientation> {
    let tiff = block.strip_prefix(b"Exif\0\0").unwrap_or(block);
    let little_endian = match tiff.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let u16_at = |bytes: [u8; 2]| if little_endian { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) };
    let u32_at = |bytes: [u8; 4]| if little_endian { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) };
    let directory = tiff.get(usize::try_from(u32_at(*tiff.get(4..)?.first_chunk()?)).ok()?..)?;
    let (count, entries) = directory.split_first_chunk()?;
    let entry = entries
        .chunks_exact(ENTRY_BYTES)
        .take(usize::from(u16_at(*count)))
        .find(|entry| entry.first_chunk().is_some_and(|tag| u16_at(*tag) == ORIENTATION))?;
    let kind = u16_at(*entry.get(2..)?.first_chunk()?);
    let value = u16_at(*entry.get(8..)?.first_chunk()?);
    (kind == SHORT).then(|| Orientation::from_exif(value)).flatten()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A TIFF block that holds one other tag and an orientation.
    pub(in crate::engine) fn block(value: u16, big_endian: bool) -> Vec<u8> {
        let u16_of = |v: u16| if big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
        let u32_of = |v: u32| if big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
        let mut tiff = if big_endian { b"MM\0*".to_vec() } else { b"II*\0".to_vec() };
        tiff.extend(u32_of(8));
        tiff.extend(u16_of(2));
        for (tag, value) in [(0x0103, 6), (ORIENTATION, value)] {
            tiff.extend(u16_of(tag));
            tiff.extend(u16_of(SHORT));
            tiff.extend(u32_of(1));
            tiff.extend(u16_of(value));
            tiff.extend([0, 0]);
        }
        tiff.extend(u32_of(0));
        tiff
    }

    #[test]
    fn both_byte_orders_with_and_without_the_prefix() {
        for big_endian in [false, true] {
            let tiff = block(6, big_endian);
            let prefixed = [&b"Exif\0\0"[..], &tiff].concat();
            assert_eq!(orientation(&tiff), Orientation::from_exif(6));
            assert_eq!(orientation(&prefixed), Orientation::from_exif(6));
        }
    }

    #[test]
    fn what_cannot_be_read_says_nothing() {
        let whole = block(6, false);
        for length in 0..whole.len() {
            // All that is needed ends with the entry's value.
            assert_eq!(orientation(&whole[..length]).is_some(), length >= whole.len() - 4, "{length} bytes");
        }
        assert_eq!(orientation(&block(0, true)), None);
        assert_eq!(orientation(&block(9, true)), None);
        let mut far = block(6, false);
        far[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(orientation(&far), None);
    }
}
