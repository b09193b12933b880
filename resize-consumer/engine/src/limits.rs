//! What an image may cost, checked from its header.

use contract::units::{Bytes, Pixels};
use contract::usage::Reason;

use super::Measures;
use super::cost;
use super::fault::Fault;
use super::geometry::Plan;
use super::header::Header;
use super::params::{Target, Wanted};
use super::sniff::ImageFormat;

/// The most that one image may cost. Every value is the last that is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Limits {
    pub input_bytes: u64,
    /// Of the first frame or its canvas, and of what a TIFF's tiles hold beyond it.
    pub input_pixels: u64,
    pub input_side: u32,
    /// Of an animation, or pages. Only the first is decoded; the others are walked over.
    pub frames: u32,
    /// Of a JPEG.
    pub scans: u32,
    /// Color profile (unpacked), EXIF, XMP, text and whatever else in the input is no picture.
    pub metadata_bytes: u64,
    pub output_pixels: u64,
    pub output_side: u32,
    /// In units of a pixel gone over once, which take 1 to 3.5 ns on a core of the 2020s: by default no image costs more
    /// than some 5 seconds. A JPEG's scan is one unit a pixel; what else costs how much stands in `cost.rs`.
    pub work: u64,
    /// Of all that a job holds at once, the input aside, as `cost.rs` adds it up.
    pub job_memory_bytes: u64,
}

impl Default for Limits {
    /// In: 20 MB, 50 MP, 30,000 a side, 10,000 frames, 100 scans and 8 MB of metadata. Out: 25 MP and 30,000 a side.
    /// A job: 1,500 M units of work and 512 MB.
    fn default() -> Self {
        Self {
            input_bytes: 20_000_000,
            input_pixels: 50_000_000,
            input_side: 30_000,
            frames: 10_000,
            scans: 100,
            metadata_bytes: 8_000_000,
            output_pixels: 25_000_000,
            output_side: 30_000,
            work: 1_500_000_000,
            job_memory_bytes: 512_000_000,
        }
    }
}

/// The largest side that a format can say. Sources: VP8's 14 bits (RFC 6386, section 9.1); libjpeg's
/// `JPEG_MAX_DIMENSION`; PNG, third edition, section 11.2.1.
pub(crate) fn largest_side(format: ImageFormat) -> u32 {
    match format {
        ImageFormat::Jpeg => 65_500,
        ImageFormat::Png => i32::MAX.unsigned_abs(),
        ImageFormat::Webp => 16_383,
    }
}

impl Limits {
    pub(crate) fn check_input(&self, input: &[u8], measures: &mut Measures) -> Result<(), Fault> {
        let bytes = input.len() as u64;
        measures.input_bytes = Bytes::new(bytes)?;
        if bytes > self.input_bytes {
            return Err(Fault::input_too_large(format!("{bytes} bytes; the limit is {}", self.input_bytes)));
        }
        Ok(())
    }

    /// Sides, frames, scans and metadata. A count stops one past its limit, so it says "more than".
    pub(crate) fn check_header(&self, header: &Header, measures: &mut Measures) -> Result<(), Fault> {
        let (width, height) = header.stored;
        let pixels = header.pixels();
        // What can't even be counted is over the limit of a side.
        if let Ok(counted) = Pixels::new(pixels) {
            measures.input_pixels = counted;
        }
        let too_many = |reason, detail| Err(Fault::new(reason, detail));
        if width.max(height) > self.input_side {
            let detail = format!("{width}×{height}; the limit is {} pixels a side", self.input_side);
            return too_many(Reason::TooManyPixels, detail);
        }
        if pixels > self.input_pixels {
            let detail = format!("{width}×{height}; the limit is {} pixels in all", self.input_pixels);
            return too_many(Reason::TooManyPixels, detail);
        }
        if header.frames > self.frames {
            return too_many(Reason::TooManyFrames, format!("more than {} frames", self.frames));
        }
        if header.scans > self.scans {
            return too_many(Reason::TooManyScans, format!("more than {} scans", self.scans));
        }
        if header.metadata_bytes > self.metadata_bytes {
            let detail = format!("{} bytes of metadata; the limit is {}", header.metadata_bytes, self.metadata_bytes);
            return too_many(Reason::MetadataTooLarge, detail);
        }
        Ok(())
    }

    /// What the job takes beyond any one of these: see [`cost`].
    pub(crate) fn check_cost(&self, header: &Header, plan: &Plan, wanted: &Wanted) -> Result<(), Fault> {
        let work = cost::work(header, plan, wanted);
        if work > self.work {
            let detail = format!("{work} units of work; the limit is {}", self.work);
            return Err(Fault::new(Reason::TooMuchWork, detail));
        }
        let memory = cost::memory(header, plan, wanted);
        if memory > self.job_memory_bytes {
            let detail = format!("{memory} bytes of memory; the limit is {}", self.job_memory_bytes);
            return Err(Fault::new(Reason::TooMuchMemory, detail));
        }
        Ok(())
    }

    pub(crate) fn check_output(&self, plan: &Plan, target: Target) -> Result<(), Fault> {
        let (width, height) = plan.output;
        let (name, side) = match target {
            Target::One(format) => (format.name(), largest_side(format)),
            Target::Smallest(_) => ("picture", u32::MAX),
        };
        let side = self.output_side.min(side);
        if width.max(height) > side {
            return Err(Fault::output_too_large(format!("{width}×{height}; a {name} may have {side} pixels a side")));
        }
        if u64::from(width) * u64::from(height) > self.output_pixels {
            let limit = self.output_pixels;
            return Err(Fault::output_too_large(format!("{width}×{height}; the limit is {limit} pixels in all")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use contract::resize::{OutputFormat, Resize};

    use super::*;
    use crate::Engine;
    use crate::tests::{insert_chunk, photo, png_chunk, within};

    /// The smallest value with which the image passes, as it says itself when it does not.
    fn needed(input: &[u8], params: &Resize, none: &Limits) -> u64 {
        let rejection = Engine::default().resize(input, params, none).unwrap_err();
        rejection.detail.split(' ').next().unwrap().parse().unwrap()
    }

    #[track_caller]
    fn check(input: &[u8], params: &Resize, last: &Limits, one_less: &Limits, reason: &Reason) {
        Engine::default().resize(input, params, last).unwrap_or_else(|rejection| panic!("{rejection}"));
        let rejection = Engine::default().resize(input, params, one_less).unwrap_err();
        assert_eq!(&rejection.reason, reason, "{}", rejection.detail);
        assert_eq!(rejection.measures.output_pixels.get(), 0);
        assert!(rejection.measures.input_pixels.get() > 0, "what the header says is recorded");
    }

    #[test]
    fn every_value_is_the_last_that_is_allowed() {
        let (params, all) = (within(64, 64), Limits::default());
        let jpeg = photo("rocket.jpg");
        let to_progressive = Resize { progressive: Some(true), format: Some(OutputFormat::Jpeg), ..within(640, 427) };
        let progressive = Engine::default().resize(&jpeg, &to_progressive, &all).unwrap().bytes;
        let with = |scans| Limits { scans, ..all };
        check(&progressive, &params, &with(10), &with(9), &Reason::TooManyScans);

        let plain = crate::tests::png(&image::DynamicImage::new_rgb8(90, 70));
        let text = insert_chunk(&plain, &png_chunk(*b"tEXt", &[b'x'; 1_000]));
        let with = |metadata_bytes| Limits { metadata_bytes, ..all };
        let bytes = needed(&text, &params, &with(0));
        assert!(bytes >= 1_000);
        check(&text, &params, &with(bytes), &with(bytes - 1), &Reason::MetadataTooLarge);

        let animated = insert_chunk(&plain, &png_chunk(*b"acTL", &[0, 0, 0, 5, 0, 0, 0, 0]));
        let with = |frames| Limits { frames, ..all };
        let rejection = Engine::default().resize(&animated, &params, &with(4)).unwrap_err();
        assert_eq!((rejection.reason, &rejection.detail[..]), (Reason::TooManyFrames, "more than 4 frames"));

        for input in [&jpeg, &progressive, &text] {
            let with = |work| Limits { work, ..all };
            let pixels = needed(input, &params, &with(0));
            check(input, &params, &with(pixels), &with(pixels - 1), &Reason::TooMuchWork);
            let with = |job_memory_bytes| Limits { job_memory_bytes, ..all };
            let bytes = needed(input, &params, &with(0));
            check(input, &params, &with(bytes), &with(bytes - 1), &Reason::TooMuchMemory);
        }
    }
}
