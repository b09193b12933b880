//! From the color space that an image's profile describes to sRGB, through `moxcms`.
//!
//! It comes after resizing, on the fewest pixels. A profile that is broken, or of another kind of color than the picture,
//! is ignored, as browsers do: it never makes a good image a bad one.

use std::fmt;
use std::sync::Arc;

use moxcms::{
    ColorProfile, DataColorSpace, Layout, ParsingOptions, ProfileClass, Transform8BitExecutor, TransformOptions,
};

use super::convert;
use super::picture::{Color, Picture};

/// What is kept of profiles seen before: so many, and of so many bytes in all. A transform has some four times as many.
const KEPT_PROFILES: usize = 16;
const KEPT_BYTES: usize = 8 << 20;
/// Cells of a table of colors; the largest profiles of printers have a quarter of that.
const MAX_TABLE_CELLS: usize = 2_000_000;
/// Of 255: a profile that changes no color by more is sRGB in other words.
const SRGB_TOLERANCE: u8 = 2;

/// Profiles and what they do to colors, the last used first.
#[derive(Default)]
pub(crate) struct ColorManager {
    seen: Vec<Seen>,
}

struct Seen {
    profile: Vec<u8>,
    ink: Ink,
    transform: Option<Arc<Transform8BitExecutor>>,
}

/// What a profile describes, and how a picture has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ink {
    Gray { alpha: bool },
    Rgb { alpha: bool },
    Cmyk,
}

impl Ink {
    fn of(color: Color) -> Self {
        match color {
            Color::Gray => Self::Gray { alpha: false },
            Color::GrayAlpha => Self::Gray { alpha: true },
            Color::Rgb | Color::Ycc | Color::VideoYcc => Self::Rgb { alpha: false },
            Color::Rgba => Self::Rgb { alpha: true },
            Color::Cmyk => Self::Cmyk,
        }
    }

    fn space(self) -> DataColorSpace {
        match self {
            Self::Gray { .. } => DataColorSpace::Gray,
            Self::Rgb { .. } => DataColorSpace::Rgb,
            Self::Cmyk => DataColorSpace::Cmyk,
        }
    }

    /// As it is and as it becomes: gray stays gray. The crate has four inks where it has red, green, blue and alpha.
    fn layouts(self) -> (Layout, Layout) {
        match self {
            Self::Gray { alpha: false } => (Layout::Gray, Layout::Gray),
            Self::Gray { alpha: true } => (Layout::GrayAlpha, Layout::GrayAlpha),
            Self::Rgb { alpha: false } => (Layout::Rgb, Layout::Rgb),
            Self::Rgb { alpha: true } => (Layout::Rgba, Layout::Rgba),
            Self::Cmyk => (Layout::Rgba, Layout::Rgb),
        }
    }

    fn becomes(self) -> Color {
        match self {
            Self::Gray { alpha: false } => Color::Gray,
            Self::Gray { alpha: true } => Color::GrayAlpha,
            Self::Rgb { alpha: false } | Self::Cmyk => Color::Rgb,
            Self::Rgb { alpha: true } => Color::Rgba,
        }
    }
}

impl ColorManager {
    /// Must a picture of this color be converted? Not if the profile is sRGB in other words, or is ignored.
    pub(crate) fn converts(&mut self, profile: &[u8], color: Color) -> bool {
        self.transform(profile, Ink::of(color)).is_some()
    }

    /// Converts a picture. Its planes, if it has planes, must be of full size, and become RGB; CMYK becomes RGB. What
    /// [`Self::converts`] denies stays as it is.
    pub(crate) fn convert(&mut self, picture: &mut Picture, profile: &[u8], spare: &mut Picture) {
        let ink = Ink::of(picture.color);
        let Some(transform) = self.transform(profile, ink) else { return };
        match picture.color {
            Color::Ycc | Color::VideoYcc => convert::to_rgb(picture, spare),
            // Profiles say how much ink there is.
            Color::Cmyk => picture.bytes.iter_mut().for_each(|sample| *sample = !*sample),
            _ => {}
        }
        let converted = spare.packed(ink.becomes(), picture.width, picture.height);
        if transform.transform(&picture.bytes, converted).is_ok() {
            std::mem::swap(picture, spare);
        } else if ink == Ink::Cmyk {
            picture.bytes.iter_mut().for_each(|sample| *sample = !*sample);
        }
    }

    fn transform(&mut self, profile: &[u8], ink: Ink) -> Option<Arc<Transform8BitExecutor>> {
        let seen = match self.seen.iter().position(|seen| seen.ink == ink && seen.profile == profile) {
            Some(place) => self.seen.remove(place),
            None => Seen { profile: profile.to_vec(), ink, transform: transform(profile, ink) },
        };
        let transform = seen.transform.clone();
        self.seen.insert(0, seen);
        let mut bytes = 0;
        let kept = self.seen.iter().take(KEPT_PROFILES).take_while(|seen| {
            bytes += seen.profile.len();
            bytes <= KEPT_BYTES
        });
        let kept = kept.count();
        self.seen.truncate(kept);
        transform
    }
}

impl fmt::Debug for ColorManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ColorManager").field("seen", &self.seen.len()).finish()
    }
}

/// `None` for a profile that is of no use, or changes nothing.
fn transform(profile: &[u8], ink: Ink) -> Option<Arc<Transform8BitExecutor>> {
    let options = ParsingOptions { max_allowed_clut_size: MAX_TABLE_CELLS, ..ParsingOptions::default() };
    let source = ColorProfile::new_from_slice_with_options(profile, options).ok()?;
    let class = matches!(
        source.profile_class,
        ProfileClass::InputDevice | ProfileClass::DisplayDevice | ProfileClass::OutputDevice | ProfileClass::ColorSpace
    );
    if !class || source.color_space != ink.space() {
        return None;
    }
    let mut target = ColorProfile::new_srgb();
    if let Ink::Gray { .. } = ink {
        let curve = target.red_trc.clone();
        target = ColorProfile::new_gray_with_gamma(1.0);
        target.gray_trc = curve;
    }
    let (from, to) = ink.layouts();
    let transform = source.create_transform_8bit(from, &target, to, TransformOptions::default()).ok()?;
    (ink == Ink::Cmyk || !changes_nothing(transform.as_ref(), from.channels())?).then_some(transform)
}

/// Tries colors all over the space. `None` if it fails on them.
fn changes_nothing(transform: &Transform8BitExecutor, channels: usize) -> Option<bool> {
    const STEPS: [u8; 10] = [0, 8, 32, 64, 96, 128, 160, 192, 224, 255];
    let mut colors = Vec::new();
    if channels < 3 {
        colors.extend((0..=255).flat_map(|gray| [gray, 255].into_iter().take(channels)));
    } else {
        for (red, green) in STEPS.iter().flat_map(|red| STEPS.iter().map(move |green| (*red, *green))) {
            colors.extend(STEPS.iter().flat_map(|blue| [red, green, *blue, 255].into_iter().take(channels)));
        }
    }
    let mut converted = vec![0; colors.len()];
    transform.transform(&colors, &mut converted).ok()?;
    Some(colors.iter().zip(&converted).all(|(from, to)| from.abs_diff(*to) <= SRGB_TOLERANCE))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADOBE: &[u8] = include_bytes!("tests/profiles/adobe-rgb.icc");
    const GRAY: &[u8] = include_bytes!("tests/profiles/gray.icc");
    const PRESS: &[u8] = include_bytes!("tests/profiles/press.icc");
    const SRGB: &[u8] = include_bytes!("tests/profiles/srgb.icc");

    fn picture(color: Color, pixels: &[u8]) -> Picture {
        let mut picture = Picture::default();
        let width = u32::try_from(pixels.len() / color.channels()).unwrap();
        picture.packed(color, width, 1).copy_from_slice(pixels);
        picture
    }

    /// `expected` is Little CMS's: see `tests/profiles/SOURCES.md`.
    #[track_caller]
    fn check(profile: &[u8], color: Color, pixels: &[u8], becomes: Color, expected: &[u8], tolerance: u8) {
        let mut colors = ColorManager::default();
        assert!(colors.converts(profile, color));
        let mut converted = picture(color, pixels);
        colors.convert(&mut converted, profile, &mut Picture::default());
        assert_eq!(converted.color, becomes);
        let off = converted.bytes.iter().zip(expected).map(|(ours, theirs)| ours.abs_diff(*theirs)).max();
        assert!(
            off <= Some(tolerance) && converted.bytes.len() == expected.len(),
            "{:?}\n{expected:?}",
            converted.bytes
        );
    }

    #[test]
    fn colors_become_what_little_cms_makes_of_them() {
        let rgb = [
            [255, 0, 0],
            [0, 0, 255],
            [128, 128, 128],
            [200, 100, 50],
            [50, 100, 200],
            [10, 20, 30],
            [255, 255, 255],
            [64, 192, 128],
        ];
        let adobe = [
            [255, 0, 0],
            [0, 0, 255],
            [129, 129, 129],
            [227, 100, 42],
            [0, 100, 204],
            [0, 12, 24],
            [255, 255, 255],
            [0, 193, 125],
        ];
        let p3 = [
            [255, 0, 0],
            [0, 0, 255],
            [128, 128, 128],
            [215, 93, 31],
            [26, 101, 207],
            [7, 20, 31],
            [255, 255, 255],
            [0, 195, 122],
        ];
        check(ADOBE, Color::Rgb, rgb.as_flattened(), Color::Rgb, adobe.as_flattened(), 1);
        let display_p3 = ColorProfile::new_display_p3().encode().unwrap();
        check(&display_p3, Color::Rgb, rgb.as_flattened(), Color::Rgb, p3.as_flattened(), 1);
        check(ADOBE, Color::Rgba, &[200, 100, 50, 7, 10, 20, 30, 0], Color::Rgba, &[227, 100, 42, 7, 0, 12, 24, 0], 1);
        check(GRAY, Color::Gray, &[0, 16, 64, 128, 200, 255], Color::Gray, &[0, 71, 137, 188, 229, 255], 1);
        check(GRAY, Color::GrayAlpha, &[16, 9, 128, 255], Color::GrayAlpha, &[71, 9, 188, 255], 1);
    }

    /// As Adobe stores it: 255 is no ink.
    #[test]
    fn four_inks_become_three_lights() {
        let inks = [
            [255, 255, 255, 255],
            [0, 255, 255, 255],
            [255, 0, 255, 255],
            [255, 255, 0, 255],
            [255, 255, 255, 0],
            [127, 191, 223, 239],
            [55, 75, 245, 215],
            [0, 0, 0, 0],
            [165, 245, 55, 155],
        ];
        let lights = [
            [255, 255, 255],
            [98, 179, 229],
            [225, 98, 149],
            [249, 237, 97],
            [56, 56, 56],
            [175, 180, 196],
            [118, 107, 149],
            [11, 6, 5],
            [157, 163, 103],
        ];
        check(PRESS, Color::Cmyk, inks.as_flattened(), Color::Rgb, lights.as_flattened(), 3);
    }

    #[test]
    fn srgb_in_other_words_and_what_is_no_use_change_nothing() {
        let srgb = ColorProfile::new_srgb().encode().unwrap();
        let mut gray = ColorProfile::new_gray_with_gamma(2.2);
        gray.gray_trc = ColorProfile::new_srgb().red_trc;
        let gray = gray.encode().unwrap();
        let mut colors = ColorManager::default();
        for (profile, color) in [
            (SRGB, Color::Rgb),
            (&srgb, Color::Rgba),
            (&gray, Color::Gray),
            (ADOBE, Color::Gray),
            (ADOBE, Color::Cmyk),
            (GRAY, Color::Rgb),
            (PRESS, Color::Rgba),
            (b"", Color::Rgb),
            (&[0; 4_000], Color::Rgb),
            (&ADOBE[..500], Color::Rgb),
        ] {
            assert!(!colors.converts(profile, color), "{} bytes, {color:?}", profile.len());
            let mut picture = picture(color, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
            let before = picture.bytes.clone();
            colors.convert(&mut picture, profile, &mut Picture::default());
            assert_eq!((picture.color, picture.bytes), (color, before));
        }
    }

    #[test]
    fn what_was_seen_before_changes_no_color_and_is_bounded() {
        let mut colors = ColorManager::default();
        let convert = |colors: &mut ColorManager| {
            let mut picture = picture(Color::Rgb, &[200, 100, 50]);
            colors.convert(&mut picture, ADOBE, &mut Picture::default());
            picture.bytes
        };
        let first = convert(&mut colors);
        for n in 0..20 {
            colors.converts(&[n; 200], Color::Rgb);
            assert_eq!(convert(&mut colors), first);
            assert!(colors.seen.len() <= KEPT_PROFILES);
        }
        colors.converts(&vec![0; KEPT_BYTES], Color::Rgb);
        assert_eq!(colors.seen.len(), 1);
        colors.converts(&vec![0; KEPT_BYTES + 1], Color::Rgb);
        assert_eq!(colors.seen.len(), 0);
        assert_eq!(convert(&mut colors), first);
    }

    #[test]
    fn broken_profiles_never_panic() {
        let mut state = 1_u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % below
        };
        for (profile, color, rounds) in
            [(ADOBE, Color::Rgb, 500), (GRAY, Color::Gray, 500), (PRESS, Color::Cmyk, 100), (SRGB, Color::Rgb, 200)]
        {
            for round in 0..rounds {
                let mut broken = profile.to_vec();
                for _ in 0..=random(5) {
                    // Mostly where the tables of tags and the curves' types are.
                    let reach = if round % 4 == 0 { broken.len() } else { broken.len().min(600) };
                    broken[random(reach)] = [0, 1, 0x7F, 0x80, 0xFF, u8::try_from(random(256)).unwrap()][random(6)];
                }
                broken.truncate(broken.len() - random(2) * random(broken.len()));
                let mut picture = picture(color, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
                ColorManager::default().convert(&mut picture, &broken, &mut Picture::default());
            }
        }
    }
}
