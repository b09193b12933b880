//! `auto`: small, sensible, accepted, and never without the alpha that was there.

use image::imageops::FilterType::Triangle;
use image::{Rgb, RgbImage, Rgba, RgbaImage};

use super::*;

use OutputFormat::{Auto, Jpeg, Png, Webp};

fn auto(accept: &[OutputFormat]) -> Resize {
    to(Auto, Resize { accept: accept.to_vec(), ..within(120, 120) })
}

/// Bars and a disk.
fn drawing() -> DynamicImage {
    RgbImage::from_fn(240, 240, |x, y| {
        let inside = (x.abs_diff(120).pow(2) + y.abs_diff(120).pow(2)) < 80 * 80;
        let bar = if y / 40 % 2 == 0 { [255; 3] } else { [0, 60, 160] };
        Rgb(if inside { [220, 40, 40] } else { bar })
    })
    .into()
}

/// A photograph that is seen more on one side.
fn glass() -> DynamicImage {
    let mut picture = look(&photo("chelsea.png")).to_rgba8();
    for (x, _, pixel) in picture.enumerate_pixels_mut() {
        pixel.0[3] = u8::try_from(x % 256).unwrap();
    }
    picture.into()
}

#[test]
fn what_is_accepted_and_what_it_shows_decide() {
    let (photograph, photo_png) = (photo("rocket.jpg"), photo("chelsea.png"));
    let (drawing, glass) = (png(&drawing()), png(&glass()));
    let opaque = png(&look(&photo_png).to_rgba8().into());
    for (input, what, expected) in [
        (&photograph, "a photograph", [&[Jpeg][..], &[Webp, Jpeg], &[Webp], &[Webp], &[Webp, Jpeg], &[Jpeg]]),
        (&photo_png, "a photograph, PNG", [&[Jpeg], &[Webp, Jpeg], &[Webp], &[Webp], &[Webp, Jpeg], &[Jpeg]]),
        (&opaque, "one whose alpha says nothing", [&[Jpeg], &[Webp, Jpeg], &[Webp], &[Webp], &[Webp, Jpeg], &[Jpeg]]),
        (&drawing, "a drawing", [&[Png], &[Webp], &[Webp], &[Webp], &[Webp], &[Jpeg]]),
        (&glass, "glass", [&[Png], &[Webp], &[Webp], &[Webp], &[Webp], &[Jpeg]]),
    ] {
        let accepts: [&[OutputFormat]; 6] = [&[], &[Jpeg, Webp], &[Png, Webp], &[Webp], &[Jpeg, Png, Webp], &[Jpeg]];
        for (accept, expected) in accepts.into_iter().zip(expected) {
            let output = resize(input, &auto(accept)).unwrap();
            let expected = format!("{expected:?}");
            assert!(expected.contains(&format!("{:?}", output.format)), "{what}, {accept:?}: {:?}", output.format);
            assert_eq!(output.measures.output_format, Some(output.format));
            if what == "glass" && accept != [Jpeg] {
                let clear = look(&output.bytes).to_rgba8().pixels().filter(|pixel| pixel.0[3] < 250).count();
                assert!(clear > 1_000, "alpha is kept: {clear}");
            }
        }
    }
}

#[test]
fn it_is_the_smaller_of_those_it_was_chosen_from() {
    // A photograph on a plain background, three quarters of the whole.
    let mut plain = RgbImage::from_pixel(480, 480, Rgb([250; 3]));
    image::imageops::overlay(&mut plain, &look(&photo("coffee.png")).resize_exact(240, 240, Triangle).to_rgb8(), 9, 9);
    for (input, from) in [
        (photo("rocket.jpg"), [(Jpeg, None), (Webp, None)]),
        (photo("retina.jpg"), [(Jpeg, None), (Webp, None)]),
        (photo("coffee.png"), [(Jpeg, None), (Webp, None)]),
        (png(&plain.into()), [(Webp, None), (Webp, Some(true))]),
        (png(&glass()), [(Webp, None), (Webp, None)]),
    ] {
        let size = |params: &Resize| resize(&input, params).unwrap().bytes.len();
        for quality in [10, 80] {
            let as_one =
                |(format, lossless)| size(&Resize { quality: Some(quality), lossless, ..to(format, within(120, 120)) });
            let ours = size(&Resize { quality: Some(quality), ..auto(&[Jpeg, Png, Webp]) });
            let least = from.map(as_one).into_iter().min().unwrap();
            // A JPEG's decoder shrinks a little less where it is not known what it is for.
            assert!(20 * ours.abs_diff(least) <= least, "{from:?}, quality {quality}: {ours} for {least} bytes");
        }
        let lossless = |format| Resize { lossless: Some(true), ..to(format, within(120, 120)) };
        let ours = size(&Resize { lossless: Some(true), ..auto(&[Jpeg, Png, Webp]) });
        assert_eq!(ours, size(&lossless(Png)).min(size(&lossless(Webp))));
    }
}

#[test]
fn a_drawing_loses_nothing() {
    let whole = |params| Resize { width: None, height: None, ..params };
    let picture = drawing();
    for accept in [&[][..], &[Jpeg, Webp]] {
        let ours = look(&resize(&png(&picture), &whole(auto(accept))).unwrap().bytes);
        assert!(ours.to_rgb8() == picture.to_rgb8(), "{accept:?}");
    }
    let glass = RgbaImage::from_fn(64, 64, |x, y| Rgba([9, u8::try_from(y).unwrap(), 9, u8::try_from(x * 4).unwrap()]));
    let params = Resize { lossless: Some(true), ..whole(auto(&[Png, Webp])) };
    let ours = look(&resize(&png(&glass.clone().into()), &params).unwrap().bytes).to_rgba8();
    for (ours, theirs) in ours.pixels().zip(glass.pixels()).filter(|(_, theirs)| theirs.0[3] > 0) {
        assert_eq!(ours, theirs);
    }
}

#[test]
fn a_format_that_cannot_be_so_large_is_passed_over() {
    let long = png(&DynamicImage::from(RgbImage::from_pixel(16_384, 2, Rgb([9, 99, 9]))));
    let planes = resize(&long, &to(Jpeg, Resize::default())).unwrap().bytes;
    for input in [long, planes] {
        for (accept, expected) in [(vec![Png, Webp], ImageFormat::Png), (vec![Jpeg, Webp], ImageFormat::Jpeg)] {
            let params = to(Auto, Resize { accept, ..Resize::default() });
            assert_eq!(resize(&input, &params).unwrap().format, expected);
        }
    }
}
