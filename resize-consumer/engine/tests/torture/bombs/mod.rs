//! Small files that ask for much. Each is refused for the right reason, quickly and in little memory, or is worked off
//! within the bounds of any other.

mod make;

use std::time::Duration;

use contract::resize::{OutputFormat, Resize};
use engine::Limits;

use self::make::*;
use crate::watch::{Allowed, Alone, Watch, alone, outcome};

/// Seen to be too much from the header: what that may take in a test, where this crate is not optimized. The memory
/// is for what is unpacked of a color profile before it is too long.
const AT_A_GLANCE: Allowed = Allowed { cpu: Duration::from_secs(3), memory_bytes: 24_000_000 };

struct Bomb {
    name: &'static str,
    bytes: Vec<u8>,
    outcome: &'static str,
}

fn bomb(name: &'static str, bytes: Vec<u8>, outcome: &'static str) -> Bomb {
    Bomb { name, bytes, outcome }
}

fn check(alone: Alone, allowed: Allowed, bombs: &[Bomb]) {
    let mut watch = Watch::start(alone, allowed);
    let params = Resize { width: Some(64), format: Some(OutputFormat::Jpeg), ..Resize::default() };
    for Bomb { name, bytes, outcome: expected } in bombs {
        for allow_partial in [None, Some(true)] {
            let params = Resize { allow_partial, ..params.clone() };
            let Some(answer) = watch.resize(name, bytes, &params, &Limits::default()) else { continue };
            let outcome = outcome(&answer);
            if outcome != *expected && !(allow_partial.is_some() && answer.is_ok()) {
                watch.fail(name, format!("({} bytes) is {outcome}: {answer:?}", bytes.len()));
            }
            if answer.is_ok() {
                break;
            }
        }
    }
    watch.finish();
}

#[test]
fn too_much_is_seen_at_a_glance() {
    let alone = alone();
    let (small, progressive) = (jpeg(false), jpeg(true));
    let large = claiming(small.clone(), 9_000, 9_000);
    assert!(large.len() < 700, "{} bytes", large.len());
    let packed = |start: &[u8]| [&b"bomb\0\0"[..], &zeros_after(start, 255_000_000)].concat();
    // A profile starts with its own length, here below 2^24, and says `acsp` at 36.
    let profile = |length: [u8; 3]| chunk(*b"iCCP", &packed(&[&length[..], &[0; 32], b"acsp"].concat()));
    let idat = chunk(*b"IDAT", &zeros(1));
    let lossless = flat_lossless(1, 1);
    check(
        alone,
        AT_A_GLANCE,
        &[
            bomb("20 MB and a byte", vec![0; 20_000_001], "input_too_large"),
            bomb("JPEG of 81 MP", large, "too_many_pixels"),
            bomb("JPEG of 65,500 × 1", claiming(small.clone(), 65_500, 1), "too_many_pixels"),
            bomb("JPEG of 5,000 scans", with_scans(&progressive, 5_000), "too_many_scans"),
            bomb("JPEG of 49 MP and 90 scans", claiming(with_scans(&progressive, 80), 7_000, 7_000), "too_much_work"),
            bomb("JPEG, 19 MB of comments", with_segments(&small, 0xFE, &vec![0; 65_000], 290), "metadata_too_large"),
            bomb("JPEG, 4 million segments", with_segments(&small, 0xFE, &[], 4_000_000), "done"),
            bomb("JPEG, 19 MB of fill bytes", [&small[..2], &vec![0xFF; 19_000_000], &small[2..]].concat(), "done"),
            bomb("JPEG, 19 MB of junk", with_junk(&small), "done"),
            bomb(
                "PNG, profile of 255 MB that says 16 MB",
                png(1, 1, GRAY, &[profile([0xFF; 3]), idat.clone()].concat()),
                "metadata_too_large",
            ),
            bomb(
                "PNG, profile of 255 MB that says 4 MB",
                png(1, 1, GRAY, &[profile([0x40, 0, 0]), idat.clone()].concat()),
                "done",
            ),
            bomb(
                "PNG, text of 255 MB",
                png(1, 1, GRAY, &[chunk(*b"zTXt", &packed(&[])), idat.clone()].concat()),
                "done",
            ),
            bomb(
                "PNG, 8 MB of text",
                png(1, 1, GRAY, &[chunk(*b"tEXt", &vec![65; 8_100_000]), idat.clone()].concat()),
                "metadata_too_large",
            ),
            bomb(
                "PNG, a million chunks",
                png(1, 1, GRAY, &[chunk(*b"teXt", b"").repeat(1_000_000), idat.clone()].concat()),
                "done",
            ),
            bomb(
                "PNG of 4 billion frames",
                png(1, 1, GRAY, &[chunk(*b"acTL", &[0xFF; 8]), idat.clone()].concat()),
                "too_many_frames",
            ),
            bomb("PNG of 2^62 pixels", png(i32::MAX as u32, i32::MAX as u32, BILEVEL, &idat), "too_many_pixels"),
            bomb("PNG of 65,535 × 65,535 bits", png(65_535, 65_535, BILEVEL, &idat), "too_many_pixels"),
            bomb("PNG of 1 × 2^31-1", png(1, i32::MAX as u32, BILEVEL, &idat), "too_many_pixels"),
            bomb("WebP, 432 MB of canvas", webp(&[canvas(2, 10_392, 10_392), animation(1)]), "too_many_pixels"),
            bomb("WebP, one pixel on 432 MB", webp(&[canvas(0, 10_392, 10_392), lossless.clone()]), "done"),
            bomb("WebP, 2^48 of canvas", webp(&[canvas(2, 1 << 24, 1 << 24), animation(1)]), "too_many_pixels"),
            bomb("WebP of 16,384 × 16,384", webp(&[flat_lossless(16_384, 16_384)]), "too_many_pixels"),
            bomb("WebP of 20,000 frames", webp(&[canvas(2, 1, 1), animation(20_000)]), "too_many_frames"),
            bomb("WebP, 2 million chunks", webp(&[lossless, riff(*b"none", b"").repeat(2_000_000)]), "done"),
            bomb("GIF of 65,535 × 65,535", gif([65_535; 2], &gif_frame([1, 1])), "too_many_pixels"),
            bomb("GIF, a frame of 65,535 × 65,535", gif([1, 1], &gif_frame([65_535; 2])), "too_many_pixels"),
            bomb("GIF of 100,000 frames", gif([1, 1], &gif_frame([1, 1]).repeat(100_000)), "too_many_frames"),
            bomb(
                "GIF, 6 million extensions",
                gif([1, 1], &[&b"\x21\xFE\0".repeat(6_000_000)[..], &gif_frame([1, 1])].concat()),
                "done",
            ),
            bomb("BMP of 2^31 rows", bmp(1, i32::MIN, 1, 0, &[0; 4]), "too_many_pixels"),
            bomb("BMP of 2^31-1 columns", bmp(i32::MAX, 1, 1, 0, &[0; 4]), "too_many_pixels"),
            bomb("TIFF of 2^64 pixels", tiff(&gray_tiff(u32::MAX, u32::MAX, 1), 0, &[0]), "too_many_pixels"),
            bomb("TIFF, directory after itself", tiff(&gray_tiff(1, 1, 1), 8, &[0]), "corrupt_image"),
            bomb("TIFF, directories in a circle", circle(), "done"),
            bomb("TIFF of 100,000 directories", many_directories(), "too_many_frames"),
            bomb("TIFF, strip of 4 GB", tiff(&gray_tiff(1, 1, u32::MAX), 0, &[0]), "corrupt_image"),
            bomb("TIFF, 4 billion strips", tiff(&strips(u32::MAX), 0, &[0]), "corrupt_image"),
            bomb("TIFF, a tile of 2^62 pixels", tiff(&tile(), 0, &[0]), "too_many_pixels"),
            bomb("BigTIFF of a million entries", big_directory(), "done"),
        ],
    );
}

/// Legal and large, or broken behind a good header.
#[test]
fn what_is_worked_off_stays_within_bounds() {
    let alone = alone();
    let limits = Limits::default();
    let allowed = Allowed { cpu: Duration::from_secs(20), memory_bytes: limits.job_memory_bytes };
    let zeros = zeros(400_000_000);
    let idat = chunk(*b"IDAT", &zeros);
    let strip = u32::try_from(zeros.len()).unwrap();
    let deflated = [gray_tiff(1, 1, strip), vec![]].concat().into_iter().map(|entry| match entry {
        (259, ..) => (259, 3, 1, 8),
        other => other,
    });
    check(
        alone,
        allowed,
        &[
            bomb("JPEG of 49 MP", claiming(jpeg(false), 7_000, 7_000), "truncated_image"),
            bomb("progressive JPEG of 49 MP", claiming(jpeg(true), 7_000, 7_000), "truncated_image"),
            bomb("PNG of 30,000 × 1,600 bits", png(30_000, 1_600, BILEVEL, &idat), "done"),
            bomb("interlaced PNG of 49 MP of 64 bits", png(7_000, 7_000, RGBA_16_INTERLACED, &idat), "done"),
            bomb("PNG, 400 MB behind one pixel", png(1, 1, GRAY, &idat), "done"),
            bomb("WebP of 49 MP", webp(&[flat_lossless(7_000, 7_000)]), "done"),
            bomb("BMP of 49 MP in 66 bytes", bmp(7_000, 7_000, 32, 0, &[0; 4]), "truncated_image"),
            bomb("GIF of 49 MP", gif([7_000, 7_000], &gif_frame([7_000, 7_000])), "corrupt_image"),
            bomb("BMP of 49 MP, run-length", bmp(7_000, 7_000, 8, 1, &[0, 1]), "done"),
            bomb("TIFF, 400 MB behind one pixel", tiff(&deflated.collect::<Vec<_>>(), 0, &zeros), "done"),
        ],
    );
}

/// Between two segments.
fn with_junk(jpeg: &[u8]) -> Vec<u8> {
    let jpeg = with_segments(jpeg, 0xFE, &[], 1);
    [&jpeg[..6], &vec![0; 19_000_000], &jpeg[6..]].concat()
}

fn animation(frames: usize) -> Vec<u8> {
    let frame = [&[0; 16][..], &flat_lossless(1, 1)].concat();
    [riff(*b"ANIM", &[0; 6]), riff(*b"ANMF", &frame).repeat(frames)].concat()
}

type Entry = (u16, u16, u32, u32);

/// One strip of 8-bit gray, uncompressed, right behind the directory.
fn gray_tiff(width: u32, height: u32, strip_bytes: u32) -> Vec<Entry> {
    let data = tiff_data_offset(9);
    vec![
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, data),
        (277, 3, 1, 1),
        (278, 4, 1, height),
        (279, 4, 1, strip_bytes),
    ]
}

fn strips(count: u32) -> Vec<Entry> {
    let mut entries = gray_tiff(1, 20_000, 1);
    (entries[5].2, entries[7].3, entries[8].2) = (count, 1, count);
    entries
}

fn tile() -> Vec<Entry> {
    let mut entries = gray_tiff(16, 16, 1);
    entries.truncate(5);
    entries.extend([(277, 3, 1, 1), (322, 4, 1, 1 << 31), (323, 4, 1, 1 << 31), (324, 4, 1, 8), (325, 4, 1, 1)]);
    entries
}

fn circle() -> Vec<u8> {
    let second = tiff_data_offset(9) + 1;
    let directory = directory(&gray_tiff(1, 1, 1), 8);
    tiff(&gray_tiff(1, 1, 1), second, &[&[0][..], &directory].concat())
}

/// Empty ones, each followed by the next.
fn many_directories() -> Vec<u8> {
    let start = tiff_data_offset(9) + 1;
    let more = (1..100_000).flat_map(|number| directory(&[], start + 6 * number));
    tiff(&gray_tiff(1, 1, 1), start, &[0].into_iter().chain(more).collect::<Vec<_>>())
}

/// Nothing but an unknown tag, and what a picture needs at the end.
fn big_directory() -> Vec<u8> {
    let entries = gray_tiff(1, 1, 1);
    let wide = |(tag, kind, count, value): Entry| {
        [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &u64::from(count).to_le_bytes(), &u64::from(value).to_le_bytes()]
            .concat()
    };
    let entries =
        [wide((1, 1, 1, 0)).repeat(990_000), entries.into_iter().map(wide).collect::<Vec<_>>().concat()].concat();
    let count = (entries.len() / 20) as u64;
    [b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0", &count.to_le_bytes()[..], &entries, &[0; 8]].concat()
}
