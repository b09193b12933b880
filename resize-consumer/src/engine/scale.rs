//! Resampling: Lanczos3 through `fast_image_resize`, alpha premultiplied.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use super::fault::Fault;
use super::geometry::Rect;
use super::pixels::{Layout, PixelBuffer};

#[derive(Debug, Default)]
pub(super) struct Scaler {
    resizer: Resizer,
}

impl Scaler {
    /// Makes `to` the part `crop` of `from` at width × height.
    pub(super) fn scale(
        &mut self,
        from: &PixelBuffer,
        crop: Rect,
        (width, height): (u32, u32),
        to: &mut PixelBuffer,
    ) -> Result<(), Fault> {
        let pixel_type = match from.layout {
            Layout::Gray => PixelType::U8,
            Layout::GrayAlpha => PixelType::U8x2,
            Layout::Rgb => PixelType::U8x3,
            Layout::Rgba => PixelType::U8x4,
        };
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3)).crop(
            crop.left,
            crop.top,
            crop.width,
            crop.height,
        );
        let target = to.reshape(from.layout, width, height);
        let failed = |error: &dyn std::fmt::Display| Fault::engine("resize", error);
        let source = ImageRef::new(from.width, from.height, &from.bytes, pixel_type).map_err(|error| failed(&error))?;
        let mut target = Image::from_slice_u8(width, height, target, pixel_type).map_err(|error| failed(&error))?;
        self.resizer.resize(&source, &mut target, &options).map_err(|error| failed(&error))
    }

    pub(super) fn trim(&mut self, kept_bytes: usize) {
        if self.resizer.size_of_internal_buffers() > kept_bytes {
            self.resizer.reset_internal_buffers();
        }
    }
}
