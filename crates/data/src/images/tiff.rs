//! Kinds of TIFF that the first decoder does not know: BigTIFF, palettes, grey with other channels,
//! whole numbers and floating point, `YCbCr`. Pixels become what Pillow's `convert("RGB")` makes of them.

use std::io::{Read, Seek, SeekFrom};

use image::RgbImage;
use image::metadata::Orientation;
use tiff::ColorType;
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::Tag;

use crate::error::DataError;

/// Whether a file begins as TIFF or BigTIFF, of either byte order.
pub(super) fn is_tiff(start: [u8; 8]) -> bool {
    matches!(&start[..4], b"II*\0" | b"MM\0*" | b"II+\0" | b"MM\0+")
}

/// The value of the tag `PhotometricInterpretation` for indices into a palette, and for grey.
const PALETTE: u8 = 3;
const GREY: u8 = 1;

/// An entry of the first directory of a file.
struct Entry {
    tag: u64,
    count: u64,
    /// Where its value is, or the offset of its values.
    at: u64,
    /// The value as a number of two bytes, and how many bytes after [`at`](Self::at) its low byte is.
    short: u64,
    low: u64,
}

impl Entry {
    /// The first entry that `is_wanted`; `None` if there is none.
    fn find(
        data: &mut (impl Read + Seek),
        is_wanted: impl Fn(&Self) -> bool,
    ) -> std::io::Result<Option<Self>> {
        data.rewind()?;
        let mut start = [0; 4];
        data.read_exact(&mut start)?;
        let little = start[0] == b'I';
        let big = start[if little { 2 } else { 3 }] == b'+';
        let mut number = |size| read_number(data, size, little);
        if big {
            number(4)?;
        }
        let directory = number(if big { 8 } else { 4 })?;
        data.seek(SeekFrom::Start(directory))?;
        let mut number = |size| read_number(data, size, little);
        let (of_count, of_value) = if big { (8, 8) } else { (2, 4) };
        let count = number(of_count)?;
        let mut at = directory.saturating_add(of_count as u64);
        // A directory has at most as many entries as there are tags.
        for _ in 0..count.min(1 << 16) {
            let (tag, _, count) = (number(2)?, number(2)?, number(of_value)?);
            let value = number(of_value)?;
            let (short, low) = if little {
                (value & 0xffff, 0)
            } else {
                (value >> (8 * of_value - 16), 1)
            };
            let entry = Self {
                tag,
                count,
                at: at.saturating_add(4 + of_value as u64),
                short,
                low,
            };
            if is_wanted(&entry) {
                return Ok(Some(entry));
            }
            at = at.saturating_add(4 + 2 * of_value as u64);
        }
        Ok(None)
    }
}

/// What is wrong with a file before it is decoded: the decoder reserves memory for as many values as a tag
/// claims to have, and makes an object of each.
pub(super) fn problem(data: &mut (impl Read + Seek)) -> Option<String> {
    /// The last of the tags that the decoder reads.
    const LAST: u64 = 532;
    /// More strips or tiles than an image has.
    const MOST_VALUES: u64 = 1 << 18;
    /// Names, descriptions and dates, which it does not read.
    const TEXTS: [u64; 10] = [269, 270, 271, 272, 305, 306, 315, 316, 333, 337];
    let is_long = |entry: &Entry| {
        entry.tag <= LAST && entry.count > MOST_VALUES && !TEXTS.contains(&entry.tag)
    };
    let entry = Entry::find(data, is_long).ok().flatten()?;
    Some(format!("its tag {} has {} values", entry.tag, entry.count))
}

/// Where the first directory of a file says what its samples mean.
struct Kind {
    /// Offset of the byte in the file.
    at: u64,
    value: u8,
}

impl Kind {
    /// Finds the tag; `None` if there is none, or not where it should be.
    fn find(data: &mut (impl Read + Seek)) -> std::io::Result<Option<Self>> {
        const TAG: u64 = 262;
        let entry = Entry::find(data, |entry| entry.tag == TAG)?;
        Ok(entry.and_then(|entry| {
            Some(Self {
                at: entry.at.saturating_add(entry.low),
                value: u8::try_from(entry.short).ok()?,
            })
        }))
    }
}

/// Reads a number of `size` bytes, 8 at most.
fn read_number(data: &mut impl Read, size: usize, little: bool) -> std::io::Result<u64> {
    let mut bytes = [0; 8];
    data.read_exact(&mut bytes[..size])?;
    Ok(if little {
        u64::from_le_bytes(bytes)
    } else {
        // The bytes are at the start, which is the wrong end of a large number.
        u64::from_be_bytes(bytes) >> (64 - 8 * size)
    })
}

/// A file in which the samples are said to be grey, because the decoder rejects palettes.
struct AsGrey<R> {
    data: R,
    kind: Option<Kind>,
    position: u64,
}

impl<R: Read + Seek> AsGrey<R> {
    fn new(mut data: R, kind: Option<Kind>) -> Result<Self, Failure> {
        let rewound = data.rewind();
        rewound.map_err(|error| Failure::Other(error.to_string()))?;
        Ok(Self {
            data,
            kind,
            position: 0,
        })
    }
}

impl<R: Read> Read for AsGrey<R> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let count = self.data.read(bytes)?;
        if let Some(offset) = self
            .kind
            .as_ref()
            .and_then(|kind| kind.at.checked_sub(self.position))
            && let Some(byte) = usize::try_from(offset)
                .ok()
                .and_then(|at| bytes[..count].get_mut(at))
        {
            *byte = GREY;
        }
        self.position += count as u64;
        Ok(count)
    }
}

impl<R: Seek> Seek for AsGrey<R> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.position = self.data.seek(to)?;
        Ok(self.position)
    }
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
    mut data: impl Read + Seek,
    max_pixels: u64,
    check: impl Fn(u32, u32) -> Result<(), DataError>,
) -> Result<(RgbImage, Orientation), Failure> {
    if let Some(reason) = problem(&mut data) {
        return Err(Failure::Other(reason));
    }
    let kind = Kind::find(&mut data).ok().flatten();
    let has_palette = kind.as_ref().is_some_and(|kind| kind.value == PALETTE);
    let mut decoder = Decoder::new(AsGrey::new(data, kind.filter(|_| has_palette))?)?;
    let (width, height) = decoder.dimensions()?;
    check(width, height).map_err(Failure::Size)?;
    // 8 bytes per sample and 4 samples per pixel at most.
    let pixels = u64::from(width) * u64::from(height);
    let bytes = |each: u64| usize::try_from(pixels.min(max_pixels) * each).unwrap_or(usize::MAX);
    let mut limits = Limits::default();
    limits.decoding_buffer_size = bytes(32).saturating_add(1 << 20);
    limits.intermediate_buffer_size = bytes(32).saturating_add(1 << 20);
    let mut decoder = decoder.with_limits(limits);
    let color = decoder.colortype()?;
    let orientation = decoder.find_tag(Tag::Orientation)?;
    let orientation = orientation.and_then(|value| value.into_u16().ok());
    let orientation = orientation.and_then(|value| u8::try_from(value).ok());
    let orientation = orientation.and_then(Orientation::from_exif);
    let palette = match color {
        ColorType::Gray(bits) if has_palette => {
            Some((bits, decoder.get_tag_u16_vec(Tag::ColorMap)?))
        }
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
    let bits = usize::from(bits);
    let mask = (1_u8 << bits) - 1;
    let stride = width.div_ceil(per_byte);
    let mut indices = Vec::with_capacity(width * height);
    for row in bytes.chunks_exact(stride).take(height) {
        indices.extend((0..width).map(|column| {
            let shift = 8 - bits * (column % per_byte + 1);
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

/// JFIF's conversion as Pillow computes it: from tables in steps of 2^-6.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn ycbcr([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    // Rounded as a cast in C: towards zero after adding a half.
    let part = |factor: f64, value: u8| (factor * 64.0 * (f64::from(value) - 128.0) + 0.5) as i32;
    let y = i32::from(y);
    let red = y + (part(1.402, cr) >> 6);
    let green = y + ((part(-0.34414, cb) + part(-0.71414, cr)) >> 6);
    let blue = y + (part(1.772, cb) >> 6);
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
