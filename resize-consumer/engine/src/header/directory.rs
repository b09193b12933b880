//! TIFF's directories of tags: of a TIFF file, classic or Big, and of EXIF, which is a TIFF without a picture.
//!
//! Source: TIFF 6.0, section 2; BigTIFF's own page at libtiff.

use super::at;

/// One directory, its entries unread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Directory<'a> {
    file: &'a [u8],
    kind: Kind,
    entries: &'a [u8],
    whole: bool,
    next: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kind {
    little_endian: bool,
    /// 64-bit counts and offsets.
    big: bool,
}

impl Kind {
    fn of(file: &[u8]) -> Option<Self> {
        match at::<4>(file, 0)? {
            [b'I', b'I', b'*', 0] => Some(Self { little_endian: true, big: false }),
            [b'M', b'M', 0, b'*'] => Some(Self { little_endian: false, big: false }),
            [b'I', b'I', b'+', 0] => Some(Self { little_endian: true, big: true }),
            [b'M', b'M', 0, b'+'] => Some(Self { little_endian: false, big: true }),
            _ => None,
        }
    }

    /// A number of `size` bytes.
    fn number(self, bytes: &[u8], offset: usize, size: usize) -> Option<u64> {
        let bytes = bytes.get(offset..)?.get(..size)?;
        let push = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(if self.little_endian { bytes.iter().rev().fold(0, push) } else { bytes.iter().fold(0, push) })
    }

    fn word_bytes(self) -> usize {
        if self.big { 8 } else { 4 }
    }

    fn entry_bytes(self) -> usize {
        4 + 2 * self.word_bytes()
    }
}

impl<'a> Directory<'a> {
    /// The first one.
    pub(crate) fn first(file: &'a [u8]) -> Option<Self> {
        let kind = Kind::of(file)?;
        let offset = if kind.big { 8 } else { 4 };
        Self::at_offset(file, kind, kind.number(file, offset, kind.word_bytes())?)
    }

    fn at_offset(file: &'a [u8], kind: Kind, offset: u64) -> Option<Self> {
        let bytes = file.get(usize::try_from(offset).ok()?..)?;
        let count_bytes = if kind.big { 8 } else { 2 };
        let count = usize::try_from(kind.number(bytes, 0, count_bytes)?).ok()?;
        let rest = &bytes[count_bytes..];
        // A directory that is cut short is as good as its whole entries.
        let length = count.checked_mul(kind.entry_bytes())?;
        let entries = rest.get(..length).unwrap_or(rest);
        let next = kind.number(rest, length, kind.word_bytes()).unwrap_or(0);
        Some(Self { file, kind, entries, whole: entries.len() == length, next })
    }

    /// Are all of its entries there?
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// The offset of the next one, 0 for none.
    pub(crate) fn next_offset(&self) -> u64 {
        self.next
    }

    pub(crate) fn next(&self) -> Option<Self> {
        if self.next == 0 { None } else { Self::at_offset(self.file, self.kind, self.next) }
    }

    /// The bytes of a tag's value, with the size of one of its numbers.
    fn value(&self, tag: u16) -> Option<(usize, &'a [u8])> {
        let kind = self.kind;
        let entry = self
            .entries
            .chunks_exact(kind.entry_bytes())
            .find(|entry| kind.number(entry, 0, 2) == Some(u64::from(tag)))?;
        let size = match kind.number(entry, 2, 2)? {
            1 | 2 | 6 | 7 | 129 => 1,
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 | 16..=18 => 8,
            _ => return None,
        };
        let word = kind.word_bytes();
        let length = usize::try_from(kind.number(entry, 4, word)?).ok()?.checked_mul(size)?;
        let inline = entry.get(4 + word..)?;
        let bytes = if length <= word {
            inline
        } else {
            self.file.get(usize::try_from(kind.number(inline, 0, word)?).ok()?..)?
        };
        Some((size, bytes.get(..length)?))
    }

    pub(crate) fn bytes(&self, tag: u16) -> Option<&'a [u8]> {
        self.value(tag).map(|(_, bytes)| bytes)
    }

    /// How many numbers it has.
    pub(crate) fn count(&self, tag: u16) -> usize {
        self.value(tag).map_or(0, |(size, bytes)| bytes.len() / size)
    }

    /// The number at a place of a tag's value.
    pub(crate) fn number_at(&self, tag: u16, place: usize) -> Option<u64> {
        let (size, bytes) = self.value(tag)?;
        self.kind.number(bytes, place.checked_mul(size)?, size)
    }

    pub(crate) fn number(&self, tag: u16) -> Option<u64> {
        self.number_at(tag, 0)
    }

    /// How many bytes a tag's value has, wherever they are.
    pub(crate) fn length(&self, tag: u16) -> u64 {
        self.bytes(tag).map_or(0, |bytes| bytes.len() as u64)
    }

    pub(crate) fn side(&self, tag: u16) -> Option<u32> {
        self.number(tag)?.try_into().ok()
    }
}
