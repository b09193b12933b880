//! Photographs, and how large they and their resized copies are, told without the engine's help.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use contract::Digest;
use contract::resize::{Fit, OutputFormat, Resize};

/// Width and height in pixels.
pub type Sides = (u32, u32);

#[derive(Debug, Clone)]
pub struct Photo {
    pub name: Arc<str>,
    pub bytes: Bytes,
    pub sha256: Digest,
    pub sides: Sides,
    pub format: OutputFormat,
}

impl Photo {
    pub fn new(name: &str, bytes: impl Into<Bytes>) -> Result<Self> {
        let bytes = bytes.into();
        let (format, (width, height)) = header(&bytes).with_context(|| name.to_owned())?;
        let sides = if lies_on_its_side(&bytes) { (height, width) } else { (width, height) };
        Ok(Self { name: name.into(), sha256: Digest::of(&bytes), bytes, sides, format })
    }

    /// The photographs in a folder, sorted by name; what is no JPEG, PNG or WebP is passed over.
    pub fn folder(folder: &Path) -> Result<Vec<Self>> {
        let context = || format!("cannot read the photographs in {}", folder.display());
        let mut photos = Vec::new();
        for entry in fs::read_dir(folder).with_context(context)? {
            let path = entry.with_context(context)?.path();
            if path.is_file()
                && let Some(name) = path.file_name().and_then(|name| name.to_str())
            {
                photos.extend(Self::new(name, fs::read(&path).with_context(context)?).ok());
            }
        }
        photos.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(photos)
    }

    /// The photographs that come with the project.
    pub fn all() -> Result<Vec<Self>> {
        Self::folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("photos"))
    }

    /// The sides of this photograph resized.
    pub fn resized(&self, resize: &Resize) -> Sides {
        sides_within(self.sides, resize)
    }
}

/// What `resize` makes of a picture: as large as fits, aspect kept; or, to fill, what was asked. It is never enlarged.
/// Cutting to cover is told only for a box that the picture covers.
pub fn sides_within((width, height): Sides, resize: &Resize) -> Sides {
    let (to_width, to_height) = (resize.width.unwrap_or(u32::MAX), resize.height.unwrap_or(u32::MAX));
    if resize.width.is_some() && resize.height.is_some() && resize.fit.unwrap_or_default() != Fit::Inside {
        return (to_width.min(width), to_height.min(height));
    }
    if width <= to_width && height <= to_height {
        return (width, height);
    }
    let [w, h, to_w, to_h] = [width, height, to_width, to_height].map(u64::from);
    // Half a pixel or more is a whole one; a picture has at least one.
    let other = |side: u64, to: u64, from: u64| u32::try_from(((2 * side * to + from) / (2 * from)).max(1));
    if to_w * h <= to_h * w {
        (to_width, other(h, to_w, w).unwrap_or(u32::MAX))
    } else {
        (other(w, to_h, h).unwrap_or(u32::MAX), to_height)
    }
}

/// The sides of an encoded image, by its header.
pub fn sides_of(bytes: &[u8]) -> Result<Sides> {
    header(bytes).map(|(_, sides)| sides)
}

/// The format and sides of an encoded image, by its header.
pub(super) fn header(bytes: &[u8]) -> Result<(OutputFormat, Sides)> {
    if bytes.starts_with(&[0xff, 0xd8]) {
        let sides = jpeg_sides(bytes).context("a JPEG without a frame header")?;
        return Ok((OutputFormat::Jpeg, sides));
    }
    let format = match image::guess_format(bytes)? {
        image::ImageFormat::Png => OutputFormat::Png,
        image::ImageFormat::WebP => OutputFormat::Webp,
        other => bail!("{other:?} is not taken"),
    };
    let reader = image::ImageReader::new(std::io::Cursor::new(bytes)).with_guessed_format()?;
    Ok((format, reader.into_dimensions()?))
}

/// Whether EXIF data says that width and height are to be exchanged, as a telephone's do.
fn lies_on_its_side(bytes: &[u8]) -> bool {
    use image::metadata::Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    let reader = image::ImageReader::new(std::io::Cursor::new(bytes)).with_guessed_format();
    let decoder = reader.ok().and_then(|reader| reader.into_decoder().ok());
    let orientation = decoder.and_then(|mut decoder| image::ImageDecoder::orientation(&mut decoder).ok());
    matches!(orientation, Some(Rotate90 | Rotate90FlipH | Rotate270 | Rotate270FlipH))
}

/// From the frame header, SOF0 to SOF15 without DHT, JPG and DAC. Source: ITU-T T.81, sections B.1.1.3 and B.2.2.
fn jpeg_sides(bytes: &[u8]) -> Option<Sides> {
    let u16_at = |at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let mut at = 2;
    loop {
        let marker = *bytes.get(at + 1)?;
        if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
            return Some((u16_at(at + 7)?.into(), u16_at(at + 5)?.into()));
        }
        at += 2 + usize::from(u16_at(at + 2)?);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_projects_photographs_are_as_large_as_their_list_says() {
        let photos = Photo::all().unwrap();
        let found: Vec<_> = photos.iter().map(|photo| (&*photo.name, photo.sides)).collect();
        let listed = [
            ("astronaut.png", (512, 512)),
            ("chelsea.png", (451, 300)),
            ("coffee.png", (600, 400)),
            ("hubble.jpg", (1000, 872)),
            ("retina.jpg", (1411, 1411)),
            ("rocket.jpg", (640, 427)),
        ];
        assert_eq!(found, listed);
    }

    #[test]
    fn a_picture_fits_its_box() {
        let check = |sides: Sides, width: Option<u32>, height: Option<u32>, expected: Sides| {
            let resize = Resize { width, height, ..Resize::default() };
            assert_eq!(sides_within(sides, &resize), expected, "{sides:?} in {width:?} × {height:?}");
        };
        check((640, 427), Some(320), Some(240), (320, 214)); // 213.5
        check((427, 640), Some(320), Some(240), (160, 240));
        check((512, 512), Some(100), None, (100, 100));
        check((451, 300), Some(900), Some(900), (451, 300));
        check((4000, 1), Some(10), None, (10, 1));
    }
}
