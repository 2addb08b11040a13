//! Kinds of TIFF that the first decoder does not know: BigTIFF, palettes, grey with other channels,
//! whole numbers and floating point, `YCbCr`. Pixels become what Pillow's `convert("RGB")` makes of them.

use std::io::{Read, Seek};

use image::RgbImage;
use image::metadata::Orientation;
use tiff::ColorType;
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::Tag;

use crate::error::DataError;

/// Whether a file begins as TIFF or BigTIFF, of either byte order.
pub(super) fn is_tiff(start: &[u8; 8]) -> bool {
    matches!(&start[..4], b"II*\0" | b"MM\0*" | b"II+\0" | b"MM\0+")
}

/// Why a file cannot be decoded.
pub(super) enum Failure {
    /// Its size is rejected.
    Size(DataError),
    Other(String),
}

impl From<tiff::TiffError> for Failure {
    fn from(error: tiff::TiffError) -> Self {
        Self::Other(error.to_string())
    }
}

/// Decodes the first image of a file, whose width and height `check` accepts.
pub(super) fn decode(
    data: impl Read + Seek,
    max_pixels: u64,
    check: impl Fn(u32, u32) -> Result<(), DataError>,
) -> Result<(RgbImage, Orientation), Failure> {
    let mut decoder = Decoder::new(data)?;
    let (width, height) = decoder.dimensions()?;
    check(width, height).map_err(Failure::Size)?;
    // 8 bytes per sample and 4 samples per pixel at most.
    let pixels = u64::from(width) * u64::from(height);
    let bytes = |each: u64| usize::try_from(pixels.min(max_pixels) * each).unwrap_or(usize::MAX);
    let mut limits = Limits::default();
    limits.decoding_buffer_size = bytes(32);
    limits.intermediate_buffer_size = bytes(32).saturating_add(1 << 20);
    let mut decoder = decoder.with_limits(limits);
    let color = decoder.colortype()?;
    let orientation = decoder.find_tag(Tag::Orientation)?;
    let orientation = orientation.and_then(|value| value.into_u16().ok());
    let orientation = orientation.and_then(|value| u8::try_from(value).ok());
    let orientation = orientation.and_then(Orientation::from_exif);
    let palette = match color {
        ColorType::Palette(bits) => Some((bits, decoder.get_tag_u16_vec(Tag::ColorMap)?)),
        _ => None,
    };
    let values = decoder.read_image()?;
    let size = [width as usize, height as usize];
    let rgb = match (color, palette) {
        (_, Some((bits, colors))) => palette_to_rgb(&values, bits, &colors, size),
        (ColorType::Gray(bits @ (1 | 2 | 4)), _) => {
            let most = (1 << bits) - 1;
            let indices = unpacked(&values, bits, size);
            indices.map(|grey| {
                grey.into_iter()
                    .flat_map(|grey| [grey * (255 / most); 3])
                    .collect()
            })
        }
        (ColorType::YCbCr(8), _) => match &values {
            DecodingResult::U8(values) => Some(
                values
                    .as_chunks::<3>()
                    .0
                    .iter()
                    .flat_map(|pixel| ycbcr(*pixel))
                    .collect(),
            ),
            _ => None,
        },
        (ColorType::Gray(_) | ColorType::GrayA(_) | ColorType::Multiband { .. }, _) => {
            let channels = usize::from(color.num_samples()).max(1);
            grey(&values).map(|grey| {
                let grey = grey.into_iter().step_by(channels);
                grey.flat_map(|grey| [grey; 3]).collect()
            })
        }
        (ColorType::RGB(_), _) => grey(&values),
        (ColorType::RGBA(_), _) => grey(&values).map(|values| {
            let pixels = values.as_chunks::<4>().0.iter();
            pixels
                .flat_map(|[red, green, blue, _]| [*red, *green, *blue])
                .collect()
        }),
        (ColorType::CMYK(8), _) => grey(&values).map(|values| {
            let pixels = values.as_chunks::<4>().0.iter();
            pixels.flat_map(|pixel| cmyk(*pixel)).collect()
        }),
        _ => None,
    };
    let unknown = || {
        Failure::Other(format!(
            "TIFF files of the kind {color:?} are not supported"
        ))
    };
    let rgb: Vec<u8> = rgb.ok_or_else(unknown)?;
    let image = RgbImage::from_raw(width, height, rgb).ok_or_else(unknown)?;
    Ok((image, orientation.unwrap_or(Orientation::NoTransforms)))
}

/// Values as bytes: those of 16 bits are reduced, whole numbers and floating point are cut to 0 to 255,
/// as Pillow does.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn grey(values: &DecodingResult) -> Option<Vec<u8>> {
    // The smaller of two numbers is lossless here; a cast from floating point saturates.
    Some(match values {
        DecodingResult::U8(values) => values.clone(),
        DecodingResult::U16(values) => {
            let reduced = |value: &u16| ((u32::from(*value) + 128) / 257) as u8;
            values.iter().map(reduced).collect()
        }
        DecodingResult::U32(values) => values.iter().map(|value| (*value).min(255) as u8).collect(),
        DecodingResult::U64(values) => values.iter().map(|value| (*value).min(255) as u8).collect(),
        DecodingResult::I8(values) => values.iter().map(|value| (*value).max(0) as u8).collect(),
        DecodingResult::I16(values) => values
            .iter()
            .map(|value| (*value).clamp(0, 255) as u8)
            .collect(),
        DecodingResult::I32(values) => values
            .iter()
            .map(|value| (*value).clamp(0, 255) as u8)
            .collect(),
        DecodingResult::I64(values) => values
            .iter()
            .map(|value| (*value).clamp(0, 255) as u8)
            .collect(),
        DecodingResult::F32(values) => values.iter().map(|value| *value as u8).collect(),
        DecodingResult::F64(values) => values.iter().map(|value| *value as u8).collect(),
        DecodingResult::F16(_) => return None,
    })
}

/// Indices of a few bits each, the first in the highest bits; rows begin with a byte.
fn unpacked(values: &DecodingResult, bits: u8, [width, height]: [usize; 2]) -> Option<Vec<u8>> {
    let DecodingResult::U8(bytes) = values else {
        return None;
    };
    if bits == 8 {
        return Some(bytes.clone());
    }
    let per_byte = usize::from(8 / bits);
    let mask = (1_u8 << bits) - 1;
    let stride = width.div_ceil(per_byte);
    let mut indices = Vec::with_capacity(width * height);
    for row in bytes.chunks_exact(stride).take(height) {
        indices.extend((0..width).map(|column| {
            let shift = 8 - bits * ((column % per_byte) as u8 + 1);
            row[column / per_byte] >> shift & mask
        }));
    }
    Some(indices)
}

/// `colors` has all red values, then all green and all blue ones, of 16 bits each.
fn palette_to_rgb(
    values: &DecodingResult,
    bits: u8,
    colors: &[u16],
    size: [usize; 2],
) -> Option<Vec<u8>> {
    if !matches!(bits, 1 | 2 | 4 | 8) {
        return None;
    }
    let count = 1_usize << bits;
    if colors.len() < 3 * count {
        return None;
    }
    let indices = unpacked(values, bits, size)?;
    let color = |index: u8| {
        [0, 1, 2].map(|channel| {
            let value = colors.get(channel * count + usize::from(index));
            (value.copied().unwrap_or_default() >> 8) as u8
        })
    };
    Some(indices.into_iter().flat_map(color).collect())
}

/// JFIF's conversion as Pillow computes it.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn ycbcr([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    // 1.402, 0.34414, 0.71414 and 1.772 in steps of 2^-16, rounded.
    let red = y + ((91_881 * cr + 32_768) >> 16);
    let green = y - ((22_553 * cb + 46_802 * cr + 32_768) >> 16);
    let blue = y + ((116_130 * cb + 32_768) >> 16);
    [red, green, blue].map(|value| value.clamp(0, 255) as u8)
}

/// Colours without a profile, as Pillow converts them.
#[allow(clippy::cast_possible_truncation)]
fn cmyk([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 3] {
    let white = 255 - u32::from(black);
    [cyan, magenta, yellow].map(|ink| {
        // `ink · white / 255`, rounded.
        let product = u32::from(ink) * white + 128;
        (white - (((product >> 8) + product) >> 8)) as u8
    })
}
