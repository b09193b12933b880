//! libwebp, safely: all of it that the engine uses. Nothing else in the engine calls C by itself.
//!
//! It starts no thread: neither `use_threads` nor `thread_level` is ever set.
#![expect(unsafe_code, reason = "libwebp is a C library; each block says why it is sound")]

use std::mem::MaybeUninit;
use std::{ptr, slice};

use libwebp_sys::{
    VP8StatusCode, WEBP_CSP_MODE, WebPConfig, WebPDecode, WebPDecoderConfig, WebPEncode, WebPEncodingError,
    WebPIDecode, WebPIDecodedArea, WebPIDelete, WebPIUpdate, WebPInitConfig, WebPInitDecoderConfig, WebPPicture,
    WebPPictureFree, WebPPictureImportRGB, WebPPictureImportRGBA, WebPPictureInit, WebPRGBABuffer, WebPYUVABuffer,
};

/// Where pixels are, or go to, with the distance in bytes from one row to the next.
#[derive(Debug)]
pub(crate) enum Pixels<'a> {
    Rgb(&'a mut [u8], usize),
    Rgba(&'a mut [u8], usize),
    /// Y, U and V, 4:2:0; the distances of Y and of both others.
    Planes([&'a mut [u8]; 3], [usize; 2]),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It ends too early.
    Truncated,
    Corrupt,
    OutOfMemory,
    /// The caller's: libwebp and it are of different opinions about sides, or about what there is room for.
    Refused,
}

/// Decodes `VP8 ` or `VP8L`, or `ALPH` and `VP8 `, without the container, to just these sides. When it succeeds, every
/// pixel within them has been written. Without the loop filter it is faster, and blocks may show.
pub(crate) fn decode(chunks: &[u8], sides: (u32, u32), loop_filter: bool, to: Pixels<'_>) -> Result<(), Failure> {
    let mut config = decoder(loop_filter, to)?;
    // SAFETY: the input is read within its length. `config` is initialized, and its buffers are slices that `to`
    // borrows until the end of this function; libwebp checks that what it decodes fits into them.
    let status = unsafe { WebPDecode(chunks.as_ptr(), chunks.len(), &raw mut config) };
    check(status, chunks)?;
    // Of a smaller picture it would have left a part of the buffers as it was.
    if sides_of(&config) == Some(sides) { Ok(()) } else { Err(Failure::Refused) }
}

/// [`decode`] as far as it goes: how many rows from the top have been written whole.
pub(crate) fn decode_rows(chunks: &[u8], sides: (u32, u32), to: Pixels<'_>) -> Result<u32, Failure> {
    let mut config = decoder(true, to)?;
    // SAFETY: `config` is initialized, doesn't move, and outlives the decoder, as do the slices that its buffers are;
    // with no input given, none is read.
    let decoder = unsafe { WebPIDecode(ptr::null(), 0, &raw mut config) };
    if decoder.is_null() {
        return Err(Failure::OutOfMemory);
    }
    let mut rows = 0;
    // SAFETY: the decoder is not null, is used by nobody else, and is deleted once, at the end; the input outlives it
    // and is read within its length. As above, libwebp checks that what it decodes fits. `rows` is written to.
    let (status, buffer) = unsafe {
        let status = WebPIUpdate(decoder, chunks.as_ptr(), chunks.len());
        let none = ptr::null_mut();
        let buffer = WebPIDecodedArea(decoder, none, none, none, &raw mut rows);
        WebPIDelete(decoder);
        (status, buffer)
    };
    match (check(status, chunks), u32::try_from(rows)) {
        (Err(failure @ (Failure::OutOfMemory | Failure::Refused)), _) => Err(failure),
        (result, Ok(rows)) if rows > 0 && !buffer.is_null() => match (sides_of(&config), result) {
            (Some(seen), Ok(())) if seen == sides => Ok(sides.1),
            (Some(seen), Err(_)) if seen == sides => Ok(rows.min(sides.1)),
            _ => Err(Failure::Refused),
        },
        (Err(failure), _) => Err(failure),
        (Ok(()), _) => Err(Failure::Refused),
    }
}

fn sides_of(config: &WebPDecoderConfig) -> Option<(u32, u32)> {
    Some((u32::try_from(config.output.width).ok()?, u32::try_from(config.output.height).ok()?))
}

fn check(status: VP8StatusCode, chunks: &[u8]) -> Result<(), Failure> {
    match status {
        VP8StatusCode::VP8_STATUS_OK => Ok(()),
        VP8StatusCode::VP8_STATUS_SUSPENDED | VP8StatusCode::VP8_STATUS_NOT_ENOUGH_DATA => Err(Failure::Truncated),
        // It says so of alpha with a wrong header, too.
        VP8StatusCode::VP8_STATUS_OUT_OF_MEMORY if chunks.starts_with(b"ALPH") => Err(Failure::Corrupt),
        VP8StatusCode::VP8_STATUS_OUT_OF_MEMORY => Err(Failure::OutOfMemory),
        VP8StatusCode::VP8_STATUS_INVALID_PARAM => Err(Failure::Refused),
        _ => Err(Failure::Corrupt),
    }
}

/// A decoder's settings. They point to the pixels that are lent, so they must not outlive them.
fn decoder(loop_filter: bool, to: Pixels<'_>) -> Result<WebPDecoderConfig, Failure> {
    let mut config = MaybeUninit::<WebPDecoderConfig>::zeroed();
    // SAFETY: it is written to by libwebp, and integers, null pointers and a color space of 0 are valid as zeros.
    let mut config = unsafe {
        if !WebPInitDecoderConfig(config.as_mut_ptr()) {
            return Err(Failure::Refused);
        }
        config.assume_init()
    };
    config.options.bypass_filtering = (!loop_filter).into();
    config.output.is_external_memory = 1;
    config.output.colorspace = match to {
        Pixels::Rgb(..) => WEBP_CSP_MODE::MODE_RGB,
        Pixels::Rgba(..) => WEBP_CSP_MODE::MODE_RGBA,
        Pixels::Planes(..) => WEBP_CSP_MODE::MODE_YUV,
    };
    let int = |distance: usize| i32::try_from(distance).map_err(|_| Failure::Refused);
    match to {
        Pixels::Rgb(pixels, distance) | Pixels::Rgba(pixels, distance) => {
            config.output.u.RGBA =
                WebPRGBABuffer { rgba: pixels.as_mut_ptr(), stride: int(distance)?, size: pixels.len() };
        }
        Pixels::Planes([y, u, v], [y_distance, uv_distance]) => {
            let (y_stride, uv_stride) = (int(y_distance)?, int(uv_distance)?);
            config.output.u.YUVA = WebPYUVABuffer {
                y: y.as_mut_ptr(),
                u: u.as_mut_ptr(),
                v: v.as_mut_ptr(),
                a: ptr::null_mut(),
                y_stride,
                u_stride: uv_stride,
                v_stride: uv_stride,
                a_stride: 0,
                y_size: y.len(),
                u_size: u.len(),
                v_size: v.len(),
                a_size: 0,
            };
        }
    }
    Ok(config)
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Settings {
    /// 0 to 100; if lossless, how hard it tries.
    pub(crate) quality: f32,
    /// 0 to 6: how hard it tries.
    pub(crate) method: i32,
    pub(crate) lossless: bool,
    /// 0 to 100.
    pub(crate) noise_shaping: i32,
    /// 0 to 100.
    pub(crate) filter_strength: i32,
}

/// Encodes pixels, which stay as they are. The failure is libwebp's word for it.
pub(crate) fn encode(
    (width, height): (u32, u32),
    settings: &Settings,
    mut from: Pixels<'_>,
) -> Result<Vec<u8>, String> {
    let mut config = config(settings).ok_or("settings out of range")?;
    let encoded = encode_once((width, height), &config, &mut from);
    if encoded == Err(WebPEncodingError::VP8_ENC_ERROR_PARTITION0_OVERFLOW) {
        // Of the kind and direction of so many blocks there is more to say than VP8 has room for: say less.
        config.partition_limit = 100;
        return encode_once((width, height), &config, &mut from).map_err(|error| format!("{error:?}"));
    }
    encoded.map_err(|error| format!("{error:?}"))
}

fn config(settings: &Settings) -> Option<WebPConfig> {
    let mut config = MaybeUninit::<WebPConfig>::zeroed();
    // SAFETY: it is written to by libwebp, and all of its fields, numbers and an enum, are valid as zeros.
    let mut config = unsafe {
        if !WebPInitConfig(config.as_mut_ptr()) {
            return None;
        }
        config.assume_init()
    };
    config.quality = settings.quality;
    config.method = settings.method;
    config.lossless = settings.lossless.into();
    config.sns_strength = settings.noise_shaping;
    config.filter_strength = settings.filter_strength;
    Some(config)
}

fn encode_once(
    (width, height): (u32, u32),
    config: &WebPConfig,
    from: &mut Pixels<'_>,
) -> Result<Vec<u8>, WebPEncodingError> {
    const BAD_SIDES: WebPEncodingError = WebPEncodingError::VP8_ENC_ERROR_BAD_DIMENSION;
    let int = |number: usize| i32::try_from(number).map_err(|_| BAD_SIDES);
    let room = |pixels: &[u8], row: usize, distance: usize, rows: usize| {
        let needed = distance.checked_mul(rows.saturating_sub(1)).and_then(|before| before.checked_add(row));
        if row <= distance && needed.is_some_and(|needed| needed <= pixels.len()) { Ok(()) } else { Err(BAD_SIDES) }
    };
    let (columns, rows) = (width as usize, height as usize);
    let mut bytes = Vec::<u8>::new();

    let mut picture = MaybeUninit::<WebPPicture>::zeroed();
    // SAFETY: it is written to by libwebp, and numbers, null pointers and enums of 0 are valid as zeros.
    let mut picture = unsafe {
        if !WebPPictureInit(picture.as_mut_ptr()) {
            return Err(WebPEncodingError::VP8_ENC_ERROR_INVALID_CONFIGURATION);
        }
        picture.assume_init()
    };
    (picture.width, picture.height) = (int(columns)?, int(rows)?);
    picture.use_argb = config.lossless;
    picture.writer = Some(append);
    picture.custom_ptr = (&raw mut bytes).cast();
    let copy: Option<unsafe extern "C" fn(*mut WebPPicture, *const u8, i32) -> i32>;
    let (pixels, distance) = match from {
        Pixels::Rgb(pixels, distance) => {
            room(pixels, 3 * columns, *distance, rows)?;
            copy = Some(WebPPictureImportRGB);
            (pixels.as_ptr(), int(*distance)?)
        }
        Pixels::Rgba(pixels, distance) => {
            room(pixels, 4 * columns, *distance, rows)?;
            copy = Some(WebPPictureImportRGBA);
            (pixels.as_ptr(), int(*distance)?)
        }
        Pixels::Planes([y, u, v], [y_distance, uv_distance]) => {
            room(y, columns, *y_distance, rows)?;
            room(u, columns.div_ceil(2), *uv_distance, rows.div_ceil(2))?;
            room(v, columns.div_ceil(2), *uv_distance, rows.div_ceil(2))?;
            (picture.y, picture.u, picture.v) = (y.as_mut_ptr(), u.as_mut_ptr(), v.as_mut_ptr());
            (picture.y_stride, picture.uv_stride) = (int(*y_distance)?, int(*uv_distance)?);
            copy = None;
            (ptr::null(), 0)
        }
    };
    // SAFETY: the picture is initialized, and `config` too. What it points to is lent until the end of this function:
    // `bytes`, which only `append` touches meanwhile; and pixels, of which `room` has seen that all rows are there. It is
    // freed once; the planes and `bytes` are none of its own, so they are not.
    let encoded = unsafe {
        let picture = &raw mut picture;
        let copied = copy.is_none_or(|copy| copy(picture, pixels, distance) != 0);
        let encoded = copied && WebPEncode(config, picture) != 0;
        WebPPictureFree(picture);
        encoded
    };
    if encoded { Ok(bytes) } else { Err(picture.error_code) }
}

/// Appends to the `Vec<u8>` of a picture; 0 if there is no room.
unsafe extern "C" fn append(data: *const u8, length: usize, picture: *const WebPPicture) -> i32 {
    // SAFETY: libwebp calls this with the picture it was given, whose `custom_ptr` is the `Vec<u8>` that `encode_once`
    // put there and doesn't touch meanwhile, and with data of this length that it owns.
    let (bytes, data) = unsafe { (&mut *(*picture).custom_ptr.cast::<Vec<u8>>(), slice::from_raw_parts(data, length)) };
    if bytes.try_reserve(length).is_err() {
        return 0;
    }
    bytes.extend_from_slice(data);
    1
}
