//! A size as a person writes it: `320x240`, `320x`, `x240`.

use std::fmt;
use std::str::FromStr;

use contract::resize::Resize;

/// At least one of both is there, and neither is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) width: Option<u32>,
    pub(crate) height: Option<u32>,
}

/// What tells the outputs of one file apart: the size, or the preset that gives it.
pub(crate) fn name(resize: &Resize) -> String {
    match (resize, &resize.preset) {
        (Resize { width: None, height: None, .. }, Some(preset)) => preset.to_string(),
        (&Resize { width, height, .. }, _) => Size { width, height }.to_string(),
    }
}

impl FromStr for Size {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let bad = || "not a size such as 320x240, 320x or x240, in pixels".to_owned();
        let side = |digits: &str| match digits {
            "" => Ok(None),
            // `parse` would take a plus sign.
            _ if !digits.bytes().all(|b| b.is_ascii_digit()) => Err(bad()),
            _ => digits.parse::<u32>().ok().filter(|pixels| *pixels > 0).map(Some).ok_or_else(bad),
        };
        let (width, height) = s.split_once('x').ok_or_else(bad)?;
        let size = Self { width: side(width)?, height: side(height)? };
        if size.width.or(size.height).is_some() { Ok(size) } else { Err(bad()) }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |pixels: Option<u32>| pixels.map(|p| p.to_string()).unwrap_or_default();
        write!(f, "{}x{}", side(self.width), side(self.height))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_reads_and_writes_the_same() {
        for (text, width, height) in
            [("320x240", Some(320), Some(240)), ("320x", Some(320), None), ("x1", None, Some(1))]
        {
            let size: Size = text.parse().unwrap();
            assert_eq!((size.width, size.height, size.to_string().as_str()), (width, height, text));
        }
        for bad in ["", "x", "320", "0x240", "320x0", "320x240x1", "+320x240", "-1x2", "320 x 240", "4294967296x1"] {
            assert!(bad.parse::<Size>().is_err(), "{bad:?}");
        }
    }
}
