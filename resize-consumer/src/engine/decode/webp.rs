//! WebP through libwebp. The header step has seen that the file is whole and what its sides are.

use webp::{Decoder, PixelLayout};

use crate::engine::fault::Fault;
use crate::engine::header::Header;
use crate::engine::pixels::{Layout, PixelBuffer};

pub(super) fn decode(input: &[u8], header: &Header, to: &mut PixelBuffer) -> Result<(), Fault> {
    let image = Decoder::new(input).decode().ok_or_else(|| Fault::corrupt("WebP", "its pixels can't be decoded"))?;
    if (image.width(), image.height()) != header.stored {
        return Err(Fault::corrupt("WebP", "its headers contradict each other"));
    }
    let layout = match image.layout() {
        PixelLayout::Rgb => Layout::Rgb,
        PixelLayout::Rgba => Layout::Rgba,
    };
    to.reshape(layout, image.width(), image.height()).copy_from_slice(&image);
    Ok(())
}
