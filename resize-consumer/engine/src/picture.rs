//! Pixels between two steps, in a buffer that is used again.

/// What the 8-bit channels of a pixel mean, in the order of their bytes; alpha is not premultiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Color {
    #[default]
    Gray,
    GrayAlpha,
    Rgb,
    Rgba,
    /// Inverted, as Adobe stores it in JPEG: 255 is no ink.
    Cmyk,
    /// Planes of Y, Cb and Cr, ITU-R BT.601, 0 to 255 (JFIF 1.02).
    Ycc,
    /// The same with 16 to 235 and 16 to 240, as video and WebP have it (RFC 6386, section 9.2).
    VideoYcc,
}

impl Color {
    pub(crate) fn is_planar(self) -> bool {
        matches!(self, Self::Ycc | Self::VideoYcc)
    }

    pub(crate) fn has_alpha(self) -> bool {
        matches!(self, Self::GrayAlpha | Self::Rgba)
    }

    /// Channels of a pixel in one plane.
    pub(crate) fn channels(self) -> usize {
        match self {
            Self::Gray | Self::Ycc | Self::VideoYcc => 1,
            Self::GrayAlpha => 2,
            Self::Rgb => 3,
            Self::Rgba | Self::Cmyk => 4,
        }
    }
}

/// How many pixels share one sample of a chroma plane, across and down: (2, 2) is 4:2:0.
pub(crate) type Subsampling = (u32, u32);
pub(crate) const FULL: Subsampling = (1, 1);
pub(crate) const HALF: Subsampling = (2, 2);

/// One plane for packed colors; for planar ones Y, Cb and Cr one after the other. Rows have no padding.
#[derive(Debug, Default)]
pub(crate) struct Picture {
    pub(crate) color: Color,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Of the chroma planes, [`FULL`] where there are none.
    pub(crate) subsampling: Subsampling,
    pub(crate) bytes: Vec<u8>,
}

/// The sides of one plane and how many pixels one of its samples stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plane {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) subsampling: Subsampling,
}

impl Picture {
    /// Makes room for a picture and returns it for writing. Its content is left over from another picture, so every
    /// byte must be written before the next step may read it.
    pub(crate) fn reshape(&mut self, color: Color, width: u32, height: u32, subsampling: Subsampling) -> &mut [u8] {
        (self.color, self.width, self.height) = (color, width, height);
        self.subsampling = if color.is_planar() { subsampling } else { FULL };
        let bytes = self.planes().iter().map(|plane| self.plane_bytes(*plane)).sum();
        self.bytes.resize(bytes, 0);
        &mut self.bytes
    }

    /// [`Self::reshape`] for a packed color.
    pub(crate) fn packed(&mut self, color: Color, width: u32, height: u32) -> &mut [u8] {
        self.reshape(color, width, height, FULL)
    }

    /// One plane, or Y, Cb and Cr.
    pub(crate) fn planes(&self) -> Vec<Plane> {
        let luma = Plane { width: self.width, height: self.height, subsampling: FULL };
        if !self.color.is_planar() {
            return vec![luma];
        }
        let (across, down) = self.subsampling;
        let subsampling = self.subsampling;
        let chroma = Plane { width: self.width.div_ceil(across), height: self.height.div_ceil(down), subsampling };
        vec![luma, chroma, chroma]
    }

    fn plane_bytes(&self, plane: Plane) -> usize {
        plane.width as usize * plane.height as usize * self.color.channels()
    }

    /// Each plane with its samples.
    pub(crate) fn samples(&self) -> Vec<(Plane, &[u8])> {
        let mut rest = &self.bytes[..];
        let mut split = |plane| {
            let (samples, after) = rest.split_at(self.plane_bytes(plane));
            rest = after;
            (plane, samples)
        };
        self.planes().into_iter().map(&mut split).collect()
    }

    /// Each plane with its samples, for writing.
    pub(crate) fn samples_mut(&mut self) -> Vec<(Plane, &mut [u8])> {
        let planes: Vec<(Plane, usize)> =
            self.planes().into_iter().map(|plane| (plane, self.plane_bytes(plane))).collect();
        let mut rest = &mut self.bytes[..];
        let mut split = |(plane, length)| {
            let (samples, after) = std::mem::take(&mut rest).split_at_mut(length);
            rest = after;
            (plane, samples)
        };
        planes.into_iter().map(&mut split).collect()
    }

    /// Cuts the luma of planes down to width × height, where a codec has padded it to whole chroma samples. The sides of
    /// the chroma planes stay as they are.
    pub(crate) fn cut_luma(&mut self, width: u32, height: u32) {
        let (stride, kept, rows) = (self.width as usize, width as usize, height as usize);
        let luma = stride * self.height as usize;
        if kept < stride {
            for row in 1..rows {
                self.bytes.copy_within(row * stride..row * stride + kept, row * kept);
            }
        }
        if kept * rows < luma {
            self.bytes.copy_within(luma.., kept * rows);
            self.bytes.truncate(self.bytes.len() - (luma - kept * rows));
        }
        (self.width, self.height) = (width, height);
    }

    pub(crate) fn pixel_count(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Drops a buffer that has grown past `kept_bytes`.
    pub(crate) fn trim(&mut self, kept_bytes: usize) {
        if self.bytes.capacity() > kept_bytes {
            self.bytes = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_lie_one_after_the_other() {
        let mut picture = Picture::default();
        assert_eq!(picture.reshape(Color::Ycc, 5, 3, HALF).len(), 15 + 6 + 6);
        let sides: Vec<_> = picture.samples().iter().map(|(plane, s)| (plane.width, plane.height, s.len())).collect();
        assert_eq!(sides, [(5, 3, 15), (3, 2, 6), (3, 2, 6)]);
        picture.samples_mut()[1].1.fill(9);
        assert_eq!((picture.bytes[14], picture.bytes[15], picture.bytes[20], picture.bytes[21]), (0, 9, 9, 0));
        assert_eq!(picture.packed(Color::Rgba, 2, 2).len(), 16);
        assert_eq!(picture.planes().len(), 1);
    }

    #[test]
    fn padding_of_luma_is_cut_off() {
        for (width, height, luma) in [(4, 2, "abcdefgh"), (3, 2, "abcefg"), (4, 1, "abcd"), (3, 1, "abc")] {
            let mut picture = Picture::default();
            picture.reshape(Color::Ycc, 4, 2, HALF).copy_from_slice(b"abcdefghBbRr");
            picture.cut_luma(width, height);
            let planes: Vec<_> =
                picture.samples().iter().map(|(_, s)| String::from_utf8_lossy(s).into_owned()).collect();
            assert_eq!(planes, [luma, "Bb", "Rr"], "{width}×{height}");
            assert_eq!(picture.bytes.len(), luma.len() + 4);
        }
    }
}
