use std::io::Cursor;

use image::codecs::gif::GifEncoder;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

use super::*;
use crate::Engine;
use crate::tests::{edit_jpeg, insert_chunk, lossless_webp, photo, png, png_chunk, within};

fn sample() -> DynamicImage {
    RgbImage::from_fn(40, 30, |x, y| Rgb([x, y, x * y].map(|c| u8::try_from(c % 256).unwrap()))).into()
}

fn written(format: ImageFormat, picture: &DynamicImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn header(input: &[u8]) -> Header {
    read(input, crate::sniff::sniff(input).unwrap(), &Limits::default()).unwrap()
}

fn refused(input: &[u8], limits: &Limits) -> (Reason, String) {
    let read = read(input, crate::sniff::sniff(input).unwrap(), limits);
    let checked = read.and_then(|header| limits.check_header(&header, &mut crate::Measures::default()));
    let fault = checked.expect_err("should be refused");
    (fault.reason, fault.detail)
}

#[track_caller]
fn check_refused(input: &[u8], reason: &Reason, words: &str) {
    let (refused, detail) = refused(input, &Limits::default());
    assert!(&refused == reason && detail.contains(words), "{refused:?}: {detail}");
}

/// A color profile's header, which says that it has so many bytes.
fn profile(says: u32, bytes: usize) -> Vec<u8> {
    let mut profile = vec![7; bytes];
    profile[..4].copy_from_slice(&says.to_be_bytes());
    profile[36..40].copy_from_slice(b"acsp");
    profile
}

/// As deflate has it without compression (RFC 1951, section 3.2.4).
fn zlib(data: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let mut blocks = data.chunks(0xFFFF).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).unwrap();
        stream.push(u8::from(blocks.peek().is_none()));
        stream.extend([length.to_le_bytes(), (!length).to_le_bytes()].as_flattened());
        stream.extend(block);
    }
    stream.extend([0; 4]);
    stream
}

fn with_iccp(zlib: &[u8]) -> Vec<u8> {
    insert_chunk(&png(&sample()), &png_chunk(*b"iCCP", &[b"name\0\0", zlib].concat()))
}

#[test]
fn every_format_says_what_it_is() {
    let rgba = DynamicImage::from(sample().to_rgba8());
    let gray = DynamicImage::from(sample().to_luma8());
    let wide = DynamicImage::from(sample().to_rgb16());
    for (picture, format, channels, sample_bytes, has_alpha) in [
        (&sample(), ImageFormat::Png, 3, 1, false),
        (&rgba, ImageFormat::Png, 4, 1, true),
        (&gray, ImageFormat::Png, 1, 1, false),
        (&wide, ImageFormat::Png, 3, 2, false),
        (&sample(), ImageFormat::Tiff, 3, 1, false),
        (&rgba, ImageFormat::Tiff, 4, 1, true),
        (&gray, ImageFormat::Tiff, 1, 1, false),
        (&wide, ImageFormat::Tiff, 3, 2, false),
        (&sample(), ImageFormat::Bmp, 3, 1, false),
        (&rgba, ImageFormat::Bmp, 4, 1, true),
        (&sample(), ImageFormat::Gif, 3, 1, false),
        (&sample(), ImageFormat::WebP, 3, 1, false),
        (&sample(), ImageFormat::Jpeg, 3, 1, false),
        (&gray, ImageFormat::Jpeg, 1, 1, false),
    ] {
        let header = header(&written(format, picture));
        let what = format!("{format:?} {:?}", picture.color());
        assert_eq!(header.stored, (40, 30), "{what}");
        assert_eq!(
            (header.channels, header.sample_bytes, header.has_alpha),
            (channels, sample_bytes, has_alpha),
            "{what}"
        );
        assert_eq!((header.frames, header.scans, header.truncated), (1, 1, false), "{what}");
        assert_eq!((header.icc, header.metadata_bytes.min(99)), (None, header.metadata_bytes), "{what}");
    }
}

#[test]
fn every_header_that_is_cut_short_is_truncated_or_corrupt() {
    for format in
        [ImageFormat::Png, ImageFormat::Tiff, ImageFormat::Bmp, ImageFormat::Gif, ImageFormat::WebP, ImageFormat::Jpeg]
    {
        let whole = written(format, &sample());
        let read_part = |length: usize| {
            let kind = crate::sniff::sniff(&whole[..length]).ok()?;
            Some(read(&whole[..length], kind, &Limits::default()))
        };
        let mut reasons = Vec::new();
        for length in 0..whole.len() {
            match read_part(length) {
                None => assert!(length < 18, "{format:?} of {length} bytes is nothing"),
                Some(Ok(header)) => assert_eq!(header.stored, (40, 30)),
                Some(Err(fault)) => reasons.push(fault.reason),
            }
        }
        assert!(reasons.contains(&Reason::TruncatedImage), "{format:?}");
        let expected = [Reason::TruncatedImage, Reason::CorruptImage];
        assert!(reasons.iter().all(|reason| expected.contains(reason)), "{format:?}");
    }
}

#[test]
fn a_jpegs_segments() {
    let plain = photo("rocket.jpg");
    let segment = |marker: u8, data: &[u8]| {
        let length = u16::try_from(data.len() + 2).unwrap().to_be_bytes();
        [&[0xFF, marker][..], &length, data].concat()
    };
    let with = |parts: &[Vec<u8>]| [&plain[..2], &parts.concat(), &plain[2..]].concat();
    let icc =
        |number: u8, count: u8, data: &[u8]| segment(0xE2, &[&b"ICC_PROFILE\0"[..], &[number, count], data].concat());
    let own = header(&plain).metadata_bytes;

    for (parts, expected) in [
        (vec![icc(2, 2, b"pool"), icc(1, 2, b"whirl")], Some(&b"whirlpool"[..])),
        (vec![icc(1, 1, b"whole")], Some(b"whole")),
        (vec![icc(1, 2, b"half")], None),
        (vec![icc(1, 2, b"once"), icc(1, 2, b"twice")], None),
        (vec![icc(1, 2, b"of two"), icc(2, 3, b"of three")], None),
        (vec![icc(0, 1, b"none")], None),
        (vec![segment(0xE2, b"ICC_PROFILE\0\x01")], None),
    ] {
        let header = header(&with(&parts));
        assert_eq!(header.icc.as_deref(), expected);
        assert_eq!(header.metadata_bytes - own, parts.iter().map(|part| part.len() as u64 - 4).sum::<u64>());
    }

    let exif = |value| segment(0xE1, &[b"Exif\0\0", &crate::exif::tests::block(value, true)[..]].concat());
    let xmp = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>");
    let turned = header(&with(&[xmp, b"junk\xFF\0 \xFF\xFF".to_vec(), exif(6), exif(3), segment(0xFE, b"")]));
    assert_eq!(turned.orientation, Orientation::from_exif(6).unwrap(), "the first counts");
    assert_eq!(turned.stored, (640, 427));

    let frame = |change: fn(&mut Vec<u8>)| {
        edit_jpeg(&plain, |marker, mut segment| {
            if marker == 0xC0 {
                change(&mut segment);
            }
            Some(segment)
        })
    };
    check_refused(&frame(|segment| segment[4] = 12), &Reason::UnsupportedFeature, "12 bits per sample");
    check_refused(&frame(|segment| segment[1] = 0xC3), &Reason::UnsupportedFeature, "a lossless JPEG");
    check_refused(&frame(|segment| segment[1] = 0xC5), &Reason::UnsupportedFeature, "a hierarchical JPEG");
    check_refused(&frame(|segment| segment[9] = 2), &Reason::UnsupportedFeature, "2 components");
    check_refused(&frame(|segment| segment[11] = 0), &Reason::CorruptImage, "frame header");
    check_refused(&with(&[vec![0xFF, 0xD9]]), &Reason::CorruptImage, "ends before");
    check_refused(&with(&[vec![0xFF, 0xD8]]), &Reason::CorruptImage, "twice");
    check_refused(&frame(|segment| segment.extend(segment.clone())), &Reason::CorruptImage, "more than one");

    let large: Vec<_> = (0..130).map(|_| segment(0xE5, &vec![0; 65_000])).collect();
    check_refused(&with(&large), &Reason::MetadataTooLarge, "the limit is 8000000");
}

#[test]
fn a_jpegs_scans_and_what_they_hold() {
    let to_progressive = contract::resize::Resize {
        format: Some(contract::resize::OutputFormat::Jpeg),
        progressive: Some(true),
        ..within(640, 427)
    };
    let progressive =
        Engine::default().resize(&photo("rocket.jpg"), &to_progressive, &Limits::default()).unwrap().bytes;
    let header = header(&progressive);
    assert_eq!(header.scans, 10, "libjpeg's script for color");
    // 40×27 MCUs of 16×16: four blocks of luma and one each of chroma.
    assert_eq!(header.held_bytes, 40 * 27 * 6 * 128);

    // A thousand empty scans, with tables between them that look like more.
    let end = progressive.len() - 2;
    let scan = b"\xFF\xDA\0\x08\x01\x01\0\0\x3F\0\xFF\xFE\0\x06\xFF\xDA\xFF\xDA";
    let many = [&progressive[..end], &scan.repeat(1_000), b"\xFF\xD9\xFF\xDA"].concat();
    let count = |limit| read(&many, InputFormat::Jpeg, &Limits { scans: limit, ..Limits::default() }).unwrap().scans;
    assert_eq!((count(5_000), count(1_010), count(100), count(1)), (1_010, 1_010, 101, 2));
    check_refused(&many, &Reason::TooManyScans, "more than 100 scans");
}

#[test]
fn a_pngs_chunks() {
    let plain = png(&sample());
    let with = |kind: [u8; 4], data: &[u8]| header(&insert_chunk(&plain, &png_chunk(kind, data)));
    assert!(with(*b"tRNS", &[0; 6]).has_alpha);
    assert_eq!(with(*b"acTL", b"\0\0\0\x07\0\0\0\0").frames, 7);
    assert_eq!(with(*b"tEXt", b"").metadata_bytes, 0);
    assert_eq!(with(*b"tEXt", b"Author\0me").metadata_bytes, 9);
    assert_eq!(with(*b"fdAT", b"four pixels").metadata_bytes, 0);
    let turned = with(*b"eXIf", &crate::exif::tests::block(8, false));
    assert_eq!(turned.orientation, Orientation::from_exif(8).unwrap());

    let frames = insert_chunk(&plain, &png_chunk(*b"acTL", b"\0\0\x27\x11\0\0\0\0"));
    check_refused(&frames, &Reason::TooManyFrames, "more than 10000 frames");
    let apple = [&plain[..8], &png_chunk(*b"CgBI", &[0; 4]), &plain[8..]].concat();
    check_refused(&apple, &Reason::UnsupportedFeature, "CgBI");
}

#[test]
fn a_profile_is_unpacked_as_far_as_it_says_and_no_further() {
    for (says, bytes, expected) in [
        (500, 500, Some(500)),
        (128, 128, Some(128)),
        (100_000, 100_000, Some(100_000)),
        (500, 900, Some(500)),
        (500, 499, None),
        (127, 500, None),
        (0, 500, None),
    ] {
        let header = header(&with_iccp(&zlib(&profile(says, bytes))));
        assert_eq!(header.icc.as_ref().map(Vec::len), expected, "{bytes} bytes that say {says}");
        if let Some(icc) = header.icc {
            assert_eq!(icc, profile(says, bytes)[..icc.len()]);
            assert_eq!(header.metadata_bytes, icc.len() as u64);
        }
    }
    assert_eq!(header(&with_iccp(&zlib(&[0; 500]))).icc, None, "no profile's signature");
    assert_eq!(header(&with_iccp(b"no zlib stream")).icc, None);
    let whole = zlib(&profile(500, 500));
    for cut in [0, 1, 2, 100, 300, whole.len() - 60] {
        assert_eq!(header(&with_iccp(&whole[..cut])).icc, None, "{cut} bytes");
    }
    check_refused(&with_iccp(&zlib(&profile(8_000_001, 200))), &Reason::MetadataTooLarge, "8000001 bytes");
}

#[test]
fn a_profile_that_unpacks_to_255_mb_costs_nothing() {
    // 255 MB of nothing are 260 KB: what a PNG's pixels are packed to.
    let mut black = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut black, 16_000, 16_000);
    encoder.set_filter(::png::Filter::NoFilter);
    encoder.set_compression(::png::Compression::Fast);
    encoder.write_header().unwrap().write_image_data(&vec![0; 16_000 * 16_000]).unwrap();
    let mut stream = Vec::new();
    let mut rest = &black[8..];
    while let [l0, l1, l2, l3, kind @ ..] = rest {
        let length = index(u32::from_be_bytes([*l0, *l1, *l2, *l3]));
        if kind.starts_with(b"IDAT") {
            stream.extend(&kind[4..4 + length]);
        }
        rest = &kind[4 + length + 4..];
    }
    assert!(stream.len() < 2_000_000, "{} bytes", stream.len());
    let bomb = with_iccp(&stream);
    let clock = std::time::Instant::now();
    assert_eq!(header(&bomb).icc, None);
    let micros = clock.elapsed().as_micros();
    assert!(micros < 2_000, "{micros} µs for {} bytes", bomb.len());
}

#[test]
fn a_webps_container_may_be_wrong_in_small_things() {
    let plain = lossless_webp(&sample(), Some(crate::exif::tests::block(6, true)));
    let found = header(&plain);
    assert_eq!(found.orientation, Orientation::from_exif(6).unwrap());
    assert!(found.lossless && !found.truncated);
    let chunks = found.frame.clone().unwrap().chunks;
    assert_eq!(&plain[chunks.start..chunks.start + 4], b"VP8L");

    let sized = |add: i64| {
        let mut bytes = plain.clone();
        let size = u32::try_from(i64::try_from(plain.len()).unwrap() - 8 + add).unwrap();
        bytes[4..8].copy_from_slice(&size.to_le_bytes());
        header(&bytes)
    };
    for (add, truncated) in [(-1, false), (1, false), (2, true), (1_000_000, true)] {
        let wrong = sized(add);
        assert_eq!((wrong.stored, wrong.truncated, wrong.frame), ((40, 30), truncated, found.frame.clone()), "{add}");
    }
    let cut = header(&plain[..chunks.end - 9]);
    assert!(cut.truncated);
    assert_eq!(cut.frame.unwrap().chunks.end, chunks.end - 9);
}

#[test]
fn an_animated_webps_frames() {
    let still = lossless_webp(&sample(), None);
    let picture = &still[header(&still).frame.unwrap().chunks];
    let chunk = |kind: &[u8; 4], data: &[u8]| {
        [kind, &u32::try_from(data.len()).unwrap().to_le_bytes()[..], data, &[0][..data.len() % 2]].concat()
    };
    let animation = |frames: usize, left: u8, width: u8| {
        let frame = [&[left, 0, 0, 4, 0, 0, width - 1, 0, 0, 29, 0, 0, 9, 0, 0, 0][..], picture].concat();
        let chunks = [
            chunk(b"VP8X", &[0x02, 0, 0, 0, 59, 0, 0, 49, 0, 0]),
            chunk(b"ANIM", &[0; 6]),
            chunk(b"ANMF", &frame).repeat(frames),
        ];
        chunk(b"RIFF", &[b"WEBP", &chunks.concat()[..]].concat())
    };
    let found = header(&animation(3, 5, 40));
    assert_eq!((found.stored, found.frames, found.has_alpha, found.channels), ((60, 50), 3, true, 4));
    let frame = found.frame.unwrap();
    assert_eq!((frame.left, frame.top, frame.width, frame.height), (10, 8, 40, 30));
    assert_eq!(&animation(3, 5, 40)[frame.chunks], picture);
    check_refused(&animation(1, 11, 40), &Reason::CorruptImage, "first frame");
    check_refused(&animation(1, 5, 39), &Reason::CorruptImage, "first frame");
    check_refused(&animation(10_001, 0, 40), &Reason::TooManyFrames, "10000");
}

#[test]
fn a_gifs_frames() {
    let animation = |frames: usize| {
        let mut bytes = Vec::new();
        let mut encoder = GifEncoder::new(&mut bytes);
        for _ in 0..frames {
            encoder.encode_frame(image::Frame::new(sample().to_rgba8())).unwrap();
        }
        drop(encoder);
        bytes
    };
    assert_eq!(header(&animation(3)).frames, 3);
    let three = animation(3);
    let limits = |frames| Limits { frames, ..Limits::default() };
    assert_eq!(read(&three, InputFormat::Gif, &limits(1)).unwrap().frames, 2, "counting stops");
    assert_eq!(refused(&three, &limits(2)).0, Reason::TooManyFrames);
    assert_eq!(header(&three[..three.len() - 20]).frames, 3, "what is cut off the last does not matter");

    // The first frame is 65,535 a side, whatever the screen says.
    let mut large = animation(1);
    let frame = large.iter().position(|byte| *byte == 0x2C).unwrap();
    large[frame + 5..frame + 9].fill(0xFF);
    check_refused(&large, &Reason::TooManyPixels, "65535×65535 in a frame");
    check_refused(b"GIF89a\x01\0\x01\0\0\0\0\x3B", &Reason::CorruptImage, "no picture");
    check_refused(b"GIF89a\0\0\x01\0\0\0\0\x2C\0\0\0\0\x01\0\x01\0\0\x02\x01\0\0", &Reason::CorruptImage, "0×1");
}

#[test]
fn a_tiffs_directories() {
    let plain = written(ImageFormat::Tiff, &sample());
    let entry = |tag: u16| {
        let kind = tag.to_le_bytes();
        let first = index(u32::from_le_bytes(at(&plain, 4).unwrap())) + 2;
        (first..).step_by(12).find(|place| plain[*place..].starts_with(&kind)).unwrap()
    };
    let set = |tag: u16, value: u16| {
        let mut bytes = plain.clone();
        let place = entry(tag);
        bytes[place + 2..place + 4].copy_from_slice(&[3, 0]);
        bytes[place + 4..place + 8].copy_from_slice(&[1, 0, 0, 0]);
        bytes[place + 8..place + 10].copy_from_slice(&value.to_le_bytes());
        bytes
    };
    for (tag, value, words) in [
        (259, 7, "compressed by JPEG"),
        (259, 50_000, "Zstandard"),
        (259, 99, "method 99"),
        (262, 3, "a palette"),
        (262, 6, "YCbCr"),
        (258, 12, "3 RGB samples of 12 bits"),
        (277, 2, "2 RGB samples"),
        (277, 9, "9 RGB samples"),
    ] {
        check_refused(&set(tag, value), &Reason::UnsupportedFeature, words);
    }
    check_refused(&set(256, 0), &Reason::CorruptImage, "0×30");

    // A chain of directories that bites its tail.
    let first = u32::from_le_bytes(at(&plain, 4).unwrap());
    let count = u16::from_le_bytes(at(&plain, index(first)).unwrap());
    let next = index(first) + 2 + 12 * usize::from(count);
    let mut circle = plain.clone();
    circle[next..next + 4].copy_from_slice(&first.to_le_bytes());
    assert!(header(&circle).frames <= 2);
}

#[test]
fn a_bmps_headers() {
    let plain = written(ImageFormat::Bmp, &sample());
    let set = |place: usize, value: u32| {
        let mut bytes = plain.clone();
        bytes[place..place + 4].copy_from_slice(&value.to_le_bytes());
        bytes
    };
    assert_eq!(header(&set(22, (-30_i32).cast_unsigned())).stored, (40, 30));
    check_refused(&set(18, (-40_i32).cast_unsigned()), &Reason::CorruptImage, "-40");
    check_refused(&set(22, 0), &Reason::CorruptImage, "40×0");
    check_refused(&set(30, 4), &Reason::UnsupportedFeature, "a JPEG inside");
    check_refused(&set(14, 64), &Reason::UnsupportedFeature, "64 bytes");
    check_refused(&set(22, 30_001), &Reason::TooManyPixels, "30000 pixels a side");
}
