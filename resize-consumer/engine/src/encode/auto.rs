//! `auto`: the smallest sensible format among those that the reader takes, decided by the output's own pixels.
//!
//! | the output | is encoded as | taken is |
//! |---|---|---|
//! | is flat: half of its pixels or more are as the one to their left (a drawing, a text, a screenshot) | a lossless and a lossy image: both WebP, or where WebP is not accepted PNG and JPEG | the lossless one, if it is at most twice as large |
//! | is anything else, a photograph | JPEG and lossy WebP; PNG if neither is accepted | the smaller |
//! | is transparent anywhere | the same, but never JPEG | |
//! | is to be lossless | PNG and lossless WebP | the smaller |
//!
//! So an image is encoded twice at most.

use super::Encoder;
use crate::convert;
use crate::fault::Fault;
use crate::params::{Accepted, Wanted};
use crate::picture::{Color, Picture};
use crate::sniff::ImageFormat;

/// A format, and whether it is to be lossless.
type Candidate = (ImageFormat, bool);
/// A drawing is worth more without the blurs of a lossy format; something on a plain background, a photograph of a product,
/// is several times larger without them.
const LOSSLESS_IS_WORTH: usize = 2;

const JPEG: Candidate = (ImageFormat::Jpeg, false);
const WEBP: Candidate = (ImageFormat::Webp, false);
const LOSSLESS_WEBP: Candidate = (ImageFormat::Webp, true);
const PNG: Candidate = (ImageFormat::Png, true);

pub(super) fn encode(
    encoder: &mut Encoder,
    accepted: Accepted,
    picture: &mut Picture,
    wanted: &Wanted,
    spare: &mut Picture,
) -> Result<(Vec<u8>, ImageFormat), Fault> {
    let transparent = is_transparent(picture);
    if !transparent {
        // Drops a channel that says nothing.
        convert::flatten(picture, wanted.opaque_background(), spare);
    }
    let accepted = Accepted { jpeg: accepted.jpeg && !transparent, ..accepted };
    let candidates = candidates(accepted, picture, wanted.lossless);
    let mut encode = |(format, lossless)| {
        let bytes = encoder.encode_as(format, picture, &Wanted { lossless, ..*wanted }, spare)?;
        Ok((bytes, format))
    };
    match candidates {
        [Some(first), Some(second)] => {
            let worth = if first.1 && !second.1 { LOSSLESS_IS_WORTH } else { 1 };
            let (first, second) = (encode(first)?, encode(second)?);
            Ok(if first.0.len() <= worth * second.0.len() { first } else { second })
        }
        [Some(only), None] | [None, Some(only)] => encode(only),
        [None, None] => Err(Fault::engine("encode", "no format is accepted")),
    }
}

fn candidates(accepted: Accepted, picture: &Picture, lossless: bool) -> [Option<Candidate>; 2] {
    let Accepted { jpeg, png, webp } = accepted;
    let (jpeg, png) = (jpeg.then_some(JPEG), png.then_some(PNG));
    let (lossy_webp, lossless_webp) = (webp.then_some(WEBP), webp.then_some(LOSSLESS_WEBP));
    if lossless {
        [png, lossless_webp]
    } else if is_flat(picture) {
        [lossless_webp.or(png), lossy_webp.or(jpeg)]
    } else if !webp && jpeg.is_none() {
        [png, None]
    } else if picture.color == Color::VideoYcc {
        // As its planes are, so that they are not converted there and back.
        [lossy_webp, jpeg]
    } else {
        [jpeg, lossy_webp]
    }
}

fn is_transparent(picture: &Picture) -> bool {
    let mut pixels = picture.bytes.chunks_exact(picture.color.channels());
    picture.color.has_alpha() && pixels.any(|pixel| pixel.last() != Some(&u8::MAX))
}

/// What comes as planes was a photograph to whoever made it.
fn is_flat(picture: &Picture) -> bool {
    match picture.color {
        Color::Gray => half_repeat::<1>(picture),
        Color::GrayAlpha => half_repeat::<2>(picture),
        Color::Rgb => half_repeat::<3>(picture),
        Color::Rgba => half_repeat::<4>(picture),
        Color::Ycc | Color::VideoYcc | Color::Cmyk => false,
    }
}

fn half_repeat<const CHANNELS: usize>(picture: &Picture) -> bool {
    let rows = picture.bytes.as_chunks::<CHANNELS>().0.chunks_exact(picture.width as usize);
    let repeated = |row: &[[u8; CHANNELS]]| row.windows(2).filter(|pair| pair[0] == pair[1]).count() as u64;
    2 * rows.map(repeated).sum::<u64>() >= picture.pixel_count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_pixels_alike_is_flat() {
        let of = |color: Color, width: u32, bytes: &[u8]| {
            let mut picture = Picture::default();
            let height = u32::try_from(bytes.len() / color.channels()).unwrap() / width;
            picture.packed(color, width, height).copy_from_slice(bytes);
            is_flat(&picture)
        };
        assert!(of(Color::Gray, 6, &[1, 1, 2, 2, 3, 3]));
        assert!(!of(Color::Gray, 6, &[1, 1, 2, 2, 3, 4]), "one less");
        assert!(!of(Color::Gray, 2, &[1, 2, 2, 3, 3, 1]), "rows are apart");
        assert!(of(Color::Rgb, 2, &[1, 2, 3, 1, 2, 3]));
        assert!(!of(Color::Rgba, 2, &[1, 2, 3, 4, 1, 2, 3, 5]));
    }

    #[test]
    fn two_are_tried_at_most() {
        let mut flat = Picture::default();
        flat.packed(Color::Rgb, 4, 4).fill(7);
        let mut photo = Picture::default();
        photo.packed(Color::Gray, 4, 1).copy_from_slice(&[1, 2, 3, 4]);
        for (jpeg, png, webp, flat_gives, photo_gives, lossless_gives) in [
            (true, true, false, [Some(PNG), Some(JPEG)], [Some(JPEG), None], [Some(PNG), None]),
            (
                true,
                false,
                true,
                [Some(LOSSLESS_WEBP), Some(WEBP)],
                [Some(JPEG), Some(WEBP)],
                [None, Some(LOSSLESS_WEBP)],
            ),
            (
                false,
                true,
                true,
                [Some(LOSSLESS_WEBP), Some(WEBP)],
                [None, Some(WEBP)],
                [Some(PNG), Some(LOSSLESS_WEBP)],
            ),
            (
                true,
                true,
                true,
                [Some(LOSSLESS_WEBP), Some(WEBP)],
                [Some(JPEG), Some(WEBP)],
                [Some(PNG), Some(LOSSLESS_WEBP)],
            ),
            (false, true, false, [Some(PNG), None], [Some(PNG), None], [Some(PNG), None]),
        ] {
            let accepted = Accepted { jpeg, png, webp };
            assert_eq!(candidates(accepted, &flat, false), flat_gives, "{accepted:?}");
            assert_eq!(candidates(accepted, &photo, false), photo_gives, "{accepted:?}");
            assert_eq!(candidates(accepted, &photo, true), lossless_gives, "{accepted:?}");
        }
    }
}
