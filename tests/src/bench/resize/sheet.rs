//! The contact sheet: ours and sharp's outputs beside each other, for the eye.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use image::{Rgba, RgbaImage, imageops};

/// A few pictures of one case: a pair of columns of the sheet.
#[derive(Debug)]
pub(super) struct Pairs {
    cell: (u32, u32),
    /// Ours and sharp's, from the top down.
    pairs: Vec<[RgbaImage; 2]>,
}

const PICTURES: usize = 8;
const GAP: u32 = 4;
const WIDER_GAP: u32 = 24;

impl Pairs {
    pub(super) fn read(outputs: impl Iterator<Item = [PathBuf; 2]>, cell: (u32, u32)) -> Result<Self> {
        let read = |path: &Path| -> Result<RgbaImage> {
            Ok(image::open(path).with_context(|| path.display().to_string())?.into_rgba8())
        };
        let pairs = outputs.map(|[ours, sharps]| Ok([read(&ours)?, read(&sharps)?]));
        Ok(Self { cell, pairs: pairs.take(PICTURES).collect::<Result<_>>()? })
    }
}

/// Writes the columns beside each other, on white.
pub(super) fn write(columns: &[Pairs], path: &Path) -> Result<()> {
    let width: u32 = columns.iter().map(|column| 2 * column.cell.0 + GAP + WIDER_GAP).sum();
    let height = columns.iter().map(|column| column.pairs.iter().map(|_| column.cell.1 + GAP).sum()).max().unwrap_or(0);
    let mut sheet = RgbaImage::from_pixel(width.max(1), height.max(1), Rgba([255; 4]));
    let mut left = 0;
    for Pairs { cell, pairs } in columns {
        for (row, pair) in (0_u32..).zip(pairs) {
            let top = i64::from(row * (cell.1 + GAP));
            imageops::overlay(&mut sheet, &pair[0], i64::from(left), top);
            imageops::overlay(&mut sheet, &pair[1], i64::from(left + cell.0 + GAP), top);
        }
        left += 2 * cell.0 + GAP + WIDER_GAP;
    }
    sheet.save(path).with_context(|| path.display().to_string())
}
