//! From the bytes of a file to 8-bit RGB.

use std::io::{BufRead, Cursor, Seek};

use finetune_files::shortened;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};

use super::checksum::checksum;
use super::jpeg::is_whole;
use super::raster::Raster;
use super::{png, tiff, webp};
use crate::error::DataError;
use crate::sources::Source;

/// The header of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// The file format; `None` for an image that is not encoded.
    pub(crate) format: Option<ImageFormat>,
}

/// Decodes an image. Grey, 16-bit and CMYK images become 8-bit RGB, an alpha channel is dropped, and
/// the EXIF orientation is applied.
pub(crate) fn read(source: &Source, max_pixels: u64) -> Result<Raster, DataError> {
    visit(source, &Decode { max_pixels })
}

/// As [`read`], from the bytes of a file; `name` is for messages.
pub(crate) fn decode(name: &str, bytes: &[u8], max_pixels: u64) -> Result<Raster, DataError> {
    let named = Source::Memory {
        name: name.to_owned(),
        bytes: &[],
    };
    Decode { max_pixels }.encoded(Cursor::new(bytes), &named)
}

/// As [`read`], with a [`checksum`] of the file; none if the image has no file.
pub(crate) fn read_with_checksum(
    source: &Source,
    max_pixels: u64,
) -> Result<(Raster, Option<u32>), DataError> {
    visit(source, &DecodeWithChecksum(Decode { max_pixels }))
}

/// Reads the header of an image, with the same errors as [`read`] as far as the header shows them.
pub(crate) fn read_header(source: &Source, max_pixels: u64) -> Result<Header, DataError> {
    visit(source, &ReadHeader { max_pixels })
}

/// What is done with an image, encoded or not.
trait Visit {
    type Outcome;

    fn encoded(
        &self,
        data: impl BufRead + Seek,
        source: &Source,
    ) -> Result<Self::Outcome, DataError>;

    fn grey(&self, width: u32, height: u32, values: &[u8]) -> Option<Self::Outcome>;

    fn max_pixels(&self) -> u64;
}

fn visit<V: Visit>(source: &Source, visitor: &V) -> Result<V::Outcome, DataError> {
    match source {
        Source::File(path) => {
            // A named pipe or device is an error, and its reading may never end.
            let opened = finetune_files::open(path);
            let (file, _) = opened.map_err(|source| DataError::Io {
                path: path.clone(),
                source,
            })?;
            visitor.encoded(std::io::BufReader::new(file), source)
        }
        Source::Contained { container, index } => {
            visitor.encoded(Cursor::new(container.bytes(*index)?), source)
        }
        Source::Memory { bytes, .. } => visitor.encoded(Cursor::new(*bytes), source),
        Source::Grey {
            height,
            width,
            values,
            ..
        } => {
            check_size(source, *width, *height, visitor.max_pixels())?;
            visitor
                .grey(*width, *height, values)
                .ok_or_else(|| failed(source, &"it has fewer values than pixels"))
        }
    }
}

fn failed(source: &Source, error: &dyn std::fmt::Display) -> DataError {
    DataError::Image {
        name: source.name(),
        reason: shortened(&error.to_string(), LONGEST)
            .lines()
            .collect::<Vec<_>>()
            .join(" "),
    }
}

/// Starts decoding an image and checks its size.
fn open<'a>(
    data: impl BufRead + Seek + 'a,
    source: &Source,
    limit: u64,
) -> Result<(impl ImageDecoder + 'a, Option<ImageFormat>), DataError> {
    // By content: the extension may be wrong.
    let reader = ImageReader::new(data)
        .with_guessed_format()
        .map_err(|error| failed(source, &error))?;
    let format = reader.format();
    let mut data = reader.into_inner();
    // What the decoders of these formats believe.
    let problem = match format {
        Some(ImageFormat::WebP) => webp::problem(&mut data),
        Some(ImageFormat::Tiff) => tiff::problem(&mut data),
        _ => None,
    };
    if let Some(reason) = problem {
        return Err(failed(source, &reason));
    }
    data.rewind().map_err(|error| failed(source, &error))?;
    let mut reader = ImageReader::new(data);
    if let Some(format) = format {
        reader.set_format(format);
    }
    // A small file may contain a colour profile or text of any size, compressed.
    let mut limits = Limits::default();
    let most = limits.max_alloc.unwrap_or(u64::MAX);
    limits.max_alloc = Some(BESIDE_PIXELS);
    reader.limits(limits.clone());
    let decoder = reader.into_decoder();
    let mut decoder = decoder.map_err(|error| failed(source, &error))?;
    let (width, height) = decoder.dimensions();
    check_size(source, width, height, limit)?;
    // 8 bytes per sample and 4 samples per pixel at most. A frame may claim another size than the image.
    let pixels = u64::from(width) * u64::from(height);
    limits.max_alloc = Some(most.min(32 * pixels + BESIDE_PIXELS));
    let limited = decoder.set_limits(limits);
    limited.map_err(|error| failed(source, &error))?;
    Ok((decoder, format))
}

struct ReadHeader {
    max_pixels: u64,
}

impl Visit for ReadHeader {
    type Outcome = Header;

    fn encoded(&self, mut data: impl BufRead + Seek, source: &Source) -> Result<Header, DataError> {
        let opened = open(&mut data, source, self.max_pixels);
        match opened.map(|(_, format)| format) {
            Ok(format) => Ok(Header { format }),
            Err(error @ DataError::TooLarge { .. }) => Err(error),
            Err(error) => match second(&mut data, source, self.max_pixels) {
                Some(outcome) => outcome.map(|(_, format)| Header {
                    format: Some(format),
                }),
                None => Err(error),
            },
        }
    }

    fn grey(&self, _: u32, _: u32, _: &[u8]) -> Option<Header> {
        Some(Header { format: None })
    }

    fn max_pixels(&self) -> u64 {
        self.max_pixels
    }
}

struct Decode {
    max_pixels: u64,
}

impl Visit for Decode {
    type Outcome = Raster;

    fn encoded(&self, mut data: impl BufRead + Seek, source: &Source) -> Result<Raster, DataError> {
        match first(&mut data, source, self.max_pixels) {
            Ok(image) => Ok(image),
            Err(error @ DataError::TooLarge { .. }) => Err(error),
            Err(error) => match second(&mut data, source, self.max_pixels) {
                Some(outcome) => outcome.map(|(image, _)| image),
                None => Err(error),
            },
        }
    }

    fn grey(&self, width: u32, height: u32, values: &[u8]) -> Option<Raster> {
        let rgb = values.iter().flat_map(|value| [*value; 3]).collect();
        RgbImage::from_raw(width, height, rgb).map(raster)
    }

    fn max_pixels(&self) -> u64 {
        self.max_pixels
    }
}

struct DecodeWithChecksum(Decode);

impl Visit for DecodeWithChecksum {
    type Outcome = (Raster, Option<u32>);

    fn encoded(
        &self,
        mut data: impl BufRead + Seek,
        source: &Source,
    ) -> Result<Self::Outcome, DataError> {
        let image = self.0.encoded(&mut data, source)?;
        let checksum = match source {
            // It is part of the program.
            Source::Memory { .. } => None,
            _ => Some(checksum(data).map_err(|error| failed(source, &error))?),
        };
        Ok((image, checksum))
    }

    fn grey(&self, width: u32, height: u32, values: &[u8]) -> Option<Self::Outcome> {
        // The fingerprint of the data set has its values.
        self.0
            .grey(width, height, values)
            .map(|image| (image, None))
    }

    fn max_pixels(&self) -> u64 {
        self.0.max_pixels()
    }
}

/// Decodes an image of a common kind.
fn first(
    mut data: impl BufRead + Seek,
    source: &Source,
    max_pixels: u64,
) -> Result<Raster, DataError> {
    let (mut decoder, format) = open(&mut data, source, max_pixels)?;
    let orientation = decoder.orientation();
    let orientation = orientation.map_err(|error| failed(source, &error))?;
    let image = DynamicImage::from_decoder(decoder);
    let mut image = image.map_err(|error| failed(source, &error))?;
    if format == Some(ImageFormat::Jpeg) {
        let whole = data.rewind().and_then(|()| is_whole(&mut data));
        if !whole.map_err(|error| failed(source, &error))? {
            return Err(failed(source, &"it is truncated"));
        }
    }
    image.apply_orientation(orientation);
    Ok(raster(image.into_rgb8()))
}

/// Decodes an image that the first decoder does not: kinds of TIFF, and PNG files with a damaged end.
/// `None` if it is nothing of the kind.
fn second(
    data: &mut (impl BufRead + Seek),
    source: &Source,
    max_pixels: u64,
) -> Option<Result<(Raster, ImageFormat), DataError>> {
    let mut start = [0; 8];
    let read = data.rewind().and_then(|()| data.read_exact(&mut start));
    read.and_then(|()| data.rewind()).ok()?;
    if png::is_png(start) {
        let repaired = png::repaired(data, max_pixels)?;
        let image = first(Cursor::new(repaired), source, max_pixels);
        return image.ok().map(|image| Ok((image, ImageFormat::Png)));
    }
    if !tiff::is_tiff(start) {
        return None;
    }
    let check = |width, height| check_size(source, width, height, max_pixels);
    let image = match tiff::decode(data, max_pixels, check) {
        Ok((image, orientation)) => {
            let mut image = DynamicImage::ImageRgb8(image);
            image.apply_orientation(orientation);
            Ok((raster(image.into_rgb8()), ImageFormat::Tiff))
        }
        Err(tiff::Failure::Size(error)) => Err(error),
        Err(tiff::Failure::Other(reason)) => Err(failed(source, &reason)),
    };
    Some(image)
}

/// The most characters of an error of a decoder.
const LONGEST: usize = 500;

/// Memory that decoding may take besides that of the pixels, bytes.
const BESIDE_PIXELS: u64 = 32 << 20;

/// Longest side of an image. What is longer cannot be resized to the size of a model, because resizing
/// multiplies its pixels.
const LONGEST_SIDE: u32 = 1 << 20;

/// Checks the size of an image before it is decoded.
fn check_size(source: &Source, width: u32, height: u32, limit: u64) -> Result<(), DataError> {
    if u64::from(width) * u64::from(height) > limit {
        return Err(DataError::TooLarge {
            name: source.name(),
            width,
            height,
            limit,
        });
    }
    if width == 0 || height == 0 {
        return Err(failed(source, &"it has no pixels"));
    }
    if width.max(height) > LONGEST_SIDE {
        let reason = format!("its sides, {width}×{height}, are too unequal for resizing");
        return Err(failed(source, &reason));
    }
    Ok(())
}

fn raster(image: RgbImage) -> Raster {
    Raster {
        height: image.height() as usize,
        width: image.width() as usize,
        pixels: image.into_raw(),
    }
}
