//! An image's bytes to pixels, no larger than the plan needs.

mod jpeg;
mod png;
mod raster;
mod webp;

use super::fault::Fault;
use super::geometry::Plan;
use super::header::Header;
use super::limits::Limits;
use super::params::Wanted;
use super::picture::{Color, Picture};
use super::shrink;
use super::sniff::InputFormat;

/// The sides of what [`decode`] makes of the picture.
pub(super) fn decoded_sides(header: &Header, plan: &Plan, wanted: &Wanted) -> (u32, u32) {
    if header.format == InputFormat::Jpeg {
        return jpeg::decoded_sides(header, plan, wanted);
    }
    let color = if header.has_alpha { Color::Rgba } else { Color::Rgb };
    let factor = if header.interlaced { 1 } else { shrink::factor(plan, wanted.filter, color) };
    (header.stored.0.div_ceil(factor), header.stored.1.div_ceil(factor))
}

/// Decodes the whole picture into `to`, and returns by which factor it was shrunk on the way: 1 or less. It makes do with
/// what there is, if that is wanted.
pub(super) fn decode(
    input: &[u8],
    header: &Header,
    plan: &Plan,
    limits: &Limits,
    wanted: &Wanted,
    to: &mut Picture,
) -> Result<f64, Fault> {
    if header.truncated && !wanted.allows_partial {
        return Err(Fault::truncated(header.format.title(), "less is there than it says"));
    }
    match header.format {
        InputFormat::Jpeg => jpeg::decode(input, header, plan, limits, wanted, to),
        InputFormat::Png => png::decode(input, header, plan, wanted, to),
        InputFormat::Webp => webp::decode(input, header, plan, wanted, to),
        InputFormat::Gif | InputFormat::Bmp | InputFormat::Tiff => {
            raster::decode(input, header, wanted.allows_partial, to)?;
            let factor = shrink::factor(plan, wanted.filter, to.color);
            shrink::shrink(to, factor);
            Ok(1.0 / f64::from(factor))
        }
    }
}
