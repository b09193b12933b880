//! PNG through the `png` crate: every color type and depth to 8 bits a channel.

use std::io::Cursor;

use png::{ColorType, Decoder, DecodingError, Limits, Transformations};

use crate::engine::fault::Fault;
use crate::engine::header::Header;
use crate::engine::pixels::{Layout, PixelBuffer};

/// What the decoder may allocate beside the pixels: a few rows and small chunks.
const WORKING_BYTES: usize = 8 << 20;

pub(super) fn decode(input: &[u8], header: &Header, to: &mut PixelBuffer) -> Result<(), Fault> {
    let mut decoder = Decoder::new_with_limits(Cursor::new(input), Limits { bytes: WORKING_BYTES });
    // Neither is used, and both may unpack to any size.
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(fault)?;
    let (width, height) = header.stored;
    let layout = match reader.output_color_type().0 {
        ColorType::Grayscale => Layout::Gray,
        ColorType::GrayscaleAlpha => Layout::GrayAlpha,
        ColorType::Rgb => Layout::Rgb,
        ColorType::Rgba => Layout::Rgba,
        ColorType::Indexed => return Err(Fault::corrupt("PNG", "its palette is missing")),
    };
    let pixels = to.reshape(layout, width, height);
    if reader.output_buffer_size() != Some(pixels.len()) {
        return Err(Fault::corrupt("PNG", "it has more than one header"));
    }
    let frame = reader.next_frame(pixels).map_err(fault)?;
    if (frame.width, frame.height) != header.stored {
        return Err(Fault::corrupt("PNG", "its first frame is not of its own size"));
    }
    // To the end of the file, so that a part of one is never taken for the whole.
    reader.finish().map_err(fault)
}

fn fault(error: DecodingError) -> Fault {
    match error {
        DecodingError::LimitsExceeded => {
            Fault::input_too_large(format!("a PNG whose metadata takes over {WORKING_BYTES} bytes"))
        }
        other => Fault::corrupt("PNG", other),
    }
}
