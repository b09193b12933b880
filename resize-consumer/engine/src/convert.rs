//! Colors: from what a decoder gave to what an encoder takes. It comes after resizing, when few pixels are left.

use super::picture::{Color, FULL, Picture, Subsampling};

/// Makes `picture` gray or RGB, with its alpha if it has one. Planes must have full size.
pub(crate) fn to_rgb(picture: &mut Picture, spare: &mut Picture) {
    match picture.color {
        Color::Gray | Color::GrayAlpha | Color::Rgb | Color::Rgba => return,
        Color::Cmyk => map(picture, Color::Rgb, spare, |&[c, m, y, k]| [times(c, k), times(m, k), times(y, k)]),
        Color::Ycc => interleave(picture, spare),
        Color::VideoYcc => {
            to_full_range(picture);
            interleave(picture, spare);
        }
    }
    std::mem::swap(picture, spare);
}

/// Makes `picture` one without transparency: on `background`.
pub(crate) fn flatten(picture: &mut Picture, background: [u8; 3], spare: &mut Picture) {
    let over = |value: u8, alpha: u8, behind: u8| {
        let (value, alpha, behind) = (u32::from(value), u32::from(alpha), u32::from(behind));
        byte((value * alpha + behind * (255 - alpha) + 127) / 255)
    };
    let [red, green, blue] = background;
    match picture.color {
        Color::GrayAlpha if red == green && green == blue => {
            map(picture, Color::Gray, spare, |&[v, a]| [over(v, a, red)]);
        }
        Color::GrayAlpha => {
            map(picture, Color::Rgb, spare, |&[v, a]| [over(v, a, red), over(v, a, green), over(v, a, blue)]);
        }
        Color::Rgba => {
            map(picture, Color::Rgb, spare, |&[r, g, b, a]| [over(r, a, red), over(g, a, green), over(b, a, blue)]);
        }
        _ => return,
    }
    std::mem::swap(picture, spare);
}

/// Makes a gray `picture` one in color.
pub(crate) fn colorize(picture: &mut Picture, spare: &mut Picture) {
    match picture.color {
        Color::Gray => map(picture, Color::Rgb, spare, |&[v]| [v, v, v]),
        Color::GrayAlpha => map(picture, Color::Rgba, spare, |&[v, a]| [v, v, v, a]),
        _ => return,
    }
    std::mem::swap(picture, spare);
}

/// Makes an opaque `picture`, gray or RGB, one that could be transparent.
pub(crate) fn add_alpha(picture: &mut Picture, spare: &mut Picture) {
    match picture.color {
        Color::Gray => map(picture, Color::GrayAlpha, spare, |&[v]| [v, 255]),
        Color::Rgb => map(picture, Color::Rgba, spare, |&[r, g, b]| [r, g, b, 255]),
        _ => return,
    }
    std::mem::swap(picture, spare);
}

/// Y of 16 to 235, Cb and Cr of 16 to 240 become 0 to 255. Source: ITU-R BT.601-7, section 2.5.3.
pub(crate) fn to_full_range(picture: &mut Picture) {
    stretch(picture, Color::VideoYcc, Color::Ycc, |y| (y - 16) * 255, 219, |c| (c - 128) * 255, 224);
}

/// The reverse of [`to_full_range`].
pub(crate) fn to_video_range(picture: &mut Picture) {
    stretch(picture, Color::Ycc, Color::VideoYcc, |y| y * 219 + 16 * 255, 255, |c| (c - 128) * 224, 255);
}

fn stretch(
    picture: &mut Picture,
    from: Color,
    to: Color,
    luma: impl Fn(i32) -> i32,
    luma_by: i32,
    chroma: impl Fn(i32) -> i32,
    chroma_by: i32,
) {
    if picture.color != from {
        return;
    }
    // Half away from zero: what is neutral stays neutral, and both sides of it are treated alike.
    let round = |value: i32, by: i32| (value + value.signum() * (by / 2)) / by;
    let luma_table: [u8; 256] = table(|y| round(luma(y), luma_by));
    let chroma_table: [u8; 256] = table(|c| 128 + round(chroma(c), chroma_by));
    for (n, (_, samples)) in picture.samples_mut().into_iter().enumerate() {
        let table = if n == 0 { &luma_table } else { &chroma_table };
        for sample in samples {
            *sample = table[usize::from(*sample)];
        }
    }
    picture.color = to;
}

fn table(value: impl Fn(i32) -> i32) -> [u8; 256] {
    let mut table = [0; 256];
    for (n, entry) in (0..).zip(&mut table) {
        *entry = clamped(value(n));
    }
    table
}

/// Full-size planes of Y, Cb and Cr to RGB, in 16-bit fixed point. Source: JFIF 1.02, page 3.
fn interleave(picture: &Picture, to: &mut Picture) {
    const HALF_UP: i32 = 1 << 15;
    let (width, height) = (picture.width, picture.height);
    let [(_, luma), (_, blue), (_, red)] = picture.samples()[..] else { return };
    let (target, _) = to.packed(Color::Rgb, width, height).as_chunks_mut::<3>();
    for ((target, y), (cb, cr)) in target.iter_mut().zip(luma).zip(blue.iter().zip(red)) {
        let (y, cb, cr) = (i32::from(*y) << 16, i32::from(*cb) - 128, i32::from(*cr) - 128);
        let channel = |value: i32| clamped((value + HALF_UP) >> 16);
        *target = [channel(y + 91_881 * cr), channel(y - 22_554 * cb - 46_802 * cr), channel(y + 116_130 * cb)];
    }
}

/// What the chroma of a picture is scaled to: halved if it stays planar to the end.
pub(crate) fn target_subsampling(stays_planar: bool) -> Subsampling {
    if stays_planar { super::picture::HALF } else { FULL }
}

fn map<const FROM: usize, const TO: usize>(
    from: &Picture,
    color: Color,
    to: &mut Picture,
    pixel: impl Fn(&[u8; FROM]) -> [u8; TO],
) {
    let (target, _) = to.packed(color, from.width, from.height).as_chunks_mut();
    let (source, _) = from.bytes.as_chunks();
    for (target, source) in target.iter_mut().zip(source) {
        *target = pixel(source);
    }
}

/// `a × b ÷ 255`, rounded.
fn times(a: u8, b: u8) -> u8 {
    byte((u32::from(a) * u32::from(b) + 127) / 255)
}

fn byte(value: u32) -> u8 {
    value.try_into().unwrap_or(u8::MAX)
}

fn clamped(value: i32) -> u8 {
    u8::try_from(value.clamp(0, 255)).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(color: Color, pixel: &[u8]) -> Picture {
        let mut picture = Picture::default();
        picture.packed(color, 1, 1).copy_from_slice(pixel);
        picture
    }

    #[test]
    fn transparency_lies_on_the_background() {
        for (pixel, background, expected) in [
            ([10, 20, 30, 255], [255, 255, 255], [10, 20, 30]),
            ([10, 20, 30, 0], [255, 255, 255], [255, 255, 255]),
            ([0, 0, 0, 128], [255, 255, 255], [127, 127, 127]),
            ([0, 0, 0, 0], [1, 2, 3], [1, 2, 3]),
        ] {
            let mut picture = of(Color::Rgba, &pixel);
            flatten(&mut picture, background, &mut Picture::default());
            assert_eq!((picture.color, &picture.bytes[..]), (Color::Rgb, &expected[..]));
        }
        let mut gray = of(Color::GrayAlpha, &[9, 0]);
        flatten(&mut gray, [1, 2, 3], &mut Picture::default());
        assert_eq!((gray.color, &gray.bytes[..]), (Color::Rgb, &[1, 2, 3][..]));
    }

    /// Worked out from JFIF's equations by hand: pure red is Y 76, Cb 85, Cr 255.
    #[test]
    fn planes_become_rgb() {
        for (ycc, expected) in
            [([0, 128, 128], [0, 0, 0]), ([255, 128, 128], [255, 255, 255]), ([76, 85, 255], [254, 0, 0])]
        {
            let mut picture = Picture::default();
            picture.reshape(Color::Ycc, 1, 1, FULL).copy_from_slice(&ycc);
            to_rgb(&mut picture, &mut Picture::default());
            assert_eq!((picture.color, &picture.bytes[..]), (Color::Rgb, &expected[..]), "{ycc:?}");
        }
    }

    #[test]
    fn ranges_have_their_ends_where_bt_601_says() {
        for (video, full) in [([16, 16, 240], [0, 0, 255]), ([235, 128, 128], [255, 128, 128])] {
            let mut picture = Picture::default();
            picture.reshape(Color::VideoYcc, 1, 1, FULL).copy_from_slice(&video);
            to_full_range(&mut picture);
            assert_eq!((picture.color, &picture.bytes[..]), (Color::Ycc, &full[..]));
            to_video_range(&mut picture);
            assert_eq!((picture.color, &picture.bytes[..]), (Color::VideoYcc, &video[..]));
        }
    }
}
