//! What an image's header says: sides, orientation, color profile, and all that the limits are checked against.
//!
//! It is read by plain bounds-checked code of ours, one file for each format, before any codec sees the image. Nothing
//! is unpacked but a PNG's color profile, and that no further than the limit. What real viewers open is read: junk
//! between segments, wrong sizes of containers, broken metadata. What comes after the pixels is for the decoder to judge.

mod bmp;
mod directory;
mod gif;
mod jpeg;
mod png;
#[cfg(test)]
mod tests;
mod tiff;
mod webp;

use std::ops::Range;

use contract::usage::Reason;

use super::exif::Credits;
use super::fault::Fault;
use super::limits::Limits;
use super::orient::Orientation;
use super::sniff::InputFormat;

pub(crate) use self::directory::Directory;
pub(crate) use self::jpeg::segment as jpeg_segment;

#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Header {
    pub(crate) format: InputFormat,
    /// Width and height before the picture is turned upright; neither is 0.
    pub(crate) stored: (u32, u32),
    pub(crate) orientation: Orientation,
    /// May it be transparent anywhere?
    pub(crate) has_alpha: bool,
    /// Channels of a pixel as it is decoded: 1 to 4, alpha among them.
    pub(crate) channels: u8,
    /// Of a JPEG: how many pixels share a sample of chroma; 1 for all others.
    pub(crate) chroma_shared: u8,
    /// Bytes of a stored sample: 1, or 2 for more than 8 bits.
    pub(crate) sample_bytes: u8,
    /// At least 1. Only the first is resized.
    pub(crate) frames: u32,
    /// Of a JPEG: passes over all pixels; 1 for all others.
    pub(crate) scans: u32,
    /// What its decoder holds of the picture, at its stored size, beside the pixels that it gives: a JPEG's
    /// coefficients if it has several scans, a TIFF's samples, a GIF's frame that is not its canvas.
    pub(crate) held_bytes: u64,
    /// Of a TIFF: strips or tiles, each of which starts a decoder; 0 for all others.
    pub(crate) parts: u32,
    /// A PNG of Adam7.
    pub(crate) interlaced: bool,
    /// A WebP of VP8L.
    pub(crate) lossless: bool,
    /// The container says that there is more than there is.
    pub(crate) truncated: bool,
    /// Of a WebP: where its first picture is.
    pub(crate) frame: Option<Frame>,
    /// The embedded color profile, unpacked. Nothing is known of it but its length.
    pub(crate) icc: Option<Vec<u8>>,
    /// EXIF's copyright and artist.
    pub(crate) credits: Credits,
    /// Color profile, EXIF, XMP, text and whatever else is no picture. What we unpack counts unpacked; what is never
    /// unpacked counts as it lies there.
    pub(crate) metadata_bytes: u64,
}

/// A WebP's picture. libwebp takes its chunks without the container, so the container's size may be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// `VP8 ` or `VP8L`, and `ALPH` before it if there is one, as bytes of the input; cut where the input is.
    pub(crate) chunks: Range<usize>,
    /// Where it stands on the canvas, within it.
    pub(crate) left: u32,
    pub(crate) top: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl Header {
    /// Of the plainest picture.
    pub(crate) fn new(format: InputFormat, stored: (u32, u32)) -> Self {
        Self {
            format,
            stored,
            orientation: Orientation::default(),
            has_alpha: false,
            channels: 3,
            chroma_shared: 1,
            sample_bytes: 1,
            frames: 1,
            scans: 1,
            held_bytes: 0,
            parts: 0,
            interlaced: false,
            lossless: false,
            truncated: false,
            frame: None,
            icc: None,
            credits: Credits::default(),
            metadata_bytes: 0,
        }
    }

    pub(crate) fn pixels(&self) -> u64 {
        u64::from(self.stored.0) * u64::from(self.stored.1)
    }

    /// Takes what EXIF says, unless it says nothing.
    fn take_exif(&mut self, block: &[u8]) {
        self.orientation = super::exif::orientation(block).unwrap_or_default();
        self.credits = super::exif::credits(block);
    }
}

/// Counting stops one past a limit: [`Limits::check_header`] then refuses.
pub(crate) fn read(input: &[u8], format: InputFormat, limits: &Limits) -> Result<Header, Fault> {
    let header = match format {
        InputFormat::Jpeg => jpeg::read(input, limits),
        InputFormat::Png => png::read(input, limits),
        InputFormat::Webp => webp::read(input, limits),
        InputFormat::Gif => gif::read(input, limits),
        InputFormat::Bmp => bmp::read(input),
        InputFormat::Tiff => tiff::read(input, limits),
    }?;
    let (width, height) = header.stored;
    if width == 0 || height == 0 {
        return Err(Fault::corrupt(format.title(), format!("its header says {width}×{height} pixels")));
    }
    Ok(header)
}

/// For a header that ends too early. It is the same fault whatever is missing.
fn cut(format: InputFormat) -> Fault {
    Fault::truncated(format.title(), "its header is cut short")
}

fn metadata_too_large(bytes: u64, limits: &Limits) -> Fault {
    let limit = limits.metadata_bytes;
    Fault::new(Reason::MetadataTooLarge, format!("{bytes} bytes of metadata; the limit is {limit}"))
}

/// The bytes at a place, if they are all there.
fn at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

fn index(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
