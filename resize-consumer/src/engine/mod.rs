//! The resize engine: an image's bytes and parameters in, an image's bytes and measures out. No IO, no clock but the
//! thread's CPU meter, and the same output for the same input, parameters and version.
//!
//! [`Engine::resize`] is the whole pipeline as one list; each step has its file. Content decides what an image is,
//! never a name, and every limit is checked from the header, before a pixel is decoded.
//!
//! What the parameters mean, for an upright source of W×H and a box of w×h (what EXIF turns is turned first):
//!
//! | fit | w and h given | one of them given |
//! |---|---|---|
//! | `inside` | the largest W:H that fits the box; never enlarged | that side; never enlarged |
//! | `cover` | the box, filled from the middle of the source, the overhang cut off evenly; a source too small to cover it shrinks the box, never enlarged | as `inside` |
//! | `fill` | exactly w×h, aspect given up, enlarged where need be | exactly that side, enlarged if need be |
//!
//! A side that is not given follows the aspect, rounded half up, at least 1. Without a format the output has the
//! input's. Transparency meets JPEG on white. Metadata is not carried over.

mod decode;
mod encode;
mod exif;
mod fault;
mod geometry;
mod header;
mod limits;
mod meter;
mod orient;
mod params;
mod pixels;
mod scale;
mod sniff;
#[cfg(test)]
mod tests;

use contract::request::Resize;
use contract::usage::Reason;
use contract::{units::Bytes, units::CpuMicros, units::Pixels};

use self::encode::Encoder;
use self::fault::Fault;
use self::meter::CpuMeter;
use self::pixels::PixelBuffer;
use self::scale::Scaler;

pub use self::limits::Limits;
pub use self::sniff::ImageFormat;

/// What a usage event names as the engine's version: outputs may differ between two of them.
pub const ENGINE_VERSION: &str = env!("CARGO_PKG_VERSION");

/// A resized image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    pub bytes: Vec<u8>,
    pub format: ImageFormat,
    pub width: u32,
    pub height: u32,
    pub measures: Measures,
}

/// What a conversion used, as far as it got: a rejected one has no `output_pixels`, and `input_pixels` only if its
/// header could be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Measures {
    pub input_bytes: Bytes,
    /// As the input's header says.
    pub input_pixels: Pixels,
    pub output_pixels: Pixels,
    /// This thread's CPU time in the engine.
    pub cpu_micros: CpuMicros,
    pub input_format: Option<ImageFormat>,
    pub output_format: Option<ImageFormat>,
}

/// Why an image was not resized: the same for the same input, parameters and limits, so not worth a retry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Rejection {
    pub reason: Reason,
    /// One line for the person who asked.
    pub detail: String,
    pub measures: Measures,
}

/// Resizes one image after another. A thread keeps one for its lifetime: the buffers are reused; nothing that could
/// show in an output passes from one image to the next.
#[derive(Debug, Default)]
pub struct Engine {
    scaler: Scaler,
    encoder: Encoder,
    /// The pixels of the current step and of the one before.
    front: PixelBuffer,
    back: PixelBuffer,
}

impl Engine {
    /// Resizes one image.
    ///
    /// # Errors
    /// A [`Rejection`] with the contract's reason, or with the reason `engine_failed` where the fault is the engine's.
    pub fn resize(&mut self, input: &[u8], params: &Resize, limits: &Limits) -> Result<Output, Box<Rejection>> {
        let meter = CpuMeter::start();
        let mut measures = Measures::default();
        let result = self.run(input, params, limits, &mut measures);
        self.trim();
        measures.cpu_micros = meter.elapsed();
        match result {
            Ok((bytes, format)) => {
                let PixelBuffer { width, height, .. } = self.front;
                Ok(Output { bytes, format, width, height, measures })
            }
            Err(Fault { reason, detail }) => Err(Box::new(Rejection { reason, detail, measures })),
        }
    }

    fn run(
        &mut self,
        input: &[u8],
        params: &Resize,
        limits: &Limits,
        measures: &mut Measures,
    ) -> Result<(Vec<u8>, ImageFormat), Fault> {
        limits.check_input(input, measures)?;
        let format = sniff::sniff(input)?;
        measures.input_format = Some(format);
        let wanted = params::check(params, format, limits)?;
        measures.output_format = Some(wanted.format);
        let header = header::read(input, format)?;
        limits.check_header(&header, measures)?;
        let plan = geometry::plan(&header, &wanted)?;
        limits.check_output(&plan, wanted.format)?;

        let (front, back) = (&mut self.front, &mut self.back);
        let shrunk = decode::decode(input, &header, &plan, limits, front)?;
        self.scaler.scale(front, plan.crop.times(shrunk), plan.stored, back)?;
        orient::orient(back, header.orientation, front);
        let bytes = self.encoder.encode(front, wanted.format, wanted.quality, back)?;
        measures.output_pixels = Pixels::new(front.pixel_count())?;
        Ok((bytes, wanted.format))
    }

    /// Gives back what one large image made the buffers grow to.
    fn trim(&mut self) {
        const KEPT_BYTES: usize = 32 << 20;
        self.front.trim(KEPT_BYTES);
        self.back.trim(KEPT_BYTES);
        self.scaler.trim(KEPT_BYTES);
        self.encoder.trim(KEPT_BYTES);
    }
}
