//! From the source's sides and the request to what is cut out and how large it becomes: the table in the
//! [engine's docs](super), in integers.

use contract::request::Fit;

use super::fault::Fault;
use super::header::Header;
use super::params::{Sides, Wanted};

/// A part of a picture, in pixels, which it may cut through.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rect {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Rect {
    /// The same part of the picture scaled by `factor`.
    pub(super) fn times(self, factor: f64) -> Self {
        Self {
            left: self.left * factor,
            top: self.top * factor,
            width: self.width * factor,
            height: self.height * factor,
        }
    }
}

/// What to make of a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Plan {
    /// Width and height of the upright output.
    pub(super) output: (u32, u32),
    /// The same before it is turned upright.
    pub(super) stored: (u32, u32),
    /// What is kept of the stored picture.
    pub(super) crop: Rect,
}

pub(super) fn plan(header: &Header, wanted: &Wanted) -> Result<Plan, Fault> {
    let upright = header.orientation.sides(header.stored);
    let output = output_sides(upright, wanted.sides, wanted.fit)?;
    let crop = match wanted.fit {
        Fit::Cover => middle(upright, output),
        Fit::Inside | Fit::Fill => whole(upright),
    };
    Ok(Plan {
        output,
        stored: header.orientation.sides(output),
        crop: header.orientation.rect_to_stored(crop, upright),
    })
}

fn output_sides((width, height): (u32, u32), wanted: Sides, fit: Fit) -> Result<(u32, u32), Fault> {
    // Half of one dimension decides; the other follows.
    let by_width = |to: u32| Ok((to, follow(height, to, width)?));
    let by_height = |to: u32| Ok((follow(width, to, height)?, to));
    match (wanted, fit) {
        (Sides::Both(w, h), Fit::Fill) => Ok((w, h)),
        (Sides::Width(w), Fit::Fill) => by_width(w),
        (Sides::Height(h), Fit::Fill) => by_height(h),
        (Sides::Width(w), Fit::Inside | Fit::Cover) => by_width(w.min(width)),
        (Sides::Height(h), Fit::Inside | Fit::Cover) => by_height(h.min(height)),
        (Sides::Both(w, h), Fit::Inside) => {
            if w >= width && h >= height {
                Ok((width, height))
            } else if wide(width, height, w, h) {
                by_width(w)
            } else {
                by_height(h)
            }
        }
        (Sides::Both(w, h), Fit::Cover) => {
            // The box, or the largest of its shape that the source covers.
            if w <= width && h <= height {
                Ok((w, h))
            } else if wide(width, height, w, h) {
                Ok((follow(w, height, h)?, height))
            } else {
                Ok((width, follow(h, width, w)?))
            }
        }
    }
}

/// Is the picture at least as wide for its height as the box?
fn wide(width: u32, height: u32, box_width: u32, box_height: u32) -> bool {
    u64::from(width) * u64::from(box_height) >= u64::from(box_width) * u64::from(height)
}

/// `side × to ÷ from`, rounded half up, at least 1.
fn follow(side: u32, to: u32, from: u32) -> Result<u32, Fault> {
    let from = u64::from(from);
    let scaled = (u64::from(side) * u64::from(to) + from / 2) / from;
    u32::try_from(scaled.max(1)).map_err(|_| Fault::output_too_large(format!("a side of {scaled} pixels")))
}

fn whole((width, height): (u32, u32)) -> Rect {
    Rect { left: 0.0, top: 0.0, width: f64::from(width), height: f64::from(height) }
}

/// The largest part of the output's shape, from the middle. It starts on a whole pixel, so that nothing is blurred
/// where nothing is scaled.
fn middle((width, height): (u32, u32), output: (u32, u32)) -> Rect {
    let (w, h) = (f64::from(width), f64::from(height));
    let (out_w, out_h) = (f64::from(output.0), f64::from(output.1));
    if wide(width, height, output.0, output.1) {
        let kept = (h * out_w / out_h).min(w);
        Rect { left: ((w - kept) / 2.0).floor(), top: 0.0, width: kept, height: h }
    } else {
        let kept = (w * out_h / out_w).min(h);
        Rect { left: 0.0, top: ((h - kept) / 2.0).floor(), width: w, height: kept }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Fit::{Cover, Fill, Inside};
    use super::Sides::{Both, Height, Width};
    use super::*;

    fn sides(source: (u32, u32), wanted: Sides, fit: Fit) -> (u32, u32) {
        output_sides(source, wanted, fit).unwrap()
    }

    #[test]
    fn the_table_of_meaning() {
        for (source, wanted, fit, expected) in [
            ((1411, 1411), Both(320, 240), Inside, (240, 240)),
            ((640, 427), Both(320, 240), Inside, (320, 214)), // 213.5
            ((640, 427), Both(320, 100), Inside, (150, 100)), // 149.88
            ((640, 427), Both(4000, 3000), Inside, (640, 427)),
            ((640, 427), Both(4000, 100), Inside, (150, 100)),
            ((640, 427), Width(320), Inside, (320, 214)),
            ((640, 427), Width(641), Inside, (640, 427)),
            ((640, 427), Height(100), Inside, (150, 100)),
            ((3000, 1), Width(10), Inside, (10, 1)),
            ((1, 1), Both(9, 9), Inside, (1, 1)),
            ((640, 427), Both(100, 100), Cover, (100, 100)),
            ((640, 427), Both(1000, 1000), Cover, (427, 427)),
            ((640, 427), Both(1000, 500), Cover, (640, 320)),
            ((640, 427), Both(600, 500), Cover, (512, 427)), // 512.4
            ((640, 427), Width(1000), Cover, (640, 427)),
            ((640, 427), Both(1000, 10), Fill, (1000, 10)),
            ((640, 427), Width(1280), Fill, (1280, 854)),
            ((640, 427), Height(1), Fill, (1, 1)),
        ] {
            assert_eq!(sides(source, wanted, fit), expected, "{source:?} {wanted:?} {fit:?}");
        }
    }

    #[test]
    fn the_overhang_is_cut_evenly_on_whole_pixels() {
        let rect = |left, top, width, height| Rect { left, top, width, height };
        assert_eq!(middle((640, 427), (427, 427)), rect(106.0, 0.0, 427.0, 427.0));
        assert_eq!(middle((427, 640), (100, 100)), rect(0.0, 106.0, 427.0, 427.0));
        assert_eq!(middle((640, 400), (320, 200)), rect(0.0, 0.0, 640.0, 400.0));
    }

    #[test]
    fn an_output_past_counting_is_refused() {
        let fault = output_sides((1, 100_000), Width(100_000), Fill).unwrap_err();
        assert_eq!(fault.reason, contract::usage::Reason::OutputTooLarge);
    }

    proptest! {
        #[test]
        fn inside_fits_keeps_the_aspect_and_never_enlarges(
            width in 1..40_000_u32, height in 1..40_000_u32, w in 1..40_000_u32, h in 1..40_000_u32,
        ) {
            let (out_w, out_h) = sides((width, height), Both(w, h), Inside);
            prop_assert!(1 <= out_w && out_w <= w.min(width) && 1 <= out_h && out_h <= h.min(height));
            prop_assert!(out_w == w || out_h == h || (out_w, out_h) == (width, height), "as large as fits");
            // One side decides; the other is within half a pixel of the aspect, or 1.
            let off = (u64::from(out_w) * u64::from(height)).abs_diff(u64::from(out_h) * u64::from(width));
            prop_assert!(2 * off <= u64::from(width.max(height)) || out_w == 1 || out_h == 1);
        }

        #[test]
        fn cover_has_the_shape_of_the_box_and_never_enlarges(
            width in 1..40_000_u32, height in 1..40_000_u32, w in 1..40_000_u32, h in 1..40_000_u32,
        ) {
            let (out_w, out_h) = sides((width, height), Both(w, h), Cover);
            prop_assert!(1 <= out_w && out_w <= w.min(width) && 1 <= out_h && out_h <= h.min(height));
            prop_assert!((out_w, out_h) == (w, h) || out_w == width || out_h == height, "as large as is covered");
            let off = (u64::from(out_w) * u64::from(h)).abs_diff(u64::from(out_h) * u64::from(w));
            prop_assert!(2 * off <= u64::from(w.max(h)) || out_w == 1 || out_h == 1);

            let crop = middle((width, height), (out_w, out_h));
            prop_assert!(crop.left >= 0.0 && crop.left + crop.width <= f64::from(width));
            prop_assert!(crop.top >= 0.0 && crop.top + crop.height <= f64::from(height));
            let cut = (f64::from(width) - crop.width).min(f64::from(height) - crop.height);
            prop_assert!(cut.abs() < 1e-9, "one side is kept whole");
            prop_assert!(crop.width >= f64::from(out_w) && crop.height >= f64::from(out_h));
            let right = f64::from(width) - crop.left - crop.width;
            let bottom = f64::from(height) - crop.top - crop.height;
            prop_assert!((right - crop.left).abs() < 2.0 && (bottom - crop.top).abs() < 2.0, "evenly");
        }

        #[test]
        fn a_turned_picture_has_a_turned_plan(
            width in 1..9_000_u32, height in 1..9_000_u32, w in 1..9_000_u32, h in 1..9_000_u32, turned in 1..=8_u16,
        ) {
            use crate::engine::{orient::Orientation, sniff::ImageFormat};
            let orientation = Orientation::from_exif(turned).unwrap();
            let header = Header { format: ImageFormat::Jpeg, stored: (width, height), orientation };
            for fit in [Inside, Cover, Fill] {
                let wanted = Wanted { sides: Both(w, h), fit, format: ImageFormat::Jpeg, quality: 80 };
                let plan = plan(&header, &wanted).unwrap();
                prop_assert_eq!(plan.output, sides(orientation.sides((width, height)), Both(w, h), fit));
                prop_assert_eq!(orientation.sides(plan.stored), plan.output);
                let Rect { left, top, width: kept_w, height: kept_h } = plan.crop;
                prop_assert!(left >= 0.0 && left + kept_w <= f64::from(width));
                prop_assert!(top >= 0.0 && top + kept_h <= f64::from(height));
            }
        }
    }
}
