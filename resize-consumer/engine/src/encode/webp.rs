//! WebP through libwebp, from planes where there are planes.

use crate::fault::Fault;
use crate::libwebp::{self, Pixels, Settings};
use crate::params::Wanted;
use crate::picture::{Color, HALF, Picture};

/// 4:2:0 planes, RGB or RGBA.
pub(super) fn encode(picture: &mut Picture, wanted: &Wanted) -> Result<Vec<u8>, Fault> {
    encode_with(picture, if wanted.lossless { LOSSLESS } else { lossy(wanted.quality) })
}

fn encode_with(picture: &mut Picture, settings: Settings) -> Result<Vec<u8>, Fault> {
    let sides = (picture.width, picture.height);
    let width = picture.width as usize;
    let pixels = match (picture.color, picture.subsampling) {
        (Color::Rgb, _) => Pixels::Rgb(&mut picture.bytes, 3 * width),
        (Color::Rgba, _) => Pixels::Rgba(&mut picture.bytes, 4 * width),
        (Color::VideoYcc, HALF) => {
            let planes =
                <[_; 3]>::try_from(picture.samples_mut()).map_err(|_| Fault::engine("encode", "planes are missing"))?;
            Pixels::Planes(planes.map(|(_, samples)| samples), [width, width.div_ceil(2)])
        }
        other => return Err(Fault::engine("encode", format!("{other:?} in a WebP"))),
    };
    libwebp::encode(sides, &settings, pixels).map_err(|error| Fault::engine("encode", error))
}

/// Methods from 3 on cost 2.6 times as much, for 4 % of the bytes at the same quality by PSNR and SSIM. That is got back
/// by leaving out noise shaping, which spends bytes on what neither of them sees, and by the strongest loop filter,
/// which costs the reader nothing. Without shaping a quality means more than in other encoders; it is made to mean as
/// many bytes.
fn lossy(quality: u8) -> Settings {
    let quality = f32::from(quality);
    Settings {
        quality: (quality - (100.0 - quality) / 6.0).max(0.0),
        method: 2,
        lossless: false,
        noise_shaping: 0,
        filter_strength: 100,
    }
}

/// Method 4 takes four times as long for 5 % fewer bytes; method 0, a quarter, for 16 % more.
const LOSSLESS: Settings = Settings { quality: 20.0, method: 1, lossless: true, noise_shaping: 0, filter_strength: 0 };

#[cfg(test)]
mod tests {
    use image::DynamicImage;

    use super::*;
    use crate::picture::FULL;

    const SIDES: [(u32, u32); 7] = [(1, 1), (2, 1), (1, 3), (16, 16), (17, 33), (50, 31), (100, 64)];

    /// Smooth, and not opaque if it can be.
    fn picture(color: Color, (width, height): (u32, u32)) -> Picture {
        let mut picture = Picture::default();
        picture.reshape(color, width, height, HALF);
        for (n, (plane, samples)) in (1..).zip(picture.samples_mut()) {
            for (at, pixel) in (0..).zip(samples.chunks_exact_mut(color.channels())) {
                let (x, y) = (at % plane.width, at / plane.width);
                for (channel, sample) in (0..).zip(pixel) {
                    *sample = u8::try_from((90 + n * 20 + (3 * x + y * (1 + channel)) / 4).min(220)).unwrap();
                }
            }
        }
        picture
    }

    /// Each pixel with the chroma that it shares.
    fn full_size(picture: &Picture) -> Picture {
        let mut full = Picture::default();
        full.reshape(picture.color, picture.width, picture.height, FULL);
        let channels = picture.color.channels();
        for ((plane, from), (_, to)) in picture.samples().into_iter().zip(full.samples_mut()) {
            for (at, pixel) in (0..).zip(to.chunks_exact_mut(channels)) {
                let (x, y) = (at % picture.width / plane.subsampling.0, at / picture.width / plane.subsampling.1);
                pixel.copy_from_slice(&from[(y * plane.width + x) as usize * channels..][..channels]);
            }
        }
        full
    }

    fn read(picture: &mut Picture, settings: Settings) -> DynamicImage {
        let before = picture.bytes.clone();
        let bytes = encode_with(picture, settings).unwrap();
        assert_eq!(picture.bytes, before, "what is encoded stays as it is");
        image::load_from_memory_with_format(&bytes, image::ImageFormat::WebP).unwrap()
    }

    #[test]
    fn lossless_loses_nothing() {
        for sides in SIDES {
            let mut rgb = picture(Color::Rgb, sides);
            assert_eq!(read(&mut rgb, LOSSLESS).into_rgb8().into_raw(), rgb.bytes, "{sides:?}");
            let mut rgba = picture(Color::Rgba, sides);
            assert_eq!(read(&mut rgba, LOSSLESS).into_rgba8().into_raw(), rgba.bytes, "{sides:?}");
        }
    }

    #[test]
    fn lossy_is_near_from_planes_as_from_pixels() {
        for sides in SIDES {
            for color in [Color::VideoYcc, Color::Rgb, Color::Rgba] {
                let mut picture = picture(color, sides);
                let read = read(&mut picture, lossy(95));
                assert_eq!(read.color().has_alpha(), color == Color::Rgba);
                let read =
                    if color == Color::Rgba { read.into_rgba8().into_raw() } else { read.into_rgb8().into_raw() };
                let mut expected = full_size(&picture);
                crate::convert::to_rgb(&mut expected, &mut Picture::default());
                let far = expected.bytes.iter().zip(&read).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
                assert!(far <= 8, "{color:?} {sides:?}: {far}");
                assert_eq!(read.len(), expected.bytes.len());
            }
        }
    }

    #[test]
    fn every_quality_is_one_of_libwebps() {
        let mut small = picture(Color::Rgb, (9, 9));
        for quality in 1..=100 {
            encode_with(&mut small, lossy(quality)).unwrap();
        }
    }

    #[test]
    fn what_has_no_room_or_is_too_large_is_refused() {
        let too_large = "VP8_ENC_ERROR_BAD_DIMENSION";
        let [mut y, mut u, mut v] = [vec![0; 16 * 16], vec![0; 8 * 8], vec![0; 8 * 8]];
        let mut planes = |sides, room: usize, distance| {
            let planes = Pixels::Planes([&mut y, &mut u, &mut v[..room]], [distance, 8]);
            libwebp::encode(sides, &lossy(80), planes)
        };
        planes((16, 16), 64, 16).unwrap();
        for (sides, room, distance) in
            [((16, 17), 64, 16), ((17, 16), 64, 16), ((16, 16), 63, 16), ((16, 16), 64, usize::MAX), ((16, 16), 64, 15)]
        {
            assert_eq!(planes(sides, room, distance).unwrap_err(), too_large, "{sides:?} {room} {distance}");
        }
        for (sides, pixels) in [
            ((5, 5), Pixels::Rgb(&mut [0; 74], 15)),
            ((5, 5), Pixels::Rgba(&mut [0; 100], 19)),
            ((0, 5), Pixels::Rgb(&mut [0; 75], 15)),
            ((16_384, 1), Pixels::Rgb(&mut vec![0; 3 * 16_384], 3 * 16_384)),
            ((u32::MAX, u32::MAX), Pixels::Rgb(&mut [0; 75], 15)),
        ] {
            assert_eq!(libwebp::encode(sides, &lossy(80), pixels).unwrap_err(), too_large, "{sides:?}");
        }
    }
}
