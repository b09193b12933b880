//! Means of whole blocks of pixels: a large picture is made smaller by two, four, eight or sixteen on its way out of a
//! decoder that can't shrink by itself, before it is resampled.
//!
//! It costs a fraction of resampling so many pixels, and as long as it leaves [`HEADROOM`], the resampling and not this
//! decides the quality. Pixels with alpha would have to be multiplied first: they are left alone.

use contract::resize::Filter;

use crate::geometry::Plan;
use crate::picture::{Color, FULL, HALF, Picture};

/// How much larger than the output the shrunk picture stays.
const HEADROOM: f64 = 2.5;
/// Of a power of two. Sums of so many rows fit 16 bits.
const LARGEST: u32 = 16;

/// By how much this picture may be shrunk: 1, or a power of two.
pub(crate) fn factor(plan: &Plan, filter: Filter, color: Color) -> u32 {
    // Whoever wants the nearest pixel wants one that is in the source.
    if color.has_alpha() || filter == Filter::Nearest {
        return 1;
    }
    let across = plan.crop.width / f64::from(plan.stored.0);
    let down = plan.crop.height / f64::from(plan.stored.1);
    let mut factor = 1;
    while factor < LARGEST && f64::from(2 * factor) * HEADROOM <= across.min(down) {
        factor *= 2;
    }
    factor
}

/// Shrinks a picture that has been decoded. Planes of 4:2:0 lose their subsampling.
pub(crate) fn shrink(picture: &mut Picture, factor: u32) {
    if factor == 1 || !matches!(picture.subsampling, FULL | HALF) {
        return;
    }
    let channels = picture.color.channels();
    // What is written never overtakes what is still to be read: it is a quarter of that, or as much.
    let (mut from, mut to) = (0, 0);
    for plane in picture.planes() {
        let (row_bytes, height) = (plane.width as usize * channels, plane.height as usize);
        let mut blocks = Blocks::new(factor / plane.subsampling.0, channels, row_bytes);
        for row in 1..=height {
            let whole = blocks.add(&picture.bytes[from..][..row_bytes]);
            from += row_bytes;
            if whole || row == height {
                let written = blocks.row_bytes();
                blocks.take(&mut picture.bytes[to..][..written]);
                to += written;
            }
        }
    }
    let (width, height) = (picture.width.div_ceil(factor), picture.height.div_ceil(factor));
    // Keeps what has been written, which is as much as it makes room for.
    picture.reshape(picture.color, width, height, FULL);
}

/// A row of blocks, of which rows of pixels come in one after the other.
#[derive(Debug)]
pub(crate) struct Blocks {
    factor: usize,
    channels: usize,
    /// Of each sample over the rows so far.
    sums: Vec<u16>,
    rows: usize,
}

impl Blocks {
    pub(crate) fn new(factor: u32, channels: usize, row_bytes: usize) -> Self {
        Self { factor: factor as usize, channels, sums: vec![0; row_bytes], rows: 0 }
    }

    /// Takes a row of pixels. Does it make the blocks whole?
    pub(crate) fn add(&mut self, row: &[u8]) -> bool {
        if self.rows == 0 {
            self.sums.fill(0);
        }
        for (sum, sample) in self.sums.iter_mut().zip(row) {
            *sum += u16::from(*sample);
        }
        self.rows += 1;
        self.rows == self.factor
    }

    /// Of the means of one row of blocks.
    pub(crate) fn row_bytes(&self) -> usize {
        (self.sums.len() / self.channels).div_ceil(self.factor) * self.channels
    }

    /// Writes the means; there is at least one row. Blocks at an edge may have fewer pixels.
    pub(crate) fn take(&mut self, to: &mut [u8]) {
        let width = self.sums.len() / self.channels;
        let whole = match self.channels {
            _ if self.rows < self.factor => 0,
            1 => means::<1>(self.factor, &self.sums, to),
            3 => means::<3>(self.factor, &self.sums, to),
            _ => 0,
        };
        for block in whole..width.div_ceil(self.factor) {
            let pixels = block * self.factor..width.min((block + 1) * self.factor);
            let count = pixels.len() * self.rows;
            for channel in 0..self.channels {
                let samples = pixels.clone().map(|pixel| usize::from(self.sums[pixel * self.channels + channel]));
                let mean = (samples.sum::<usize>() + count / 2) / count;
                to[block * self.channels + channel] = u8::try_from(mean).unwrap_or(u8::MAX);
            }
        }
        self.rows = 0;
    }
}

/// Of the blocks that are whole, and how many those are.
fn means<const CHANNELS: usize>(factor: usize, sums: &[u16], to: &mut [u8]) -> usize {
    match factor {
        1 => means_of::<CHANNELS, 1>(sums, to),
        2 => means_of::<CHANNELS, 2>(sums, to),
        4 => means_of::<CHANNELS, 4>(sums, to),
        8 => means_of::<CHANNELS, 8>(sums, to),
        _ => means_of::<CHANNELS, 16>(sums, to),
    }
}

/// With the factor known, the division is a shift and the loops are unrolled.
#[expect(clippy::cast_possible_truncation, reason = "a mean of bytes")]
fn means_of<const CHANNELS: usize, const FACTOR: usize>(sums: &[u16], to: &mut [u8]) -> usize {
    let (pixels, _) = sums.as_chunks::<CHANNELS>();
    let (blocks, _) = pixels.as_chunks::<FACTOR>();
    let (to, _) = to.as_chunks_mut::<CHANNELS>();
    let count = (FACTOR * FACTOR) as u32;
    for (to, block) in to.iter_mut().zip(blocks) {
        for channel in 0..CHANNELS {
            let sum: u32 = block.iter().map(|pixel| u32::from(pixel[channel])).sum();
            to[channel] = ((sum + count / 2) / count) as u8;
        }
    }
    blocks.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Rect;

    /// The mean of each block, by the definition.
    fn expected(samples: &[u8], (width, height): (usize, usize), channels: usize, factor: usize) -> Vec<u8> {
        let mut means = Vec::new();
        for top in (0..height).step_by(factor) {
            for left in (0..width).step_by(factor) {
                for channel in 0..channels {
                    let rows = top..height.min(top + factor);
                    let block: Vec<f64> = rows
                        .flat_map(|y| {
                            (left..width.min(left + factor)).map(move |x| (y * width + x) * channels + channel)
                        })
                        .map(|at| samples[at].into())
                        .collect();
                    let mean = block.iter().sum::<f64>() / f64::from(u32::try_from(block.len()).unwrap());
                    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a mean of bytes")]
                    means.push(mean.round() as u8);
                }
            }
        }
        means
    }

    #[test]
    fn each_sample_is_the_mean_of_its_block() {
        for factor in [2, 4, 8, 16] {
            for (width, height) in [(64, 32), (65, 47), (16, 17), (83, 16), (49, 63)] {
                for color in [Color::Gray, Color::Rgb, Color::VideoYcc] {
                    let mut picture = Picture::default();
                    for (n, byte) in picture.reshape(color, width, height, HALF).iter_mut().enumerate() {
                        *byte = u8::try_from(n * n % 251).unwrap();
                    }
                    let means: Vec<Vec<u8>> = picture
                        .samples()
                        .into_iter()
                        .map(|(plane, samples)| {
                            let sides = (plane.width as usize, plane.height as usize);
                            expected(samples, sides, color.channels(), (factor / plane.subsampling.0) as usize)
                        })
                        .collect();
                    shrink(&mut picture, factor);
                    assert_eq!(picture.bytes, means.concat(), "{color:?} {width}×{height} by {factor}");
                    assert_eq!((picture.width, picture.height), (width.div_ceil(factor), height.div_ceil(factor)));
                }
            }
        }
    }

    #[test]
    fn headroom_is_left_on_both_axes() {
        for (kept, stored, expected) in [
            ((1600.0, 1200.0), (320, 240), 2),
            ((1599.0, 1200.0), (320, 240), 1),
            ((1600.0, 1200.0), (320, 241), 1),
            ((2400.0, 2400.0), (64, 64), 8),
            ((9000.0, 9000.0), (1, 1), 16),
            ((100.0, 100.0), (400, 400), 1),
        ] {
            let crop = Rect { width: kept.0, height: kept.1, ..Rect::default() };
            let plan = Plan { crop, stored, ..Plan::default() };
            assert_eq!(factor(&plan, Filter::Lanczos3, Color::Rgb), expected, "{kept:?} → {stored:?}");
            assert_eq!(factor(&plan, Filter::Nearest, Color::Rgb), 1);
            assert_eq!(factor(&plan, Filter::Lanczos3, Color::Rgba), 1);
        }
    }
}
