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

/// `fast_image_resize` 6.1 leaves out zeros at both ends of a pixel's kernel, and takes it that then no pixel's kernel
/// starts before the first one's or ends behind the last one's; where one does, it reads past a row. That holds for a
/// kernel that is not 0 anywhere within its support, as all of these are.
fn algorithm(filter: Filter) -> ResizeAlg {
    let custom = |name, kernel, support| {
        fast_image_resize::Filter::new(name, kernel, support).map_or(FilterType::Bilinear, FilterType::Custom)
    };
    ResizeAlg::Convolution(match filter {
        Filter::Nearest => return ResizeAlg::Nearest,
        Filter::Box => FilterType::Box,
        Filter::Bilinear => FilterType::Bilinear,
        Filter::Hamming => FilterType::Hamming,
        Filter::Gaussian => FilterType::Gaussian,
        Filter::Mitchell => custom("Mitchell", |x| cubic(x, 1.0 / 3.0, 1.0 / 3.0), 2.0),
        Filter::CatmullRom => custom("CatmullRom", |x| cubic(x, 0.0, 0.5), 2.0),
        Filter::Lanczos3 => custom("Lanczos3", lanczos3, 3.0),
    })
}

/// As little as makes no difference, for 0.
fn never_zero(weight: f64) -> f64 {
    if weight == 0.0 { f64::MIN_POSITIVE } else { weight }
}

/// The cubic filters of Mitchell and Netravali (1988), of which Catmull-Rom is one.
fn cubic(x: f64, b: f64, c: f64) -> f64 {
    let x = x.abs();
    if x >= 2.0 {
        return 0.0;
    }
    never_zero(if x < 1.0 {
        ((12.0 - 9.0 * b - 6.0 * c) * x + (-18.0 + 12.0 * b + 6.0 * c)) * x * x / 6.0 + (1.0 - b / 3.0)
    } else {
        (((-b - 6.0 * c) * x + (6.0 * b + 30.0 * c)) * x + (-12.0 * b - 48.0 * c)) * x / 6.0 + (4.0 * b / 3.0 + 4.0 * c)
    })
}

/// `sinc(x) × sinc(x ÷ 3)` up to 3, within 3e-7: a polynomial in x², so that it neither costs two sines for each pixel of
/// a kernel nor depends on whose sine it is. Its zeros are factored out; the rest was fitted by Chebyshev polynomials.
fn lanczos3(x: f64) -> f64 {
    let u = x * x;
    if u >= 9.0 {
        return 0.0;
    }
    let zeros = (1.0 - u) * (1.0 - u / 4.0) * (1.0 - u / 9.0) * (1.0 - u / 9.0);
    let (u2, u4) = (u * u, u * u * u * u);
    let low = (1.0 - 3.554_791_75e-1 * u) + (5.892_711_17e-2 - 6.089_926_85e-3 * u) * u2;
    let high = (4.395_279_63e-4 - 2.291_862_85e-5 * u) + (8.091_570_69e-7 - 1.456_931_42e-8 * u) * u2;
    never_zero(zeros * (low + high * u4))
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
    fn the_cubic_kernels_are_those_of_their_names() {
        for (x, mitchell, catmull_rom) in
            [(0.0, 8.0 / 9.0, 1.0), (0.5, 77.0 / 144.0, 0.5625), (1.0, 1.0 / 18.0, 0.0), (1.5, -5.0 / 144.0, -0.0625)]
        {
            assert!((cubic(x, 1.0 / 3.0, 1.0 / 3.0) - mitchell).abs() < 1e-12, "Mitchell at {x}");
            assert!((cubic(-x, 0.0, 0.5) - catmull_rom).abs() < 1e-12, "Catmull-Rom at {x}");
        }
    }

    /// See [`algorithm`]. Of a kernel with zeros, the last pixel of which lies on one of the source's, less is read than
    /// of the one before.
    #[test]
    fn no_kernel_has_zeros_within() {
        for whole in [1.0, 2.0] {
            assert!(lanczos3(whole) != 0.0 && lanczos3(-whole) != 0.0);
        }
        assert!(cubic(1.0, 0.0, 0.5) != 0.0);
        assert!(lanczos3(3.0) == 0.0 && cubic(2.0, 0.0, 0.5) == 0.0);
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
