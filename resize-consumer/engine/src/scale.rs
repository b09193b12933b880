//! Resampling through `fast_image_resize`, plane by plane, alpha premultiplied.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use contract::resize::Filter;

use super::fault::Fault;
use super::geometry::Rect;
use super::picture::{Color, Picture, Plane, Subsampling};

#[derive(Debug, Default)]
pub(crate) struct Scaler {
    resizer: Resizer,
}

impl Scaler {
    /// Makes `to` the part `crop` of `from` at width × height, its chroma, if it has planes of it, at `subsampling`.
    pub(crate) fn scale(
        &mut self,
        from: &Picture,
        crop: Rect,
        (width, height): (u32, u32),
        subsampling: Subsampling,
        filter: Filter,
        to: &mut Picture,
    ) -> Result<(), Fault> {
        let pixel_type = match from.color {
            Color::Gray | Color::Ycc | Color::VideoYcc => PixelType::U8,
            Color::GrayAlpha => PixelType::U8x2,
            Color::Rgb => PixelType::U8x3,
            Color::Rgba | Color::Cmyk => PixelType::U8x4,
        };
        let failed = |error: &dyn std::fmt::Display| Fault::engine("resize", error);
        to.reshape(from.color, width, height, subsampling);
        for ((plane, source), (target_plane, target)) in from.samples().into_iter().zip(to.samples_mut()) {
            let part = part(crop, plane, target_plane, (width, height));
            let options = ResizeOptions::new().resize_alg(algorithm(filter)).use_alpha(from.color.has_alpha()).crop(
                part.left,
                part.top,
                part.width,
                part.height,
            );
            let source =
                ImageRef::new(plane.width, plane.height, source, pixel_type).map_err(|error| failed(&error))?;
            let (width, height) = (target_plane.width, target_plane.height);
            let mut target = Image::from_slice_u8(width, height, target, pixel_type).map_err(|error| failed(&error))?;
            self.resizer.resize(&source, &mut target, &options).map_err(|error| failed(&error))?;
        }
        Ok(())
    }

    pub(crate) fn trim(&mut self, kept_bytes: usize) {
        if self.resizer.size_of_internal_buffers() > kept_bytes {
            self.resizer.reset_internal_buffers();
        }
    }
}

fn algorithm(filter: Filter) -> ResizeAlg {
    ResizeAlg::Convolution(match filter {
        Filter::Nearest => return ResizeAlg::Nearest,
        Filter::Box => FilterType::Box,
        Filter::Bilinear => FilterType::Bilinear,
        Filter::Hamming => FilterType::Hamming,
        Filter::Gaussian => FilterType::Gaussian,
        Filter::Mitchell => FilterType::Mitchell,
        Filter::CatmullRom => FilterType::CatmullRom,
        Filter::Lanczos3 => {
            fast_image_resize::Filter::new("Lanczos3", lanczos3, 3.0).map_or(FilterType::Lanczos3, FilterType::Custom)
        }
    })
}

/// `sinc(x) × sinc(x ÷ 3)` up to 3, within 3e-7: a polynomial in x², so that it neither costs two sines for each pixel of
/// a kernel nor depends on whose sine it is. Its zeros are factored out, which makes them exact; the rest was fitted by
/// Chebyshev polynomials.
fn lanczos3(x: f64) -> f64 {
    let u = x * x;
    if u >= 9.0 {
        return 0.0;
    }
    let zeros = (1.0 - u) * (1.0 - u / 4.0) * (1.0 - u / 9.0) * (1.0 - u / 9.0);
    let (u2, u4) = (u * u, u * u * u * u);
    let low = (1.0 - 3.554_791_75e-1 * u) + (5.892_711_17e-2 - 6.089_926_85e-3 * u) * u2;
    let high = (4.395_279_63e-4 - 2.291_862_85e-5 * u) + (8.091_570_69e-7 - 1.456_931_42e-8 * u) * u2;
    zeros * (low + high * u4)
}

/// What of a plane the target's plane shows. `crop` is in pixels of the whole picture. A chroma sample stands for a block
/// of pixels, and at an odd edge also for some that are not there: so the part may be a little larger than the crop.
fn part(crop: Rect, plane: Plane, target: Plane, output: (u32, u32)) -> Rect {
    let along = |start: f64, length: f64, shared: u32, target: (u32, u32), output: u32, side: u32| {
        let shared = f64::from(shared);
        let shown = f64::from(target.0) * f64::from(target.1) / f64::from(output);
        let side = f64::from(side);
        let start = (start / shared).min(side - f64::MIN_POSITIVE);
        (start, (length / shared * shown).min(side - start))
    };
    let (across, down) = plane.subsampling;
    let (left, width) =
        along(crop.left, crop.width, across, (target.width, target.subsampling.0), output.0, plane.width);
    let (top, height) =
        along(crop.top, crop.height, down, (target.height, target.subsampling.1), output.1, plane.height);
    Rect { left, top, width, height }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::{FULL, HALF};

    #[test]
    fn the_kernel_is_that_of_lanczos() {
        let sinc = |x: f64| if x == 0.0 { 1.0 } else { (std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x) };
        for thousandth in -3_100..=3_100_i32 {
            let x = f64::from(thousandth) / 1000.0;
            let expected = if x.abs() < 3.0 { sinc(x) * sinc(x / 3.0) } else { 0.0 };
            assert!((lanczos3(x) - expected).abs() < 3e-7, "{x}: {} is not {expected}", lanczos3(x));
        }
    }

    #[test]
    fn chroma_shows_what_luma_shows() {
        let rect = |left, top, width, height| Rect { left, top, width, height };
        let plane = |width, height, subsampling| Plane { width, height, subsampling };
        let crop = rect(10.0, 0.0, 80.0, 60.0);
        for (from, to, output, expected) in [
            (plane(100, 60, FULL), plane(20, 15, FULL), (20, 15), crop),
            (plane(50, 30, HALF), plane(20, 15, FULL), (20, 15), rect(5.0, 0.0, 40.0, 30.0)),
            (plane(50, 30, HALF), plane(10, 8, HALF), (20, 15), rect(5.0, 0.0, 40.0, 30.0)), // 32 rows, of 30
            (plane(50, 60, (2, 1)), plane(11, 8, HALF), (21, 15), rect(5.0, 0.0, 40.0 * 22.0 / 21.0, 60.0)),
        ] {
            assert_eq!(part(crop, from, to, output), expected, "{from:?} → {to:?}");
        }
    }
}
