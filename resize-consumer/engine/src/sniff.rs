//! What an image is, by its first bytes.

use super::fault::Fault;

/// A format that the engine reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputFormat {
    Jpeg,
    Png,
    Webp,
    Gif,
    Bmp,
    Tiff,
}

impl InputFormat {
    /// The word for it in a usage event.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::Webp => "webp",
            Self::Gif => "gif",
            Self::Bmp => "bmp",
            Self::Tiff => "tiff",
        }
    }

    /// How people write it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::Webp => "WebP",
            Self::Gif => "GIF",
            Self::Bmp => "BMP",
            Self::Tiff => "TIFF",
        }
    }
}

/// A format that the engine writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
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

pub(crate) const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

pub(crate) fn sniff(input: &[u8]) -> Result<InputFormat, Fault> {
    let brand = input.get(8..12).unwrap_or_default();
    match input {
        [0xFF, 0xD8, 0xFF, ..] => Ok(InputFormat::Jpeg),
        [b'R', b'I', b'F', b'F', ..] if brand == b"WEBP" => Ok(InputFormat::Webp),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Ok(InputFormat::Gif),
        // 43 instead of 42 is BigTIFF.
        [b'I', b'I', b'*' | b'+', 0, ..] | [b'M', b'M', 0, b'*' | b'+', ..] => Ok(InputFormat::Tiff),
        // Two letters alone are too common: the size of the second header tells.
        [b'B', b'M', ..] if matches!(input.get(14..18), Some(&[12..=124, 0, 0, 0])) => Ok(InputFormat::Bmp),
        _ if input.starts_with(PNG_SIGNATURE) => Ok(InputFormat::Png),
        _ => {
            let what = match input {
                [] => "it is empty",
                [_, _, _, _, b'f', b't', b'y', b'p', ..] if brand.starts_with(b"avi") => "AVIF",
                [_, _, _, _, b'f', b't', b'y', b'p', ..] if brand.starts_with(b"hei") || brand.starts_with(b"mif") => {
                    "HEIF"
                }
                [0xFF, 0x0A, ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] => "JPEG XL",
                [0xFF, 0x4F, 0xFF, 0x51, ..] | [0, 0, 0, 12, b'j', b'P', b' ', b' ', ..] => "JPEG 2000",
                [b'%', b'P', b'D', b'F', ..] => "PDF",
                _ => "its first bytes are of no known image format",
            };
            Err(Fault::unsupported(format!("not a JPEG, PNG, WebP, GIF, BMP or TIFF image: {what}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides() {
        for (input, format) in [
            (&b"\xff\xd8\xff\xe0.."[..], InputFormat::Jpeg),
            (b"\x89PNG\r\n\x1a\n....", InputFormat::Png),
            (b"RIFF\x04\0\0\0WEBP", InputFormat::Webp),
            (b"GIF89a", InputFormat::Gif),
            (b"GIF87a", InputFormat::Gif),
            (b"BM............\x28\0\0\0", InputFormat::Bmp),
            (b"II*\0", InputFormat::Tiff),
            (b"MM\0*", InputFormat::Tiff),
            (b"II+\0\x08\0", InputFormat::Tiff),
        ] {
            assert_eq!(sniff(input).ok(), Some(format), "{input:?}");
        }
        for (input, word) in [
            (&b""[..], "empty"),
            (b"GIF88a", "no known"),
            (b"BM is not always a bitmap", "no known"),
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
