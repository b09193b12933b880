//! Blur and sharpen, on the output's pixels. Samples are whole numbers in floats, their sums exact (below 2²⁴) and every
//! other step one rounding that IEEE 754 fixes: the same on every machine.
//!
//! A Gaussian is three boxes, one after the other, with edges of less than full weight so that their variance is exactly
//! sigma²: the extended box filter of Gwosdek, Grewenig, Bruhn and Weickert (SSVM 2011). It costs the same for every
//! sigma, which bounds what a request can ask for. Beyond the picture's edge its last pixel goes on.

use super::params::Wanted;
use super::picture::{Color, Picture};

const PASSES: f64 = 3.0;

/// Lines are blurred so many at once, which is as fast as one.
const LANES: usize = 8;
type Lanes = [f32; LANES];

#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// One channel blurred along its rows, column by column.
    columns: Vec<u16>,
    /// Alpha blurred along both, column by column.
    alpha: Vec<u16>,
    /// Some rows or columns, side by side, with room for a box at both ends; and after a pass.
    lines: Vec<Lanes>,
    next: Vec<Lanes>,
    /// What sharpening is decided by.
    luma: Picture,
}

impl Effects {
    pub(crate) fn apply(&mut self, picture: &mut Picture, wanted: &Wanted) {
        if let Some(sigma) = wanted.blur {
            self.blur(picture, sigma);
        }
        if let Some(sigma) = wanted.sharpen {
            self.sharpen(picture, sigma);
        }
    }

    /// `sigma` is in pixels of the picture; coarser planes are blurred by less of theirs.
    fn blur(&mut self, picture: &mut Picture, sigma: f64) {
        let (channels, has_alpha) = (picture.color.channels(), picture.color.has_alpha());
        for (plane, samples) in picture.samples_mut() {
            let along = |shared: u32| Box3::new(sigma / f64::from(shared));
            let (across, down) = (along(plane.subsampling.0), along(plane.subsampling.1));
            let sides = (plane.width as usize, plane.height as usize);
            if !has_alpha {
                for channel in 0..channels {
                    self.rows(across, sides, |at| u16::from(samples[at * channels + channel]) * 255);
                    self.columns(down, sides, |_, at, wide| {
                        samples[at * channels + channel] = byte((u32::from(wide) + 127) / 255);
                    });
                }
                continue;
            }
            // Colors count as far as they are seen: alpha is multiplied in, and divided out again.
            let last = channels - 1;
            let mut alpha = std::mem::take(&mut self.alpha);
            alpha.resize(sides.0 * sides.1, 0);
            self.rows(across, sides, |at| u16::from(samples[at * channels + last]) * 255);
            self.columns(down, sides, |to, _, wide| alpha[to] = wide);
            for channel in 0..last {
                self.rows(across, sides, |at| {
                    u16::from(samples[at * channels + channel]) * u16::from(samples[at * channels + last])
                });
                self.columns(down, sides, |from, at, wide| {
                    let alpha = u32::from(alpha[from]);
                    let color = (u32::from(wide) * 255 + alpha / 2).checked_div(alpha).unwrap_or_default();
                    samples[at * channels + channel] = byte(color);
                });
            }
            for (from, wide) in alpha.iter().enumerate() {
                let at = from % sides.1 * sides.0 + from / sides.1;
                samples[at * channels + last] = byte((u32::from(*wide) + 127) / 255);
            }
            self.alpha = alpha;
        }
    }

    /// Blurs what `read` gives for each pixel along the rows.
    fn rows(&mut self, by: Box3, (width, height): (usize, usize), read: impl Fn(usize) -> u16) {
        self.columns.resize(width * height, 0);
        by.make_room(width, &mut self.lines, &mut self.next);
        for top in (0..height).step_by(LANES) {
            let rows = top..height.min(top + LANES);
            for (x, lanes) in self.lines[by.room()..][..width].iter_mut().enumerate() {
                for (lane, y) in lanes.iter_mut().zip(rows.clone()) {
                    *lane = f32::from(read(y * width + x));
                }
            }
            by.blur(width, &mut self.lines, &mut self.next);
            for (x, lanes) in self.next[by.room()..][..width].iter().enumerate() {
                for (sample, lane) in self.columns[x * height..][rows.clone()].iter_mut().zip(lanes) {
                    *sample = whole(*lane);
                }
            }
        }
    }

    /// Blurs that along the columns, and gives it to `write` with the place in a column-by-column order, and in a
    /// row-by-row one.
    fn columns(&mut self, by: Box3, (width, height): (usize, usize), mut write: impl FnMut(usize, usize, u16)) {
        by.make_room(height, &mut self.lines, &mut self.next);
        for left in (0..width).step_by(LANES) {
            let columns = left..width.min(left + LANES);
            for (y, lanes) in self.lines[by.room()..][..height].iter_mut().enumerate() {
                for (lane, x) in lanes.iter_mut().zip(columns.clone()) {
                    *lane = f32::from(self.columns[x * height + y]);
                }
            }
            by.blur(height, &mut self.lines, &mut self.next);
            for (y, lanes) in self.next[by.room()..][..height].iter().enumerate() {
                for (lane, x) in lanes.iter().zip(columns.clone()) {
                    write(x * height + y, y * width + x, whole(*lane));
                }
            }
        }
    }

    /// An unsharp mask of brightness: what differs from the blurred picture is made to differ more. How much is what sharp
    /// does by default: see [`gain`].
    fn sharpen(&mut self, picture: &mut Picture, sigma: f64) {
        let mut luma = std::mem::take(&mut self.luma);
        let (width, height) = (picture.width, picture.height);
        let alpha = picture.color.has_alpha();
        let target = luma.packed(if alpha { Color::GrayAlpha } else { Color::Gray }, width, height);
        match picture.color {
            Color::Rgb => spread::<3, 1>(&picture.bytes, target, |[r, g, b]| [brightness(r, g, b)]),
            Color::Rgba => spread::<4, 2>(&picture.bytes, target, |[r, g, b, a]| [brightness(r, g, b), a]),
            Color::Gray | Color::GrayAlpha | Color::Ycc | Color::VideoYcc | Color::Cmyk => {
                let luma = target.len();
                target.copy_from_slice(&picture.bytes[..luma]);
            }
        }
        self.blur(&mut luma, sigma);
        let blurred = &luma.bytes;
        match picture.color {
            Color::Rgb => sharpened::<3, 1>(&mut picture.bytes, blurred, 3, |[r, g, b]| brightness(r, g, b)),
            Color::Rgba => sharpened::<4, 2>(&mut picture.bytes, blurred, 3, |[r, g, b, _]| brightness(r, g, b)),
            Color::GrayAlpha => sharpened::<2, 2>(&mut picture.bytes, blurred, 1, |[y, _]| y),
            Color::Gray | Color::Ycc | Color::VideoYcc | Color::Cmyk => {
                sharpened::<1, 1>(&mut picture.bytes, blurred, 1, |[y]| y);
            }
        }
        self.luma = luma;
    }

    pub(crate) fn trim(&mut self, kept_bytes: usize) {
        self.luma.trim(kept_bytes);
        for buffer in [&mut self.columns, &mut self.alpha] {
            if 2 * buffer.capacity() > kept_bytes {
                *buffer = Vec::new();
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 65,025, and whole")]
fn whole(lane: f32) -> u16 {
    lane as u16
}

/// Three boxes of `2 × radius + 1` samples, and one more at both ends of less weight.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Box3 {
    radius: usize,
    inside: f32,
    end: f32,
}

impl Box3 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a radius up to 100; weights up to 1")]
    fn new(sigma: f64) -> Self {
        // Of each box: the variances add up.
        let variance = sigma * sigma / PASSES;
        // A box of radius r has a variance of r(r + 1)/3.
        let radius = (((12.0 * variance + 1.0).sqrt() - 1.0) / 2.0).floor();
        let length = 2.0 * radius + 1.0;
        let excess = variance - radius * (radius + 1.0) / 3.0;
        let end = length * excess / (2.0 * ((radius + 1.0) * (radius + 1.0) - variance));
        let inside = 1.0 / (length + 2.0 * end);
        Self { radius: radius as usize, inside: inside as f32, end: (end * inside) as f32 }
    }

    /// What a line needs before and after its samples.
    fn room(self) -> usize {
        self.radius + 1
    }

    fn make_room(self, length: usize, lines: &mut Vec<Lanes>, next: &mut Vec<Lanes>) {
        lines.resize(length + 2 * self.room(), Lanes::default());
        next.resize(length + 2 * self.room(), Lanes::default());
    }

    /// From `lines` to `next`.
    fn blur(self, length: usize, lines: &mut [Lanes], next: &mut [Lanes]) {
        self.pass(lines, next, length);
        self.pass(next, lines, length);
        self.pass(lines, next, length);
    }

    fn pass(self, from: &mut [Lanes], to: &mut [Lanes], length: usize) {
        /// A float this large has no fraction: adding it rounds, and taking it away leaves what was rounded.
        const NO_FRACTION: f32 = 8_388_608.0;
        let room = self.room();
        let (first, last) = (from[room], from[room + length - 1]);
        from[..room].fill(first);
        from[room + length..].fill(last);
        // Of the box that is centered on the first sample.
        let mut sum = from[1..2 * room]
            .iter()
            .fold(Lanes::default(), |sum, lanes| std::array::from_fn(|lane| sum[lane] + lanes[lane]));
        let (before, after) = (&from[..length], &from[2 * room..]);
        for (((before, leaves), after), to) in before.iter().zip(&from[1..]).zip(after).zip(&mut to[room..]) {
            for lane in 0..LANES {
                let weighed = sum[lane] * self.inside + (before[lane] + after[lane]) * self.end;
                to[lane] = weighed + NO_FRACTION - NO_FRACTION;
                sum[lane] += after[lane] - leaves[lane];
            }
        }
    }
}

fn byte(value: u32) -> u8 {
    u8::try_from(value).unwrap_or(u8::MAX)
}

/// Y of JFIF 1.02, page 3, in 16-bit fixed point.
fn brightness(red: u8, green: u8, blue: u8) -> u8 {
    let weighed = 19_595 * u32::from(red) + 38_470 * u32::from(green) + 7_471 * u32::from(blue) + (1 << 15);
    byte(weighed >> 16)
}

fn spread<const FROM: usize, const TO: usize>(from: &[u8], to: &mut [u8], pixel: impl Fn([u8; FROM]) -> [u8; TO]) {
    for (to, from) in to.as_chunks_mut().0.iter_mut().zip(from.as_chunks().0) {
        *to = pixel(*from);
    }
}

/// Adds to the first `colors` channels what sharpening adds to their brightness.
fn sharpened<const CHANNELS: usize, const BLURRED: usize>(
    bytes: &mut [u8],
    blurred: &[u8],
    colors: usize,
    brightness: impl Fn([u8; CHANNELS]) -> u8,
) {
    for (pixel, blurred) in bytes.as_chunks_mut::<CHANNELS>().0.iter_mut().zip(blurred.as_chunks::<BLURRED>().0) {
        let more = gain(i16::from(brightness(*pixel)) - i16::from(blurred[0]));
        for sample in &mut pixel[..colors] {
            *sample = u8::try_from((i16::from(*sample) + more).clamp(0, 255)).unwrap_or(u8::MAX);
        }
    }
}

/// How much is added where a pixel is `difference` brighter than what is around it: as sharp does by default (m1 = 1, m2 =
/// 2, x1 = 2, y2 = 10, y3 = 20 of CIELAB's 100), in steps of 255. Noise gains less than edges, and halos have an end.
fn gain(difference: i16) -> i16 {
    const FLAT: i16 = 5;
    const BRIGHTEST: i16 = 26;
    const DARKEST: i16 = -51;
    let flat = difference.clamp(-FLAT, FLAT);
    (flat + 2 * (difference - flat)).clamp(DARKEST, BRIGHTEST)
}

#[cfg(test)]
#[path = "tests/effects.rs"]
mod tests;
