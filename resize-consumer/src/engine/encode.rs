//! Pixels to an image's bytes: JPEG 4:2:0 by libjpeg-turbo, PNG by `png`, lossy WebP by libwebp.

use png::{BitDepth, ColorType, Compression};
use turbojpeg::{Compressor, Image, OutputBuf, PixelFormat, Subsamp, compressed_buf_len};
use webp::{PixelLayout, WebPConfig};

use super::fault::Fault;
use super::pixels::{Layout, PixelBuffer};
use super::sniff::ImageFormat;

/// libwebp's effort, 0 to 6. Higher ones cost several times as much for a few percent of the bytes.
const WEBP_METHOD: i32 = 2;

#[derive(Debug, Default)]
pub(super) struct Encoder {
    /// Room for the largest that a JPEG may become, so that libjpeg never grows its buffer.
    jpeg: Vec<u8>,
}

impl Encoder {
    /// `spare` is overwritten where the format needs another layout.
    pub(super) fn encode(
        &mut self,
        pixels: &PixelBuffer,
        format: ImageFormat,
        quality: u8,
        spare: &mut PixelBuffer,
    ) -> Result<Vec<u8>, Fault> {
        match (format, pixels.layout) {
            (ImageFormat::Jpeg, Layout::Gray | Layout::Rgb) => self.jpeg(pixels, quality),
            (ImageFormat::Jpeg, Layout::GrayAlpha | Layout::Rgba) => {
                pixels.flatten(spare);
                self.jpeg(spare, quality)
            }
            (ImageFormat::Png, _) => png(pixels),
            (ImageFormat::Webp, Layout::Rgb | Layout::Rgba) => webp(pixels, quality),
            (ImageFormat::Webp, Layout::Gray | Layout::GrayAlpha) => {
                pixels.colorize(spare);
                webp(spare, quality)
            }
        }
    }

    fn jpeg(&mut self, pixels: &PixelBuffer, quality: u8) -> Result<Vec<u8>, Fault> {
        let failed = |error| Fault::engine("encode", error);
        let (format, subsamp) = match pixels.layout {
            Layout::Gray => (PixelFormat::GRAY, Subsamp::Gray),
            _ => (PixelFormat::RGB, Subsamp::Sub2x2),
        };
        let (width, height) = (pixels.width as usize, pixels.height as usize);
        let room = compressed_buf_len(width, height, subsamp).map_err(failed)?;
        if self.jpeg.len() < room {
            self.jpeg.resize(room, 0);
        }
        let mut compressor = Compressor::new().map_err(failed)?;
        compressor.set_quality(quality.into()).map_err(failed)?;
        compressor.set_subsamp(subsamp).map_err(failed)?;
        let image = Image { pixels: &pixels.bytes[..], width, pitch: width * format.size(), height, format };
        let mut output = OutputBuf::borrowed(&mut self.jpeg);
        compressor.compress(image, &mut output).map_err(failed)?;
        Ok(output.to_vec())
    }

    pub(super) fn trim(&mut self, kept_bytes: usize) {
        if self.jpeg.capacity() > kept_bytes {
            self.jpeg = Vec::new();
        }
    }
}

fn png(pixels: &PixelBuffer) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::with_capacity(pixels.bytes.len() / 2);
    let mut encoder = png::Encoder::new(&mut bytes, pixels.width, pixels.height);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_color(match pixels.layout {
        Layout::Gray => ColorType::Grayscale,
        Layout::GrayAlpha => ColorType::GrayscaleAlpha,
        Layout::Rgb => ColorType::Rgb,
        Layout::Rgba => ColorType::Rgba,
    });
    encoder.set_compression(Compression::Fast);
    let written = encoder.write_header().and_then(|mut writer| {
        writer.write_image_data(&pixels.bytes)?;
        writer.finish()
    });
    written.map_err(|error| Fault::engine("encode", error))?;
    Ok(bytes)
}

fn webp(pixels: &PixelBuffer, quality: u8) -> Result<Vec<u8>, Fault> {
    let layout = if pixels.layout == Layout::Rgba { PixelLayout::Rgba } else { PixelLayout::Rgb };
    let mut config = WebPConfig::new().map_err(|()| Fault::engine("encode", "libwebp is of another version"))?;
    config.quality = quality.into();
    config.method = WEBP_METHOD;
    let encoder = webp::Encoder::new(&pixels.bytes, layout, pixels.width, pixels.height);
    let bytes = encoder.encode_advanced(&config).map_err(|error| Fault::engine("encode", format!("{error:?}")))?;
    Ok(bytes.to_vec())
}
