//! Tests over real photographs and hostile bytes, checked with decoders that the engine does not use.

mod auto;
mod hostile;
mod jpeg;
mod params;
mod photos;
mod purity;

use std::io::Cursor;

use contract::resize::{Fit, OutputFormat, Resize};
use contract::usage::Reason;
use image::codecs::webp::WebPEncoder;
use image::{DynamicImage, ExtendedColorType, ImageEncoder as _};

use super::{Engine, ImageFormat, InputFormat, Limits, Output, Rejection};

const PHOTOS: [&str; 6] = ["retina.jpg", "hubble.jpg", "rocket.jpg", "astronaut.png", "chelsea.png", "coffee.png"];
const FORMATS: [OutputFormat; 3] = [OutputFormat::Jpeg, OutputFormat::Png, OutputFormat::Webp];

/// A photograph, a JPEG without its color profile: rocket.jpg is in Adobe RGB, and the references know nothing of colors.
pub(crate) fn photo(name: &str) -> Vec<u8> {
    let path = format!("{}/../../tests/photos/{name}", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{path}: {error}; the photographs are part of the repository"));
    if !bytes.starts_with(b"\xFF\xD8") {
        return bytes;
    }
    edit_jpeg(&bytes, |marker, segment| (marker != 0xE2).then_some(segment))
}

pub(crate) fn within(width: u32, height: u32) -> Resize {
    Resize { width: Some(width), height: Some(height), ..Resize::default() }
}

fn to(format: OutputFormat, mut params: Resize) -> Resize {
    params.format = Some(format);
    params
}

fn fit(fit: Fit, mut params: Resize) -> Resize {
    params.fit = Some(fit);
    params
}

/// Resizes with an engine of its own and the default limits.
fn resize(input: &[u8], params: &Resize) -> Result<Output, Box<Rejection>> {
    Engine::default().resize(input, params, &Limits::default())
}

fn rejected(input: &[u8], params: &Resize, limits: &Limits, reason: &Reason, words: &str) -> Rejection {
    let rejection = *Engine::default().resize(input, params, limits).expect_err("should be rejected");
    assert_eq!(&rejection.reason, reason, "{}", rejection.detail);
    assert!(rejection.detail.contains(words), "{:?} should say {words:?}", rejection.detail);
    assert_eq!(rejection.measures.input_bytes.get(), i64::try_from(input.len()).unwrap());
    assert_eq!(rejection.measures.output_pixels.get(), 0);
    assert!(rejection.measures.cpu_micros.get() >= 1);
    rejection
}

/// Decodes with the `image` crate: zune-jpeg, image-webp.
fn look(bytes: &[u8]) -> DynamicImage {
    image::load_from_memory(bytes).unwrap()
}

/// A picture as a lossless WebP, by an encoder that the engine does not use.
pub(crate) fn lossless_webp(picture: &DynamicImage, exif: Option<Vec<u8>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = WebPEncoder::new_lossless(&mut bytes);
    if let Some(exif) = exif {
        encoder.set_exif_metadata(exif).unwrap();
    }
    let (rgba, color) = (picture.to_rgba8(), ExtendedColorType::Rgba8);
    encoder.write_image(&rgba, picture.width(), picture.height(), color).unwrap();
    bytes
}

pub(crate) fn png(picture: &DynamicImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Peak signal-to-noise ratio in dB over all channels; premultiplied, so that what is hidden does not count.
fn psnr(ours: &DynamicImage, reference: &DynamicImage) -> f64 {
    assert_eq!((ours.width(), ours.height()), (reference.width(), reference.height()));
    let premultiplied = |picture: &DynamicImage| {
        let pixels = picture.to_rgba8();
        let visible = |[r, g, b, a]: [u8; 4]| [r, g, b, 255].map(|c| f64::from(c) * f64::from(a) / 255.0);
        pixels.pixels().flat_map(|pixel| visible(pixel.0)).collect::<Vec<f64>>()
    };
    let (ours, reference) = (premultiplied(ours), premultiplied(reference));
    let squares: f64 = ours.iter().zip(&reference).map(|(a, b)| (a - b).powi(2)).sum();
    10.0 * (255.0 * 255.0 * f64::from(u32::try_from(ours.len()).unwrap()) / squares.max(1e-9)).log10()
}

/// The segments of a JPEG's header (marker, whole bytes), and the rest from the first scan on.
fn jpeg_segments(jpeg: &[u8]) -> (Vec<(u8, Vec<u8>)>, Vec<u8>) {
    let (mut segments, mut at) = (Vec::new(), 2);
    while jpeg[at + 1] != 0xDA {
        let end = at + 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        segments.push((jpeg[at + 1], jpeg[at..end].to_vec()));
        at = end;
    }
    (segments, jpeg[at..].to_vec())
}

/// The JPEG with its header's segments changed.
pub(crate) fn edit_jpeg(jpeg: &[u8], edit: impl Fn(u8, Vec<u8>) -> Option<Vec<u8>>) -> Vec<u8> {
    let (segments, scans) = jpeg_segments(jpeg);
    let edited = segments.into_iter().filter_map(|(marker, segment)| edit(marker, segment)).flatten();
    [0xFF, 0xD8].into_iter().chain(edited).chain(scans).collect()
}

fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xC0..=0xC2)
}

/// The JPEG with other sides in its header.
fn claim(jpeg: &[u8], width: u16, height: u16) -> Vec<u8> {
    edit_jpeg(jpeg, |marker, mut segment| {
        if is_frame(marker) {
            segment[5..7].copy_from_slice(&height.to_be_bytes());
            segment[7..9].copy_from_slice(&width.to_be_bytes());
        }
        Some(segment)
    })
}

/// A PNG chunk with its CRC (PNG, third edition, annex D).
pub(crate) fn png_chunk(kind: [u8; 4], data: &[u8]) -> Vec<u8> {
    let typed = [&kind[..], data].concat();
    let crc = !typed
        .iter()
        .fold(!0_u32, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1))));
    let length = u32::try_from(data.len()).unwrap();
    [&length.to_be_bytes()[..], &typed, &crc.to_be_bytes()].concat()
}

/// The PNG with a chunk put behind its IHDR.
pub(crate) fn insert_chunk(png: &[u8], chunk: &[u8]) -> Vec<u8> {
    let (header, rest) = png.split_at(8 + 25);
    [header, chunk, rest].concat()
}
