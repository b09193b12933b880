//! Limits, bombs and broken files: each is rejected for the right reason, and nothing ever panics.

use turbojpeg::{PixelFormat, Subsamp};

use super::*;

const SMALL: Resize = Resize { width: Some(32), height: Some(32), fit: Fit::Inside, format: None, quality: None };

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
fn parameters_that_make_no_sense() {
    let input = photo("rocket.jpg");
    let limits = Limits::default();
    let nothing = Resize::default();
    for (params, words) in [
        (nothing.clone(), "a width, a height or both"),
        (Resize { width: Some(0), ..nothing.clone() }, "width is 0"),
        (Resize { width: Some(9), height: Some(0), ..nothing.clone() }, "height is 0"),
        (Resize { height: Some(30_001), ..nothing.clone() }, "height 30001 is over the limit of 30000"),
        (Resize { width: Some(u32::MAX), ..nothing.clone() }, "over the limit"),
        (Resize { quality: Some(0), ..SMALL }, "quality 0"),
        (Resize { quality: Some(101), ..SMALL }, "quality 101"),
    ] {
        rejected(&input, &params, &limits, &Reason::InvalidParameters, words);
    }
    for quality in [1, 100] {
        resize(&input, &Resize { quality: Some(quality), ..SMALL }).unwrap();
    }
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
    rejected(&input, &params, &Limits { input_bytes: bytes - 1, ..limits }, &too_large, "bytes; the limit is 112524");
    let by_side = Limits { input_side: 639, ..limits };
    let rejection = rejected(&input, &params, &by_side, &too_large, "640×427; the limit is 639 pixels a side");
    assert_eq!(rejection.measures.input_pixels.get(), 640 * 427, "what the header says is recorded");
    assert_eq!(rejection.measures.input_format, Some(ImageFormat::Jpeg));
    rejected(&input, &params, &Limits { input_pixels: 640 * 427 - 1, ..limits }, &too_large, "pixels in all");

    let too_large = Reason::OutputTooLarge;
    rejected(&input, &params, &Limits { output_pixels: 320 * 214 - 1, ..limits }, &too_large, "320×214");
    let follows = fit(Fit::Fill, Resize { width: None, ..within(1, 214) });
    rejected(&input, &follows, &limits, &too_large, "321×214; a jpeg may have 320");
    let thin = png(&DynamicImage::new_luma8(1, 10));
    let wide = |format| to(format, fit(Fit::Fill, within(16_384, 1)));
    rejected(&thin, &wide(OutputFormat::Webp), &Limits::default(), &too_large, "a webp may have 16383");
    resize(&thin, &wide(OutputFormat::Png)).unwrap();
}

#[test]
fn what_is_not_an_image_or_not_one_of_ours() {
    let limits = Limits::default();
    for (input, words) in [
        (&b""[..], "it is empty"),
        (b"GIF89a\x01\0\x01\0", "GIF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no known image format"),
    ] {
        let rejection = rejected(input, &SMALL, &limits, &Reason::UnsupportedFormat, words);
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
    rejected(&frame(|segment| segment[4] = 12), &SMALL, &limits, &Reason::UnsupportedFormat, "12 bits");
    rejected(&frame(|segment| segment[1] = 0xC3), &SMALL, &limits, &Reason::UnsupportedFormat, "lossless");
    let animated = animated_webp();
    rejected(&animated, &SMALL, &limits, &Reason::UnsupportedFormat, "animated");
}

/// An extended WebP header with the animation flag, as in RFC 9649, section 2.7.
fn animated_webp() -> Vec<u8> {
    let mut chunks = b"WEBPVP8X\x0A\0\0\0\x02\0\0\0\x0F\0\0\x0F\0\0".to_vec();
    chunks.extend(b"ANIM\x06\0\0\0\0\0\0\0\0\0");
    [&b"RIFF"[..], &u32::try_from(chunks.len()).unwrap().to_le_bytes(), &chunks].concat()
}

#[test]
fn a_jpeg_bomb_is_refused_by_its_header() {
    let tiny = resize(&photo("rocket.jpg"), &within(8, 8)).unwrap().bytes;
    let limits = Limits::default();
    let bomb = claim(&tiny, 9_000, 9_000);
    assert!(bomb.len() < 1_000);
    let rejection = rejected(&bomb, &SMALL, &limits, &Reason::InputTooLarge, "9000×9000; the limit is 50000000");
    assert!(rejection.measures.cpu_micros.get() < 5_000, "{} µs: nothing is decoded", rejection.measures.cpu_micros);
    rejected(&claim(&tiny, 30_001, 8), &SMALL, &limits, &Reason::InputTooLarge, "30000 pixels a side");
    rejected(&claim(&tiny, 7_000, 7_000), &SMALL, &limits, &Reason::CorruptImage, "JPEG");
    rejected(&claim(&tiny, 0, 8), &SMALL, &limits, &Reason::CorruptImage, "0×8");
    rejected(&claim(&tiny, 8, 0), &SMALL, &limits, &Reason::CorruptImage, "8×0");
}

#[test]
fn a_png_or_webp_that_claims_too_much_is_refused_by_its_header() {
    let limits = Limits::default();
    let header = |width: u32, height: u32| {
        let data = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
        [b"\x89PNG\r\n\x1a\n", &png_chunk(*b"IHDR", &data)[..], &png_chunk(*b"IDAT", &[])].concat()
    };
    rejected(&header(9_000, 9_000), &SMALL, &limits, &Reason::InputTooLarge, "50000000");
    rejected(&header(0x7FFF_FFFF, 0x7FFF_FFFF), &SMALL, &limits, &Reason::InputTooLarge, "a side");
    rejected(&header(0x8000_0000, 1), &SMALL, &limits, &Reason::CorruptImage, "PNG");
    rejected(&header(0, 9), &SMALL, &limits, &Reason::CorruptImage, "0×9");
    rejected(&header(9, 9), &SMALL, &limits, &Reason::CorruptImage, "PNG");

    // A lossless bitstream's header: 14 bits of width − 1, 14 of height − 1 (RFC 9649, section 3.4): 144 MP.
    let bits = 11_999_u32 * (1 + (1 << 14));
    let webp = [&b"WEBPVP8L\x06\0\0\0\x2F"[..], &bits.to_le_bytes(), &[0]].concat();
    let webp = [&b"RIFF"[..], &u32::try_from(webp.len()).unwrap().to_le_bytes(), &webp].concat();
    rejected(&webp, &SMALL, &limits, &Reason::InputTooLarge, "12000×12000; the limit is 50000000");
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

    assert_eq!(resize(&bomb, &SMALL).unwrap().bytes, resize(&good, &SMALL).unwrap().bytes);
    // Unpacking all of it would cost some 30,000 µs.
    let cost = |input| (0..5).map(|_| resize(input, &SMALL).unwrap().measures.cpu_micros.get()).min().unwrap();
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
    rejected(&bomb, &SMALL, &limits, &Reason::InputTooLarge, "more than 100 scans");
}

#[test]
fn no_part_of_an_image_passes_for_the_whole() {
    for (name, whole) in samples() {
        resize(&whole, &SMALL).unwrap();
        let lengths = (0..whole.len()).step_by(29).chain(whole.len().saturating_sub(40)..whole.len());
        for length in lengths {
            let rejection = resize(&whole[..length], &SMALL).expect_err("a part passed");
            let expected = if length < 12 { Reason::UnsupportedFormat } else { Reason::CorruptImage };
            assert!(
                rejection.reason == Reason::CorruptImage || rejection.reason == expected,
                "{name} cut to {length} of {} bytes: {:?}",
                whole.len(),
                rejection.detail
            );
        }
        let trailing = [&whole[..], &b"trailing garbage \xFF\xD8\xFF\x00".repeat(50)].concat();
        assert_eq!(resize(&trailing, &SMALL).unwrap().bytes, resize(&whole, &SMALL).unwrap().bytes, "{name}");
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
                rejected(&[part, tail].concat(), &SMALL, &limits, &Reason::CorruptImage, "JPEG");
            }
        }
    }
}

#[test]
fn padding_before_the_end_of_a_jpeg_is_harmless() {
    let whole = photo("rocket.jpg");
    let padded = [&whole[..whole.len() - 2], &[0; 40], b"\xFF\xD9"].concat();
    assert_eq!(resize(&padded, &SMALL).unwrap().bytes, resize(&whole, &SMALL).unwrap().bytes);
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
