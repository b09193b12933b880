//! Work of many kinds: what a day brings.

use std::iter;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contract::request::Source;
use contract::resize::{Fit, OutputFormat, Resize};
use contract::usage::Reason;
use contract::{Digest, ResizeRequest};
use system_tests::harness::{Photo, Planned, Publisher};

use crate::{customer, now};

pub(crate) fn resize(width: u32, height: u32) -> Resize {
    Resize { width: Some(width), height: Some(height), ..Resize::default() }
}

/// A picture of a few hundred bytes, for where pictures are not the point.
pub(crate) fn tiny() -> Result<Photo> {
    let mut png = std::io::Cursor::new(Vec::new());
    let shade =
        |x: u32, y: u32| image::Rgb([u8::try_from(x * 16).unwrap_or(255), u8::try_from(y * 16).unwrap_or(255), 7]);
    image::RgbImage::from_fn(16, 16, shade).write_to(&mut png, image::ImageFormat::Png)?;
    Photo::new("tiny.png", png.into_inner())
}

/// `count` requests over a tiny picture, uploaded for one customer.
pub(crate) async fn tiny_requests(publisher: &mut Publisher, count: usize) -> Result<Vec<Planned>> {
    let (customer, photo) = (customer("tiny")?, tiny()?);
    publisher.upload(&customer, &photo).await?;
    let request = |_| Planned::request(&publisher.request(&customer, &photo, &resize(8, 8), now()), &photo);
    (0..count).map(request).collect()
}

/// `count` requests that take a while each: so that many are in work at once, and commits come while they are.
pub(crate) async fn long_requests(publisher: &mut Publisher, count: usize) -> Result<Vec<Planned>> {
    let (customer, photos) = (customer("slow")?, Photo::all()?);
    let photo = photos.iter().max_by_key(|photo| photo.sides).context("no photographs")?;
    publisher.upload(&customer, photo).await?;
    let wanted = Resize { format: Some(OutputFormat::Png), ..resize(500, 500) };
    let request = |_| Planned::request(&publisher.request(&customer, photo, &wanted, now()), photo);
    (0..count).map(request).collect()
}

/// `count` requests for three customers over real photographs at several sizes and formats; every tenth of them is
/// published twice.
pub(crate) async fn photographs(publisher: &mut Publisher, count: usize) -> Result<Vec<Planned>> {
    let photos = Photo::all()?;
    let customers = [customer("acme")?, customer("globex")?, customer("initech")?];
    for (customer, photo) in customers.iter().flat_map(|c| photos.iter().map(move |p| (c, p))) {
        publisher.upload(customer, photo).await?;
    }
    let sizes = [(320, 240), (64, 64), (200, 500), (2000, 2000)];
    let formats = [None, Some(OutputFormat::Jpeg), Some(OutputFormat::Webp), None, Some(OutputFormat::Png)];
    let fits = [Fit::Inside, Fit::Fill, Fit::Inside];
    let mut planned = Vec::new();
    for n in 0..count {
        let (width, height) = sizes[n % sizes.len()];
        // The largest size is there to show that nothing is enlarged.
        let fit = if width == 2000 { Fit::Inside } else { fits[n % fits.len()] };
        let wanted = Resize { format: formats[n % formats.len()], fit: Some(fit), ..resize(width, height) };
        let photo = &photos[n % photos.len()];
        let request = publisher.request(&customers[n % customers.len()], photo, &wanted, now());
        let request = Planned::request(&request, photo)?;
        planned.extend(iter::repeat_n(request, if n % 10 == 0 { 2 } else { 1 }));
    }
    Ok(planned)
}

/// What can't be done, each for a reason of its own; and an image inlined, which can.
pub(crate) async fn special_cases(publisher: &mut Publisher) -> Result<Vec<Planned>> {
    let customer = customer("acme")?;
    let photos = Photo::all()?;
    let photo = photos.iter().find(|photo| &*photo.name == "rocket.jpg").context("no rocket.jpg")?;
    let small = resize(100, 100);
    let mut plan = |change: &dyn Fn(&mut ResizeRequest)| {
        let mut request = publisher.request(&customer, photo, &small, now());
        change(&mut request);
        Planned::request(&request, photo)
    };
    let no_such = Digest::of(b"never uploaded");
    let damaged = photo.bytes.slice(..photo.bytes.len() / 2);
    let text = bytes::Bytes::from_static(b"this is no image");
    let stored = |photo: &bytes::Bytes| Source::stored(Digest::of(photo));
    let inline = |bytes: &[u8]| Source { inline: Some(STANDARD.encode(bytes)), ..Source::stored(photo.sha256) };
    let planned = vec![
        plan(&|r| r.source = inline(&photo.bytes))?,
        plan(&|r| r.source = inline(&damaged))?.rejected(Reason::SourceDigestMismatch),
        plan(&|r| r.source = Source::stored(no_such))?.rejected(Reason::SourceMissing),
        plan(&|r| r.source.location = Some("s3://elsewhere/secret".to_owned()))?.rejected(Reason::SourceNotAllowed),
        plan(&|r| r.source = stored(&damaged))?.rejected(Reason::TruncatedImage),
        plan(&|r| r.source = stored(&text))?.rejected(Reason::UnsupportedFormat),
        plan(&|r| r.resize.width = Some(0))?.rejected(Reason::InvalidParameters),
        plan(&|r| r.resize.quality = Some(101))?.rejected(Reason::InvalidParameters),
    ];
    for bytes in [damaged.clone(), text.clone()] {
        let (name, sha256) = ("damaged".into(), Digest::of(&bytes));
        publisher.upload(&customer, &Photo { name, sha256, bytes, ..photo.clone() }).await?;
    }
    publisher.upload(&customer, photo).await?;
    Ok(planned)
}
