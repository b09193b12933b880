//! The resize engine: an image's bytes and parameters in, an image's bytes and measures out. No IO, no clock but the
//! thread's CPU meter, and the same output for the same input, parameters and version.
//!
//! [`Engine::resize`] is the whole pipeline as one list; each step has its file. Content decides what an image is,
//! never a name, and every limit is checked from the header, before a pixel is decoded.
//!
//! What the parameters mean, each on what the one before it made, as sharp and Cloudflare order them: auto-orient, crop,
//! flip, rotate, fit (width, height, dpr), then blur and sharpen. For a picture of W×H by then and a box of w×h:
//!
//! | fit | the output | 640×400 in 320×320 | in 1000×1000 | and with `enlarge` |
//! |---|---|---|---|---|
//! | `inside` | the largest W:H that fits the box | 320×200 | 640×400 | 1000×625 |
//! | `outside` | the smallest W:H that reaches both sides of the box | 512×320 | 640×400 | 1600×1000 |
//! | `cover` | the box, the overhang cut off; a smaller picture shrinks the box, its shape kept | 320×320 | 400×400 | 1000×1000 |
//! | `contain` | the box, in it what `inside` gives, on the background | 320×320 | 1000×1000 around 640×400 | around 1000×625 |
//! | `fill` | the box, aspect given up; each side that is smaller stays | 320×320 | 640×400 | 1000×1000 |
//!
//! A side that is absent follows the aspect, rounded half up, at least 1, whatever the fit; without both, the size stays.
//! Without `enlarge` no side of the picture gets longer. `PARAMETERS.md`, for those who ask, has all of it.

mod canvas;
mod convert;
mod cost;
mod decode;
mod effects;
mod encode;
mod exif;
mod fault;
mod geometry;
mod header;
mod icc;
mod inspect;
mod libwebp;
mod limits;
mod meter;
mod orient;
mod params;
mod picture;
mod scale;
mod shrink;
mod sniff;
#[cfg(test)]
mod tests;

use contract::resize::Resize;
use contract::usage::Reason;
use contract::{units::Bytes, units::CpuMicros, units::Pixels};

use self::effects::Effects;
use self::encode::Encoder;
use self::fault::Fault;
use self::icc::ColorManager;
use self::meter::CpuMeter;
use self::params::Target;
use self::picture::Picture;
use self::scale::Scaler;

pub use self::inspect::{Inspection, inspect};
pub use self::limits::Limits;
pub use self::sniff::{ImageFormat, InputFormat};

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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Measures {
    pub input_bytes: Bytes,
    /// As the input's header says.
    pub input_pixels: Pixels,
    pub output_pixels: Pixels,
    /// This thread's CPU time in the engine.
    pub cpu_micros: CpuMicros,
    /// What of that went where.
    pub stages: Stages,
    pub input_format: Option<InputFormat>,
    pub output_format: Option<ImageFormat>,
}

/// This thread's CPU time in the stages that were gone through; 0 for the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Stages {
    pub decode_micros: CpuMicros,
    /// Resizing, and all else that is done to pixels.
    pub resize_micros: CpuMicros,
    pub encode_micros: CpuMicros,
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
    effects: Effects,
    colors: ColorManager,
    encoder: Encoder,
    /// The pixels of the current step and of the one before.
    front: Picture,
    back: Picture,
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
                let Picture { width, height, .. } = self.front;
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
        let header = header::read(input, format, limits)?;
        limits.check_header(&header, measures)?;
        let mut wanted = params::check(params, &header, limits)?;
        let plan = geometry::plan(&header, &wanted)?;
        wanted.target = wanted.target.fitting(plan.output);
        if let Target::One(format) = wanted.target {
            measures.output_format = Some(format);
        }
        limits.check_output(&plan, wanted.target)?;
        limits.check_cost(&header, &plan, &wanted)?;

        let (front, back) = (&mut self.front, &mut self.back);
        let mut meter = CpuMeter::start();
        let shrunk = decode::decode(input, &header, &plan, limits, &wanted, front)?;
        measures.stages.decode_micros = meter.lap();

        let profile = header.icc.as_deref().filter(|icc| self.colors.converts(icc, front.color));
        let planar = profile.is_none() && encode::takes_planes(&wanted, front.color) && plan.keeps_planes();
        let subsampling = convert::target_subsampling(planar);
        self.scaler.scale(front, plan.crop.times(shrunk), plan.stored, subsampling, wanted.filter, back)?;
        orient::orient(back, plan.orientation, front);
        if let Some(icc) = profile {
            self.colors.convert(front, icc, back);
        }
        if !planar {
            convert::to_rgb(front, back);
        }
        if !wanted.keeps_alpha() {
            convert::flatten(front, wanted.opaque_background(), back);
        }
        canvas::place(front, &plan, &wanted, back);
        self.effects.apply(front, &wanted);
        measures.stages.resize_micros = meter.lap();

        let (bytes, format) = self.encoder.encode(front, &wanted, &header, back)?;
        measures.stages.encode_micros = meter.lap();
        measures.output_format = Some(format);
        measures.output_pixels = Pixels::new(front.pixel_count())?;
        Ok((bytes, format))
    }

    /// Gives back what one large image made the buffers grow to.
    fn trim(&mut self) {
        const KEPT_BYTES: usize = 32 << 20;
        self.front.trim(KEPT_BYTES);
        self.back.trim(KEPT_BYTES);
        self.scaler.trim(KEPT_BYTES);
        self.effects.trim(KEPT_BYTES);
        self.encoder.trim(KEPT_BYTES);
    }
}
