//! What an image may cost, checked from its header.

use contract::units::{Bytes, Pixels};

use super::Measures;
use super::fault::Fault;
use super::geometry::Plan;
use super::header::Header;
use super::sniff::ImageFormat;

/// The largest input and output that are accepted. Every value is the last that is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub input_bytes: u64,
    pub input_pixels: u64,
    pub input_side: u32,
    /// Scans of a progressive JPEG: each costs a pass over all of its pixels.
    pub input_scans: u32,
    pub output_pixels: u64,
    pub output_side: u32,
}

impl Default for Limits {
    /// 20 MB, 50 MP, 30,000 a side and 100 scans in; 25 MP and 30,000 a side out.
    fn default() -> Self {
        Self {
            input_bytes: 20_000_000,
            input_pixels: 50_000_000,
            input_side: 30_000,
            input_scans: 100,
            output_pixels: 25_000_000,
            output_side: 30_000,
        }
    }
}

/// The largest side that a format can say. Sources: VP8's 14 bits (RFC 6386, section 9.1); libjpeg's
/// `JPEG_MAX_DIMENSION`; PNG, third edition, section 11.2.1.
fn largest_side(format: ImageFormat) -> u32 {
    match format {
        ImageFormat::Jpeg => 65_500,
        ImageFormat::Png => i32::MAX.unsigned_abs(),
        ImageFormat::Webp => 16_383,
    }
}

impl Limits {
    pub(super) fn check_input(&self, input: &[u8], measures: &mut Measures) -> Result<(), Fault> {
        let bytes = input.len() as u64;
        measures.input_bytes = Bytes::new(bytes)?;
        if bytes > self.input_bytes {
            return Err(Fault::input_too_large(format!("{bytes} bytes; the limit is {}", self.input_bytes)));
        }
        Ok(())
    }

    pub(super) fn check_header(&self, header: &Header, measures: &mut Measures) -> Result<(), Fault> {
        let (width, height) = header.stored;
        let pixels = u64::from(width) * u64::from(height);
        measures.input_pixels = Pixels::new(pixels)?;
        if width.max(height) > self.input_side {
            let limit = self.input_side;
            return Err(Fault::input_too_large(format!("{width}×{height}; the limit is {limit} pixels a side")));
        }
        if pixels > self.input_pixels {
            let limit = self.input_pixels;
            return Err(Fault::input_too_large(format!("{width}×{height}; the limit is {limit} pixels in all")));
        }
        Ok(())
    }

    pub(super) fn check_output(&self, plan: &Plan, format: ImageFormat) -> Result<(), Fault> {
        let (width, height) = plan.stored;
        let side = self.output_side.min(largest_side(format));
        if width.max(height) > side {
            let name = format.name();
            return Err(Fault::output_too_large(format!("{width}×{height}; a {name} may have {side} pixels a side")));
        }
        if u64::from(width) * u64::from(height) > self.output_pixels {
            let limit = self.output_pixels;
            return Err(Fault::output_too_large(format!("{width}×{height}; the limit is {limit} pixels in all")));
        }
        Ok(())
    }
}
