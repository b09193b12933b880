//! Every parameter, by whole pictures.

use contract::resize::{Crop, Filter, Flip, FocalPoint, Gravity, Metadata, Thousandths};
use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{GrayImage, ImageDecoder as _, ImageReader, Luma, Rgb, RgbImage, Rgba, RgbaImage};

use super::*;
use crate::exif::{Credits, credits, tests::block};

fn as_png(params: Resize) -> Resize {
    to(OutputFormat::Png, params)
}

fn seen(input: &[u8], params: &Resize) -> DynamicImage {
    look(&resize(input, params).unwrap().bytes)
}

fn near(ours: &DynamicImage, reference: &DynamicImage, least: f64, what: &str) {
    let near = psnr(ours, reference);
    assert!(near > least, "{what}: {near:.1} dB");
}

#[test]
fn parameters_that_make_no_sense() {
    let input = photo("rocket.jpg"); // 640×427
    let limits = Limits::default();
    let nothing = Resize::default();
    let number = |thousandths| Some(Thousandths::new(thousandths));
    let part = |left, top, width, height| Some(Crop { left, top, width, height });
    let point = |x, y| Some(FocalPoint { x: Thousandths::new(x), y: Thousandths::new(y) });
    let auto = |accept: &[OutputFormat]| to(OutputFormat::Auto, Resize { accept: accept.to_vec(), ..within(9, 9) });
    for (params, words) in [
        (Resize { width: Some(0), ..nothing.clone() }, "width is 0"),
        (Resize { width: Some(9), height: Some(0), ..nothing.clone() }, "height is 0"),
        (Resize { height: Some(30_001), ..nothing.clone() }, "height is 30001, dpr applied; up to 30000"),
        (Resize { width: Some(u32::MAX), dpr: number(10_000), ..nothing.clone() }, "up to 30000"),
        (Resize { width: Some(20_000), dpr: number(2_000), ..nothing.clone() }, "width is 40000, dpr applied"),
        (Resize { dpr: number(99), ..within(9, 9) }, "dpr is 0.099; 0.1 to 10"),
        (Resize { dpr: number(10_001), ..within(9, 9) }, "dpr is 10.001"),
        (Resize { quality: Some(0), ..within(9, 9) }, "quality is 0; 1 to 100"),
        (Resize { quality: Some(101), ..within(9, 9) }, "quality is 101"),
        (Resize { crop: part(0, 0, 0, 9), ..nothing.clone() }, "crop is 0×9 from 0,0; a part of 640×427"),
        (Resize { crop: part(600, 0, 41, 9), ..nothing.clone() }, "crop is 41×9 from 600,0"),
        (Resize { crop: part(0, 427, 1, 1), ..nothing.clone() }, "crop is 1×1 from 0,427"),
        (Resize { crop: part(u32::MAX, 0, u32::MAX, 1), ..nothing.clone() }, "a part of 640×427"),
        (Resize { rotate: Some(45), ..nothing.clone() }, "rotate is 45; 0, 90, 180 and 270"),
        (Resize { rotate: Some(360), ..nothing.clone() }, "rotate is 360"),
        (Resize { focal_point: point(-1, 0), ..within(9, 9) }, "focal_point.x is -0.001; 0 to 1"),
        (Resize { focal_point: point(0, 1_001), ..within(9, 9) }, "focal_point.y is 1.001"),
        (
            Resize { focal_point: point(0, 0), gravity: Some(Gravity::Center), ..within(9, 9) },
            "gravity and focal_point are both given",
        ),
        (Resize { background: Some("white".to_owned()), ..within(9, 9) }, r#"background is "white"; #rrggbb"#),
        (Resize { background: Some("#fff".to_owned()), ..within(9, 9) }, "#rrggbbaa"),
        (Resize { background: Some("#+12345".to_owned()), ..within(9, 9) }, "#rrggbbaa"),
        (Resize { blur: number(299), ..within(9, 9) }, "blur is 0.299; 0.3 to 100"),
        (Resize { blur: number(100_001), ..within(9, 9) }, "blur is 100.001"),
        (Resize { sharpen: number(0), ..within(9, 9) }, "sharpen is 0; 0.3 to 10"),
        (Resize { sharpen: number(10_001), ..within(9, 9) }, "sharpen is 10.001"),
        (Resize { lossless: Some(true), ..within(9, 9) }, "lossless is true, but the output is a JPEG"),
        (Resize { lossless: Some(true), ..auto(&[OutputFormat::Jpeg]) }, "the output is a JPEG"),
        (Resize { accept: vec![OutputFormat::Webp], ..within(9, 9) }, "accept is for the format auto"),
        (auto(&[OutputFormat::Png, OutputFormat::Auto]), "accept has auto; jpeg, png and webp"),
    ] {
        rejected(&input, &params, &limits, &Reason::InvalidParameters, words);
    }
    let preset = Some("thumb".parse().unwrap());
    rejected(&input, &Resize { preset, ..nothing }, &limits, &Reason::UnknownPreset, "no preset thumb");
}

#[test]
fn the_last_allowed_of_every_number_is_allowed() {
    let input = photo("rocket.jpg");
    let number = |thousandths| Some(Thousandths::new(thousandths));
    for params in [
        Resize { quality: Some(1), dpr: number(100), blur: number(300), sharpen: number(300), ..within(9, 9) },
        Resize {
            quality: Some(100),
            dpr: number(10_000),
            blur: number(100_000),
            sharpen: number(10_000),
            ..within(9, 9)
        },
        Resize { crop: Some(Crop { left: 639, top: 426, width: 1, height: 1 }), rotate: Some(0), ..Resize::default() },
        Resize { width: Some(30_000), dpr: number(1_000), ..Resize::default() },
    ] {
        resize(&input, &params).unwrap();
    }
}

#[test]
fn without_sizes_a_picture_keeps_its_own() {
    let input = photo("rocket.jpg");
    for format in FORMATS {
        let output = resize(&input, &to(format, Resize::default())).unwrap();
        assert_eq!((output.width, output.height), (640, 427));
        near(&look(&output.bytes), &look(&input), 30.0, output.format.name());
    }
    let cut = Crop { left: 100, top: 50, width: 301, height: 201 };
    let ours = seen(&input, &as_png(Resize { crop: Some(cut), ..Resize::default() }));
    near(&ours, &look(&input).crop_imm(100, 50, 301, 201), 38.0, "a part as it is");
}

#[test]
fn enlarging_is_asked_for() {
    let small = look(&photo("coffee.png")).resize_exact(60, 40, FilterType::Lanczos3);
    let input = png(&small);
    let larger = |fit| Resize { fit: Some(fit), enlarge: Some(true), ..as_png(within(90, 90)) };
    near(&seen(&input, &larger(Fit::Inside)), &small.resize_exact(90, 60, FilterType::Lanczos3), 45.0, "inside");
    near(&seen(&input, &larger(Fit::Outside)), &small.resize_exact(135, 90, FilterType::Lanczos3), 45.0, "outside");
    near(&seen(&input, &larger(Fit::Fill)), &small.resize_exact(90, 90, FilterType::Lanczos3), 45.0, "fill");
    let middle = small.crop_imm(10, 0, 40, 40).resize_exact(90, 90, FilterType::Lanczos3);
    near(&seen(&input, &larger(Fit::Cover)), &middle, 36.0, "cover");
    let dpr = Some(Thousandths::new(2_000));
    let doubled = Resize { dpr, enlarge: Some(true), ..as_png(within(60, 60)) };
    near(&seen(&input, &doubled), &small.resize_exact(120, 80, FilterType::Lanczos3), 45.0, "dpr 2");
    assert!(seen(&input, &Resize { dpr, ..as_png(within(60, 60)) }) == small, "not asked for");
}

#[test]
fn cover_keeps_the_part_that_was_asked_for() {
    let full = look(&photo("coffee.png"));
    let input = png(&full.resize_exact(600, 400, FilterType::Lanczos3));
    let full = look(&input);
    let square =
        |params| Resize { fit: Some(Fit::Cover), ..as_png(Resize { width: Some(100), height: Some(100), ..params }) };
    let focal = |x| Resize {
        focal_point: Some(FocalPoint { x: Thousandths::new(x), y: Thousandths::new(500) }),
        ..Resize::default()
    };
    for (params, left) in [
        (Resize::default(), 100),
        (Resize { gravity: Some(Gravity::West), ..Resize::default() }, 0),
        (Resize { gravity: Some(Gravity::SouthEast), ..Resize::default() }, 200),
        (focal(400), 40),
        (focal(0), 0),
    ] {
        let reference = full.crop_imm(left, 0, 400, 400).resize_exact(100, 100, FilterType::Lanczos3);
        near(&seen(&input, &square(params.clone())), &reference, 38.0, &format!("{params:?}"));
    }
}

/// A picture of 240×120 in one color, in a box of 160×160: 160×80 of it.
#[test]
fn contain_has_a_background() {
    let red = DynamicImage::from(RgbImage::from_pixel(240, 120, Rgb([200, 30, 40])));
    let glass = DynamicImage::from(RgbaImage::from_pixel(240, 120, Rgba([200, 30, 40, 128])));
    let gray = DynamicImage::from(GrayImage::from_pixel(240, 120, Luma([77])));
    let over = |[r, g, b, a]: [u8; 4], on: [u8; 4]| {
        let over = |c: u8, on: u8| (u32::from(c) * u32::from(a) + u32::from(on) * (255 - u32::from(a)) + 127) / 255;
        let [r, g, b] = [over(r, on[0]), over(g, on[1]), over(b, on[2])].map(|c| u8::try_from(c).unwrap());
        [r, g, b, 255]
    };
    for (source, gravity, background, top, inside, around) in [
        (&red, None, None, 40, [200, 30, 40, 255], [255; 4]),
        (&red, Some(Gravity::North), Some("#102030"), 0, [200, 30, 40, 255], [16, 32, 48, 255]),
        (&red, Some(Gravity::South), Some("#10203040"), 80, [200, 30, 40, 255], [16, 32, 48, 64]),
        (&red, None, Some("#00000000"), 40, [200, 30, 40, 255], [0; 4]),
        (&glass, None, Some("#0000FF"), 40, [200, 30, 40, 128], [0, 0, 255, 255]),
        (&gray, None, Some("#808080"), 40, [77, 77, 77, 255], [128, 128, 128, 255]),
        (&gray, None, Some("#ff0000"), 40, [77, 77, 77, 255], [255, 0, 0, 255]),
        (&gray, None, Some("#ffffff00"), 40, [77, 77, 77, 255], [255, 255, 255, 0]),
    ] {
        for format in FORMATS {
            let background = background.map(str::to_owned);
            let params = Resize { gravity, background, ..fit(Fit::Contain, within(160, 160)) };
            let ours = seen(&png(source), &to(format, params.clone())).to_rgba8();
            assert_eq!(ours.dimensions(), (160, 160));
            // Blocks and shared chroma blur an edge.
            let (slack, edge) = if format == OutputFormat::Png { (1, 0) } else { (6, 16) };
            for (x, y, pixel) in ours.enumerate_pixels() {
                let mut expected = if (top..top + 80).contains(&y) { inside } else { around };
                if format == OutputFormat::Jpeg {
                    let [r, g, b, _] = around;
                    expected = if expected == around { [r, g, b, 255] } else { over(expected, around) };
                }
                let hidden = expected[3] == 0 && pixel.0[3] == 0;
                if hidden || y.abs_diff(top) < edge || y.abs_diff(top + 80) < edge {
                    continue;
                }
                let off = pixel.0.iter().zip(expected).map(|(a, b)| a.abs_diff(b)).max().unwrap();
                assert!(off <= slack, "{format:?} {params:?} at {x},{y}: {pixel:?} for {expected:?}");
            }
        }
    }
    let exact = resize(&png(&red), &as_png(fit(Fit::Contain, within(40, 20)))).unwrap();
    assert_eq!((exact.width, exact.height), (40, 20), "no background is needed");
}

#[test]
fn a_background_lies_behind_what_is_transparent_in_a_jpeg_alone() {
    let glass = png(&RgbaImage::from_pixel(32, 32, Rgba([0, 0, 0, 0])).into());
    let params = |format| to(format, Resize { background: Some("#ff8000".to_owned()), ..within(16, 16) });
    let jpeg = seen(&glass, &params(OutputFormat::Jpeg)).to_rgb8();
    assert!(jpeg.pixels().all(|pixel| pixel.0.iter().zip([255, 128, 0]).all(|(a, b)| a.abs_diff(b) <= 4)));
    for format in [OutputFormat::Png, OutputFormat::Webp] {
        assert!(seen(&glass, &params(format)).to_rgba8().pixels().all(|pixel| pixel.0[3] == 0));
    }
}

/// In the order of the docs: upright, cut, mirrored, turned, resized; and the same for planes as for RGB.
#[test]
fn turning_comes_in_one_order() {
    let jpeg = photo("rocket.jpg");
    let full = look(&jpeg);
    let exif = block(6, true);
    let app1 = [&b"\xFF\xE1"[..], &u16::try_from(exif.len() + 8).unwrap().to_be_bytes(), b"Exif\0\0", &exif].concat();
    let input = [&jpeg[..2], &app1, &jpeg[2..]].concat();
    let mut upright = full.clone();
    upright.apply_orientation(Orientation::Rotate90);
    let cut = Crop { left: 20, top: 60, width: 380, height: 500 };
    for auto_orient in [None, Some(false)] {
        let straight = if auto_orient.is_none() { &upright } else { &full };
        let crop = auto_orient.is_none().then_some(cut);
        let part = if auto_orient.is_none() { straight.crop_imm(20, 60, 380, 500) } else { straight.clone() };
        for flip in [None, Some(Flip::Horizontal), Some(Flip::Vertical), Some(Flip::Both)] {
            let mirrored = match flip {
                None => part.clone(),
                Some(Flip::Horizontal) => part.fliph(),
                Some(Flip::Vertical) => part.flipv(),
                Some(Flip::Both) => part.fliph().flipv(),
            };
            for rotate in [0, 90, 180, 270] {
                let turned = match rotate {
                    90 => mirrored.rotate90(),
                    180 => mirrored.rotate180(),
                    270 => mirrored.rotate270(),
                    _ => mirrored.clone(),
                };
                let params = Resize { auto_orient, crop, flip, rotate: Some(rotate), ..within(100, 70) };
                let reference = turned.resize(100, 70, FilterType::Lanczos3);
                let what = format!("{auto_orient:?} {flip:?} {rotate}");
                near(&seen(&input, &as_png(params.clone())), &reference, 36.0, &what);
                near(&seen(&input, &to(OutputFormat::Jpeg, params.clone())), &reference, 27.0, &what);
                let corner = Resize { gravity: Some(Gravity::NorthWest), ..fit(Fit::Cover, params) };
                let (w, h) = (turned.width(), turned.height());
                let (w, h) = if w * 70 > h * 100 { (h * 100 / 70, h) } else { (w, w * 70 / 100) };
                let reference = turned.crop_imm(0, 0, w, h).resize_exact(100, 70, FilterType::Lanczos3);
                near(&seen(&input, &as_png(corner)), &reference, 26.0, &what);
            }
        }
    }
}

#[test]
fn every_filter_is_the_one_it_is_called() {
    let full = look(&photo("coffee.png"));
    let input = png(&full);
    let mut all = Vec::new();
    for (filter, reference) in [
        (Filter::Lanczos3, Some(FilterType::Lanczos3)),
        (Filter::CatmullRom, Some(FilterType::CatmullRom)),
        (Filter::Bilinear, Some(FilterType::Triangle)),
        (Filter::Nearest, Some(FilterType::Nearest)),
        (Filter::Gaussian, None),
        (Filter::Mitchell, None),
        (Filter::Hamming, None),
        (Filter::Box, None),
    ] {
        let ours = seen(&input, &as_png(Resize { filter: Some(filter), ..within(150, 100) }));
        if let Some(reference) = reference {
            near(&ours, &full.resize(150, 100, reference), 45.0, &format!("{filter:?}"));
        }
        all.push(ours);
    }
    assert!(all[0] == seen(&input, &as_png(within(150, 100))), "the default");
    for (n, one) in all.iter().enumerate() {
        assert!(!all[..n].contains(one), "filter {n} is another's");
    }
}

#[test]
fn blur_is_a_gaussian() {
    let input = photo("coffee.png");
    let sharp = look(&input).resize(300, 200, FilterType::Lanczos3);
    for (sigma, least) in [(500, 40.0), (1_500, 40.0), (8_000, 40.0)] {
        let reference = DynamicImage::from(image::imageops::blur(
            &sharp.to_rgb8(),
            f32::from(i16::try_from(sigma).unwrap()) / 1000.0,
        ));
        let params = Resize { blur: Some(Thousandths::new(sigma)), ..within(300, 200) };
        near(&seen(&input, &as_png(params.clone())), &reference, least, &format!("{sigma}"));
        // The planes of a JPEG.
        let jpeg =
            resize(&input, &Resize { quality: Some(95), ..to(OutputFormat::Jpeg, within(900, 900)) }).unwrap().bytes;
        near(&seen(&jpeg, &to(OutputFormat::Jpeg, params)), &reference, 31.0, &format!("{sigma}, planes"));
    }
}

#[test]
fn sharpen_makes_edges_steeper_in_color_and_in_planes() {
    let input = photo("coffee.png");
    let jpeg = resize(&input, &Resize { quality: Some(95), ..to(OutputFormat::Jpeg, within(900, 900)) }).unwrap().bytes;
    let steepness = |picture: &DynamicImage| -> u64 {
        let luma = picture.to_luma8();
        luma.as_raw().windows(2).map(|pair| u64::from(pair[0].abs_diff(pair[1]))).sum()
    };
    for (input, format) in [(&input, OutputFormat::Png), (&jpeg, OutputFormat::Jpeg)] {
        let sharpened = |sharpen| seen(input, &to(format, Resize { sharpen, ..within(300, 200) }));
        let (plain, mild) = (sharpened(None), sharpened(Some(Thousandths::new(1_000))));
        let more = steepness(&mild) * 100 / steepness(&plain);
        assert!((120..200).contains(&more), "{format:?}: {more} %");
        let near = psnr(&mild, &plain);
        assert!((20.0..35.0).contains(&near), "{format:?}: the same picture, at {near:.1} dB");
    }
}

#[test]
fn formats_that_cannot_be_written_become_one_that_can() {
    let picture = look(&photo("astronaut.png")).resize(64, 64, FilterType::Lanczos3);
    for (format, rgb) in
        [(image::ImageFormat::Bmp, true), (image::ImageFormat::Tiff, true), (image::ImageFormat::Tiff, false)]
    {
        let mut bytes = Cursor::new(Vec::new());
        let source = if rgb { DynamicImage::from(picture.to_rgb8()) } else { picture.to_rgba8().into() };
        source.write_to(&mut bytes, format).unwrap();
        let output = resize(&bytes.into_inner(), &within(32, 32)).unwrap();
        assert_eq!(output.format, if rgb { ImageFormat::Jpeg } else { ImageFormat::Png }, "{format:?}");
    }
}

#[test]
fn copyright_and_artist_are_kept_on_request() {
    // TIFF blocks: an artist in its entry and a copyright behind all; both behind.
    let ann =
        b"II*\0\x08\0\0\0\x02\0\x3B\x01\x02\0\x04\0\0\0Ann\0\x98\x82\x02\0\x0C\0\0\0\x26\0\0\0\0\0\0\0(c) 2026 A.\0";
    let both = b"II*\0\x08\0\0\0\x02\0\x3B\x01\x02\0\x05\0\0\0\x32\0\0\0\x98\x82\x02\0\x0C\0\0\0\x26\0\0\0\0\0\0\0(c) 2026 A.\0Anna\0";
    for (tiff, artist) in [(&ann[..], &b"Ann"[..]), (both, b"Anna")] {
        check_credits(tiff, artist);
    }
}

fn check_credits(tiff: &[u8], artist: &[u8]) {
    let exif = |output: &Output| {
        let mut decoder =
            ImageReader::new(Cursor::new(&output.bytes)).with_guessed_format().unwrap().into_decoder().unwrap();
        decoder.exif_metadata().unwrap()
    };
    let glass = png(&RgbaImage::from_fn(33, 35, |x, _| Rgba([200, 30, 40, u8::try_from(x).unwrap()])).into());
    let plain = png(&RgbImage::from_pixel(33, 35, Rgb([200, 30, 40])).into());
    for (input, lossless) in [(&plain, false), (&plain, true), (&glass, false), (&glass, true)] {
        let credited = insert_chunk(input, &png_chunk(*b"eXIf", tiff));
        for format in FORMATS {
            let lossless = (lossless && format != OutputFormat::Jpeg).then_some(true);
            let params = Resize { lossless, ..to(format, Resize::default()) };
            let stripped = resize(&credited, &params).unwrap();
            assert_eq!(exif(&stripped), None, "{format:?}");
            assert!(stripped.bytes == resize(input, &params).unwrap().bytes);

            let params = Resize { metadata: Some(Metadata::Copyright), ..params };
            let kept = resize(&credited, &params).unwrap();
            let block = exif(&kept).unwrap();
            let Credits { artist: kept_artist, copyright } = credits(&block);
            assert_eq!(kept_artist.as_deref(), Some(artist), "{format:?}");
            assert_eq!(copyright.as_deref(), Some(&b"(c) 2026 A."[..]), "{format:?}");
            if format == OutputFormat::Webp {
                // The fourth bit says that there is EXIF, the fifth alpha (RFC 9649, section 2.7.1).
                let alpha = look(&kept.bytes).color().has_alpha();
                assert_eq!((&kept.bytes[12..16], kept.bytes[20]), (&b"VP8X"[..], if alpha { 0x18 } else { 0x08 }));
            }
            assert!(look(&kept.bytes) == look(&stripped.bytes), "{format:?}: the pixels are the same");
            let again = resize(&kept.bytes, &params).unwrap();
            assert_eq!(exif(&again), Some(block), "{format:?}: it can be read again");
            // Nothing to keep is nothing written.
            assert_eq!(exif(&resize(input, &params).unwrap()), None);
        }
    }
}
