//! Turning a picture the way up that its EXIF says.
//!
//! It is done last, on the fewest pixels; the plan is made for the upright picture and carried back.

use super::geometry::Rect;
use super::picture::{Picture, Plane};

/// How a stored picture becomes upright: transposed (rows become columns) first, then flipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Orientation {
    transpose: bool,
    flip_x: bool,
    flip_y: bool,
}

impl Orientation {
    /// Reads EXIF's 1 to 8. 6, the usual portrait, turns 90° clockwise; 8 counterclockwise.
    pub(crate) fn from_exif(value: u16) -> Option<Self> {
        let (transpose, flip_x, flip_y) = match value {
            1 => (false, false, false),
            2 => (false, true, false),
            3 => (false, true, true),
            4 => (false, false, true),
            5 => (true, false, false),
            6 => (true, true, false),
            7 => (true, true, true),
            8 => (true, false, true),
            _ => return None,
        };
        Some(Self { transpose, flip_x, flip_y })
    }

    /// This one first, then `next`.
    pub(crate) fn then(self, next: Self) -> Self {
        let (flip_x, flip_y) = if next.transpose { (self.flip_y, self.flip_x) } else { (self.flip_x, self.flip_y) };
        Self {
            transpose: self.transpose != next.transpose,
            flip_x: flip_x != next.flip_x,
            flip_y: flip_y != next.flip_y,
        }
    }

    /// Width and height of the upright picture from the stored one's, and the reverse.
    pub(crate) fn sides(self, (width, height): (u32, u32)) -> (u32, u32) {
        if self.transpose { (height, width) } else { (width, height) }
    }

    /// Where a part of the upright picture, itself of these sides, is in the stored one.
    pub(crate) fn rect_to_stored(self, rect: Rect, upright: (u32, u32)) -> Rect {
        let Rect { mut left, mut top, width, height } = rect;
        if self.flip_x {
            left = f64::from(upright.0) - left - width;
        }
        if self.flip_y {
            top = f64::from(upright.1) - top - height;
        }
        if self.transpose {
            Rect { left: top, top: left, width: height, height: width }
        } else {
            Rect { left, top, width, height }
        }
    }
}

/// Makes `to` the upright picture of `from`, whose content is lost.
pub(crate) fn orient(from: &mut Picture, orientation: Orientation, to: &mut Picture) {
    if orientation == Orientation::default() {
        std::mem::swap(from, to);
        return;
    }
    let (width, height) = orientation.sides((from.width, from.height));
    to.reshape(from.color, width, height, orientation.sides(from.subsampling));
    let stride = |plane: Plane| plane.width as usize;
    for ((plane, source), (turned, target)) in from.samples().into_iter().zip(to.samples_mut()) {
        match from.color.channels() {
            1 => turn::<1>(source, stride(plane), orientation, target, stride(turned)),
            2 => turn::<2>(source, stride(plane), orientation, target, stride(turned)),
            3 => turn::<3>(source, stride(plane), orientation, target, stride(turned)),
            _ => turn::<4>(source, stride(plane), orientation, target, stride(turned)),
        }
    }
}

fn turn<const CHANNELS: usize>(from: &[u8], stride: usize, orientation: Orientation, to: &mut [u8], width: usize) {
    let (pixels, _) = from.as_chunks::<CHANNELS>();
    let (turned, _) = to.as_chunks_mut::<CHANNELS>();
    let height = turned.len() / width;
    for (y, row) in turned.chunks_exact_mut(width).enumerate() {
        let y = if orientation.flip_y { height - 1 - y } else { y };
        for (x, pixel) in row.iter_mut().enumerate() {
            let x = if orientation.flip_x { width - 1 - x } else { x };
            *pixel = if orientation.transpose { pixels[x * stride + y] } else { pixels[y * stride + x] };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Color;

    /// `a b c` over `d e f`, stored, and what EXIF 2.32 (section 4.6.4, the figure of tag 274) makes of it.
    #[test]
    fn each_value_turns_as_exif_says() {
        for (value, expected) in [
            (1, "abc/def"),
            (2, "cba/fed"),
            (3, "fed/cba"),
            (4, "def/abc"),
            (5, "ad/be/cf"),
            (6, "da/eb/fc"),
            (7, "fc/eb/da"),
            (8, "cf/be/ad"),
        ] {
            let mut from = Picture::default();
            from.packed(Color::Gray, 3, 2).copy_from_slice(b"abcdef");
            let mut to = Picture::default();
            orient(&mut from, Orientation::from_exif(value).unwrap(), &mut to);
            let rows: Vec<&str> =
                to.bytes.chunks(to.width as usize).map(|row| std::str::from_utf8(row).unwrap()).collect();
            assert_eq!(rows.join("/"), expected, "orientation {value}");
        }
    }

    #[test]
    fn turning_twice_is_turning_once() {
        let turned = |orientation, from: &Picture| {
            let mut copy = Picture::default();
            copy.packed(Color::Gray, from.width, from.height).copy_from_slice(&from.bytes);
            let mut to = Picture::default();
            orient(&mut copy, orientation, &mut to);
            to
        };
        let mut from = Picture::default();
        from.packed(Color::Gray, 3, 2).copy_from_slice(b"abcdef");
        let all: Vec<_> = (1..=8).filter_map(Orientation::from_exif).collect();
        for first in &all {
            for next in &all {
                let (once, twice) = (turned(first.then(*next), &from), turned(*next, &turned(*first, &from)));
                assert_eq!((once.width, &once.bytes), (twice.width, &twice.bytes), "{first:?}, {next:?}");
            }
        }
    }

    #[test]
    fn a_part_is_found_again_where_it_was_stored() {
        // The upright corner pixel, wherever it came from.
        let corner = Rect { left: 0.0, top: 0.0, width: 1.0, height: 1.0 };
        for (value, left, top) in
            [(1, 0., 0.), (2, 2., 0.), (3, 2., 1.), (4, 0., 1.), (5, 0., 0.), (6, 0., 1.), (7, 2., 1.), (8, 2., 0.)]
        {
            let orientation = Orientation::from_exif(value).unwrap();
            let stored = orientation.rect_to_stored(corner, orientation.sides((3, 2)));
            assert_eq!(stored, Rect { left, top, ..corner }, "orientation {value}");
        }
    }
}
