//! Good images: every format in and out, at the right size, near to a reference.

use contract::units::CpuMicros;
use image::imageops::{self, FilterType};
use image::metadata::Orientation;
use image::{GrayImage, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use turbojpeg::{Colorspace, PixelFormat, Subsamp};

use super::*;
use crate::exif::tests::block;

/// A photograph in each input format.
fn inputs() -> Vec<(String, InputFormat, Vec<u8>)> {
    let mut inputs = Vec::new();
    for name in PHOTOS {
        let bytes = photo(name);
        let format = if name.contains(".jpg") { InputFormat::Jpeg } else { InputFormat::Png };
        inputs.push((name.to_owned(), format, bytes));
    }
    let chelsea = look(&photo("chelsea.png"));
    inputs.push(("chelsea, lossless WebP".to_owned(), InputFormat::Webp, lossless_webp(&chelsea, None)));
    let lossy = Resize { quality: Some(95), ..to(OutputFormat::Webp, within(9_000, 9_000)) };
    inputs.push((
        "coffee, lossy WebP".to_owned(),
        InputFormat::Webp,
        resize(&photo("coffee.png"), &lossy).unwrap().bytes,
    ));
    inputs
}

#[test]
fn every_format_in_and_out_is_near_a_reference_resize_of_the_full_decode() {
    for (name, input_format, input) in inputs() {
        let full = look(&input);
        for (width, height) in [(320, 240), (97, 500), (33, 31)] {
            let reference = full.resize(width.min(full.width()), height.min(full.height()), FilterType::Lanczos3);
            for format in FORMATS {
                let output = resize(&input, &to(format, within(width, height))).unwrap();
                let ours = look(&output.bytes);
                let what = format!("{name} → {width}×{height} {}", output.format.name());
                // `image` rounds the following side up where it is half a pixel and more; so do we.
                assert_eq!((output.width, output.height), (reference.width(), reference.height()), "{what}");
                assert_eq!((ours.width(), ours.height()), (output.width, output.height), "{what}");
                assert_eq!(format!("{:?}", output.format), format!("{format:?}"));

                let measures = output.measures;
                assert_eq!(measures.input_bytes.get(), i64::try_from(input.len()).unwrap());
                assert_eq!(measures.input_pixels.get(), i64::from(full.width()) * i64::from(full.height()));
                assert_eq!(measures.output_pixels.get(), i64::from(output.width) * i64::from(output.height));
                assert_eq!((measures.input_format, measures.output_format), (Some(input_format), Some(output.format)));
                assert!(measures.cpu_micros.get() > 10, "{what}: {} µs", measures.cpu_micros);
                let stages = measures.stages;
                let stages = [stages.decode_micros, stages.resize_micros, stages.encode_micros].map(CpuMicros::get);
                let (sum, all) = (stages.iter().sum::<i64>(), measures.cpu_micros.get());
                assert!(
                    stages.iter().all(|stage| *stage > 1) && (all / 2..=all).contains(&sum),
                    "{stages:?} of {all} µs"
                );

                let least = match format {
                    OutputFormat::Auto => continue,
                    OutputFormat::Png => 45.0,
                    OutputFormat::Webp => 28.0,
                    OutputFormat::Jpeg => 26.0,
                };
                let near = psnr(&ours, &reference);
                assert!(near > least, "{what}: {near:.1} dB");
            }
        }
    }
}

#[test]
fn cover_takes_the_middle_and_fill_gives_up_the_aspect() {
    let input = photo("rocket.jpg");
    let full = look(&input);
    let covered = look(&resize(&input, &to(OutputFormat::Png, fit(Fit::Cover, within(61, 61)))).unwrap().bytes);
    let middle = full.crop_imm(106, 0, 427, 427).resize_exact(61, 61, FilterType::Lanczos3);
    assert!(psnr(&covered, &middle) > 36.0, "{:.1} dB", psnr(&covered, &middle));

    let filled = look(&resize(&input, &to(OutputFormat::Png, fit(Fit::Fill, within(100, 400)))).unwrap().bytes);
    assert!(psnr(&filled, &full.resize_exact(100, 400, FilterType::Lanczos3)) > 36.0);
}

#[test]
fn without_a_format_the_output_has_the_inputs_and_a_small_image_stays_as_it_is() {
    for (_, format, input) in inputs() {
        let output = resize(&input, &within(9_000, 9_000)).unwrap();
        let full = look(&input);
        assert_eq!((output.format.name(), output.width, output.height), (format.name(), full.width(), full.height()));
    }
    let chelsea = photo("chelsea.png");
    let output = resize(&chelsea, &within(9_000, 9_000)).unwrap();
    assert_eq!(look(&output.bytes), look(&chelsea), "not a pixel changed");
}

#[test]
fn the_smallest_and_odd_sizes() {
    let input = photo("rocket.jpg");
    let full = look(&photo("coffee.png"));
    for (width, height) in [(1, 1), (1, 9), (9, 1), (7, 5), (17, 1), (63, 65)] {
        for format in FORMATS {
            let shrunk = resize(&input, &to(format, fit(Fit::Fill, within(width, height)))).unwrap();
            assert_eq!((look(&shrunk.bytes).width(), look(&shrunk.bytes).height()), (width, height));
            let tiny = full.resize_exact(width, height, FilterType::Triangle);
            for source in [png(&tiny), lossless_webp(&tiny, None), shrunk.bytes] {
                for params in [within(1, 1), within(5, 5), fit(Fit::Fill, within(20, 3))] {
                    let output = resize(&source, &to(format, params)).unwrap();
                    look(&output.bytes);
                }
            }
        }
    }
}

#[test]
fn quality_is_obeyed() {
    for format in [OutputFormat::Jpeg, OutputFormat::Webp] {
        let size = |quality| {
            let params = Resize { quality, ..to(format, within(320, 240)) };
            resize(&photo("coffee.png"), &params).unwrap().bytes.len()
        };
        assert!(size(Some(1)) < size(Some(40)) && size(Some(40)) < size(Some(80)) && size(Some(80)) < size(Some(100)));
        assert_eq!(size(None), size(Some(80)));
    }
}

/// A photograph of 512×512, half transparent on the left and opaque on the right, with blue hidden in the first 66
/// columns, where nothing is to be seen.
fn fading() -> DynamicImage {
    let mut picture = look(&photo("astronaut.png")).to_rgba8();
    for (x, _, pixel) in picture.enumerate_pixels_mut() {
        pixel.0[3] = u8::try_from((128 + x / 3).min(255)).unwrap();
        if x < 66 {
            *pixel = Rgba([0, 0, 255, 0]);
        }
    }
    picture.into()
}

#[test]
fn alpha_is_kept_and_hidden_colors_do_not_bleed() {
    let picture = fading();
    let channels = |picture: &DynamicImage, channel: fn([u8; 4]) -> u8| {
        let values = picture.to_rgba8().pixels().map(|pixel| channel(pixel.0)).collect();
        DynamicImage::from(GrayImage::from_raw(picture.width(), picture.height(), values).unwrap())
    };
    let alpha = |[_, _, _, a]: [u8; 4]| a;
    let seen_blue = |[_, _, b, a]: [u8; 4]| u8::try_from(u32::from(b) * u32::from(a) / 255).unwrap();
    for input in [png(&picture), lossless_webp(&picture, None)] {
        for (format, least) in [(OutputFormat::Png, 45.0), (OutputFormat::Webp, 28.0)] {
            let ours = look(&resize(&input, &to(format, within(128, 128))).unwrap().bytes);
            for (what, channel, least) in [("alpha", alpha as fn(_) -> _, 45.0), ("blue", seen_blue, least)] {
                let reference = channels(&picture, channel).resize(128, 128, FilterType::Lanczos3);
                let near = psnr(&channels(&ours, channel), &reference);
                assert!(near > least, "{format:?}, {what}: {near:.1} dB");
            }
        }
    }
}

#[test]
fn alpha_meets_jpeg_on_white() {
    let picture = fading();
    let mut white = RgbaImage::from_pixel(512, 512, Rgba([255; 4]));
    imageops::overlay(&mut white, &picture, 0, 0);
    let reference = DynamicImage::from(white).resize(128, 128, FilterType::Lanczos3);
    let ours = look(&resize(&png(&picture), &to(OutputFormat::Jpeg, within(128, 128))).unwrap().bytes);
    assert!(psnr(&ours, &reference) > 27.0, "{:.1} dB", psnr(&ours, &reference));
    assert!(ours.to_rgb8().get_pixel(0, 64).0.iter().all(|channel| *channel > 245));

    let gray_alpha = DynamicImage::from(picture.to_luma_alpha8());
    let ours = look(&resize(&png(&gray_alpha), &to(OutputFormat::Jpeg, within(128, 128))).unwrap().bytes);
    assert!(matches!(ours, DynamicImage::ImageLuma8(_)), "gray stays gray");
}

#[test]
fn every_color_type_of_png_is_read() {
    let full = look(&photo("astronaut.png"));
    for picture in [
        DynamicImage::from(full.to_luma8()),
        full.to_luma_alpha8().into(),
        full.to_luma16().into(),
        full.to_luma_alpha16().into(),
        full.to_rgb16().into(),
        full.to_rgba16().into(),
    ] {
        let ours = look(&resize(&png(&picture), &within(100, 100)).unwrap().bytes);
        assert_eq!(ours.color().channel_count(), picture.color().channel_count());
        let near = psnr(&ours, &picture.resize(100, 100, FilterType::Lanczos3));
        assert!(near > 36.0, "{:?}: {near:.1} dB", picture.color());
    }
}

#[test]
fn a_palette_with_transparency_is_read() {
    let mut bytes = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut bytes, 16, 16);
    encoder.set_color(::png::ColorType::Indexed);
    encoder.set_depth(::png::BitDepth::Four);
    encoder.set_palette(vec![0, 0, 255, 255, 128, 0]);
    encoder.set_trns(vec![255, 0]);
    encoder
        .write_header()
        .unwrap()
        .write_image_data(&[0x00, 0x00, 0x00, 0x00, 0x11, 0x11, 0x11, 0x11].repeat(16))
        .unwrap();
    let ours = look(&resize(&bytes, &within(4, 4)).unwrap().bytes).to_rgba8();
    assert_eq!(ours.get_pixel(0, 0).0, [0, 0, 255, 255]);
    assert_eq!(ours.get_pixel(3, 3).0[3], 0);
}

#[test]
fn a_gray_jpeg_stays_gray() {
    let gray: Vec<u8> = look(&photo("rocket.jpg")).to_luma8().into_raw();
    let image = turbojpeg::Image { pixels: &gray[..], width: 640, pitch: 640, height: 427, format: PixelFormat::GRAY };
    let input = turbojpeg::compress(image, 95, Subsamp::Gray).unwrap();
    for format in FORMATS {
        let output = resize(&input, &to(format, within(200, 200))).unwrap();
        let reference = look(&input).resize(200, 200, FilterType::Lanczos3);
        assert!(psnr(&look(&output.bytes), &reference) > 30.0);
        if format == OutputFormat::Jpeg {
            assert_eq!(turbojpeg::read_header(&output.bytes).unwrap().colorspace, Colorspace::Gray);
        }
    }
}

#[test]
fn ink_becomes_light() {
    // As Adobe stores it, inverted: 255 is no ink.
    for (stored, expected) in [
        ([255, 255, 255, 255], [255, 255, 255]),
        ([200, 100, 50, 255], [200, 100, 50]),
        ([200, 100, 50, 128], [100, 50, 25]),
        ([255, 255, 255, 0], [0, 0, 0]),
    ] {
        let pixels = stored.repeat(64 * 64);
        let image =
            turbojpeg::Image { pixels: &pixels[..], width: 64, pitch: 256, height: 64, format: PixelFormat::CMYK };
        let input = turbojpeg::compress(image, 95, Subsamp::None).unwrap();
        let ours = look(&resize(&input, &to(OutputFormat::Png, within(16, 16))).unwrap().bytes).to_rgb8();
        for pixel in ours.pixels() {
            assert!(pixel.0.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 4), "{pixel:?} for {expected:?}");
        }
    }
}

#[test]
fn every_chroma_subsampling_and_progressive_are_read() {
    let full = look(&photo("coffee.png")).to_rgb8();
    let image =
        turbojpeg::Image { pixels: &full.as_raw()[..], width: 599, pitch: 1800, height: 399, format: PixelFormat::RGB };
    for subsamp in [Subsamp::None, Subsamp::Sub2x1, Subsamp::Sub1x2, Subsamp::Sub2x2, Subsamp::Sub4x1] {
        for progressive in [false, true] {
            let mut compressor = turbojpeg::Compressor::new().unwrap();
            compressor.set_subsamp(subsamp).unwrap();
            compressor.set_progressive(progressive).unwrap();
            let input = compressor.compress_to_vec(image).unwrap();
            let output = resize(&input, &to(OutputFormat::Png, within(150, 100))).unwrap();
            let reference = look(&input).resize(150, 100, FilterType::Lanczos3);
            let near = psnr(&look(&output.bytes), &reference);
            assert!(near > 36.0, "{subsamp:?}: {near:.1} dB");
        }
    }
}

#[test]
fn exif_orientation_is_applied_in_every_format() {
    let jpeg = photo("rocket.jpg");
    let full = look(&jpeg);
    let small = full.resize_exact(160, 107, FilterType::Lanczos3);
    for value in 1..=8_u8 {
        let exif = block(value.into(), value % 2 == 0);
        let app1 =
            [&b"\xFF\xE1"[..], &u16::try_from(exif.len() + 8).unwrap().to_be_bytes(), b"Exif\0\0", &exif].concat();
        for (input, source) in [
            ([&jpeg[..2], &app1, &jpeg[2..]].concat(), &full),
            (insert_chunk(&png(&small), &png_chunk(*b"eXIf", &exif)), &small),
            (lossless_webp(&small, Some(exif.clone())), &small),
        ] {
            let mut upright = source.clone();
            upright.apply_orientation(Orientation::from_exif(value).unwrap());
            let inside = resize(&input, &to(OutputFormat::Png, within(80, 300))).unwrap();
            let reference = upright.resize(80, 300, FilterType::Lanczos3);
            let near = psnr(&look(&inside.bytes), &reference);
            assert!(near > 36.0, "orientation {value}: {near:.1} dB");

            let covered = resize(&input, &to(OutputFormat::Png, fit(Fit::Cover, within(31, 97)))).unwrap();
            let reference = upright.resize_to_fill(31, 97, FilterType::Lanczos3);
            let near = psnr(&look(&covered.bytes), &reference);
            assert!(near > 24.0, "orientation {value}, cover: {near:.1} dB");
        }
    }
}

#[test]
fn a_picture_made_of_one_color_keeps_it() {
    let red = DynamicImage::from(RgbImage::from_pixel(301, 203, Rgb([200, 30, 40])));
    let gray = DynamicImage::from(GrayImage::from_pixel(301, 203, Luma([77])));
    for picture in [red, gray] {
        for format in FORMATS {
            let ours = look(&resize(&png(&picture), &to(format, within(90, 90))).unwrap().bytes).to_rgb8();
            let expected = picture.to_rgb8().get_pixel(0, 0).0;
            for pixel in ours.pixels() {
                assert!(pixel.0.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 5), "{pixel:?} for {expected:?}");
            }
        }
    }
}
