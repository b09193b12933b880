//! Pixels to an image's bytes.

mod auto;
mod copyright;
mod jpeg;
mod png;
mod webp;

use super::convert;
use super::fault::Fault;
use super::header::Header;
use super::params::{Target, Wanted};
use super::picture::{Color, Picture};
use super::sniff::ImageFormat;

#[derive(Debug, Default)]
pub(crate) struct Encoder {
    jpeg: jpeg::JpegEncoder,
}

impl Encoder {
    /// `picture` is changed to what the format takes; `spare` is overwritten.
    pub(crate) fn encode(
        &mut self,
        picture: &mut Picture,
        wanted: &Wanted,
        header: &Header,
        spare: &mut Picture,
    ) -> Result<(Vec<u8>, ImageFormat), Fault> {
        self.jpeg.optimizes = jpeg::optimizes(picture.pixel_count(), header);
        let (bytes, format) = match wanted.target {
            Target::One(format) => (self.encode_as(format, picture, wanted, spare)?, format),
            Target::Smallest(accepted) => auto::encode(self, accepted, picture, wanted, spare)?,
        };
        Ok((if wanted.keeps_copyright { copyright::put(bytes, format, &header.credits) } else { bytes }, format))
    }

    fn encode_as(
        &mut self,
        format: ImageFormat,
        picture: &mut Picture,
        wanted: &Wanted,
        spare: &mut Picture,
    ) -> Result<Vec<u8>, Fault> {
        match format {
            ImageFormat::Jpeg => {
                convert::to_full_range(picture);
                self.jpeg.encode(picture, wanted)
            }
            ImageFormat::Png => png::encode(picture),
            ImageFormat::Webp => {
                convert::to_video_range(picture);
                convert::colorize(picture, spare);
                webp::encode(picture, wanted)
            }
        }
    }

    pub(crate) fn trim(&mut self, kept_bytes: usize) {
        self.jpeg.trim(kept_bytes);
    }
}

/// Can planes of this color go to the encoder as they are, so that RGB need never be made?
pub(crate) fn takes_planes(wanted: &Wanted, color: Color) -> bool {
    color.is_planar() && !wanted.lossless && wanted.target != Target::One(ImageFormat::Png)
}
