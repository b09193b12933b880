//! What a job takes of memory is within what it was estimated to take, and the estimate is not idle.
//!
//! Each case is measured in a process of its own, by the peak that the kernel has seen: this test runs itself once for
//! each. What freed memory the allocator keeps would hide a peak, so it is told to keep none.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test; it fails by panicking"
)]

use std::process::Command;

use contract::resize::{Fit, OutputFormat, Resize, Thousandths};
use contract::usage::Reason;
use engine::{Engine, Limits};
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder as _};
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

const CASE: &str = "PIXTOLL_MEMORY_CASE";
/// Of the estimate: what doesn't grow with the picture.
const CONSTANT: u64 = 4_000_000;
const MEGAPIXEL: u64 = 1_000_000;

/// A name, the input, and what to make of it.
struct Case(&'static str, fn() -> Vec<u8>, fn() -> Resize);

const CASES: &[Case] = &[
    Case("JPEG", || jpeg(2_500, 2_500, Subsamp::Sub2x2, false), small),
    Case("JPEG, large", || jpeg(2_500, 2_500, Subsamp::Sub2x2, false), large),
    Case("JPEG 4:4:4, large", || jpeg(2_500, 2_500, Subsamp::None, false), large),
    Case("gray JPEG, large", || jpeg(2_500, 2_500, Subsamp::Gray, false), large),
    Case("progressive JPEG", || jpeg(2_500, 2_500, Subsamp::Sub2x2, true), small),
    Case("progressive JPEG 4:4:4", || jpeg(2_500, 2_500, Subsamp::None, true), small),
    Case(
        "JPEG to progressive",
        || jpeg(2_500, 2_500, Subsamp::Sub2x2, false),
        || Resize { progressive: Some(true), ..large() },
    ),
    Case("PNG", || png(2_500, 2_500, png::ColorType::Rgb, png::BitDepth::Eight), small),
    Case("PNG with alpha", || png(2_500, 2_000, png::ColorType::Rgba, png::BitDepth::Eight), small),
    Case("PNG of 16 bits", || png(2_000, 2_000, png::ColorType::Rgba, png::BitDepth::Sixteen), small),
    Case(
        "PNG to PNG, large",
        || png(2_500, 2_500, png::ColorType::Rgb, png::BitDepth::Eight),
        || Resize { width: Some(2_000), format: Some(OutputFormat::Png), ..Resize::default() },
    ),
    Case("lossy WebP", || webp(2_500, 2_500), small),
    Case("lossy WebP, large", || webp(2_500, 2_500), large),
    Case("lossless WebP", || lossless_webp(2_500, 2_500), small),
    Case("GIF", || gif(2_500, 2_500, 0), small),
    Case("GIF whose frame is not its canvas", || gif(2_500, 2_000, 1), small),
    Case("BMP", || bmp(2_500, 2_500), small),
    Case("TIFF", || tiff(2_500, 2_500, 8), small),
    Case("TIFF of 16 bits", || tiff(2_500, 2_000, 16), small),
    Case(
        "to WebP, large",
        || jpeg(2_000, 2_000, Subsamp::Sub2x2, false),
        || Resize { format: Some(OutputFormat::Webp), ..large() },
    ),
    Case(
        "to lossless WebP",
        || jpeg(2_000, 2_000, Subsamp::Sub2x2, false),
        || Resize { lossless: Some(true), format: Some(OutputFormat::Webp), ..large() },
    ),
    Case(
        "a line becomes an area",
        || png(10_000, 1, png::ColorType::Rgb, png::BitDepth::Eight),
        || Resize {
            fit: Some(Fit::Fill),
            enlarge: Some(true),
            width: Some(1_000),
            height: Some(2_000),
            ..Resize::default()
        },
    ),
    Case(
        "blurred and sharpened",
        || png(2_500, 2_500, png::ColorType::Rgba, png::BitDepth::Eight),
        || Resize {
            width: Some(1_500),
            blur: Some(Thousandths::new(20_000)),
            sharpen: Some(Thousandths::new(1_000)),
            ..Resize::default()
        },
    ),
    Case(
        "contained",
        || jpeg(2_000, 2_000, Subsamp::Sub2x2, false),
        || Resize {
            fit: Some(Fit::Contain),
            height: Some(2_000),
            background: Some("#ff000080".to_owned()),
            format: Some(OutputFormat::Png),
            ..large()
        },
    ),
];

fn small() -> Resize {
    Resize { width: Some(320), format: Some(OutputFormat::Jpeg), ..Resize::default() }
}

fn large() -> Resize {
    Resize { width: Some(2_000), quality: Some(100), ..small() }
}

#[test]
fn a_job_takes_at_most_what_was_estimated_and_at_least_half() {
    if let Ok(name) = std::env::var(CASE) {
        return measure(CASES.iter().find(|case| case.0 == name).unwrap());
    }
    let mut wrong = Vec::new();
    for Case(name, ..) in CASES {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_job_takes_at_most_what_was_estimated_and_at_least_half", "--nocapture"])
            .env(CASE, name)
            .envs([("MALLOC_MMAP_THRESHOLD_", "65536"), ("MALLOC_TRIM_THRESHOLD_", "65536")])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            wrong.push(format!("{name}: {said}{}", String::from_utf8_lossy(&output.stderr)));
            continue;
        }
        let figures: Vec<u64> = said
            .lines()
            .find_map(|line| line.split_once("figures: "))
            .map(|(_, figures)| figures.split(' ').map(|figure| figure.parse().unwrap()).collect())
            .unwrap();
        let [estimated, measured, work, micros] = figures[..] else { panic!("{said}") };
        let line = format!(
            "{name}: {:.1} MB of {:.1} estimated; {micros} µs for {} MP gone over",
            megas(measured),
            megas(estimated),
            work / MEGAPIXEL
        );
        println!("{line}");
        if !(measured..=2 * measured + CONSTANT).contains(&estimated) {
            wrong.push(line);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[expect(clippy::cast_precision_loss, reason = "for reading")]
fn megas(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn measure(Case(name, input, params): &Case) {
    let (input, params) = (input(), params());
    let all = Limits {
        input_bytes: u64::MAX,
        output_pixels: 100 * MEGAPIXEL,
        work: u64::MAX,
        job_memory_bytes: u64::MAX,
        ..Limits::default()
    };
    let said = |limits, expected| {
        let rejection = Engine::default().resize(&input, &params, &limits).expect_err("should be refused");
        assert_eq!(rejection.reason, expected, "{}", rejection.detail);
        rejection.detail.split(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let estimated = said(Limits { job_memory_bytes: 0, ..all }, Reason::TooMuchMemory);
    let work = said(Limits { work: 0, ..all }, Reason::TooMuchWork);
    let mut engine = Engine::default();
    // Resets the peak (proc(5)).
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status("VmRSS:");
    let output = engine.resize(&input, &params, &all).unwrap_or_else(|rejection| panic!("{name}: {rejection}"));
    let measured = status("VmHWM:") - before;
    println!("figures: {estimated} {measured} {work} {}", output.measures.cpu_micros.get());
}

/// In bytes.
fn status(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

/// The upper half has an easy pattern, the lower one is noise: the worst there is to be encoded.
fn pixels(width: usize, height: usize, channels: usize) -> Vec<u8> {
    let mut bytes = vec![0; width * height * channels];
    for (y, row) in bytes.chunks_exact_mut(width * channels).enumerate() {
        let wave: Vec<u8> = (0..=255).map(|n: u8| (n / 3).wrapping_add(u8::try_from(y % 97).unwrap())).collect();
        row.chunks_mut(256).for_each(|part| part.copy_from_slice(&wave[..part.len()]));
    }
    let mut state = 1_u32;
    for byte in bytes.iter_mut().skip(width * height * channels / 2) {
        // Marsaglia's xorshift.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        *byte = state.to_be_bytes()[0];
    }
    bytes
}

fn jpeg(width: usize, height: usize, subsamp: Subsamp, progressive: bool) -> Vec<u8> {
    let format = if subsamp == Subsamp::Gray { PixelFormat::GRAY } else { PixelFormat::RGB };
    let pixels = pixels(width, height, format.size());
    let mut compressor = Compressor::new().unwrap();
    compressor.set_subsamp(subsamp).unwrap();
    compressor.set_progressive(progressive).unwrap();
    compressor.set_quality(50).unwrap();
    compressor
        .compress_to_vec(Image { pixels: &pixels[..], width, pitch: width * format.size(), height, format })
        .unwrap()
}

fn png(width: u32, height: u32, color: png::ColorType, depth: png::BitDepth) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(color);
    encoder.set_depth(depth);
    encoder.set_compression(png::Compression::Fast);
    encoder.set_filter(png::Filter::Up);
    let samples = color.samples() * depth as usize / 8;
    let pixels = pixels(width as usize, height as usize, samples);
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    bytes
}

/// By the engine: `image` writes lossless ones only.
fn webp(width: u32, height: u32) -> Vec<u8> {
    let params = Resize {
        fit: Some(Fit::Fill),
        enlarge: Some(true),
        width: Some(width),
        height: Some(height),
        format: Some(OutputFormat::Webp),
        ..Resize::default()
    };
    let limits = Limits { output_pixels: u64::MAX, work: u64::MAX, job_memory_bytes: u64::MAX, ..Limits::default() };
    Engine::default().resize(&jpeg(900, 700, Subsamp::Sub2x2, false), &params, &limits).unwrap().bytes
}

fn lossless_webp(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let pixels = pixels(width as usize, height as usize, 3);
    WebPEncoder::new_lossless(&mut bytes).write_image(&pixels, width, height, ExtendedColorType::Rgb8).unwrap();
    bytes
}

/// One color, by the longest strings that LZW can say: a few KB for a whole picture. The frame begins at `left`, and is
/// that much narrower.
fn gif(width: u16, height: u16, left: u16) -> Vec<u8> {
    const CLEAR: u32 = 4;
    let (mut bits, mut count, mut codes) = (0_u64, 0, Vec::new());
    let mut put = |code: u32, width: u32| {
        bits |= u64::from(code) << count;
        count += width;
        while count >= 8 {
            codes.push(bits.to_le_bytes()[0]);
            (bits, count) = (bits >> 8, count - 8);
        }
    };
    let mut left_over = i64::from(width - left) * i64::from(height);
    let mut code_width = 3;
    while left_over > 0 {
        put(CLEAR, code_width);
        code_width = 3;
        put(0, code_width);
        left_over -= 1;
        for next in 6..4096_u32 {
            put(next, code_width);
            left_over -= i64::from(next) - 4;
            if next + 1 == 1 << code_width && code_width < 12 {
                code_width += 1;
            }
        }
    }
    put(CLEAR + 1, code_width);
    put(0, 8);
    let mut bytes = b"GIF89a".to_vec();
    let words = |words: &[u16]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    bytes.extend(words(&[width, height]));
    bytes.extend([0x80, 0, 0, 10, 20, 30, 40, 50, 60, 0x2C]);
    bytes.extend(words(&[left, 0, width - left, height]));
    bytes.extend([0, 2]);
    for block in codes.chunks(255) {
        bytes.push(u8::try_from(block.len()).unwrap());
        bytes.extend(block);
    }
    bytes.extend([0, 0x3B]);
    bytes
}

/// Black and white.
fn bmp(width: u32, height: u32) -> Vec<u8> {
    let row = width.div_ceil(32) * 4;
    let mut bytes = b"BM\0\0\0\0\0\0\0\0\x3E\0\0\0\x28\0\0\0".to_vec();
    bytes.extend([width, height, 1 | 1 << 16, 0, 0, 0, 0, 0, 0, 0, 0x00FF_FFFF].iter().flat_map(|v| v.to_le_bytes()));
    bytes.resize(bytes.len() + (row * height) as usize, 0x5A);
    bytes
}

/// RGB by PackBits.
fn tiff(width: u32, height: u32, bits: u32) -> Vec<u8> {
    let total = width * height * 3 * bits / 8;
    let strip = [129, 77].repeat(total.div_ceil(128) as usize);
    let entries = [
        (256, width),
        (257, height),
        (258, bits),
        (259, 32_773),
        (262, 2),
        (273, 8),
        (277, 3),
        (278, height),
        (279, u32::try_from(strip.len()).unwrap()),
    ];
    let mut bytes = b"II*\0".to_vec();
    bytes.extend((8 + u32::try_from(strip.len()).unwrap()).to_le_bytes());
    bytes.extend(strip);
    bytes.extend(u16::try_from(entries.len()).unwrap().to_le_bytes());
    for (tag, value) in entries {
        bytes.extend([&u16::to_le_bytes(tag)[..], &[4, 0, 1, 0, 0, 0], &u32::to_le_bytes(value)].concat());
    }
    bytes.extend([0; 4]);
    bytes
}
