//! Walks a GIF's blocks. Source: GIF89a, sections 17 to 27.

use super::{Header, at, cut};
use contract::usage::Reason;

use crate::fault::Fault;
use crate::limits::Limits;
use crate::sniff::InputFormat;

const EXTENSION: u8 = 0x21;
const FRAME: u8 = 0x2C;
const GRAPHIC_CONTROL: u8 = 0xF9;

pub(super) fn read(input: &[u8], limits: &Limits) -> Result<Header, Fault> {
    let screen: [u8; 7] = at(input, 6).ok_or_else(|| cut(InputFormat::Gif))?;
    let mut header = Header::new(InputFormat::Gif, (side(&screen, 0), side(&screen, 2)));
    let mut rest = input.get(13 + table_bytes(screen[4])..).unwrap_or_default();
    let (mut frames, mut transparent) = (0, false);
    // Past the first frame only frames and metadata are counted: what is broken there ends the count.
    while let Some((&kind, after)) = rest.split_first().filter(|_| frames <= limits.frames) {
        let blocks = match (kind, after) {
            (EXTENSION, &[label, ref blocks @ ..]) => {
                match (label, blocks) {
                    (GRAPHIC_CONTROL, &[4, flags, ..]) if frames == 0 => transparent = flags & 1 == 1,
                    (GRAPHIC_CONTROL, _) => {}
                    _ => header.metadata_bytes += (blocks.len() - after_blocks(blocks).map_or(0, <[u8]>::len)) as u64,
                }
                blocks
            }
            (FRAME, &[x0, x1, y0, y1, w0, w1, h0, h1, flags, ref data @ ..]) => {
                if frames == 0 {
                    let frame = [x0, x1, y0, y1, w0, w1, h0, h1];
                    first_frame(&mut header, &frame, transparent, limits)?;
                }
                frames += 1;
                // A color table and the code size come before the blocks.
                let blocks = data.get(table_bytes(flags) + 1..).unwrap_or_default();
                header.truncated |= frames == 1 && after_blocks(blocks).is_none();
                blocks
            }
            _ => break,
        };
        let Some(after) = after_blocks(blocks) else { break };
        rest = after;
    }
    if frames == 0 {
        return Err(if rest.is_empty() { cut(InputFormat::Gif) } else { Fault::corrupt("GIF", "it has no picture") });
    }
    header.frames = frames;
    Ok(header)
}

fn first_frame(header: &mut Header, frame: &[u8], transparent: bool, limits: &Limits) -> Result<(), Fault> {
    let [left, top, width, height] = [0, 2, 4, 6].map(|at| side(frame, at));
    let pixels = u64::from(width) * u64::from(height);
    if pixels > limits.input_pixels {
        let detail = format!("{width}×{height} in a frame; the limit is {} pixels in all", limits.input_pixels);
        return Err(Fault::new(Reason::TooManyPixels, detail));
    }
    let (canvas_width, canvas_height) = header.stored;
    let fills_rows = left == 0 && width == canvas_width && top + height <= canvas_height;
    // Its color numbers, and the frame itself if the decoder can't put it straight onto the canvas.
    header.held_bytes = if fills_rows { pixels } else { 5 * pixels };
    let covers = left == 0 && top == 0 && width >= canvas_width && height >= canvas_height;
    header.has_alpha = transparent || !covers;
    header.channels = if header.has_alpha { 4 } else { 3 };
    Ok(())
}

fn side(bytes: &[u8], offset: usize) -> u32 {
    at(bytes, offset).map_or(0, u16::from_le_bytes).into()
}

/// A color table that the flags say is there.
fn table_bytes(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

/// What follows blocks that each say their length; one of 0 ends them.
fn after_blocks(mut blocks: &[u8]) -> Option<&[u8]> {
    loop {
        let (&length, rest) = blocks.split_first()?;
        blocks = rest.get(usize::from(length)..)?;
        if length == 0 {
            return Some(blocks);
        }
    }
}
