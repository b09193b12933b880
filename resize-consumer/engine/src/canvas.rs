//! `contain`: the picture on a larger background.

use super::convert;
use super::geometry::Plan;
use super::params::Wanted;
use super::picture::{Color, Picture};

/// Makes `picture`, gray or RGB, as large as the output. A picture that can be transparent stays so within its edges.
pub(crate) fn place(picture: &mut Picture, plan: &Plan, wanted: &Wanted, spare: &mut Picture) {
    if plan.picture() == plan.output {
        return;
    }
    let [red, green, blue, alpha] = wanted.background;
    if red != green || green != blue {
        convert::colorize(picture, spare);
    }
    if alpha < 255 && wanted.keeps_alpha() {
        convert::add_alpha(picture, spare);
    }
    let background: &[u8] = match picture.color {
        Color::Gray => &[red],
        Color::GrayAlpha => &[red, alpha],
        Color::Rgba => &[red, green, blue, alpha],
        _ => &[red, green, blue],
    };
    let channels = background.len();
    let (width, height) = plan.output;
    for pixel in spare.packed(picture.color, width, height).chunks_exact_mut(channels) {
        pixel.copy_from_slice(background);
    }
    let (row, output_row) = (picture.width as usize * channels, width as usize * channels);
    let start = plan.offset.1 as usize * output_row + plan.offset.0 as usize * channels;
    let onto = spare.bytes.get_mut(start..).unwrap_or_default().chunks_mut(output_row);
    for (from, to) in picture.bytes.chunks_exact(row).zip(onto) {
        to[..row].copy_from_slice(from);
    }
    std::mem::swap(picture, spare);
}
