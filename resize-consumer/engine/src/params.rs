//! The request's parameters, validated once: what is wrong with them is said here, with the value and what is allowed.

use contract::resize::{Crop, Filter, Fit, Flip, FocalPoint, Gravity, Metadata, OutputFormat, Resize, Thousandths};
use contract::usage::Reason;

use super::fault::Fault;
use super::header::Header;
use super::limits::{Limits, largest_side};
use super::orient::Orientation;
use super::sniff::{ImageFormat, InputFormat};

/// The sides that were asked for, in pixels of the output; at least one each, at most [`Limits::output_side`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sides {
    /// None was: the picture keeps its size.
    AsTheyAre,
    Width(u32),
    Height(u32),
    Both(u32, u32),
}

/// What stays in view, on each axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// The start, the middle or the end: 0, 1 or 2 halves.
    Halves(u8, u8),
    /// A point, in thousandths of the picture's sides.
    Point(u16, u16),
}

/// Formats that the reader takes; none is meant as JPEG, so that there is one to refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Accepted {
    pub(crate) jpeg: bool,
    pub(crate) png: bool,
    pub(crate) webp: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    One(ImageFormat),
    /// Two or three formats, of which the pixels decide.
    Smallest(Accepted),
}

#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a parameter of the request")]
pub(crate) struct Wanted {
    /// From the stored picture to the one that `crop` is a part of.
    pub(crate) upright: Orientation,
    /// Within the upright source; `None` for all of it.
    pub(crate) crop: Option<Crop>,
    /// Flip, then rotate.
    pub(crate) turn: Orientation,
    pub(crate) sides: Sides,
    pub(crate) fit: Fit,
    pub(crate) enlarge: bool,
    pub(crate) anchor: Anchor,
    pub(crate) filter: Filter,
    /// Around `contain`, and behind what is transparent.
    pub(crate) background: [u8; 4],
    /// Standard deviations in pixels of the output.
    pub(crate) blur: Option<f64>,
    pub(crate) sharpen: Option<f64>,
    pub(crate) target: Target,
    /// 1 to 100.
    pub(crate) quality: u8,
    pub(crate) progressive: bool,
    pub(crate) lossless: bool,
    pub(crate) keeps_copyright: bool,
    pub(crate) allows_partial: bool,
}

impl Target {
    /// What is left of the choice for an output so large.
    pub(crate) fn fitting(self, (width, height): (u32, u32)) -> Self {
        let Self::Smallest(accepted) = self else { return self };
        let fits = |format| width.max(height) <= largest_side(format);
        Self::from(Accepted {
            jpeg: accepted.jpeg && fits(ImageFormat::Jpeg),
            png: accepted.png && fits(ImageFormat::Png),
            webp: accepted.webp && fits(ImageFormat::Webp),
        })
    }
}

impl From<Accepted> for Target {
    fn from(accepted: Accepted) -> Self {
        match accepted {
            Accepted { png: false, webp: false, .. } => Self::One(ImageFormat::Jpeg),
            Accepted { jpeg: false, webp: false, .. } => Self::One(ImageFormat::Png),
            Accepted { jpeg: false, png: false, .. } => Self::One(ImageFormat::Webp),
            several => Self::Smallest(several),
        }
    }
}

impl Wanted {
    /// Can the output be transparent?
    pub(crate) fn keeps_alpha(&self) -> bool {
        self.target != Target::One(ImageFormat::Jpeg)
    }

    /// The background where nothing can be transparent.
    pub(crate) fn opaque_background(&self) -> [u8; 3] {
        let [red, green, blue, _] = self.background;
        [red, green, blue]
    }
}

const DEFAULT_QUALITY: u8 = 80;
const DPR: (i64, i64) = (100, 10_000);
const BLUR: (i64, i64) = (300, 100_000);
const SHARPEN: (i64, i64) = (300, 10_000);

pub(crate) fn check(params: &Resize, header: &Header, limits: &Limits) -> Result<Wanted, Fault> {
    if let Some(preset) = &params.preset {
        return Err(Fault::new(Reason::UnknownPreset, format!("no preset {preset} is known here")));
    }
    let auto_orient = params.auto_orient.unwrap_or(true);
    let upright = if auto_orient { header.orientation } else { Orientation::default() };
    let target = target(params, header)?;
    let lossless = params.lossless.unwrap_or_default();
    if lossless && target == Target::One(ImageFormat::Jpeg) {
        return Err(Fault::parameters("lossless is true, but the output is a JPEG; ask for a PNG or WebP"));
    }
    Ok(Wanted {
        upright,
        crop: params.crop.map(|crop| within(crop, upright.sides(header.stored))).transpose()?,
        turn: turn(params.flip, params.rotate)?,
        sides: sides(params, limits)?,
        fit: params.fit.unwrap_or_default(),
        enlarge: params.enlarge.unwrap_or_default(),
        anchor: anchor(params.gravity, params.focal_point)?,
        filter: params.filter.unwrap_or_default(),
        background: params.background.as_deref().map_or(Ok([255; 4]), color)?,
        blur: sigma("blur", params.blur, BLUR)?,
        sharpen: sigma("sharpen", params.sharpen, SHARPEN)?,
        target,
        quality: match params.quality.unwrap_or(DEFAULT_QUALITY) {
            quality @ 1..=100 => quality,
            other => return Err(Fault::parameters(format!("quality is {other}; 1 to 100 are allowed"))),
        },
        progressive: params.progressive.unwrap_or_default(),
        lossless,
        keeps_copyright: params.metadata == Some(Metadata::Copyright),
        allows_partial: params.allow_partial.unwrap_or_default(),
    })
}

fn target(params: &Resize, header: &Header) -> Result<Target, Fault> {
    let one = |format| Ok(Target::One(format));
    if params.format != Some(OutputFormat::Auto) && !params.accept.is_empty() {
        return Err(Fault::parameters("accept is for the format auto; leave it out, or ask for auto"));
    }
    match params.format {
        Some(OutputFormat::Jpeg) => one(ImageFormat::Jpeg),
        Some(OutputFormat::Png) => one(ImageFormat::Png),
        Some(OutputFormat::Webp) => one(ImageFormat::Webp),
        None => one(match header.format {
            InputFormat::Png => ImageFormat::Png,
            InputFormat::Webp => ImageFormat::Webp,
            InputFormat::Gif | InputFormat::Bmp | InputFormat::Tiff if header.has_alpha => ImageFormat::Png,
            InputFormat::Jpeg | InputFormat::Gif | InputFormat::Bmp | InputFormat::Tiff => ImageFormat::Jpeg,
        }),
        Some(OutputFormat::Auto) if params.accept.contains(&OutputFormat::Auto) => {
            Err(Fault::parameters("accept has auto; jpeg, png and webp are allowed"))
        }
        Some(OutputFormat::Auto) => {
            let takes = |format| params.accept.contains(&format);
            // What every reader takes.
            let silent = params.accept.is_empty();
            Ok(Target::from(Accepted {
                jpeg: (takes(OutputFormat::Jpeg) || silent) && params.lossless != Some(true),
                png: takes(OutputFormat::Png) || silent,
                webp: takes(OutputFormat::Webp),
            }))
        }
    }
}

fn sides(params: &Resize, limits: &Limits) -> Result<Sides, Fault> {
    let dpr = params.dpr.map_or(Ok(1_000), |dpr| number("dpr", dpr, DPR))?;
    let side = |name: &str, value: Option<u32>| match value {
        None => Ok(None),
        Some(0) => Err(Fault::parameters(format!("{name} is 0; at least 1 pixel is allowed"))),
        Some(pixels) => {
            let scaled = (i64::from(pixels) * dpr + 500) / 1_000;
            let allowed = limits.output_side;
            match u32::try_from(scaled.max(1)) {
                Ok(scaled) if scaled <= allowed => Ok(Some(scaled)),
                _ => Err(Fault::parameters(format!(
                    "{name} is {scaled}, dpr applied; up to {allowed} pixels are allowed"
                ))),
            }
        }
    };
    Ok(match (side("width", params.width)?, side("height", params.height)?) {
        (Some(width), Some(height)) => Sides::Both(width, height),
        (Some(width), None) => Sides::Width(width),
        (None, Some(height)) => Sides::Height(height),
        (None, None) => Sides::AsTheyAre,
    })
}

fn within(crop: Crop, (width, height): (u32, u32)) -> Result<Crop, Fault> {
    let fits =
        |start: u32, length: u32, side: u32| length > 0 && start.checked_add(length).is_some_and(|end| end <= side);
    if fits(crop.left, crop.width, width) && fits(crop.top, crop.height, height) {
        return Ok(crop);
    }
    let Crop { left, top, width: w, height: h } = crop;
    Err(Fault::parameters(format!("crop is {w}×{h} from {left},{top}; a part of {width}×{height} pixels is allowed")))
}

/// In EXIF's words: 2 mirrors left and right, 4 top and bottom, 3 both; 6 turns 90° clockwise, 3 180°, 8 270°.
fn turn(flip: Option<Flip>, rotate: Option<u16>) -> Result<Orientation, Fault> {
    let flip = match flip {
        None => 1,
        Some(Flip::Horizontal) => 2,
        Some(Flip::Vertical) => 4,
        Some(Flip::Both) => 3,
    };
    let rotate = match rotate.unwrap_or_default() {
        0 => 1,
        90 => 6,
        180 => 3,
        270 => 8,
        other => return Err(Fault::parameters(format!("rotate is {other}; 0, 90, 180 and 270 are allowed"))),
    };
    let orientation = |value| Orientation::from_exif(value).unwrap_or_default();
    Ok(orientation(flip).then(orientation(rotate)))
}

fn anchor(gravity: Option<Gravity>, focal_point: Option<FocalPoint>) -> Result<Anchor, Fault> {
    let (x, y) = match (gravity, focal_point) {
        (Some(_), Some(_)) => return Err(Fault::parameters("gravity and focal_point are both given; one is allowed")),
        (None, Some(FocalPoint { x, y })) => {
            let at = |name, value| {
                let thousandths = number(name, value, (0, 1_000))?;
                u16::try_from(thousandths).map_err(|error| Fault::engine("place", error))
            };
            return Ok(Anchor::Point(at("focal_point.x", x)?, at("focal_point.y", y)?));
        }
        (gravity, None) => match gravity.unwrap_or_default() {
            Gravity::NorthWest => (0, 0),
            Gravity::North => (1, 0),
            Gravity::NorthEast => (2, 0),
            Gravity::West => (0, 1),
            Gravity::Center => (1, 1),
            Gravity::East => (2, 1),
            Gravity::SouthWest => (0, 2),
            Gravity::South => (1, 2),
            Gravity::SouthEast => (2, 2),
        },
    };
    Ok(Anchor::Halves(x, y))
}

/// `#rrggbb` or `#rrggbbaa`.
fn color(text: &str) -> Result<[u8; 4], Fault> {
    let digits = text.strip_prefix('#').filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
    let value = |digits| u32::from_str_radix(digits, 16).ok();
    let color = match digits {
        Some(opaque) if opaque.len() == 6 => value(opaque).map(|rgb| rgb << 8 | 0xFF),
        Some(digits) if digits.len() == 8 => value(digits),
        _ => None,
    };
    let wrong = || Fault::parameters(format!("background is {text:?}; #rrggbb and #rrggbbaa are allowed"));
    color.map(u32::to_be_bytes).ok_or_else(wrong)
}

#[expect(clippy::cast_precision_loss, reason = "at most 100,000")]
fn sigma(name: &str, value: Option<Thousandths>, allowed: (i64, i64)) -> Result<Option<f64>, Fault> {
    Ok(value.map(|value| number(name, value, allowed)).transpose()?.map(|thousandths| thousandths as f64 / 1_000.0))
}

fn number(name: &str, value: Thousandths, (least, most): (i64, i64)) -> Result<i64, Fault> {
    if (least..=most).contains(&value.get()) {
        return Ok(value.get());
    }
    let text = |thousandths| f64::from(Thousandths::new(thousandths));
    let (value, least, most) = (f64::from(value), text(least), text(most));
    Err(Fault::parameters(format!("{name} is {value}; {least} to {most} are allowed")))
}
