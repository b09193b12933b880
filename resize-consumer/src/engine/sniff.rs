//! What an image is, by its first bytes.

use contract::request::OutputFormat;

use super::fault::Fault;

/// A format that the engine reads and writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageFormat {
    Jpeg,
    Png,
    Webp,
}

impl ImageFormat {
    /// The word for it in a usage event.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::Webp => "webp",
        }
    }
}

impl From<OutputFormat> for ImageFormat {
    fn from(format: OutputFormat) -> Self {
        match format {
            OutputFormat::Jpeg => Self::Jpeg,
            OutputFormat::Png => Self::Png,
            OutputFormat::Webp => Self::Webp,
        }
    }
}

pub(super) const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

pub(super) fn sniff(input: &[u8]) -> Result<ImageFormat, Fault> {
    let brand = input.get(8..12).unwrap_or_default();
    if input.starts_with(b"\xff\xd8\xff") {
        Ok(ImageFormat::Jpeg)
    } else if input.starts_with(PNG_SIGNATURE) {
        Ok(ImageFormat::Png)
    } else if input.starts_with(b"RIFF") && brand == b"WEBP" {
        Ok(ImageFormat::Webp)
    } else {
        let what = match input {
            [] => "it is empty",
            [b'G', b'I', b'F', b'8', ..] => "GIF",
            [b'B', b'M', ..] => "BMP",
            [b'I', b'I', b'*', 0, ..] | [b'M', b'M', 0, b'*', ..] => "TIFF",
            [_, _, _, _, b'f', b't', b'y', b'p', ..] if brand.starts_with(b"avi") => "AVIF",
            [_, _, _, _, b'f', b't', b'y', b'p', ..] if brand.starts_with(b"hei") || brand.starts_with(b"mif") => {
                "HEIF"
            }
            [b'%', b'P', b'D', b'F', ..] => "PDF",
            _ => "its first bytes are of no known image format",
        };
        Err(Fault::unsupported(format!("not a JPEG, PNG or WebP image: {what}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides() {
        assert_eq!(sniff(b"\xff\xd8\xff\xe0..").ok(), Some(ImageFormat::Jpeg));
        assert_eq!(sniff(b"\x89PNG\r\n\x1a\n....").ok(), Some(ImageFormat::Png));
        assert_eq!(sniff(b"RIFF\x04\0\0\0WEBP").ok(), Some(ImageFormat::Webp));
        for (input, word) in [
            (&b""[..], "empty"),
            (b"GIF89a", "GIF"),
            (b"\0\0\0\x1cftypavif", "AVIF"),
            (b"\0\0\0\x1cftypheic", "HEIF"),
            (b"RIFF\x04\0\0\0WAVE", "no known"),
            (b"\x89PNG", "no known"),
        ] {
            let fault = sniff(input).unwrap_err();
            assert_eq!(fault.reason, contract::usage::Reason::UnsupportedFormat);
            assert!(fault.detail.contains(word), "{input:?}: {}", fault.detail);
        }
    }
}
