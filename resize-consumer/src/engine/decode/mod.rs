//! An image's bytes to pixels, no larger than the plan needs.

mod jpeg;
mod png;
mod webp;

use super::fault::Fault;
use super::geometry::Plan;
use super::header::Header;
use super::limits::Limits;
use super::pixels::PixelBuffer;
use super::sniff::ImageFormat;

/// Decodes the whole picture into `to`, and returns by which factor it was shrunk on the way: 1 or less.
pub(super) fn decode(
    input: &[u8],
    header: &Header,
    plan: &Plan,
    limits: &Limits,
    to: &mut PixelBuffer,
) -> Result<f64, Fault> {
    match header.format {
        ImageFormat::Jpeg => jpeg::decode(input, header, plan, limits, to),
        ImageFormat::Png => png::decode(input, header, to).map(|()| 1.0),
        ImageFormat::Webp => webp::decode(input, header, to).map(|()| 1.0),
    }
}
