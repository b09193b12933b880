//! PNG through the `png` crate, without loss in the smallest of the ways that are quick to find.
//!
//! | pixels | written as | compressed |
//! |---|---|---|
//! | gray alone, in RGB | gray, then as below | |
//! | of at most 256 colors | indices into a palette | at [`DRAWING`] |
//! | a drawing, text: much of it flat, and edges | as it is | at [`DRAWING`] |
//! | anything else: a photograph | as it is, rows filtered | fast: others take ten times as long for 3 % fewer bytes |

use png::{BitDepth, ColorType, DeflateCompression, Encoder, EncodingError, Filter};

use crate::fault::Fault;
use crate::picture::{Color, Picture};

/// What the fast setting, which finds no repeats, makes several times as large. Higher levels take twice as long for a
/// tenth of the bytes.
const DRAWING: DeflateCompression = DeflateCompression::Level(4);

pub(super) fn encode(picture: &Picture) -> Result<Vec<u8>, Fault> {
    let few = match picture.color {
        Color::Rgb => few_colors::<3>(&picture.bytes),
        Color::Rgba => few_colors::<4>(&picture.bytes),
        _ => None,
    };
    let written = match few {
        Some(few) if few.is_gray() => write(picture, ColorType::Grayscale, None, &few.gray()),
        Some(few) => write(picture, ColorType::Indexed, Some((&few.rgb, &few.alpha)), &few.indices),
        None => {
            let color = match picture.color {
                Color::Gray => ColorType::Grayscale,
                Color::GrayAlpha => ColorType::GrayscaleAlpha,
                Color::Rgb => ColorType::Rgb,
                Color::Rgba => ColorType::Rgba,
                other => return Err(Fault::engine("encode", format!("{other:?} in a PNG"))),
            };
            write(picture, color, None, &picture.bytes)
        }
    };
    written.map_err(|error| Fault::engine("encode", error))
}

fn write(
    picture: &Picture,
    color: ColorType,
    palette: Option<(&[u8], &[u8])>,
    pixels: &[u8],
) -> Result<Vec<u8>, EncodingError> {
    let mut bytes = Vec::with_capacity(pixels.len() / 2);
    let mut encoder = Encoder::new(&mut bytes, picture.width, picture.height);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_color(color);
    if let Some((rgb, alpha)) = palette {
        encoder.set_palette(rgb);
        if alpha.iter().any(|alpha| *alpha < 255) {
            encoder.set_trns(alpha);
        }
    }
    if palette.is_some() || is_drawing(pixels, picture.width as usize, color.samples()) {
        encoder.set_deflate_compression(DRAWING);
        encoder.set_filter(Filter::NoFilter);
    } else {
        encoder.set_deflate_compression(DeflateCompression::FdeflateUltraFast);
        encoder.set_filter(Filter::Adaptive);
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(bytes)
}

/// Many pixels are like the one before, and what there is between the others is edges: most differ by much, or hardly any
/// differ by little. A smooth sky has like pixels too, but slow changes. Every eighth row is looked at.
fn is_drawing(bytes: &[u8], width: usize, channels: usize) -> bool {
    const LITTLE: u8 = 4;
    let (mut same, mut near, mut far) = (0, 0, 0);
    for row in bytes.chunks_exact(width * channels).step_by(8) {
        for (before, pixel) in row.chunks_exact(channels).zip(row[channels..].chunks_exact(channels)) {
            if before == pixel {
                same += 1;
            } else if before.iter().zip(pixel).all(|(a, b)| a.abs_diff(*b) <= LITTLE) {
                near += 1;
            } else {
                far += 1;
            }
        }
    }
    let seen = same + near + far;
    10 * same >= 3 * seen && (near <= far || 10 * near <= seen)
}

/// A picture as indices, and their colors.
struct FewColors {
    rgb: Vec<u8>,
    alpha: Vec<u8>,
    indices: Vec<u8>,
}

impl FewColors {
    fn is_gray(&self) -> bool {
        let (colors, _) = self.rgb.as_chunks();
        colors.iter().all(|[red, green, blue]| red == green && green == blue) && self.alpha.iter().all(|a| *a == 255)
    }

    fn gray(&self) -> Vec<u8> {
        self.indices.iter().map(|index| self.rgb[3 * usize::from(*index)]).collect()
    }
}

/// `None` if there are more colors than a palette holds, or so few pixels that a palette would not pay. Colors are in
/// the order of their first pixels.
fn few_colors<const CHANNELS: usize>(bytes: &[u8]) -> Option<FewColors> {
    const COLORS: usize = 256;
    /// A power of two, half empty at least.
    const SLOTS: usize = 2 * COLORS;
    const PIXELS_PER_COLOR: usize = 8;
    let (pixels, _) = bytes.as_chunks::<CHANNELS>();
    let most = COLORS.min(pixels.len() / PIXELS_PER_COLOR);
    let mut table: [Option<([u8; CHANNELS], u8)>; SLOTS] = [None; SLOTS];
    let mut few = FewColors { rgb: Vec::new(), alpha: Vec::new(), indices: Vec::new() };
    let mut last = None;
    for pixel in pixels {
        let index = match last {
            Some((color, index)) if color == *pixel => index,
            _ => {
                // Knuth's multiplicative hash (TAOCP 6.4); its high bits.
                let hash = pixel.iter().fold(0_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(2_654_435_761));
                let mut slot = (hash >> 16) as usize % SLOTS;
                loop {
                    match table[slot] {
                        Some((color, index)) if color == *pixel => break index,
                        Some(_) => slot = (slot + 1) % SLOTS,
                        None if few.alpha.len() == most => return None,
                        None => {
                            let index = u8::try_from(few.alpha.len()).ok()?;
                            table[slot] = Some((*pixel, index));
                            few.rgb.extend(&pixel[..3]);
                            few.alpha.push(pixel.get(3).copied().unwrap_or(255));
                            break index;
                        }
                    }
                }
            }
        };
        last = Some((*pixel, index));
        few.indices.push(index);
    }
    Some(few)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        what: &str,
        color: Color,
        (width, height): (u32, u32),
        pixel: impl Fn(u32, u32) -> u32,
        written: ColorType,
    ) {
        let channels = color.channels();
        let mut picture = Picture::default();
        let bytes = picture.packed(color, width, height);
        for (at, target) in (0..).zip(bytes.chunks_exact_mut(channels)) {
            target.copy_from_slice(&pixel(at % width, at / width).to_le_bytes()[..channels]);
        }
        let png = encode(&picture).unwrap();
        let reader = png::Decoder::new(std::io::Cursor::new(&png)).read_info().unwrap();
        assert_eq!(reader.info().color_type, written, "{what}");
        let read = image::load_from_memory(&png).unwrap();
        let same = match color {
            Color::Gray => read.to_luma8().into_raw(),
            Color::GrayAlpha => read.to_luma_alpha8().into_raw(),
            Color::Rgb => read.to_rgb8().into_raw(),
            _ => read.to_rgba8().into_raw(),
        };
        assert!(same == picture.bytes, "{what}: pixels changed");
    }

    #[test]
    fn each_kind_of_picture_is_written_in_its_way() {
        use ColorType::{Grayscale, GrayscaleAlpha, Indexed, Rgb, Rgba};
        let noise = |x: u32, y: u32| (x * 7919 + y * 104_729).wrapping_mul(2_654_435_761) >> 3;
        check("a photograph", Color::Rgb, (61, 47), noise, Rgb);
        check("with alpha", Color::Rgba, (61, 47), noise, Rgba);
        check("gray", Color::Gray, (61, 47), noise, Grayscale);
        check("gray with alpha", Color::GrayAlpha, (61, 47), noise, GrayscaleAlpha);
        check("gray in RGB", Color::Rgb, (61, 47), |x, y| (noise(x, y) & 0xFF) * 0x01_01_01, Grayscale);
        check("gray, opaque", Color::Rgba, (61, 47), |x, y| 0xFF00_0000 + (noise(x, y) & 0xFF) * 0x01_01_01, Grayscale);
        check("gray, not opaque", Color::Rgba, (61, 47), |x, y| (noise(x, y) & 0x7F) * 0x01_01_01_01, Indexed);
        check("256 colors", Color::Rgb, (64, 32), |x, y| (x + 64 * y) & 0xFF, Indexed);
        check("too few pixels of each", Color::Rgb, (64, 31), |x, y| (x + 64 * y) & 0xFF, Rgb);
        check("257 colors", Color::Rgb, (257, 32), |x, _| x, Rgb);
        check(
            "transparent colors",
            Color::Rgba,
            (64, 32),
            |x, y| ((x + 64 * y) & 0xFF).wrapping_mul(0x0400_0001),
            Indexed,
        );
        check("one pixel", Color::Rgba, (1, 1), noise, Rgba);
    }

    #[test]
    fn a_drawing_is_compressed_harder() {
        // Letters: the same few shapes again and again.
        let letter = |x: u32, y: u32| if (x % 8 * (y % 11) + (x / 8) % 5) % 7 < 2 && y % 11 < 9 { 0 } else { 255 };
        let mut picture = Picture::default();
        for (at, byte) in (0..).zip(picture.packed(Color::Gray, 400, 300)) {
            *byte = letter(at % 400, at / 400);
        }
        assert!(is_drawing(&picture.bytes, 400, 1));
        let bytes = encode(&picture).unwrap().len();
        assert!(bytes < 3_000, "{bytes} bytes");
    }
}
