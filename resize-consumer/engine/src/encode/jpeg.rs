//! JPEG 4:2:0 through libjpeg-turbo, from planes where there are planes.

use turbojpeg::{Compressor, Image, OutputBuf, PixelFormat, Subsamp, YuvPlanesImage};

use crate::fault::Fault;
use crate::header::Header;
use crate::params::Wanted;
use crate::picture::{Color, HALF, Picture, Plane};
use crate::sniff::InputFormat;

#[derive(Debug, Default)]
pub(super) struct JpegEncoder {
    /// Make Huffman tables for this very image? It saves 3 % and 400 bytes, and costs half as much as all the rest of the
    /// encoding.
    pub(super) optimizes: bool,
    /// Luma with its sides made even.
    luma: Vec<u8>,
}

impl JpegEncoder {
    pub(super) fn encode(&mut self, picture: &Picture, wanted: &Wanted) -> Result<Vec<u8>, Fault> {
        let failed = |error| Fault::engine("encode", error);
        let (width, height) = (picture.width as usize, picture.height as usize);
        let subsamp = if picture.color == Color::Gray { Subsamp::Gray } else { Subsamp::Sub2x2 };
        let mut compressor = Compressor::new().map_err(failed)?;
        compressor.set_quality(wanted.quality.into()).map_err(failed)?;
        compressor.set_subsamp(subsamp).map_err(failed)?;
        compressor.set_optimize(self.optimizes).map_err(failed)?;
        compressor.set_progressive(wanted.progressive).map_err(failed)?;
        let mut output = OutputBuf::new_owned();
        let pixels = &picture.bytes[..];
        match (picture.color, picture.subsampling) {
            (Color::Ycc, HALF) => {
                let [(luma, y_plane), (chroma, u_plane), (_, v_plane)] = picture.samples()[..] else {
                    return Err(Fault::engine("encode", "planes are missing"));
                };
                let (y_plane, y_stride) = padded(luma, y_plane, &mut self.luma);
                let stride = chroma.width as usize;
                let (u_stride, v_stride) = (stride, stride);
                let image =
                    YuvPlanesImage { y_plane, u_plane, v_plane, width, height, y_stride, u_stride, v_stride, subsamp };
                compressor.compress_yuv_planes(&image, &mut output).map_err(failed)?;
            }
            (Color::Gray | Color::Rgb, _) => {
                let format = if picture.color == Color::Gray { PixelFormat::GRAY } else { PixelFormat::RGB };
                let image = Image { pixels, width, pitch: width * format.size(), height, format };
                compressor.compress(image, &mut output).map_err(failed)?;
            }
            other => return Err(Fault::engine("encode", format!("{other:?} in a JPEG"))),
        }
        Ok(output.to_vec())
    }

    pub(super) fn trim(&mut self, kept_bytes: usize) {
        if self.luma.capacity() > kept_bytes {
            self.luma = Vec::new();
        }
    }
}

/// Are Huffman tables of its own worth it for so many pixels, made of such an image? Yes where decoding costs far more, and
/// where the image is so small that the usual tables are a tenth of its bytes. A baseline JPEG is decoded several times as
/// quickly as all else.
pub(super) fn optimizes(output_pixels: u64, header: &Header) -> bool {
    let baseline = header.format == InputFormat::Jpeg && header.held_bytes == 0;
    output_pixels <= 128 * 128 || output_pixels <= header.pixels() / if baseline { 48 } else { 12 }
}

/// Luma and its stride as libjpeg takes it: with even sides, the last column and row repeated where one is odd.
fn padded<'a>(plane: Plane, samples: &'a [u8], buffer: &'a mut Vec<u8>) -> (&'a [u8], usize) {
    let (width, height) = (plane.width as usize, plane.height as usize);
    if width % 2 == 0 && height % 2 == 0 {
        return (samples, width);
    }
    let stride = width.next_multiple_of(2);
    buffer.clear();
    for row in samples.chunks_exact(width) {
        buffer.extend_from_slice(row);
        buffer.extend_from_slice(&row[2 * width - stride..]);
    }
    if height % 2 == 1 {
        buffer.extend_from_within(buffer.len() - stride..);
    }
    (buffer, stride)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::FULL;

    #[test]
    fn tables_are_made_where_decoding_costs_more() {
        let baseline = Header::new(InputFormat::Jpeg, (480, 480));
        let progressive = Header { held_bytes: 1, ..baseline.clone() };
        let png = Header::new(InputFormat::Png, (480, 480));
        for (header, most) in [(&baseline, 16_384), (&progressive, 19_200), (&png, 19_200)] {
            assert!(optimizes(most, header) && !optimizes(most + 1, header), "{most}");
        }
    }

    #[test]
    fn odd_sides_are_made_even_with_what_is_next_to_them() {
        for (width, height, samples, expected, stride) in [
            (2, 2, "abcd", "abcd", 2),
            (3, 2, "abcdef", "abccdeff", 4),
            (2, 3, "abcdef", "abcdefef", 2),
            (1, 1, "a", "aaaa", 2),
        ] {
            let plane = Plane { width, height, subsampling: FULL };
            let mut buffer = b"left over".to_vec();
            assert_eq!(padded(plane, samples.as_bytes(), &mut buffer), (expected.as_bytes(), stride));
        }
    }
}
