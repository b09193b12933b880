//! Decoded pixels in a buffer that is used again.

/// 8 bits a channel, rows without padding, alpha not premultiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Layout {
    #[default]
    Gray,
    GrayAlpha,
    Rgb,
    Rgba,
}

impl Layout {
    pub(super) fn channels(self) -> usize {
        match self {
            Self::Gray => 1,
            Self::GrayAlpha => 2,
            Self::Rgb => 3,
            Self::Rgba => 4,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct PixelBuffer {
    pub(super) layout: Layout,
    pub(super) width: u32,
    pub(super) height: u32,
    /// Exactly width × height × channels.
    pub(super) bytes: Vec<u8>,
}

impl PixelBuffer {
    /// Makes room for a picture and returns it for writing. Its content is left over from another picture, so every
    /// byte must be written before the next step may read it.
    pub(super) fn reshape(&mut self, layout: Layout, width: u32, height: u32) -> &mut [u8] {
        (self.layout, self.width, self.height) = (layout, width, height);
        self.bytes.resize(width as usize * height as usize * layout.channels(), 0);
        &mut self.bytes
    }

    pub(super) fn pixel_count(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Drops a buffer that has grown past `kept_bytes`.
    pub(super) fn trim(&mut self, kept_bytes: usize) {
        if self.bytes.capacity() > kept_bytes {
            self.bytes = Vec::new();
        }
    }

    /// Makes `to` this picture without transparency: on white.
    pub(super) fn flatten(&self, to: &mut Self) {
        match self.layout {
            Layout::GrayAlpha => self.map(Layout::Gray, to, |&[v, a]| [on_white(v, a)]),
            Layout::Rgba => {
                self.map(Layout::Rgb, to, |&[r, g, b, a]| [on_white(r, a), on_white(g, a), on_white(b, a)]);
            }
            Layout::Gray | Layout::Rgb => to.copy(self),
        }
    }

    /// Makes `to` this picture in color.
    pub(super) fn colorize(&self, to: &mut Self) {
        match self.layout {
            Layout::Gray => self.map(Layout::Rgb, to, |&[v]| [v, v, v]),
            Layout::GrayAlpha => self.map(Layout::Rgba, to, |&[v, a]| [v, v, v, a]),
            Layout::Rgb | Layout::Rgba => to.copy(self),
        }
    }

    fn copy(&mut self, from: &Self) {
        self.reshape(from.layout, from.width, from.height).copy_from_slice(&from.bytes);
    }

    fn map<const FROM: usize, const TO: usize>(
        &self,
        layout: Layout,
        to: &mut Self,
        pixel: impl Fn(&[u8; FROM]) -> [u8; TO],
    ) {
        let (target, _) = to.reshape(layout, self.width, self.height).as_chunks_mut();
        let (source, _) = self.bytes.as_chunks();
        for (target, source) in target.iter_mut().zip(source) {
            *target = pixel(source);
        }
    }
}

/// `value` at opacity `alpha` over white, rounded.
fn on_white(value: u8, alpha: u8) -> u8 {
    let (value, alpha) = (u32::from(value), u32::from(alpha));
    // At most 255 × 255 + 127, so the quotient is a byte.
    ((value * alpha + 255 * (255 - alpha) + 127) / 255).try_into().unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transparency_lies_on_white() {
        for value in 0..=255 {
            assert_eq!(on_white(value, 255), value);
            assert_eq!(on_white(value, 0), 255);
        }
        assert_eq!(on_white(0, 128), 127);

        let (mut from, mut to) = (PixelBuffer::default(), PixelBuffer::default());
        from.reshape(Layout::Rgba, 2, 1).copy_from_slice(&[10, 20, 30, 255, 10, 20, 30, 0]);
        from.flatten(&mut to);
        assert_eq!((to.layout, &to.bytes[..]), (Layout::Rgb, &[10, 20, 30, 255, 255, 255][..]));
    }
}
