//! Limits, bombs and broken files: each is rejected for the right reason, and nothing ever panics.

use turbojpeg::{PixelFormat, Subsamp};

use super::*;

fn small() -> Resize {
    within(32, 32)
}

/// A small photograph in each format.
fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let astronaut = photo("astronaut.png");
    let small = |format| resize(&astronaut, &to(format, within(96, 80))).unwrap().bytes;
    let picture = look(&small(OutputFormat::Png));
    vec![
        ("JPEG", small(OutputFormat::Jpeg)),
        ("progressive JPEG", progressive(&picture)),
        ("PNG", small(OutputFormat::Png)),
        ("lossy WebP", small(OutputFormat::Webp)),
        ("lossless WebP", lossless_webp(&picture, None)),
    ]
}

fn progressive(picture: &DynamicImage) -> Vec<u8> {
    let rgb = picture.to_rgb8();
    let (width, height) = (rgb.width() as usize, rgb.height() as usize);
    let mut compressor = turbojpeg::Compressor::new().unwrap();
    compressor.set_progressive(true).unwrap();
    compressor.set_subsamp(Subsamp::Sub2x2).unwrap();
    let format = PixelFormat::RGB;
    compressor
        .compress_to_vec(turbojpeg::Image { pixels: &rgb.as_raw()[..], width, pitch: 3 * width, height, format })
        .unwrap()
}

#[test]
fn the_last_allowed_passes_and_one_more_does_not() {
    let input = photo("rocket.jpg"); // 640×427
    let bytes = input.len() as u64;
    let limits = Limits {
        input_bytes: bytes,
        input_pixels: 640 * 427,
        input_side: 640,
        output_pixels: 320 * 214,
        output_side: 320,
        ..Limits::default()
    };
    let params = within(320, 320);
    Engine::default().resize(&input, &params, &limits).unwrap();

    let too_large = Reason::InputTooLarge;
    let words = format!("bytes; the limit is {}", bytes - 1);
    rejected(&input, &params, &Limits { input_bytes: bytes - 1, ..limits }, &too_large, &words);
    let too_large = Reason::TooManyPixels;
    let by_side = Limits { input_side: 639, ..limits };
    let rejection = rejected(&input, &params, &by_side, &too_large, "640×427; the limit is 639 pixels a side");
    assert_eq!(rejection.measures.input_pixels.get(), 640 * 427, "what the header says is recorded");
    assert_eq!(rejection.measures.input_format, Some(InputFormat::Jpeg));
    rejected(&input, &params, &Limits { input_pixels: 640 * 427 - 1, ..limits }, &too_large, "pixels in all");

    let too_large = Reason::OutputTooLarge;
    rejected(&input, &params, &Limits { output_pixels: 320 * 214 - 1, ..limits }, &too_large, "320×214");
    let follows = Resize { width: None, ..within(1, 214) };
    rejected(&input, &follows, &limits, &too_large, "321×214; a jpeg may have 320");
    let thin = png(&DynamicImage::new_luma8(1, 10));
    let wide = |format| to(format, Resize { enlarge: Some(true), ..fit(Fit::Fill, within(16_384, 1)) });
    rejected(&thin, &wide(OutputFormat::Webp), &Limits::default(), &too_large, "a webp may have 16383");
    resize(&thin, &wide(OutputFormat::Png)).unwrap();
}

#[test]
fn what_is_not_an_image_or_not_one_of_ours() {
    let limits = Limits::default();
    for (input, words) in [
        (&b""[..], "it is empty"),
        (b"\0\0\0\x1cftypavif", "AVIF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no known image format"),
    ] {
        let rejection = rejected(input, &small(), &limits, &Reason::UnsupportedFormat, words);
        assert_eq!(rejection.measures.input_format, None);
    }
    let jpeg = photo("rocket.jpg");
    let frame = |change: fn(&mut Vec<u8>)| {
        edit_jpeg(&jpeg, |marker, mut segment| {
            if is_frame(marker) {
                change(&mut segment);
            }
            Some(segment)
        })
    };
    rejected(&frame(|segment| segment[4] = 12), &small(), &limits, &Reason::UnsupportedFeature, "12 bits");
    rejected(&frame(|segment| segment[1] = 0xC3), &small(), &limits, &Reason::UnsupportedFeature, "lossless");
}

#[test]
fn a_jpeg_bomb_is_refused_by_its_header() {
    let tiny = resize(&photo("rocket.jpg"), &within(8, 8)).unwrap().bytes;
    let limits = Limits::default();
    let bomb = claim(&tiny, 9_000, 9_000);
    assert!(bomb.len() < 1_000);
    let rejection = rejected(&bomb, &small(), &limits, &Reason::TooManyPixels, "9000×9000; the limit is 50000000");
    assert!(rejection.measures.cpu_micros.get() < 5_000, "{} µs: nothing is decoded", rejection.measures.cpu_micros);
    rejected(&claim(&tiny, 30_001, 8), &small(), &limits, &Reason::TooManyPixels, "30000 pixels a side");
    rejected(&claim(&tiny, 7_000, 7_000), &small(), &limits, &Reason::TruncatedImage, "JPEG");
    rejected(&claim(&tiny, 0, 8), &small(), &limits, &Reason::CorruptImage, "0×8");
    rejected(&claim(&tiny, 8, 0), &small(), &limits, &Reason::CorruptImage, "8×0");
}

#[test]
fn a_png_or_webp_that_claims_too_much_is_refused_by_its_header() {
    let limits = Limits::default();
    let header = |width: u32, height: u32| {
        let data = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
        [b"\x89PNG\r\n\x1a\n", &png_chunk(*b"IHDR", &data)[..], &png_chunk(*b"IDAT", &[])].concat()
    };
    rejected(&header(9_000, 9_000), &small(), &limits, &Reason::TooManyPixels, "50000000");
    rejected(&header(0x7FFF_FFFF, 0x7FFF_FFFF), &small(), &limits, &Reason::TooManyPixels, "a side");
    rejected(&header(0x8000_0000, 1), &small(), &limits, &Reason::CorruptImage, "PNG");
    rejected(&header(0, 9), &small(), &limits, &Reason::CorruptImage, "0×9");
    rejected(&header(9, 9), &small(), &limits, &Reason::TruncatedImage, "PNG");

    // A lossless bitstream's header: 14 bits of width − 1, 14 of height − 1 (RFC 9649, section 3.4): 144 MP.
    let bits = 11_999_u32 * (1 + (1 << 14));
    let webp = [&b"WEBPVP8L\x06\0\0\0\x2F"[..], &bits.to_le_bytes(), &[0]].concat();
    let webp = [&b"RIFF"[..], &u32::try_from(webp.len()).unwrap().to_le_bytes(), &webp].concat();
    rejected(&webp, &small(), &limits, &Reason::TooManyPixels, "12000×12000; the limit is 50000000");
}

#[test]
fn a_compressed_profile_is_not_unpacked() {
    // 49 MB of nothing, compressed to some 50 KB: the pixels of a black PNG.
    let black = png(&DynamicImage::new_luma8(7_000, 7_000));
    let mut profile = b"bomb\0\0".to_vec();
    let mut at = 8;
    while at < black.len() {
        let length = u32::from_be_bytes(black[at..at + 4].try_into().unwrap()) as usize;
        if &black[at + 4..at + 8] == b"IDAT" {
            profile.extend(&black[at + 8..at + 8 + length]);
        }
        at += length + 12;
    }
    assert!((1_000..1_000_000).contains(&profile.len()), "{} bytes", profile.len());
    let good = png(&look(&photo("chelsea.png")).crop_imm(0, 0, 40, 40));
    let bomb = insert_chunk(&good, &png_chunk(*b"iCCP", &profile));

    assert_eq!(resize(&bomb, &small()).unwrap().bytes, resize(&good, &small()).unwrap().bytes);
    // Unpacking all of it would cost some 30,000 µs.
    let cost = |input| (0..5).map(|_| resize(input, &small()).unwrap().measures.cpu_micros.get()).min().unwrap();
    let (spent, usual) = (cost(&bomb), cost(&good));
    assert!(spent < usual + 2_000, "{spent} µs, where {usual} µs are usual");
}

#[test]
fn a_jpeg_of_too_many_scans_is_refused() {
    let jpeg = progressive(&look(&photo("rocket.jpg")));
    let last = jpeg.windows(2).rposition(|pair| pair == [0xFF, 0xDA]).unwrap();
    let (head, scan) = (&jpeg[..last], &jpeg[last..jpeg.len() - 2]);
    let bomb = [head, &scan.repeat(5_000), &[0xFF, 0xD9]].concat();
    let limits = Limits { input_bytes: u64::MAX, ..Limits::default() };
    rejected(&bomb, &small(), &limits, &Reason::TooManyScans, "more than 100 scans");
}

#[test]
fn no_part_of_an_image_passes_for_the_whole() {
    for (name, whole) in samples() {
        resize(&whole, &small()).unwrap();
        let lengths = (0..whole.len()).step_by(29).chain(whole.len().saturating_sub(40)..whole.len());
        for length in lengths {
            let rejection = resize(&whole[..length], &small()).expect_err("a part passed");
            let unknown = length < 12 && rejection.reason == Reason::UnsupportedFormat;
            assert!(
                unknown || matches!(rejection.reason, Reason::CorruptImage | Reason::TruncatedImage),
                "{name} cut to {length} of {} bytes: {:?}",
                whole.len(),
                rejection.detail
            );
        }
        let trailing = [&whole[..], &b"trailing garbage \xFF\xD8\xFF\x00".repeat(50)].concat();
        assert_eq!(resize(&trailing, &small()).unwrap().bytes, resize(&whole, &small()).unwrap().bytes, "{name}");
    }
}

#[test]
fn a_cut_jpeg_with_an_end_put_on_is_still_cut() {
    for name in ["retina.jpg", "hubble.jpg", "rocket.jpg"] {
        let whole = photo(name);
        for tenths in 1..10 {
            let part = &whole[..whole.len() * tenths / 10];
            let limits = Limits::default();
            for tail in [&b"\xFF\xD9"[..], &[0; 9_000], b"garbage\xFF\xD9garbage"] {
                rejected(&[part, tail].concat(), &small(), &limits, &Reason::TruncatedImage, "JPEG");
            }
        }
    }
}

#[test]
fn padding_before_the_end_of_a_jpeg_is_harmless() {
    let whole = photo("rocket.jpg");
    let padded = [&whole[..whole.len() - 2], &[0; 40], b"\xFF\xD9"].concat();
    assert_eq!(resize(&padded, &small()).unwrap().bytes, resize(&whole, &small()).unwrap().bytes);
}

#[test]
fn flipped_bits_never_panic() {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    // Knuth's MMIX generator; its high bits.
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let mut engine = Engine::default();
    for (name, whole) in samples() {
        let mut refused = 0;
        for round in 0..800 {
            let mut broken = whole.clone();
            // Every other one in the header, where the decisions are made.
            let reach = if round % 2 == 0 { whole.len() } else { whole.len().min(700) };
            for _ in 0..=random(6) {
                broken[random(reach)] ^= 1 << random(8);
            }
            let params = to(FORMATS[random(3)], within(1 + u32::try_from(random(60)).unwrap(), 40));
            match engine.resize(&broken, &params, &Limits::default()) {
                Ok(output) => {
                    let picture = look(&output.bytes);
                    assert_eq!((picture.width(), picture.height()), (output.width, output.height));
                }
                Err(rejection) => {
                    refused += 1;
                    assert!(!matches!(rejection.reason, Reason::Other(_)), "{name}: {}", rejection.detail);
                }
            }
        }
        assert!(refused > 20, "{name}: {refused} of 800 refused");
    }
}
