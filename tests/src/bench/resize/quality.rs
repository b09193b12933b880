//! How near an output is to the ideal: a float Lanczos3 of the full decode, at the output's own size.
//!
//! Both are compared as luma, 0.299 R + 0.587 G + 0.114 B (BT.601, full range, as JFIF has it), transparency on white,
//! all decoded by the `image` crate, which neither side uses for these formats' lossy coders. PSNR is 10 log₁₀ 255²/MSE;
//! SSIM is that of Wang et al. 2004: an 11×11 Gaussian window of σ 1.5 over every place it fits, K₁ 0.01, K₂ 0.03, at the
//! output's scale. Means are those of the pictures' figures.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::F32;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use super::peer::Job;

/// Luma, row by row, 0 to 255.
#[derive(Debug, Clone, PartialEq)]
struct Plane {
    width: usize,
    height: usize,
    values: Vec<f32>,
}

/// Means over a set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quality {
    /// In dB.
    pub(super) psnr: f64,
    pub(super) ssim: f64,
}

/// Of each folder's outputs, which bear the inputs' names.
pub(super) fn measure<const N: usize>(inputs: &[PathBuf], job: &Job, folders: [&Path; N]) -> Result<[Quality; N]> {
    let mut sums = [Quality { psnr: 0.0, ssim: 0.0 }; N];
    for input in inputs {
        let full = read(input)?;
        for (folder, sum) in folders.iter().zip(&mut sums) {
            let output = read(&output_path(folder, input, job))?;
            let ideal = lanczos(&full, output.width, output.height)?;
            sum.psnr += psnr(&ideal, &output);
            sum.ssim += ssim(&ideal, &output);
        }
    }
    let count = inputs.len() as f64;
    Ok(sums.map(|sum| Quality { psnr: sum.psnr / count, ssim: sum.ssim / count }))
}

pub(super) fn output_path(folder: &Path, input: &Path, job: &Job) -> PathBuf {
    folder.join(input.file_stem().unwrap_or_default()).with_extension(job.extension())
}

fn read(path: &Path) -> Result<Plane> {
    let context = || path.display().to_string();
    let picture = image::load_from_memory(&fs::read(path).with_context(context)?).with_context(context)?.into_rgba8();
    let on_white = |[r, g, b, a]: [u8; 4]| {
        let luma = 0.299 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b);
        let opacity = f32::from(a) / 255.0;
        luma * opacity + 255.0 * (1.0 - opacity)
    };
    let values = picture.pixels().map(|pixel| on_white(pixel.0)).collect();
    Ok(Plane { width: picture.width() as usize, height: picture.height() as usize, values })
}

fn lanczos(full: &Plane, width: usize, height: usize) -> Result<Plane> {
    let pixels: Vec<F32> = full.values.iter().map(|&value| F32::new(value)).collect();
    let source = TypedImageRef::<F32>::new(u32::try_from(full.width)?, u32::try_from(full.height)?, &pixels)?;
    let mut ideal = TypedImage::<F32>::new(u32::try_from(width)?, u32::try_from(height)?);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3));
    Resizer::new().resize_typed(&source, &mut ideal, &options)?;
    Ok(Plane { width, height, values: ideal.pixels().iter().map(|pixel| pixel.0.clamp(0.0, 255.0)).collect() })
}

fn psnr(ideal: &Plane, output: &Plane) -> f64 {
    let squares = ideal.values.iter().zip(&output.values).map(|(a, b)| f64::from(a - b).powi(2));
    10.0 * (255.0_f64.powi(2) / (squares.sum::<f64>() / ideal.values.len() as f64)).log10()
}

fn ssim(x: &Plane, y: &Plane) -> f64 {
    const C1: f64 = (0.01 * 255.0) * (0.01 * 255.0);
    const C2: f64 = (0.03 * 255.0) * (0.03 * 255.0);
    let mean_of = |product: &dyn Fn(f64, f64) -> f64| {
        let both = x.values.iter().zip(&y.values);
        windows(&both.map(|(&x, &y)| product(x.into(), y.into())).collect::<Vec<_>>(), x.width)
    };
    let (xs, ys) = (mean_of(&|x, _| x), mean_of(&|_, y| y));
    let (xx, yy, xy) = (mean_of(&|x, _| x * x), mean_of(&|_, y| y * y), mean_of(&|x, y| x * y));
    let mut sum = 0.0;
    for at in 0..xs.len() {
        let (mx, my) = (xs[at], ys[at]);
        let (vx, vy, cov) = (xx[at] - mx * mx, yy[at] - my * my, xy[at] - mx * my);
        sum += (2.0 * mx * my + C1) * (2.0 * cov + C2) / ((mx * mx + my * my + C1) * (vx + vy + C2));
    }
    sum / xs.len() as f64
}

/// The Gaussian mean of every window that lies within: `width` − 10 a row, and ten rows fewer.
fn windows(values: &[f64], width: usize) -> Vec<f64> {
    const REACH: usize = 11;
    let mut weights: [f64; REACH] = std::array::from_fn(|n| (-(n as f64 - 5.0).powi(2) / (2.0 * 1.5 * 1.5)).exp());
    let sum: f64 = weights.iter().sum();
    for weight in &mut weights {
        *weight /= sum;
    }

    let mean = |part: &[f64]| part.iter().zip(&weights).map(|(value, weight)| value * weight).sum::<f64>();
    let rows: Vec<f64> = values.chunks(width).flat_map(|row| row.windows(REACH).map(mean)).collect();
    let width = (width + 1).saturating_sub(REACH);
    let at = |n: usize| (0..REACH).map(|row| rows[n + row * width] * weights[row]).sum();
    (0..(rows.len() + width).saturating_sub(REACH * width)).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(width: usize, height: usize, value: impl Fn(usize, usize) -> f32) -> Plane {
        Plane { width, height, values: (0..width * height).map(|n| value(n % width, n / width)).collect() }
    }

    fn check(ideal: &Plane, output: &Plane, expected_psnr: f64, expected_ssim: f64) {
        let (psnr, ssim) = (psnr(ideal, output), ssim(ideal, output));
        assert!((psnr - expected_psnr).abs() < 1e-3, "{psnr} dB");
        assert!((ssim - expected_ssim).abs() < 1e-4, "SSIM {ssim}");
    }

    #[test]
    fn known_differences() {
        let ramp = |offset: f32| plane(40, 23, move |x, y| (3 * x + 2 * y) as f32 + offset);
        assert!(psnr(&ramp(0.0), &ramp(0.0)).is_infinite());
        assert!((ssim(&ramp(0.0), &ramp(0.0)) - 1.0).abs() < 1e-9);

        // Where nothing varies, SSIM is its first factor: (2·100·110 + C₁) ÷ (100² + 110² + C₁), 20 log₁₀ 25.5 dB.
        let flat = |value: f32| plane(30, 30, move |_, _| value);
        check(&flat(100.0), &flat(110.0), 28.1308, (22_000.0 + 6.5025) / (22_100.0 + 6.5025));
        // The same mean but the opposite slope: structure is turned around.
        let (up, down) = (plane(41, 41, |x, _| 100.0 + x as f32), plane(41, 41, |x, _| 140.0 - x as f32));
        assert!(ssim(&up, &down) < ssim(&up, &plane(41, 41, |_, _| 120.0)));
    }

    #[test]
    fn the_ideal_of_a_ramp_is_a_ramp() {
        let half = lanczos(&plane(80, 60, |x, _| x as f32), 40, 30).unwrap();
        assert_eq!((half.width, half.height), (40, 30));
        assert!((half.values[15 * 40 + 20] - 40.5).abs() < 0.05, "{}", half.values[15 * 40 + 20]);
    }
}
