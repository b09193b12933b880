//! Good images cut short, and with flipped bits and wrong numbers: the same ones every time.

use std::fs;
use std::time::Duration;

use contract::resize::{OutputFormat, Resize};
use engine::{Engine, Limits};

use crate::parameters::parameters;
use crate::reference;
use crate::watch::{Allowed, Watch, alone, outcome};

const VARIANTS: usize = 10_000;
const LARGEST_SEED_BYTES: usize = 6_000;

#[test]
fn ten_thousand_damaged_images() {
    // Small, so that damaged sides are refused before they cost more than the other 9,999.
    let limits = Limits { input_pixels: 2_000_000, output_pixels: 500_000, ..Limits::default() };
    let mut watch = Watch::start(alone(), Allowed { cpu: Duration::from_secs(4), memory_bytes: 100_000_000 });
    let seeds = seeds(&limits);
    let mut random = Random(1);
    for number in 0..VARIANTS {
        let (path, seed) = &seeds[number % seeds.len()];
        let (damage, input) = damaged(seed, &mut random);
        let params = parameters(&random.bytes());
        watch.resize(&format!("{path} variant {number}: {damage}"), &input, &params, &limits);
    }
    watch.finish();
}

/// The corpus's small files that the engine resizes.
fn seeds(limits: &Limits) -> Vec<(String, Vec<u8>)> {
    let params = Resize { width: Some(8), ..Resize::default() };
    let read = |path: String| (fs::read(reference::folder().join(&path)).unwrap(), path);
    let seeds: Vec<_> = reference::read()
        .into_iter()
        .map(|file| read(file.path))
        .filter(|(bytes, _)| bytes.len() <= LARGEST_SEED_BYTES)
        .filter(|(bytes, _)| Engine::default().resize(bytes, &params, limits).is_ok())
        .map(|(bytes, path)| (path, bytes))
        .collect();
    for format in ["jpg", "png", "webp", "gif", "bmp", "tif"] {
        let count = seeds.iter().filter(|(path, _)| path.contains(&format!(".{format}"))).count();
        assert!(count >= 3, "only {count} seeds of .{format}");
    }
    seeds
}

fn damaged(seed: &[u8], random: &mut Random) -> (String, Vec<u8>) {
    let mut bytes = seed.to_vec();
    // Half of the damage is done to the header.
    let within = if random.below(2) == 0 { bytes.len().min(96) } else { bytes.len() };
    let damage = match random.below(4) {
        0 => {
            let length = random.below(bytes.len());
            bytes.truncate(length);
            format!("cut to {length} bytes")
        }
        1 => {
            let (at, value) = (random.below(within), [0, 1, 0x7F, 0x80, 0xFE, 0xFF][random.below(6)]);
            let count = 1 + random.below(4);
            bytes.iter_mut().skip(at).take(count).for_each(|byte| *byte = value);
            format!("{count} × {value:#x} at {at}")
        }
        _ => {
            let flips: Vec<_> = (0..=random.below(8)).map(|_| (random.below(within), random.below(8))).collect();
            for (at, bit) in &flips {
                bytes[*at] ^= 1 << bit;
            }
            format!("flipped (byte, bit) {flips:?}")
        }
    };
    (damage, bytes)
}

#[test]
fn what_is_cut_short_is_rejected_unless_a_part_will_do() {
    let limits = Limits::default();
    let mut watch = Watch::start(alone(), Allowed { cpu: Duration::from_secs(4), memory_bytes: 100_000_000 });
    for (name, whole) in one_of_each_kind() {
        let part = Resize { width: Some(32), format: Some(OutputFormat::Png), ..Resize::default() };
        assert!(watch.resize(name, &whole, &part, &limits).unwrap().is_ok(), "{name}");
        let partial = Resize { allow_partial: Some(true), ..part.clone() };
        for sixteenth in 1..16 {
            let cut = &whole[..whole.len() * sixteenth / 16];
            let name = format!("{name}, {sixteenth}/16 of it");
            let strict = watch.resize(&name, cut, &part, &limits).unwrap();
            if !matches!(outcome(&strict).as_str(), "truncated_image" | "corrupt_image") {
                watch.fail(&name, format!("is {}", outcome(&strict)));
            }
            let lenient = watch.resize(&name, cut, &partial, &limits).unwrap();
            // Of a TIFF there is all or nothing.
            if sixteenth > 8 && lenient.is_err() && !name.starts_with("TIFF") {
                watch.fail(&name, format!("is {} although a part would do", outcome(&lenient)));
            }
        }
    }
    watch.finish();
}

/// One frame each, nothing behind the pixels.
fn one_of_each_kind() -> Vec<(&'static str, Vec<u8>)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/photos/astronaut.png");
    let photo = fs::read(path).expect("the photographs are part of the repository");
    let make = |params: Resize| Engine::default().resize(&photo, &params, &Limits::default()).unwrap().bytes;
    let to = |format| Resize { width: Some(160), format: Some(format), ..Resize::default() };
    let picture = image::load_from_memory(&make(to(OutputFormat::Png))).unwrap();
    let by_image = |format| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture.to_rgb8().write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    };
    vec![
        ("JPEG", make(to(OutputFormat::Jpeg))),
        ("progressive JPEG", make(Resize { progressive: Some(true), ..to(OutputFormat::Jpeg) })),
        ("PNG", make(to(OutputFormat::Png))),
        ("lossy WebP", make(to(OutputFormat::Webp))),
        ("lossless WebP", make(Resize { lossless: Some(true), ..to(OutputFormat::Webp) })),
        ("GIF", by_image(image::ImageFormat::Gif)),
        ("BMP", by_image(image::ImageFormat::Bmp)),
        ("TIFF", by_image(image::ImageFormat::Tiff)),
    ]
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }

    fn bytes(&mut self) -> [u8; 48] {
        std::array::from_fn(|_| self.next().to_le_bytes()[0])
    }
}
