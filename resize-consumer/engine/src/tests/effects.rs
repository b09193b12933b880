use super::*;
use crate::picture::{FULL, HALF};

fn picture(color: Color, width: u32, bytes: &[u8]) -> Picture {
    let mut picture = Picture::default();
    let height = u32::try_from(bytes.len() / color.channels()).unwrap() / width;
    picture.packed(color, width, height).copy_from_slice(bytes);
    picture
}

fn blurred(color: Color, width: u32, bytes: &[u8], sigma: f64) -> Vec<u8> {
    let mut picture = picture(color, width, bytes);
    Effects::default().blur(&mut picture, sigma);
    picture.bytes
}

/// The weights that sum to 1 and whose variance, in pixels, is sigma's: what makes a blur as wide as was asked for.
#[test]
fn an_impulse_spreads_as_far_as_sigma_says() {
    for sigma in [0.3, 0.7, 1.0, 2.0, 5.0, 20.0, 100.0] {
        const SIDE: usize = 1_401;
        let mut effects = Effects::default();
        let by = Box3::new(sigma);
        effects.rows(by, (SIDE, 1), |at| if at == SIDE / 2 { 65_025 } else { 0 });
        let weights: Vec<f64> = effects.columns.iter().map(|weight| f64::from(*weight) / 65_025.0).collect();
        let sum: f64 = weights.iter().sum();
        let at = |n: usize| f64::from(u32::try_from(n).unwrap()) - f64::from(u32::try_from(SIDE / 2).unwrap());
        let variance: f64 = weights.iter().enumerate().map(|(n, weight)| weight * at(n).powi(2)).sum();
        assert!((sum - 1.0).abs() < 0.01, "{sigma}: {sum}");
        assert!((variance.sqrt() / sigma - 1.0).abs() < 0.02, "{sigma}: {}", variance.sqrt());
        // Three boxes are 6 % lower than a Gaussian at its top, and nearer elsewhere.
        if sigma >= 2.0 {
            let density = |x: f64| (-x * x / (2.0 * sigma * sigma)).exp() / (sigma * std::f64::consts::TAU.sqrt());
            for (n, weight) in weights.iter().enumerate() {
                assert!((weight - density(at(n))).abs() < 0.065 * density(0.0), "{sigma}: {weight} at {}", at(n));
            }
        }
    }
}

#[test]
fn one_color_stays_that_color() {
    for sigma in [0.3, 1.0, 7.7, 100.0] {
        for (color, pixel) in [
            (Color::Gray, &[1][..]),
            (Color::Gray, &[255]),
            (Color::GrayAlpha, &[200, 3]),
            (Color::Rgb, &[0, 128, 254]),
            (Color::Rgba, &[10, 20, 30, 77]),
        ] {
            let bytes = pixel.repeat(5 * 3);
            assert_eq!(blurred(color, 5, &bytes, sigma), bytes, "{color:?} {pixel:?} {sigma}");
            let mut picture = picture(color, 5, &bytes);
            Effects::default().sharpen(&mut picture, sigma);
            assert_eq!(picture.bytes, bytes, "{color:?} {pixel:?} {sigma}, sharpened");
        }
    }
}

#[test]
fn a_picture_on_its_side_is_blurred_alike() {
    let bytes: Vec<u8> = (0..7 * 4 * 3_u32).map(|n| u8::try_from(n * n * 37 % 256).unwrap()).collect();
    let (pixels, _) = bytes.as_chunks::<3>();
    let turned: Vec<u8> = (0..28).flat_map(|n| pixels[n % 4 * 7 + n / 4]).collect();
    let straight = blurred(Color::Rgb, 7, &bytes, 1.3);
    let turned = blurred(Color::Rgb, 4, &turned, 1.3);
    let off = straight.as_chunks::<3>().0.iter().enumerate().flat_map(|(n, pixel)| {
        let other = turned.as_chunks::<3>().0[n % 7 * 4 + n / 7];
        [0, 1, 2].map(|channel| pixel[channel].abs_diff(other[channel]))
    });
    assert!(off.max().unwrap() <= 1, "but for rounding");
}

#[test]
fn what_is_hidden_does_not_bleed() {
    // Opaque red, and green that is not to be seen.
    let bytes = [[200, 0, 0, 255], [200, 0, 0, 255], [0, 255, 0, 0], [0, 255, 0, 0]].concat();
    let pixels = blurred(Color::Rgba, 4, &bytes, 1.0);
    for pixel in pixels.as_chunks::<4>().0 {
        assert!(pixel[..3] == [200, 0, 0] || pixel[3] == 0, "{pixel:?}");
    }
    assert!(pixels[7] < 255 && pixels[11] > 0, "alpha is blurred");
    let mut sharp = picture(Color::Rgba, 4, &bytes);
    Effects::default().sharpen(&mut sharp, 1.0);
    assert_eq!(sharp.bytes[..8], bytes[..8], "what is seen is of one color");
}

#[test]
fn chroma_is_blurred_as_far_as_luma() {
    let mut planes = Picture::default();
    planes.reshape(Color::Ycc, 64, 2, HALF).fill(0);
    for (n, (plane, samples)) in planes.samples_mut().into_iter().enumerate() {
        let width = plane.width as usize;
        samples.iter_mut().enumerate().filter(|(at, _)| at % width >= width / 2).for_each(|(_, sample)| *sample = 200);
        assert_eq!(plane.subsampling == FULL, n == 0);
    }
    Effects::default().blur(&mut planes, 6.0);
    let samples = planes.samples();
    let (luma, chroma) = (samples[0].1, samples[1].1);
    for x in 0..32 {
        let pair = luma[2 * x].midpoint(luma[2 * x + 1]);
        assert!(pair.abs_diff(chroma[x]) <= 2, "{x}: {pair} and {}", chroma[x]);
    }
}

#[test]
fn an_edge_gains_as_it_does_in_sharp() {
    // Flat: as much again; then twice of what is more; at most 26 up and 51 down.
    for (difference, expected) in
        [(0, 0), (3, 3), (-5, -5), (6, 7), (-10, -15), (15, 25), (16, 26), (99, 26), (-99, -51)]
    {
        assert_eq!(gain(difference), expected, "{difference}");
    }
    let edge = [50, 50, 50, 50, 150, 150, 150, 150];
    let mut gray = picture(Color::Gray, 8, &edge);
    Effects::default().sharpen(&mut gray, 1.0);
    assert!(
        gray.bytes[3] < 50 && gray.bytes[4] > 150 && gray.bytes[0] == 50 && gray.bytes[7] == 150,
        "{:?}",
        gray.bytes
    );
    let colored: Vec<u8> = edge.iter().flat_map(|value| [*value, *value, *value]).collect();
    let mut rgb = picture(Color::Rgb, 8, &colored);
    Effects::default().sharpen(&mut rgb, 1.0);
    let first: Vec<u8> = rgb.bytes.iter().step_by(3).copied().collect();
    assert_eq!(first, gray.bytes, "color or not");
}
