//! GIF, BMP and TIFF through the `image` crate: the first frame, on its canvas. More than 8 bits become 8.

use std::io::{Cursor, ErrorKind};

use image::codecs::{bmp::BmpDecoder, gif::GifDecoder, tiff::TiffDecoder};
use image::{ColorType, ImageDecoder, ImageError, ImageResult};

use crate::fault::Fault;
use crate::header::{Directory, Header};
use crate::picture::{Color, Picture};
use crate::sniff::InputFormat;

/// With `allows_partial`, what is missing of a GIF or BMP is transparent, or black. Of a TIFF nothing comes out then.
pub(super) fn decode(input: &[u8], header: &Header, allows_partial: bool, to: &mut Picture) -> Result<(), Fault> {
    let reader = Cursor::new(input);
    let result = match header.format {
        InputFormat::Gif => GifDecoder::new(reader).and_then(|decoder| fill(decoder, input, header, to)),
        InputFormat::Bmp => BmpDecoder::new(reader).and_then(|decoder| fill(decoder, input, header, to)),
        _ => TiffDecoder::new(reader).and_then(|decoder| fill(decoder, input, header, to)),
    };
    // What it was filled with is known only if it got that far.
    let (colors, read) = result.map_err(|error| fault(header, &error))?;
    match read {
        Err(error) if !(allows_partial && header.format != InputFormat::Tiff) => return Err(fault(header, &error)),
        _ => {}
    }
    normalize(colors, header, to)?;
    if associated_alpha(input, header) {
        unpremultiply(to);
    }
    Ok(())
}

/// Decodes into `to`, as the decoder has it. Its two failures: before the pixels, and within.
fn fill(
    mut decoder: impl ImageDecoder,
    input: &[u8],
    header: &Header,
    to: &mut Picture,
) -> ImageResult<(ColorType, ImageResult<()>)> {
    let colors = decoder.color_type();
    let bytes = decoder.total_bytes();
    // The limits hold for what the header said, so it must be what is decoded.
    if decoder.dimensions() != header.stored || bytes > header.pixels().saturating_mul(8) {
        return Err(ImageError::IoError(ErrorKind::InvalidData.into()));
    }
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(bytes + header.held_bytes + input.len() as u64);
    decoder.set_limits(limits)?;
    // A GIF's pixel of no color is left as it was, and it must not be another picture's.
    to.bytes.clear();
    to.bytes.resize(usize::try_from(bytes).unwrap_or(usize::MAX), 0);
    Ok((colors, decoder.read_image(&mut to.bytes)))
}

/// Makes 8 bits of 16, in place, and leaves out the alpha that the header says is everywhere 255.
fn normalize(colors: ColorType, header: &Header, to: &mut Picture) -> Result<(), Fault> {
    let color = match colors {
        ColorType::L8 | ColorType::L16 => Color::Gray,
        ColorType::La8 | ColorType::La16 => Color::GrayAlpha,
        ColorType::Rgb8 | ColorType::Rgb16 => Color::Rgb,
        ColorType::Rgba8 | ColorType::Rgba16 => Color::Rgba,
        other => return Err(Fault::feature(format!("a {} of {other:?}", header.format.title()))),
    };
    if usize::from(colors.bytes_per_pixel()) > color.channels() {
        for place in 0..to.bytes.len() / 2 {
            let wide = u32::from(u16::from_ne_bytes([to.bytes[2 * place], to.bytes[2 * place + 1]]));
            to.bytes[place] = u8::try_from((wide * 255 + 32_895) >> 16).unwrap_or(u8::MAX);
        }
    }
    let color = if color == Color::Rgba && !header.has_alpha {
        for place in 0..to.bytes.len() / 4 {
            to.bytes.copy_within(4 * place..4 * place + 3, 3 * place);
        }
        Color::Rgb
    } else {
        color
    };
    to.packed(color, header.stored.0, header.stored.1);
    Ok(())
}

/// Is alpha multiplied in? Source: TIFF 6.0, section 18.
fn associated_alpha(input: &[u8], header: &Header) -> bool {
    const EXTRA_SAMPLES: u16 = 338;
    header.format == InputFormat::Tiff
        && header.has_alpha
        && Directory::first(input).and_then(|first| first.number(EXTRA_SAMPLES)) == Some(1)
}

fn unpremultiply(picture: &mut Picture) {
    if picture.color != Color::Rgba {
        return;
    }
    let (pixels, _) = picture.bytes.as_chunks_mut::<4>();
    for [red, green, blue, alpha] in pixels {
        let alpha = u32::from(*alpha);
        for color in [red, green, blue] {
            let whole = (u32::from(*color) * 255 + alpha / 2).checked_div(alpha).unwrap_or(0);
            *color = u8::try_from(whole).unwrap_or(u8::MAX);
        }
    }
}

fn fault(header: &Header, error: &ImageError) -> Fault {
    let title = header.format.title();
    match error {
        ImageError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            Fault::truncated(title, "its pixels end too early")
        }
        ImageError::Unsupported(error) => Fault::feature(format!("this {title}: {error}")),
        error if header.truncated => Fault::truncated(title, error),
        error => Fault::corrupt(title, error),
    }
}

#[cfg(test)]
mod tests {
    use contract::usage::Reason;
    use image::{DynamicImage, ImageFormat, Rgba, RgbaImage};

    use super::*;
    use crate::header;
    use crate::limits::Limits;

    /// Four colors, of which one is clear.
    fn sample(width: u32, height: u32) -> RgbaImage {
        const COLORS: [[u8; 4]; 4] = [[0, 0, 0, 0], [255, 0, 0, 255], [0, 200, 7, 255], [90, 80, 255, 255]];
        RgbaImage::from_fn(width, height, |x, y| Rgba(COLORS[(x / 3 + y / 5) as usize % 4]))
    }

    fn written(format: ImageFormat, picture: &DynamicImage) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    /// Decodes into a picture that is full of another one.
    fn decoded(input: &[u8], allows_partial: bool) -> Result<Picture, Fault> {
        let limits = Limits { input_pixels: 1 << 14, ..Limits::default() };
        let header = header::read(input, crate::sniff::sniff(input)?, &limits)?;
        limits.check_header(&header, &mut crate::Measures::default())?;
        let mut picture = Picture::default();
        picture.packed(Color::Rgba, 300, 300).fill(0xEE);
        decode(input, &header, allows_partial, &mut picture)?;
        assert_eq!((picture.width, picture.height), header.stored);
        assert_eq!(picture.bytes.len() as u64, header.pixels() * picture.color.channels() as u64);
        Ok(picture)
    }

    #[track_caller]
    fn check(input: &[u8], color: Color, expected: &[u8]) {
        let picture = decoded(input, false).unwrap_or_else(|fault| panic!("{}", fault.detail));
        assert_eq!((picture.color, &picture.bytes[..]), (color, expected));
    }

    #[test]
    fn pixels_are_what_was_written() {
        let rgba = DynamicImage::from(sample(41, 23));
        let (rgb, gray) = (DynamicImage::from(rgba.to_rgb8()), DynamicImage::from(rgba.to_luma8()));
        for format in [ImageFormat::Bmp, ImageFormat::Tiff] {
            check(&written(format, &rgba), Color::Rgba, rgba.as_bytes());
            check(&written(format, &rgb), Color::Rgb, rgb.as_bytes());
        }
        check(&written(ImageFormat::Gif, &rgba), Color::Rgba, rgba.as_bytes());
        check(&written(ImageFormat::Gif, &rgb), Color::Rgb, rgb.as_bytes());
        check(&written(ImageFormat::Tiff, &gray), Color::Gray, gray.as_bytes());
        // A BMP's gray is a palette.
        check(&written(ImageFormat::Bmp, &gray), Color::Rgb, gray.to_rgb8().as_raw());
    }

    #[test]
    fn sixteen_bits_become_eight() {
        let wide: Vec<u16> =
            (0..=255).flat_map(|v: u16| [v * 257, (v * 257).saturating_add(128), 257 * v.max(1) - 128]).collect();
        let narrow = |v: &u16| u8::try_from((u32::from(*v) + 128) / 257).unwrap();
        let narrowed: Vec<u8> = wide.iter().map(narrow).collect();
        let gray = image::ImageBuffer::from_raw(256, 3, wide.clone()).unwrap();
        check(&written(ImageFormat::Tiff, &DynamicImage::ImageLuma16(gray)), Color::Gray, &narrowed);
        let rgb = image::ImageBuffer::from_raw(256, 1, wide).unwrap();
        check(&written(ImageFormat::Tiff, &DynamicImage::ImageRgb16(rgb)), Color::Rgb, &narrowed);
    }

    /// Of 5×4 pixels, the frame at (1, 1), 2×2: one of each: color 0, color 1, no color at all (2 and 3).
    #[test]
    fn a_gifs_frame_stands_on_its_canvas_and_what_has_no_color_is_clear() {
        let gif = b"GIF89a\x05\0\x04\0\x80\0\0\x10\x20\x30\x40\x50\x60\x2C\x01\0\x01\0\x02\0\x02\0\0\x02\x03\x44\x34\x05\0\x3B";
        let mut expected = [0; 5 * 4 * 4];
        expected[4 * 6..4 * 7].copy_from_slice(&[0x10, 0x20, 0x30, 255]);
        expected[4 * 7..4 * 8].copy_from_slice(&[0x40, 0x50, 0x60, 255]);
        check(gif, Color::Rgba, &expected);
    }

    #[test]
    fn multiplied_alpha_is_divided_out() {
        let picture = RgbaImage::from_raw(2, 1, vec![50, 100, 0, 100, 200, 9, 9, 0]).unwrap();
        let mut tiff = written(ImageFormat::Tiff, &picture.into());
        check(&tiff, Color::Rgba, &[50, 100, 0, 100, 200, 9, 9, 0]);
        // The unit of resolution gives way to ExtraSamples, of 1: associated alpha.
        let unit = tiff.windows(4).position(|entry| entry == [0x28, 0x01, 3, 0]).unwrap();
        tiff[unit] = 0x52;
        tiff[unit + 8] = 1;
        check(&tiff, Color::Rgba, &[128, 255, 0, 100, 0, 0, 0, 0]);
    }

    #[test]
    fn a_part_is_never_taken_for_the_whole() {
        let picture = DynamicImage::from(sample(64, 64).clone());
        for format in [ImageFormat::Bmp, ImageFormat::Gif, ImageFormat::Tiff] {
            let whole = written(format, &picture);
            let directory = u32::from_le_bytes(whole[4..8].try_into().unwrap()) as usize;
            for length in (0..whole.len()).step_by(61).chain(whole.len() - 20..whole.len()) {
                let part = &whole[..length];
                match decoded(part, false) {
                    // A GIF's last two bytes are not needed, nor where a TIFF's next directory would be.
                    Ok(_) => assert!(
                        length >= whole.len() - 4 || format == ImageFormat::Tiff && length > directory + 100,
                        "{format:?} {length}"
                    ),
                    Err(fault) if length < 18 => drop(fault),
                    Err(fault) => {
                        assert_eq!(fault.reason, Reason::TruncatedImage, "{format:?} {length}: {}", fault.detail);
                    }
                }
            }
        }
        let whole = written(ImageFormat::Bmp, &DynamicImage::from(picture.to_rgb8()));
        let half = decoded(&whole[..whole.len() / 2], true).unwrap();
        assert_eq!(
            half.bytes[half.bytes.len() - 192..],
            picture.to_rgb8().as_raw()[64 * 63 * 3..],
            "the last row is first"
        );
        assert!(half.bytes[..192 * 20].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn broken_files_never_panic() {
        let mut state = 7_u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % below
        };
        let rgba = DynamicImage::from(sample(31, 17));
        for (format, picture) in [
            (ImageFormat::Gif, &rgba),
            (ImageFormat::Bmp, &rgba),
            (ImageFormat::Bmp, &rgba.to_luma8().into()),
            (ImageFormat::Tiff, &rgba),
            (ImageFormat::Tiff, &rgba.to_rgb16().into()),
        ] {
            let whole = written(format, picture);
            for round in 0..1_000 {
                let mut broken = whole.clone();
                let reach = match (round % 3, format) {
                    (0, _) => 0..whole.len(),
                    // A TIFF's directory is at the end.
                    (_, ImageFormat::Tiff) => whole.len() - 250..whole.len(),
                    _ => 0..100,
                };
                for _ in 0..=random(4) {
                    broken[reach.start + random(reach.len())] =
                        [0, 1, 3, 0x7F, 0xFF, u8::try_from(random(256)).unwrap()][random(6)];
                }
                drop(decoded(&broken, round % 2 == 0));
            }
        }
    }
}
