//! What is read from EXIF: which way up the picture is, who made it and whose it is.
//!
//! Source: CIPA DC-008 (Exif 2.32), sections 4.5.2, 4.6.4 and 4.6.5. EXIF that can't be read says nothing: it never
//! makes a good image a bad one.

use super::header::Directory;
use super::orient::Orientation;

const ORIENTATION: u16 = 0x0112;
const ARTIST: u16 = 0x013B;
const COPYRIGHT: u16 = 0x8298;

/// Longer ones are taken for something else.
const MAX_CREDIT_BYTES: usize = 8 << 10;

/// Who made the picture and whose it is: as stored, not empty, without the NULs at the end. Copyright may name the
/// photographer and the editor, with a NUL between.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Credits {
    pub(crate) artist: Option<Vec<u8>>,
    pub(crate) copyright: Option<Vec<u8>>,
}

/// Reads the orientation from a TIFF block, with or without the `Exif\0\0` that JPEG puts before it.
pub(crate) fn orientation(block: &[u8]) -> Option<Orientation> {
    let value = directory(block)?.number(ORIENTATION)?;
    Orientation::from_exif(value.try_into().ok()?)
}

pub(crate) fn credits(block: &[u8]) -> Credits {
    let Some(directory) = directory(block) else { return Credits::default() };
    let text = |tag| {
        let bytes = directory.bytes(tag)?;
        let end = bytes.iter().rposition(|byte| !matches!(byte, 0 | b' '))? + 1;
        (end <= MAX_CREDIT_BYTES).then(|| bytes[..end].to_vec())
    };
    Credits { artist: text(ARTIST), copyright: text(COPYRIGHT) }
}

fn directory(block: &[u8]) -> Option<Directory<'_>> {
    Directory::first(block.strip_prefix(b"Exif\0\0").unwrap_or(block))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const SHORT: u16 = 3;

    /// A TIFF block that holds one other tag and an orientation.
    pub(crate) fn block(value: u16, big_endian: bool) -> Vec<u8> {
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

    #[test]
    fn credits_are_read_as_stored() {
        let long = [b'a'; MAX_CREDIT_BYTES + 1];
        for (stored, expected) in [
            (&b"\xa9 1936 Abbott\0The Editor\0\0"[..], Some(&b"\xa9 1936 Abbott\0The Editor"[..])),
            (b"me \0 ", Some(b"me")),
            (b"me", Some(b"me")),
            (b" \0", None),
            (b"", None),
            (&long, None),
            (&long[1..], Some(&long[1..])),
        ] {
            for (tag, big_endian) in [(ARTIST, false), (COPYRIGHT, true)] {
                let block = text_block(tag, stored, big_endian);
                let credits = credits(&block);
                let (read, other) = if tag == ARTIST {
                    (credits.artist, credits.copyright)
                } else {
                    (credits.copyright, credits.artist)
                };
                assert_eq!(read.as_deref(), expected);
                assert_eq!(other, None);
                if stored.len() > 4 {
                    assert_eq!(super::credits(&block[..block.len() - 1]), Credits::default(), "a part is nothing");
                }
            }
        }
    }

    /// A TIFF block that holds one text.
    fn text_block(tag: u16, text: &[u8], big_endian: bool) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap();
        let mut value = if text.len() > 4 { 26_u32.to_le_bytes().to_vec() } else { [text, &[0; 4]].concat() };
        value.truncate(4);
        if big_endian && text.len() > 4 {
            value.reverse();
        }
        let [t, kind, one, eight] =
            [u32::from(tag), 2, 1, 8].map(|v| if big_endian { v.to_be_bytes() } else { v.to_le_bytes() });
        let half = |word: [u8; 4]| if big_endian { [word[2], word[3]] } else { [word[0], word[1]] };
        let length = if big_endian { length.to_be_bytes() } else { length.to_le_bytes() };
        let start: &[u8] = if big_endian { b"MM\0*" } else { b"II*\0" };
        let tail: &[u8] = if text.len() > 4 { text } else { b"" };
        [start, &eight, &half(one), &half(t), &half(kind), &length, &value, &[0; 4], tail].concat()
    }
}
