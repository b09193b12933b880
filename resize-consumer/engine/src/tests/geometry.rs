use contract::resize::{Flip, FocalPoint, Gravity, Resize, Thousandths};
use proptest::prelude::*;

use super::Fit::{Contain, Cover, Fill, Inside, Outside};
use super::*;
use crate::{InputFormat, Limits, params};

fn planned(stored: (u32, u32), orientation: u16, params: &Resize) -> Result<Plan, Fault> {
    let orientation = Orientation::from_exif(orientation).unwrap();
    let header = Header { orientation, ..Header::new(InputFormat::Jpeg, stored) };
    let limits = Limits { output_side: u32::MAX, ..Limits::default() };
    plan(&header, &params::check(params, &header, &limits)?)
}

fn sized(width: u32, height: u32, fit: Fit, enlarge: bool) -> Resize {
    let side = |side| (side > 0).then_some(side);
    let (fit, enlarge) = (Some(fit), Some(enlarge));
    Resize { width: side(width), height: side(height), fit, enlarge, ..Resize::default() }
}

/// The table of the engine's docs, and of PARAMETERS.md: 640×400 into boxes, 0 for a side that is absent. The picture,
/// and the output where it is larger.
#[test]
fn the_table_of_meaning() {
    let boxes = [(320, 100), (320, 320), (1000, 200), (1000, 1000), (320, 0), (1000, 0), (0, 200), (0, 0)];
    let same = |sides| (sides, sides);
    for (fit, enlarge, expected) in [
        (Inside, false, [(160, 100), (320, 200), (320, 200), (640, 400)].map(same)),
        (Inside, true, [(160, 100), (320, 200), (320, 200), (1000, 625)].map(same)),
        (Outside, false, [(320, 200), (512, 320), (640, 400), (640, 400)].map(same)),
        (Outside, true, [(320, 200), (512, 320), (1000, 625), (1600, 1000)].map(same)),
        (Cover, false, [(320, 100), (320, 320), (640, 128), (400, 400)].map(same)),
        (Cover, true, [(320, 100), (320, 320), (1000, 200), (1000, 1000)].map(same)),
        (
            Contain,
            false,
            [((160, 100), (320, 100)), ((320, 200), (320, 320)), ((320, 200), (1000, 200)), ((640, 400), (1000, 1000))],
        ),
        (
            Contain,
            true,
            [
                ((160, 100), (320, 100)),
                ((320, 200), (320, 320)),
                ((320, 200), (1000, 200)),
                ((1000, 625), (1000, 1000)),
            ],
        ),
        (Fill, false, [(320, 100), (320, 320), (640, 200), (640, 400)].map(same)),
        (Fill, true, [(320, 100), (320, 320), (1000, 200), (1000, 1000)].map(same)),
    ] {
        let wide = if enlarge { (1000, 625) } else { (640, 400) };
        let one_side = [(320, 200), wide, (320, 200), (640, 400)].map(same);
        for ((w, h), expected) in boxes.into_iter().zip(expected.into_iter().chain(one_side)) {
            let plan = planned((640, 400), 1, &sized(w, h, fit, enlarge)).unwrap();
            assert_eq!((plan.picture(), plan.output), expected, "{fit:?}, enlarge {enlarge}: {w}×{h}");
        }
    }
}

#[test]
fn a_side_that_follows_is_rounded_half_up_and_at_least_1() {
    for (source, (w, h), fit, expected) in [
        ((640, 427), (320, 240), Inside, (320, 214)), // 213.5
        ((640, 427), (320, 100), Inside, (150, 100)), // 149.88
        ((640, 427), (0, 100), Fill, (150, 100)),
        ((3000, 1), (10, 0), Inside, (10, 1)),
        ((1, 1), (9, 9), Inside, (1, 1)),
        ((640, 427), (600, 500), Cover, (512, 427)), // 512.4
        ((640, 427), (100, 9), Outside, (100, 67)),  // 66.7
    ] {
        let plan = planned(source, 1, &sized(w, h, fit, false)).unwrap();
        assert_eq!(plan.output, expected, "{source:?} {w}×{h} {fit:?}");
    }
}

#[test]
fn the_device_pixel_ratio_multiplies_what_was_asked_for() {
    for (dpr, (w, h), expected) in [
        (2_000, (100, 100), (200, 125)),
        (1_500, (33, 0), (50, 31)), // 49.5
        (100, (1, 0), (1, 1)),
        (3_000, (300, 300), (640, 400)), // not enlarged
        (3_000, (0, 0), (640, 400)),
    ] {
        let params = Resize { dpr: Some(Thousandths::new(dpr)), ..sized(w, h, Inside, false) };
        assert_eq!(planned((640, 400), 1, &params).unwrap().output, expected, "{w}×{h}, {dpr}");
    }
}

#[test]
fn cover_keeps_what_gravity_and_the_focal_point_say() {
    let rect = |left, top, width, height| Rect { left, top, width, height };
    let gravity = |gravity| Resize { gravity: Some(gravity), ..Resize::default() };
    let point = |x, y| Resize {
        focal_point: Some(FocalPoint { x: Thousandths::new(x), y: Thousandths::new(y) }),
        ..Resize::default()
    };
    for (source, params, expected) in [
        ((640, 427), Resize::default(), rect(106.0, 0.0, 427.0, 427.0)),
        ((427, 640), Resize::default(), rect(0.0, 106.0, 427.0, 427.0)),
        ((640, 427), gravity(Gravity::North), rect(106.0, 0.0, 427.0, 427.0)),
        ((640, 427), gravity(Gravity::West), rect(0.0, 0.0, 427.0, 427.0)),
        ((640, 427), gravity(Gravity::SouthEast), rect(213.0, 0.0, 427.0, 427.0)),
        ((427, 640), gravity(Gravity::SouthEast), rect(0.0, 213.0, 427.0, 427.0)),
        ((427, 640), gravity(Gravity::NorthEast), rect(0.0, 0.0, 427.0, 427.0)),
        ((640, 427), point(500, 0), rect(106.0, 0.0, 427.0, 427.0)),
        ((640, 427), point(400, 900), rect(42.0, 0.0, 427.0, 427.0)), // 256 − 213.5
        ((640, 427), point(1_000, 0), rect(213.0, 0.0, 427.0, 427.0)),
        ((427, 640), point(0, 0), rect(0.0, 0.0, 427.0, 427.0)),
        ((427, 640), point(0, 600), rect(0.0, 170.0, 427.0, 427.0)), // 384 − 213.5
    ] {
        let params = Resize { width: Some(99), height: Some(99), fit: Some(Cover), ..params };
        assert_eq!(planned(source, 1, &params).unwrap().crop, expected, "{params:?}");
    }
}

#[test]
fn contain_puts_the_picture_where_gravity_says() {
    for (gravity, offset) in [
        (None, (0, 30)),
        (Some(Gravity::North), (0, 0)),
        (Some(Gravity::West), (0, 30)),
        (Some(Gravity::SouthEast), (0, 61)),
    ] {
        let params = Resize { gravity, ..sized(160, 161, Contain, false) };
        assert_eq!(planned((640, 400), 1, &params).unwrap().offset, offset, "{gravity:?}");
    }
}

/// A source of 60×40, stored on its side: 40×60 with orientation 6.
#[test]
fn what_is_cut_out_is_found_in_the_stored_picture() {
    let rect = |left, top, width, height| Rect { left, top, width, height };
    let crop = Some(Crop { left: 10, top: 5, width: 30, height: 20 });
    let cut = Resize { crop, ..Resize::default() };
    // Orientation 6 turns 90° clockwise: a pixel seen at (x, y) is stored at (y, 59 − x).
    let plan = planned((40, 60), 6, &cut).unwrap();
    assert_eq!((plan.crop, plan.stored, plan.output), (rect(5.0, 20.0, 20.0, 30.0), (20, 30), (30, 20)));
    let turned = planned((40, 60), 6, &Resize { rotate: Some(90), ..cut.clone() }).unwrap();
    assert_eq!((turned.crop, turned.stored, turned.output), (plan.crop, plan.stored, (20, 30)));
    assert_eq!(Some(turned.orientation), Orientation::from_exif(3), "90° and 90°");
    let left = Resize { auto_orient: Some(false), ..cut.clone() };
    assert_eq!(planned((40, 60), 6, &left).unwrap().crop, rect(10.0, 5.0, 30.0, 20.0), "as it is stored");

    // The right third of the part, mirrored: its left third.
    let gravity = Some(Gravity::East);
    let third = Resize { width: Some(10), height: Some(20), fit: Some(Cover), gravity, ..cut };
    assert_eq!(planned((60, 40), 1, &third).unwrap().crop, rect(30.0, 5.0, 10.0, 20.0));
    let mirrored = Resize { flip: Some(Flip::Horizontal), ..third };
    assert_eq!(planned((60, 40), 1, &mirrored).unwrap().crop, rect(10.0, 5.0, 10.0, 20.0));
}

#[test]
fn an_output_past_counting_is_refused() {
    let fault = planned((1, 100_000), 1, &sized(100_000, 0, Fill, true)).unwrap_err();
    assert_eq!(fault.reason, contract::usage::Reason::OutputTooLarge);
}

/// Half a pixel off the aspect at most, or a side of 1.
fn keeps_aspect((w, h): (u32, u32), (width, height): (u32, u32)) -> bool {
    let off = (u64::from(w) * u64::from(height)).abs_diff(u64::from(h) * u64::from(width));
    2 * off <= u64::from(width.max(height)) || w == 1 || h == 1
}

fn within(part: Rect, (width, height): (u32, u32)) -> bool {
    let Rect { left, top, width: w, height: h } = part;
    left >= 0.0 && top >= 0.0 && left + w <= f64::from(width) && top + h <= f64::from(height) && w > 0.0 && h > 0.0
}

prop_compose! {
    fn gravity()(n in 0..9_usize) -> Gravity {
        use Gravity::{Center, East, North, NorthEast, NorthWest, South, SouthEast, SouthWest, West};
        [Center, North, NorthEast, East, SouthEast, South, SouthWest, West, NorthWest][n]
    }
}

proptest! {
    #[test]
    fn every_fit_keeps_its_promise(
        source in (1..40_000_u32, 1..40_000_u32), box_ in (1..40_000_u32, 1..40_000_u32), enlarge: bool,
        gravity in gravity(), fit in 0..5_usize,
    ) {
        let ((width, height), (w, h)) = (source, box_);
        let fit = [Inside, Outside, Cover, Contain, Fill][fit];
        let params = Resize { gravity: Some(gravity), ..sized(w, h, fit, enlarge) };
        let plan = match planned(source, 1, &params) {
            Err(fault) => {
                prop_assert_eq!(fault.reason, contract::usage::Reason::OutputTooLarge);
                return Ok(());
            }
            Ok(plan) => plan,
        };
        let (out_w, out_h) = plan.picture();
        prop_assert!(out_w >= 1 && out_h >= 1 && within(plan.crop, source));
        if !enlarge {
            prop_assert!(out_w <= width && out_h <= height, "never enlarged");
            prop_assert!(f64::from(out_w) <= plan.crop.width + 1e-6 && f64::from(out_h) <= plan.crop.height + 1e-6);
        }
        let as_it_was = !enlarge && plan.picture() == source;
        match fit {
            Inside | Contain => {
                prop_assert!(out_w <= w && out_h <= h && (out_w == w || out_h == h || as_it_was), "as large as fits");
                prop_assert!(keeps_aspect(plan.picture(), source));
            }
            Outside => {
                prop_assert!(out_w >= w && out_h >= h || as_it_was, "both sides are reached");
                prop_assert!(out_w == w || out_h == h || as_it_was);
                prop_assert!(keeps_aspect(plan.picture(), source));
            }
            Cover => {
                prop_assert!(plan.picture() == box_ || !enlarge && (out_w == width || out_h == height));
                prop_assert!(keeps_aspect(plan.picture(), box_), "the box's shape");
                let cut = (f64::from(width) - plan.crop.width).min(f64::from(height) - plan.crop.height);
                prop_assert!(cut.abs() < 1e-9, "one side is kept whole");
            }
            Fill if enlarge => prop_assert_eq!(plan.picture(), box_),
            Fill => prop_assert_eq!(plan.picture(), (w.min(width), h.min(height))),
        }
        if fit == Contain {
            prop_assert_eq!(plan.output, box_);
            prop_assert!(plan.offset.0 + out_w <= w && plan.offset.1 + out_h <= h);
        } else {
            prop_assert_eq!((plan.output, plan.offset), (plan.picture(), (0, 0)));
        }
        if fit != Cover {
            prop_assert_eq!(plan.crop, whole(source));
        }
    }

    #[test]
    fn a_turned_picture_has_a_turned_plan(
        stored in (1..9_000_u32, 1..9_000_u32), box_ in (1..9_000_u32, 1..9_000_u32),
        exif in 1..=8_u16, rotate in 0..4_u16, gravity in gravity(),
    ) {
        for fit in [Inside, Outside, Cover, Contain, Fill] {
            let params = Resize { gravity: Some(gravity), ..sized(box_.0, box_.1, fit, false) };
            let turned = Resize { rotate: Some(90 * rotate), ..params.clone() };
            let (Ok(plan), seen) = (planned(stored, exif, &turned), Orientation::from_exif(exif).unwrap().sides(stored))
            else { continue };
            let seen = if rotate % 2 == 1 { (seen.1, seen.0) } else { seen };
            let straight = planned(seen, 1, &params).unwrap();
            prop_assert_eq!((plan.output, plan.offset), (straight.output, straight.offset));
            prop_assert_eq!(plan.picture(), straight.picture());
            prop_assert!(within(plan.crop, stored));
            let area = |rect: Rect| rect.width * rect.height;
            prop_assert!((area(plan.crop) - area(straight.crop)).abs() < 0.5);
        }
    }

    #[test]
    fn the_focal_point_stays_in_view(
        source in (1..9_000_u32, 1..9_000_u32), box_ in (1..9_000_u32, 1..9_000_u32), x in 0..=1_000_i64, y in 0..=1_000_i64,
    ) {
        let focal_point = Some(FocalPoint { x: Thousandths::new(x), y: Thousandths::new(y) });
        let plan = planned(source, 1, &Resize { focal_point, ..sized(box_.0, box_.1, Cover, false) }).unwrap();
        let at = |side: u32, thousandths: i64| f64::from(side) * f64::from(i32::try_from(thousandths).unwrap()) / 1000.0;
        let (x, y) = (at(source.0, x), at(source.1, y));
        let Rect { left, top, width, height } = plan.crop;
        // It starts on a whole pixel, so that up to one may be missing at the end.
        prop_assert!((left..=left + width + 1.0).contains(&x), "{x} in {left}+{width}");
        prop_assert!((top..=top + height + 1.0).contains(&y), "{y} in {top}+{height}");
        prop_assert!(within(plan.crop, source));
    }
}
