//! What an image is, from its header alone.

use super::fault::Fault;
use super::header;
use super::limits::Limits;
use super::sniff::{self, InputFormat};
use super::{Measures, Rejection};

/// What an image says of itself. No pixel has been decoded, so it may still turn out broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inspection {
    pub format: InputFormat,
    /// Width and height as they are stored.
    pub stored: (u32, u32),
    /// And once turned as EXIF says.
    pub upright: (u32, u32),
    /// At least 1.
    pub frames: u32,
}

/// Sniffs, reads the header and checks it against the limits: the part of [`Engine::resize`](super::Engine::resize) before
/// any decoder sees the image.
///
/// # Errors
/// A [`Rejection`] as `resize` would give it; its `cpu_micros` are 0.
pub fn inspect(input: &[u8], limits: &Limits) -> Result<Inspection, Box<Rejection>> {
    let mut measures = Measures::default();
    run(input, limits, &mut measures)
        .map_err(|Fault { reason, detail }| Box::new(Rejection { reason, detail, measures }))
}

fn run(input: &[u8], limits: &Limits, measures: &mut Measures) -> Result<Inspection, Fault> {
    limits.check_input(input, measures)?;
    let format = sniff::sniff(input)?;
    measures.input_format = Some(format);
    let header = header::read(input, format, limits)?;
    limits.check_header(&header, measures)?;
    let upright = header.orientation.sides(header.stored);
    Ok(Inspection { format, stored: header.stored, upright, frames: header.frames })
}
