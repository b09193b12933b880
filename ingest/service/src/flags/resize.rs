//! Flags for what to make of an image, by the names of the request's own fields.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use contract::resize::{Crop, Filter, Fit, Flip, FocalPoint, Gravity, Metadata, OutputFormat, Resize, Thousandths};
use serde::de::DeserializeOwned;

/// All but the sizes and the format, of which some commands take several.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "What to make of an image")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct ResizeArgs {
    /// How an image meets the box [default: inside]
    #[arg(long, value_parser = word::<Fit>(&["inside", "outside", "cover", "contain", "fill"]))]
    fit: Option<Fit>,

    /// Let the output show more pixels than the image has
    #[arg(long)]
    enlarge: bool,

    /// Device pixel ratio: multiplies width and height
    #[arg(long, value_name = "RATIO")]
    dpr: Option<Thousandths>,

    /// Cut this out of the upright image first, in pixels
    #[arg(long, value_name = "LEFT,TOP,WIDTH,HEIGHT", value_parser = crop)]
    crop: Option<Crop>,

    /// Which part `cover` keeps, and where `contain` puts the image [default: center]
    #[arg(long, value_parser = word::<Gravity>(&GRAVITIES))]
    gravity: Option<Gravity>,

    /// The point that `cover` keeps as near to the middle as it can, from 0,0 (upper left) to 1,1
    #[arg(long, value_name = "X,Y", value_parser = focal_point, conflicts_with = "gravity")]
    focal_point: Option<FocalPoint>,

    /// Around the image for `contain`, behind what is transparent in a JPEG: #rrggbb or #rrggbbaa [default: white]
    #[arg(long, value_name = "COLOR")]
    background: Option<String>,

    /// Leave the image as it is stored, whatever its EXIF says
    #[arg(long)]
    no_auto_orient: bool,

    /// Degrees clockwise: 90, 180 or 270
    #[arg(long, value_name = "DEGREES")]
    rotate: Option<u16>,

    /// Mirror the image, before --rotate
    #[arg(long, value_parser = word::<Flip>(&["horizontal", "vertical", "both"]))]
    flip: Option<Flip>,

    /// How pixels are weighed [default: lanczos3]
    #[arg(long, value_parser = word::<Filter>(&FILTERS))]
    filter: Option<Filter>,

    /// Blur the output: standard deviation in pixels
    #[arg(long, value_name = "SIGMA")]
    blur: Option<Thousandths>,

    /// Sharpen the output: standard deviation in pixels
    #[arg(long, value_name = "SIGMA")]
    sharpen: Option<Thousandths>,

    /// For --format auto: what the reader can show; may be repeated [default: jpeg and png]
    #[arg(long, value_parser = word::<OutputFormat>(&["jpeg", "png", "webp"]))]
    accept: Vec<OutputFormat>,

    /// For lossy formats [default: 80]
    #[arg(long, value_name = "1-100", value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: Option<u8>,

    /// A progressive JPEG
    #[arg(long)]
    progressive: bool,

    /// A lossless WebP
    #[arg(long)]
    lossless: bool,

    /// What is kept of the image's metadata [default: none]
    #[arg(long, value_parser = word::<Metadata>(&["none", "copyright"]))]
    metadata: Option<Metadata>,

    /// Make do with what there is of an image that is cut short or damaged
    #[arg(long)]
    allow_partial: bool,
}

const GRAVITIES: [&str; 9] =
    ["center", "north", "north_east", "east", "south_east", "south", "south_west", "west", "north_west"];
const FILTERS: [&str; 8] = ["lanczos3", "catmull_rom", "mitchell", "gaussian", "hamming", "bilinear", "box", "nearest"];

impl ResizeArgs {
    /// The parameters, without sizes, format and preset.
    pub fn resize(&self) -> Resize {
        Resize {
            fit: self.fit,
            enlarge: self.enlarge.then_some(true),
            dpr: self.dpr,
            crop: self.crop,
            gravity: self.gravity,
            focal_point: self.focal_point,
            background: self.background.clone(),
            auto_orient: self.no_auto_orient.then_some(false),
            rotate: self.rotate,
            flip: self.flip,
            filter: self.filter,
            blur: self.blur,
            sharpen: self.sharpen,
            accept: self.accept.clone(),
            quality: self.quality,
            progressive: self.progressive.then_some(true),
            lossless: self.lossless.then_some(true),
            metadata: self.metadata,
            allow_partial: self.allow_partial.then_some(true),
            ..Resize::default()
        }
    }
}

/// One of the words by which a request's field knows its values.
pub fn word<T>(words: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words).try_map(|word| serde_json::from_value(word.into()))
}

fn crop(text: &str) -> Result<Crop, String> {
    let sides: Result<Vec<u32>, _> = text.split(',').map(str::parse).collect();
    match sides.as_deref() {
        Ok(&[left, top, width, height]) => Ok(Crop { left, top, width, height }),
        _ => Err("not four numbers of pixels, such as 10,0,300,200".to_owned()),
    }
}

fn focal_point(text: &str) -> Result<FocalPoint, String> {
    let (x, y) = text.split_once(',').ok_or("not two numbers such as 0.5,0.2")?;
    Ok(FocalPoint { x: x.parse()?, y: y.parse()? })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        resize: ResizeArgs,
    }

    fn read(flags: &str) -> Result<serde_json::Value, clap::Error> {
        let cli = Cli::try_parse_from(std::iter::once("resize").chain(flags.split_whitespace()))?;
        Ok(serde_json::to_value(cli.resize.resize()).unwrap())
    }

    #[test]
    fn flags_say_what_the_fields_say() {
        for (flags, fields) in [
            ("", r"{}"),
            ("--fit contain --background #102030 --dpr 1.5", r##"{"fit":"contain","background":"#102030","dpr":1.5}"##),
            ("--crop 1,2,3,4 --rotate 90", r#"{"crop":{"left":1,"top":2,"width":3,"height":4},"rotate":90}"#),
            ("--focal-point 0.25,1 --fit cover", r#"{"fit":"cover","focal_point":{"x":0.25,"y":1.0}}"#),
            ("--no-auto-orient --enlarge", r#"{"enlarge":true,"auto_orient":false}"#),
            ("--accept webp --accept jpeg", r#"{"accept":["webp","jpeg"]}"#),
            ("--blur 0.3 --sharpen 1", r#"{"blur":0.3,"sharpen":1.0}"#),
        ] {
            let expected: serde_json::Value = serde_json::from_str(fields).unwrap();
            assert_eq!(read(flags).unwrap(), expected, "{flags}");
        }
        for flags in
            ["--fit stretch", "--crop 1,2,3", "--crop -1,0,1,1", "--focal-point 1", "--quality 0", "--accept auto"]
        {
            assert!(read(flags).is_err(), "{flags}");
        }
    }

    #[test]
    fn every_word_is_one_of_the_contract() {
        for gravity in GRAVITIES {
            read(&format!("--gravity {gravity}")).unwrap();
        }
        for filter in FILTERS {
            read(&format!("--filter {filter}")).unwrap();
        }
    }
}
