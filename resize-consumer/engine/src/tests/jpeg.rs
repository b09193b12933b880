//! Every kind of JPEG, whole, odd and broken.

use image::imageops::FilterType;
use image::{GrayImage, RgbImage};
use turbojpeg::{Colorspace, Compressor, PixelFormat, Subsamp};

use super::*;

const SUBSAMPLINGS: [Subsamp; 6] =
    [Subsamp::None, Subsamp::Sub2x1, Subsamp::Sub1x2, Subsamp::Sub2x2, Subsamp::Sub4x1, Subsamp::Sub1x4];

fn compress(picture: &RgbImage, set: impl Fn(&mut Compressor) -> turbojpeg::Result<()>) -> Vec<u8> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let image =
        turbojpeg::Image { pixels: &picture.as_raw()[..], width, pitch: 3 * width, height, format: PixelFormat::RGB };
    let mut compressor = Compressor::new().unwrap();
    set(&mut compressor).unwrap();
    compressor.compress_to_vec(image).unwrap()
}

fn picture(width: u32, height: u32) -> RgbImage {
    look(&photo("chelsea.png")).crop_imm(60, 20, width, height).to_rgb8()
}

fn partial(params: Resize) -> Resize {
    Resize { allow_partial: Some(true), ..params }
}

/// A part of a scan's data is not a scan's data: where scans start.
fn scans(jpeg: &[u8]) -> Vec<usize> {
    jpeg.windows(2).enumerate().filter(|(_, pair)| pair == b"\xFF\xDA").map(|(at, _)| at).collect()
}

fn greatest_difference(ours: &GrayImage, expected: &GrayImage) -> u8 {
    assert_eq!(ours.dimensions(), expected.dimensions());
    ours.pixels().zip(expected.pixels()).map(|(a, b)| a.0[0].abs_diff(b.0[0])).max().unwrap()
}

#[test]
fn odd_sides_are_neither_stretched_nor_padded() {
    let best = |width, height| Resize { quality: Some(100), ..to(OutputFormat::Jpeg, within(width, height)) };
    for (width, height) in [(1, 1), (2, 3), (5, 2), (9, 17), (31, 33), (97, 101), (333, 211)] {
        // Without color, so that only luma differs.
        let gray = DynamicImage::from(DynamicImage::from(picture(width, height)).to_luma8());
        for subsamp in SUBSAMPLINGS {
            let input =
                compress(&gray.to_rgb8(), |jpeg| jpeg.set_subsamp(subsamp).and_then(|()| jpeg.set_quality(100)));
            let same = look(&resize(&input, &best(width, height)).unwrap().bytes).to_luma8();
            let off = greatest_difference(&same, &gray.to_luma8());
            assert!(off <= 4, "{subsamp:?} {width}×{height}: {off} off");
        }
    }
    // What is scaled differs by what the DCT does, at the edges as elsewhere.
    let gray = DynamicImage::from(DynamicImage::from(picture(333, 211)).to_luma8()).blur(1.5);
    for subsamp in SUBSAMPLINGS {
        let input = compress(&gray.to_rgb8(), |jpeg| jpeg.set_subsamp(subsamp).and_then(|()| jpeg.set_quality(100)));
        for (width, height) in [(247, 157), (153, 97), (83, 53), (41, 26), (27, 17)] {
            let ours = look(&resize(&input, &best(width, height)).unwrap().bytes).to_luma8();
            let off = greatest_difference(&ours, &gray.resize(width, height, FilterType::Lanczos3).to_luma8());
            assert!(off <= 10, "{subsamp:?} → {width}×{height}: {off} off");
        }
    }
}

/// Planes are padded to whole chroma samples with what happened to be in memory: here mostly the black first column.
#[test]
fn what_lies_beside_the_picture_does_not_shine_in() {
    let white = GrayImage::from_fn(40, 40, |x, y| image::Luma([if x < 8 || y < 8 { 0 } else { 255 }]));
    for subsamp in SUBSAMPLINGS {
        let input = compress(&DynamicImage::from(white.clone()).to_rgb8(), |jpeg| jpeg.set_subsamp(subsamp));
        let ours = look(&resize(&input, &to(OutputFormat::Png, within(3, 3))).unwrap().bytes).to_luma8();
        assert!(ours.get_pixel(2, 2).0[0] > 245, "{subsamp:?}: {ours:?}");
    }
}

/// Progressive, arithmetic and restarts only say the same coefficients otherwise.
#[test]
fn the_coding_makes_no_difference() {
    let picture = picture(203, 151);
    let baseline = compress(&picture, |jpeg| jpeg.set_subsamp(Subsamp::Sub2x2));
    let with = |set: fn(&mut Compressor) -> turbojpeg::Result<()>| {
        compress(&picture, |jpeg| jpeg.set_subsamp(Subsamp::Sub2x2).and_then(|()| set(jpeg)))
    };
    let both: fn(&mut Compressor) -> turbojpeg::Result<()> =
        |jpeg| jpeg.set_arithmetic(true).and_then(|()| jpeg.set_progressive(true));
    for params in [within(200, 200), within(80, 80), within(20, 20), to(OutputFormat::Png, within(40, 40))] {
        let expected = resize(&baseline, &params).unwrap().bytes;
        for (name, input) in [
            ("optimized", with(|jpeg| jpeg.set_optimize(true))),
            ("progressive", with(|jpeg| jpeg.set_progressive(true))),
            ("arithmetic", with(|jpeg| jpeg.set_arithmetic(true))),
            ("arithmetic and progressive", with(both)),
            ("with trailing garbage", [&baseline[..], b"garbage\xFF\xD8\xFF\xC0garbage"].concat()),
        ] {
            assert!(resize(&input, &params).unwrap().bytes == expected, "{name}");
        }
    }
    // Shrunk as much as this, a progressive one does without its finest bits.
    for params in [within(32, 32), within(50, 50)] {
        let [slow, quick] = [&baseline, &with(|jpeg| jpeg.set_progressive(true))]
            .map(|input| look(&resize(input, &params).unwrap().bytes));
        assert!(slow != quick);
        let near = psnr(&slow, &quick);
        assert!(near > 42.0, "{near:.1} dB");
    }
}

#[test]
fn restart_markers_are_followed() {
    // Each strip starts anew, as after a restart; 203 pixels are 13 MCUs.
    let whole = picture(203, 48);
    let strip = |n: u32| {
        let strip = image::imageops::crop_imm(&whole, 0, 16 * n, 203, 16).to_image();
        compress(&strip, |jpeg| jpeg.set_subsamp(Subsamp::Sub2x2))
    };
    let data = |jpeg: &[u8]| {
        let data = &jpeg[scans(jpeg)[0]..jpeg.len() - 2];
        data[2 + usize::from(u16::from_be_bytes([data[2], data[3]]))..].to_vec()
    };
    let head = claim(&strip(0), 203, 48);
    let (head, scan) = head.split_at(scans(&head)[0]);
    let input = [
        head,
        b"\xFF\xDD\0\x04\0\x0D",
        &scan[..scan.len() - 2],
        b"\xFF\xD0",
        &data(&strip(1)),
        b"\xFF\xD1",
        &data(&strip(2)),
        b"\xFF\xD9",
    ]
    .concat();
    let ours = look(&resize(&input, &to(OutputFormat::Png, within(203, 48))).unwrap().bytes);
    let near = psnr(&ours, &DynamicImage::from(whole));
    assert!(near > 36.0, "{near:.1} dB");
}

#[test]
fn every_color_space_is_read() {
    let picture = picture(203, 151);
    let reference = DynamicImage::from(picture.clone());
    let inks: Vec<u8> = picture.pixels().flat_map(|pixel| [pixel.0[0], pixel.0[1], pixel.0[2], 255]).collect();
    let inked = |colorspace| {
        let image =
            turbojpeg::Image { pixels: &inks[..], width: 203, pitch: 4 * 203, height: 151, format: PixelFormat::CMYK };
        let mut compressor = Compressor::new().unwrap();
        compressor.set_colorspace(colorspace).unwrap();
        compressor.compress_to_vec(image).unwrap()
    };
    let rgb = compress(&picture, |jpeg| jpeg.set_colorspace(Colorspace::RGB));
    for (name, input) in [("RGB", rgb), ("CMYK", inked(Colorspace::CMYK)), ("YCCK", inked(Colorspace::YCCK))] {
        for (width, height) in [(203, 151), (101, 75), (40, 30)] {
            for format in [OutputFormat::Png, OutputFormat::Jpeg] {
                let params = Resize { quality: Some(95), ..to(format, within(width, height)) };
                let ours = look(&resize(&input, &params).unwrap().bytes);
                let near = psnr(&ours, &reference.resize(width, height, FilterType::Lanczos3));
                assert!(near > 35.0, "{name} → {width}×{height} {format:?}: {near:.1} dB");
            }
        }
    }
}

/// Chroma planes of two sizes have no name, so they go through RGB. Each block is one color: its first coefficient, then
/// the end of the block, in the standard's tables (T.81, annex K.3).
#[test]
fn chroma_planes_of_two_sizes_are_read() {
    let plain =
        compress(&RgbImage::new(16, 8), |jpeg| jpeg.set_subsamp(Subsamp::Sub2x1).and_then(|()| jpeg.set_quality(50)));
    let odd = edit_jpeg(&plain, |marker, mut segment| {
        if is_frame(marker) {
            segment[17] = 0x21; // two blocks of Cr, one of Cb
        }
        Some(segment)
    });
    let start = scans(&odd)[0];
    let header = 2 + usize::from(u16::from_be_bytes([odd[start + 2], odd[start + 3]]));
    // Y +20 and +0; Cb +0; Cr +20 and +0: a difference of 5 bits, 20 × 16 (quality 50) ÷ 8 = 40 brighter; 17 for chroma.
    let bits =
        "110".to_owned() + "10100" + "1010" + "00" + "1010" + "00" + "00" + "11110" + "10100" + "00" + "00" + "00";
    let padded = format!("{bits:1<40}");
    let data: Vec<u8> = (0..5).map(|n| u8::from_str_radix(&padded[8 * n..8 * n + 8], 2).unwrap()).collect();
    let input = [&odd[..start + header], &data, b"\xFF\xD9"].concat();
    let ours = look(&resize(&input, &to(OutputFormat::Png, within(16, 8))).unwrap().bytes).to_rgb8();
    // Y 168, Cb 128, Cr 170.5.
    let expected = [228, 138, 168];
    for pixel in ours.pixels() {
        assert!(pixel.0.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 2), "{pixel:?} for {expected:?}");
    }
}

#[test]
fn what_is_odd_and_does_no_harm_changes_nothing() {
    let picture = picture(203, 151);
    let clean = compress(&picture, |jpeg| jpeg.set_subsamp(Subsamp::Sub2x2));
    let rgb = compress(&picture, |jpeg| jpeg.set_colorspace(Colorspace::RGB));
    let cut = |jpeg: &[u8]| [&jpeg[..jpeg.len() / 2], b"\xFF\xD9"].concat();
    let edit = |jpeg: &[u8], changed: u8, at: usize, value: u8| {
        edit_jpeg(jpeg, |marker, mut segment| {
            if marker == changed {
                segment[at] = value;
            }
            Some(segment)
        })
    };
    let scan = scans(&clean)[0];
    let odd_scan: Vec<u8> =
        clean.iter().enumerate().map(|(at, byte)| if at == scan + 12 { 0 } else { *byte }).collect();
    for (name, odd, clean) in [
        ("JFIF 7", edit(&clean, 0xE0, 9, 7), &clean),
        ("junk", edit_jpeg(&clean, |_, segment| Some([&segment[..], b"\0junk"].concat())), &clean),
        ("a scan of one coefficient, it says", odd_scan, &clean),
        ("padding before the end", [&clean[..clean.len() - 2], &[0; 40], b"\xFF\xD9"].concat(), &clean),
    ] {
        assert!(odd != *clean, "{name}");
        let expected = resize(clean, &within(99, 99)).unwrap().bytes;
        assert!(resize(&odd, &within(99, 99)).unwrap().bytes == expected, "{name}");
        if name != "padding before the end" {
            rejected(&cut(&odd), &within(99, 99), &Limits::default(), &Reason::TruncatedImage, "premature end");
        }
    }
    // An unknown transform is taken for YCbCr.
    let odd = edit(&rgb, 0xEE, 15, 9);
    let declared = edit(&rgb, 0xEE, 15, 1);
    assert!(resize(&odd, &within(99, 99)).unwrap().bytes == resize(&declared, &within(99, 99)).unwrap().bytes);
}

#[test]
fn a_part_is_taken_only_where_that_is_allowed() {
    let picture = picture(203, 151);
    let reference = DynamicImage::from(picture.clone());
    let mut used = Engine::default();
    used.resize(&photo("retina.jpg"), &within(700, 700), &Limits::default()).unwrap();
    for set in [Compressor::set_progressive, Compressor::set_optimize] {
        let whole = compress(&picture, |jpeg| set(jpeg, true));
        for (name, part) in [
            ("cut", whole[..whole.len() * 3 / 4].to_vec()),
            ("cut and ended", [&whole[..whole.len() * 3 / 4], b"\xFF\xD9"].concat()),
            ("without its end", whole[..whole.len() - 2].to_vec()),
        ] {
            let params = to(OutputFormat::Png, within(203, 151));
            rejected(&part, &params, &Limits::default(), &Reason::TruncatedImage, "truncated JPEG");
            let output = resize(&part, &partial(params.clone())).unwrap();
            let ours = look(&output.bytes);
            let near = psnr(&ours.crop_imm(0, 0, 203, 75), &reference.crop_imm(0, 0, 203, 75));
            assert!(near > 25.0, "{name}: {near:.1} dB");
            let again = used.resize(&part, &partial(params), &Limits::default()).unwrap();
            assert!(again.bytes == output.bytes, "{name}: another image shows");
        }
        rejected(&whole[..scans(&whole)[0]], &partial(within(9, 9)), &Limits::default(), &Reason::TruncatedImage, "");
    }
    let broken = edit_jpeg(&compress(&picture, |_| Ok(())), |marker, segment| (marker != 0xDB).then_some(segment));
    rejected(&broken, &partial(within(9, 9)), &Limits::default(), &Reason::CorruptImage, "Quantization table");
}

#[test]
fn a_missing_scan_is_missed() {
    let whole = compress(&picture(203, 151), |jpeg| jpeg.set_progressive(true));
    let starts = scans(&whole);
    assert!(starts.len() > 5);
    for start in &starts[1..] {
        let part = [&whole[..*start], b"\xFF\xD9"].concat();
        rejected(&part, &within(99, 99), &Limits::default(), &Reason::TruncatedImage, "scans are missing");
        resize(&part, &partial(within(99, 99))).unwrap();
    }
}
