//! Every file of the corpus, with several parameters, and next to what Pillow makes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use contract::resize::{Filter, Fit, Flip, Gravity, OutputFormat, Resize, Thousandths};
use engine::{Limits, inspect};

use crate::reference::{self, Picture, Reference, SIDE};
use crate::watch::{Allowed, Watch, alone, outcome};

/// Files that differ from Pillow's, what the difference is, and why that is right.
const DIFFERENCES: &str = include_str!("differences.tsv");

/// Pillow's names of what the engine reads, and of what Pillow can't tell, such as one of these that is broken.
const FORMATS: [&str; 8] = ["JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "-"];

/// Of 255, over all channels, color premultiplied.
const MEAN_TOLERANCE: f64 = 2.0;

#[test]
fn every_file() {
    let limits = Limits::default();
    // This crate itself is not optimized in tests.
    let mut watch =
        Watch::start(alone(), Allowed { cpu: Duration::from_secs(8), memory_bytes: limits.job_memory_bytes });
    let sets = parameter_sets();
    let files = reference::read();
    let mut differences = BTreeMap::new();
    for (number, file) in files.iter().enumerate() {
        let input = fs::read(reference::folder().join(&file.path)).unwrap();
        if let Some(difference) = difference(&mut watch, file, &input, &limits) {
            differences.insert(file.path.as_str(), difference);
        }
        for turn in [0, 1] {
            let (name, params) = &sets[(number + turn * 5) % sets.len()];
            if let Some(Ok(output)) = watch.resize(&format!("{} {name}", file.path), &input, params, &limits) {
                let written = inspect(&output.bytes, &limits).expect("our own output");
                assert_eq!(written.stored, (output.width, output.height), "{} {name}", file.path);
            }
        }
    }
    compare_with_list(&mut watch, &differences);
    watch.finish();
}

fn parameter_sets() -> Vec<(&'static str, Resize)> {
    use OutputFormat::{Auto, Jpeg, Png, Webp};
    let to = |format, width, height| Resize { format: Some(format), width, height, ..Resize::default() };
    vec![
        ("a thumbnail", to(Jpeg, Some(64), Some(64))),
        ("one pixel", Resize { fit: Some(Fit::Cover), ..to(Webp, Some(1), Some(1)) }),
        ("one column", Resize { fit: Some(Fit::Fill), enlarge: Some(true), ..to(Png, Some(1), Some(300)) }),
        (
            "covered",
            Resize { fit: Some(Fit::Cover), gravity: Some(Gravity::SouthEast), ..to(Jpeg, Some(90), Some(47)) },
        ),
        ("auto", Resize { accept: vec![Jpeg, Png, Webp], ..to(Auto, Some(120), None) }),
        (
            "contained",
            Resize { fit: Some(Fit::Contain), background: Some("#10203040".into()), ..to(Webp, Some(99), Some(33)) },
        ),
        ("lossless", Resize { lossless: Some(true), rotate: Some(270), ..to(Webp, None, Some(50)) }),
        (
            "all effects",
            Resize {
                blur: Some(Thousandths::new(1_500)),
                sharpen: Some(Thousandths::new(800)),
                flip: Some(Flip::Both),
                filter: Some(Filter::Mitchell),
                ..to(Png, Some(80), Some(80))
            },
        ),
        ("partial", Resize { allow_partial: Some(true), progressive: Some(true), ..to(Jpeg, Some(101), None) }),
        ("large", Resize { enlarge: Some(true), ..to(Jpeg, Some(500), Some(500)) }),
        ("as it is", to(Jpeg, None, None)),
    ]
}

/// How our answer differs from Pillow's: the word for the list, and more for the person who looks.
type Difference = (String, String);

fn difference(watch: &mut Watch, file: &Reference, input: &[u8], limits: &Limits) -> Option<Difference> {
    let params = Resize {
        width: Some(SIDE),
        height: Some(SIDE),
        fit: Some(Fit::Fill),
        enlarge: Some(true),
        filter: Some(Filter::Bilinear),
        format: Some(OutputFormat::Png),
        ..Resize::default()
    };
    let answer = watch.resize(&file.path, input, &params, limits)?;
    let ours = FORMATS.contains(&file.format.as_str());
    match (&answer, &file.picture) {
        (Ok(output), Some(picture)) if ours => {
            let upright = inspect(input, limits).unwrap().upright;
            if upright != (picture.width, picture.height) {
                let theirs = format!("{}x{}", picture.width, picture.height);
                return Some((format!("{}x{}", upright.0, upright.1), theirs));
            }
            let difference = mean_difference(&output.bytes, picture);
            (difference > MEAN_TOLERANCE).then(|| ("pixels".to_owned(), format!("{difference:.1} in the mean")))
        }
        (Err(_), None) if ours => None,
        _ if !ours && outcome(&answer) == "unsupported_format" => None,
        _ => Some((outcome(&answer), answer.err().map(|rejection| rejection.detail).unwrap_or_default())),
    }
}

fn mean_difference(png: &[u8], picture: &Picture) -> f64 {
    let ours = image::load_from_memory(png).unwrap().to_rgba8();
    let sum: u32 = premultiplied(&ours).zip(premultiplied(&picture.pixels)).map(|(a, b)| a.abs_diff(b)).sum();
    f64::from(sum) / f64::from(SIDE * SIDE * 4)
}

fn premultiplied(pixels: &[u8]) -> impl Iterator<Item = u32> {
    pixels.chunks_exact(4).flat_map(|pixel| {
        let alpha = u32::from(pixel[3]);
        [pixel[0], pixel[1], pixel[2], 255].map(|channel| u32::from(channel) * alpha / 255)
    })
}

/// Each difference is in the list, with a reason; nothing else is.
fn compare_with_list(watch: &mut Watch, found: &BTreeMap<&str, Difference>) {
    let mut listed = BTreeSet::new();
    for line in DIFFERENCES.lines().filter(|line| !line.starts_with('#')) {
        let [path, difference, reason] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line:?} in differences.tsv is not path, difference and reason");
        };
        assert!(!reason.is_empty() && listed.insert(path), "{line} in differences.tsv");
        let actual = found.get(path).map_or("nothing", |(word, _)| word);
        if actual != difference {
            watch.fail(path, format!("listed with {difference}, but differs by {actual}"));
        }
    }
    for (path, (word, detail)) in found {
        if !listed.contains(path) {
            watch.fail(path, format!("differs from Pillow's: {word} ({detail}); explain it in differences.tsv"));
        }
    }
}
