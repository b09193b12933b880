//! Parameters of every kind from a few bytes: shared by the fuzz targets and the torture test.

use contract::resize::{Crop, Filter, Fit, Flip, FocalPoint, Gravity, Metadata, OutputFormat, Resize, Thousandths};

const FITS: [Fit; 5] = [Fit::Inside, Fit::Outside, Fit::Cover, Fit::Contain, Fit::Fill];
const FORMATS: [OutputFormat; 4] = [OutputFormat::Jpeg, OutputFormat::Png, OutputFormat::Webp, OutputFormat::Auto];
const FLIPS: [Flip; 3] = [Flip::Horizontal, Flip::Vertical, Flip::Both];
const BACKGROUNDS: [&str; 5] = ["#ffffff", "#00000000", "#12345678", "#abcdef", "blue"];
const GRAVITIES: [Gravity; 9] = [
    Gravity::Center,
    Gravity::North,
    Gravity::NorthEast,
    Gravity::East,
    Gravity::SouthEast,
    Gravity::South,
    Gravity::SouthWest,
    Gravity::West,
    Gravity::NorthWest,
];
const FILTERS: [Filter; 8] = [
    Filter::Lanczos3,
    Filter::CatmullRom,
    Filter::Mitchell,
    Filter::Gaussian,
    Filter::Hamming,
    Filter::Bilinear,
    Filter::Box,
    Filter::Nearest,
];

/// Most make sense: sides up to 254 pixels, and the rarer parameters in one case of four. Reads from the last byte on, so
/// that an image's file is a fuzz input as it is, its end the parameters.
pub(crate) fn parameters(bytes: &[u8]) -> Resize {
    let mut bytes = bytes.iter().rev().copied();
    let mut next = || bytes.next().unwrap_or_default();
    let format = pick(&FORMATS, next());
    let accept = FORMATS.into_iter().zip(bits(next())).take(3).filter_map(|(format, bit)| bit.then_some(format));
    let gravity = rare(&GRAVITIES, next());
    let focal_point = FocalPoint { x: tenths(next() % 11), y: tenths(next() % 11) };
    Resize {
        width: side(next()),
        height: side(next()),
        format,
        fit: pick(&FITS, next()),
        quality: next().is_multiple_of(4).then(|| next() % 102),
        accept: if format == Some(OutputFormat::Auto) { accept.collect() } else { Vec::new() },
        enlarge: flag(next()),
        auto_orient: flag(next()),
        progressive: flag(next()),
        lossless: next().is_multiple_of(4).then_some(true),
        allow_partial: flag(next()),
        rotate: next().is_multiple_of(4).then(|| u16::from(next() % 5) * 90),
        flip: rare(&FLIPS, next()),
        filter: rare(&FILTERS, next()),
        gravity,
        background: rare(&BACKGROUNDS, next()).map(str::to_owned),
        metadata: rare(&[Metadata::Copyright, Metadata::None], next()),
        crop: next().is_multiple_of(4).then(|| Crop {
            left: (next() % 8).into(),
            top: (next() % 8).into(),
            width: (next() % 32).into(),
            height: (next() % 32).into(),
        }),
        focal_point: (gravity.is_none() && next().is_multiple_of(4)).then_some(focal_point),
        dpr: next().is_multiple_of(8).then(|| tenths(next() % 40)),
        blur: next().is_multiple_of(8).then(|| tenths(next())),
        sharpen: next().is_multiple_of(8).then(|| tenths(next() % 110)),
        preset: None,
    }
}

fn side(byte: u8) -> Option<u32> {
    (byte != 0).then(|| u32::from(byte - 1))
}

fn flag(byte: u8) -> Option<bool> {
    [None, Some(true), Some(false), Some(true)][usize::from(byte % 4)]
}

fn bits(byte: u8) -> impl Iterator<Item = bool> {
    (0..8).map(move |bit| byte >> bit & 1 == 1)
}

fn tenths(byte: u8) -> Thousandths {
    Thousandths::new(i64::from(byte) * 100)
}

fn pick<T: Copy>(of: &[T], byte: u8) -> Option<T> {
    of.get(usize::from(byte) % (of.len() + 1)).copied()
}

fn rare<T: Copy>(of: &[T], byte: u8) -> Option<T> {
    of.get(usize::from(byte) % (of.len() * 4)).copied()
}
