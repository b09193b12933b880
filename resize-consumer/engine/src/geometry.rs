//! From the source's sides and the request to what is cut out and how large it becomes: the table in the
//! [engine's docs](super), in integers.
//!
//! All is decided for the picture as it is to be seen, then carried back to the stored one: so a picture is turned when
//! it has the fewest pixels, at the end.

use contract::resize::{Crop, Fit};

use super::fault::Fault;
use super::header::Header;
use super::orient::Orientation;
use super::params::{Anchor, Sides, Wanted};

/// A part of a picture, in pixels, which it may cut through.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Rect {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

impl Rect {
    /// The same part of the picture scaled by `factor`.
    pub(crate) fn times(self, factor: f64) -> Self {
        Self {
            left: self.left * factor,
            top: self.top * factor,
            width: self.width * factor,
            height: self.height * factor,
        }
    }
}

/// Width and height.
type Size = (u32, u32);

/// What to make of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Plan {
    /// What is kept of the stored picture.
    pub(crate) crop: Rect,
    /// What that is scaled to, before it is turned.
    pub(crate) stored: Size,
    /// How it is turned then.
    pub(crate) orientation: Orientation,
    /// Where in the output it lies, turned.
    pub(crate) offset: Size,
    /// The output; larger than the picture for `contain` alone.
    pub(crate) output: Size,
}

impl Plan {
    /// The picture within the output.
    pub(crate) fn picture(&self) -> Size {
        self.orientation.sides(self.stored)
    }

    /// Chroma that is shared by two pixels must not be turned where a side is odd: the pairs would be others. Nor is it
    /// put on a background, which would begin within a pair.
    pub(crate) fn keeps_planes(&self) -> bool {
        let turns = self.orientation != Orientation::default();
        self.picture() == self.output && !(turns && (self.stored.0 % 2 == 1 || self.stored.1 % 2 == 1))
    }
}

pub(crate) fn plan(header: &Header, wanted: &Wanted) -> Result<Plan, Fault> {
    let upright = wanted.upright.sides(header.stored);
    let part = wanted.crop.unwrap_or(Crop { left: 0, top: 0, width: upright.0, height: upright.1 });
    let seen = wanted.turn.sides((part.width, part.height));
    let (picture, output) = output_sides(seen, wanted)?;

    let kept = if wanted.fit == Fit::Cover { cover(seen, picture, wanted.anchor) } else { whole(seen) };
    let mut crop = wanted.turn.rect_to_stored(kept, seen);
    crop.left += f64::from(part.left);
    crop.top += f64::from(part.top);
    let orientation = wanted.upright.then(wanted.turn);
    Ok(Plan {
        crop: wanted.upright.rect_to_stored(crop, upright),
        stored: orientation.sides(picture),
        orientation,
        offset: offset(picture, output, wanted.anchor),
        output,
    })
}

/// Of the picture, and of the output around it.
fn output_sides(source: Size, wanted: &Wanted) -> Result<(Size, Size), Fault> {
    let (width, height) = source;
    let enlarge = wanted.enlarge;
    // One side decides; the other follows.
    let by_width = |to: u32| Ok((to, follow(height, to, width)?));
    let by_height = |to: u32| Ok((follow(width, to, height)?, to));
    let no_larger = |to: u32, side: u32| if enlarge { to } else { to.min(side) };
    let (w, h) = match wanted.sides {
        Sides::AsTheyAre => return Ok((source, source)),
        Sides::Width(w) => return by_width(no_larger(w, width)).map(|sides| (sides, sides)),
        Sides::Height(h) => return by_height(no_larger(h, height)).map(|sides| (sides, sides)),
        Sides::Both(w, h) => (w, h),
    };
    let wide = wide(source, (w, h));
    let picture = match wanted.fit {
        Fit::Fill => (no_larger(w, width), no_larger(h, height)),
        Fit::Inside | Fit::Contain if !enlarge && w >= width && h >= height => source,
        Fit::Outside if !enlarge && (w >= width || h >= height) => source,
        Fit::Inside | Fit::Contain if wide => by_width(w)?,
        Fit::Inside | Fit::Contain => by_height(h)?,
        Fit::Outside if wide => by_height(h)?,
        Fit::Outside => by_width(w)?,
        // The box, or the largest of its shape that the source covers.
        Fit::Cover if enlarge || (w <= width && h <= height) => (w, h),
        Fit::Cover if wide => (follow(w, height, h)?, height),
        Fit::Cover => (width, follow(h, width, w)?),
    };
    Ok((picture, if wanted.fit == Fit::Contain { (w, h) } else { picture }))
}

/// Is the picture at least as wide for its height as the box?
fn wide((width, height): Size, (box_width, box_height): Size) -> bool {
    u64::from(width) * u64::from(box_height) >= u64::from(box_width) * u64::from(height)
}

/// `side × to ÷ from`, rounded half up, at least 1.
fn follow(side: u32, to: u32, from: u32) -> Result<u32, Fault> {
    let from = u64::from(from);
    let scaled = (u64::from(side) * u64::from(to) + from / 2) / from;
    u32::try_from(scaled.max(1)).map_err(|_| Fault::output_too_large(format!("a side of {scaled} pixels")))
}

fn whole((width, height): Size) -> Rect {
    Rect { left: 0.0, top: 0.0, width: f64::from(width), height: f64::from(height) }
}

/// The largest part of the output's shape. It starts on a whole pixel, so that nothing is blurred where nothing is
/// scaled.
fn cover((width, height): Size, output: Size, anchor: Anchor) -> Rect {
    let (w, h) = (f64::from(width), f64::from(height));
    let (out_w, out_h) = (f64::from(output.0), f64::from(output.1));
    let start = |side: f64, kept: f64, halves: u8, point: Option<u16>| {
        let free = side - kept;
        let at = point
            .map_or(free * f64::from(halves) / 2.0, |thousandths| side * f64::from(thousandths) / 1_000.0 - kept / 2.0);
        at.clamp(0.0, free).floor()
    };
    // In steps that a float adds and subtracts exactly, so that no rounding leads out of the picture.
    let exact = |kept: f64| (kept * 65_536.0).floor() / 65_536.0;
    let ((x, y), (point_x, point_y)) = match anchor {
        Anchor::Halves(x, y) => ((x, y), (None, None)),
        Anchor::Point(x, y) => ((0, 0), (Some(x), Some(y))),
    };
    if wide((width, height), output) {
        let kept = exact(h * out_w / out_h).min(w);
        Rect { left: start(w, kept, x, point_x), top: 0.0, width: kept, height: h }
    } else {
        let kept = exact(w * out_h / out_w).min(h);
        Rect { left: 0.0, top: start(h, kept, y, point_y), width: w, height: kept }
    }
}

/// Where a picture lies in an output that is larger. A focal point says nothing of it: the middle.
fn offset(picture: Size, output: Size, anchor: Anchor) -> Size {
    let (x, y) = match anchor {
        Anchor::Halves(x, y) => (x, y),
        Anchor::Point(..) => (1, 1),
    };
    let at = |free: u32, halves: u8| match halves {
        0 => 0,
        1 => free / 2,
        _ => free,
    };
    (at(output.0 - picture.0, x), at(output.1 - picture.1, y))
}

#[cfg(test)]
#[path = "tests/geometry.rs"]
mod tests;
