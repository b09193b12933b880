//! What to make of an image. What each parameter does to pixels stands in the engine's docs.
//!
//! All are optional, so that a named preset of the account can give what a request leaves out. A value that makes no
//! sense is answered as such by the worker; only what is of another type or an unknown word is undecodable.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::Label;

/// Of an account: named parameters that its requests may start from. A name never changes its meaning.
pub type Presets = BTreeMap<Label, Resize>;

/// The steps, each on what the one before it made: `auto_orient`, `crop`, `flip`, `rotate`, then `fit` into `width` ×
/// `height`, then `blur`, `sharpen`. Of a side that is absent the aspect decides; without both, the size stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Resize {
    /// In pixels of the output, before `dpr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// In pixels of the output, before `dpr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// `inside` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fit: Option<Fit>,
    /// May the picture get more pixels, on either axis, than it has? `false` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enlarge: Option<bool>,
    /// Device pixel ratio: multiplies `width` and `height`; 0.1 to 10, 1 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dpr: Option<Thousandths>,
    /// Cut this out, after `auto_orient` and before all else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<Crop>,
    /// Which part `cover` keeps, and where `contain` puts the picture; `center` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gravity: Option<Gravity>,
    /// The point of the picture, cropped and turned, that `cover` keeps as near to the middle as it can: instead of
    /// `gravity`, never beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub focal_point: Option<FocalPoint>,
    /// `#rrggbb` or `#rrggbbaa`: around the picture for `contain`, behind it where the output has no alpha (its own
    /// alpha says nothing there); white when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<String>,
    /// Turn the picture as its EXIF says; `true` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_orient: Option<bool>,
    /// Degrees clockwise, after `flip`: 0, 90, 180 or 270. `width` and `height` are those of the turned picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate: Option<u16>,
    /// Mirror, after `crop` and before `rotate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flip: Option<Flip>,
    /// `lanczos3` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// Standard deviation of a Gaussian blur of the output, in pixels: 0.3 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blur: Option<Thousandths>,
    /// Standard deviation of an unsharp mask over the output, in pixels: 0.3 to 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sharpen: Option<Thousandths>,
    /// The output's format; the input's own when absent. An input that can't be written becomes a PNG if it has alpha,
    /// else a JPEG.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<OutputFormat>,
    /// For `auto` only: what the reader can show; JPEG and PNG when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accept: Vec<OutputFormat>,
    /// 1 to 100, for lossy formats; 80 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<u8>,
    /// A progressive JPEG; `false` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progressive: Option<bool>,
    /// Lose nothing in encoding: a lossless WebP, or a PNG; never with a JPEG. `false` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lossless: Option<bool>,
    /// `none` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// Make do with what there is of an image that is cut short or damaged; `false` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_partial: Option<bool>,
    /// Of the account: gives what is absent here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<Label>,
}

impl Resize {
    /// These parameters, and `preset`'s where these are silent: complete, so it names no preset. Of two parameters that exclude each other the preset
    /// gives none if the other is here.
    #[must_use]
    pub fn or(self, preset: &Self) -> Self {
        let mut preset = preset.clone();
        if self.focal_point.is_some() {
            preset.gravity = None;
        }
        if self.gravity.is_some() {
            preset.focal_point = None;
        }
        if self.format.is_some_and(|format| format != OutputFormat::Auto) {
            preset.accept.clear();
        }
        if self.format == Some(OutputFormat::Jpeg) {
            preset.lossless = None;
        }
        Self {
            width: self.width.or(preset.width),
            height: self.height.or(preset.height),
            fit: self.fit.or(preset.fit),
            enlarge: self.enlarge.or(preset.enlarge),
            dpr: self.dpr.or(preset.dpr),
            crop: self.crop.or(preset.crop),
            gravity: self.gravity.or(preset.gravity),
            focal_point: self.focal_point.or(preset.focal_point),
            background: self.background.or(preset.background),
            auto_orient: self.auto_orient.or(preset.auto_orient),
            rotate: self.rotate.or(preset.rotate),
            flip: self.flip.or(preset.flip),
            filter: self.filter.or(preset.filter),
            blur: self.blur.or(preset.blur),
            sharpen: self.sharpen.or(preset.sharpen),
            format: self.format.or(preset.format),
            accept: if self.accept.is_empty() { preset.accept } else { self.accept },
            quality: self.quality.or(preset.quality),
            progressive: self.progressive.or(preset.progressive),
            lossless: self.lossless.or(preset.lossless),
            metadata: self.metadata.or(preset.metadata),
            allow_partial: self.allow_partial.or(preset.allow_partial),
            preset: None,
        }
    }
}

/// How the picture meets a box of width × height. Without `enlarge` the picture never gets more pixels than it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// As large as fits within the box, aspect kept; the output is that large.
    #[default]
    Inside,
    /// As small as reaches both sides of the box, aspect kept; the output is that large.
    Outside,
    /// Covers the box, aspect kept, the overhang cut off; the output is the box.
    Cover,
    /// As large as fits within the box, aspect kept, on a background; the output is the box, even for a small picture.
    Contain,
    /// Exactly the box, aspect given up.
    Fill,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Gravity {
    #[default]
    Center,
    North,
    NorthEast,
    East,
    SouthEast,
    South,
    SouthWest,
    West,
    NorthWest,
}

/// A part of the upright source, in pixels, within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Crop {
    pub left: u32,
    pub top: u32,
    pub width: u32,
    pub height: u32,
}

/// From the upper left: 0 to 1 on each axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FocalPoint {
    pub x: Thousandths,
    pub y: Thousandths,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Flip {
    /// Left and right change places.
    Horizontal,
    /// Top and bottom change places.
    Vertical,
    Both,
}

/// How pixels are weighed when there are fewer or more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    #[default]
    Lanczos3,
    CatmullRom,
    Mitchell,
    Gaussian,
    Hamming,
    Bilinear,
    Box,
    Nearest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutputFormat {
    Jpeg,
    Png,
    Webp,
    /// The smallest sensible one among those that `accept` names; alpha is kept.
    Auto,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metadata {
    #[default]
    None,
    /// Keep EXIF's copyright and artist.
    Copyright,
}

/// A number with three decimals, as JSON: 1.5 is 1,500 thousandths. More decimals are rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "f64", into = "f64")]
#[schemars(with = "f64")]
pub struct Thousandths(i64);

impl Thousandths {
    pub const fn new(thousandths: i64) -> Self {
        Self(thousandths)
    }

    pub fn get(self) -> i64 {
        self.0
    }
}

#[expect(clippy::cast_precision_loss, reason = "at most 15 digits, see below")]
impl From<Thousandths> for f64 {
    fn from(number: Thousandths) -> Self {
        number.0 as Self / 1000.0
    }
}

impl TryFrom<f64> for Thousandths {
    type Error = String;

    #[expect(clippy::cast_possible_truncation, reason = "checked")]
    fn try_from(number: f64) -> Result<Self, String> {
        if number.abs() <= 1e9 {
            Ok(Self((number * 1000.0).round() as i64))
        } else {
            Err(format!("{number} is not within a thousand million of zero"))
        }
    }
}

impl std::str::FromStr for Thousandths {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number: f64 = text.parse().map_err(|_| format!("{text:?} is not a number such as 1.5"))?;
        number.try_into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Resize {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_request_speaks_before_its_preset() {
        for (request, preset, both) in [
            (r#"{"width":9,"preset":"thumb"}"#, r#"{"width":5,"height":6}"#, r#"{"width":9,"height":6}"#),
            (r#"{"gravity":"north"}"#, r#"{"focal_point":{"x":0,"y":0},"dpr":2}"#, r#"{"gravity":"north","dpr":2}"#),
            (
                r#"{"focal_point":{"x":0,"y":1}}"#,
                r#"{"gravity":"north","blur":1}"#,
                r#"{"focal_point":{"x":0,"y":1},"blur":1}"#,
            ),
            (r#"{"format":"jpeg"}"#, r#"{"format":"auto","accept":["webp"],"lossless":true}"#, r#"{"format":"jpeg"}"#),
            (
                r#"{"accept":["png"]}"#,
                r#"{"format":"auto","accept":["webp"]}"#,
                r#"{"format":"auto","accept":["png"]}"#,
            ),
            (r#"{"format":"auto"}"#, r#"{"accept":["webp"]}"#, r#"{"format":"auto","accept":["webp"]}"#),
        ] {
            assert_eq!(read(request).or(&read(preset)), read(both), "{request} or {preset}");
        }
    }
}
