//! From a file's bytes to 8-bit RGB.

use std::io::{BufRead, Cursor, Seek};

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, RgbImage};

use crate::error::DataError;
use crate::images::jpeg::is_whole;
use crate::images::prepare::Raster;
use crate::sources::set::Source;

/// What an image's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// The kind of file, of an encoded one.
    pub(crate) format: Option<ImageFormat>,
}

/// Decodes an image: grey, 16-bit and CMYK ones become 8-bit RGB, an alpha channel is dropped, EXIF
/// orientation is applied.
pub(crate) fn read(source: &Source, max_pixels: u64) -> Result<Raster, DataError> {
    visit(source, &Decode { max_pixels })
}

/// Reads an image's header and refuses what [`read`] would refuse by it.
pub(crate) fn look(source: &Source, max_pixels: u64) -> Result<Header, DataError> {
    visit(source, &Look { max_pixels })
}

/// What is done with a source, encoded or not.
trait Visit {
    type Outcome;

    fn encoded(
        &self,
        data: impl BufRead + Seek,
        source: &Source,
    ) -> Result<Self::Outcome, DataError>;

    fn grey(&self, width: u32, height: u32, values: &[u8]) -> Option<Self::Outcome>;
}

fn visit<V: Visit>(source: &Source, visitor: &V) -> Result<V::Outcome, DataError> {
    match source {
        Source::File(path) => {
            let file = std::fs::File::open(path).map_err(|source| DataError::Io {
                path: path.clone(),
                source,
            })?;
            visitor.encoded(std::io::BufReader::new(file), source)
        }
        #[cfg(feature = "parquet")]
        Source::Row { file, row } => visitor.encoded(Cursor::new(file.bytes(*row)?), source),
        Source::Memory { bytes, .. } => visitor.encoded(Cursor::new(*bytes), source),
        Source::Grey {
            height,
            width,
            values,
            ..
        } => visitor
            .grey(*width, *height, values)
            .ok_or_else(|| failed(source, &"it has fewer values than pixels")),
    }
}

fn failed(source: &Source, error: &dyn std::fmt::Display) -> DataError {
    DataError::Image {
        name: source.name(),
        reason: error.to_string().lines().collect::<Vec<_>>().join(" "),
    }
}

/// The decoder of an image whose size is as it should be.
fn open<'a>(
    data: impl BufRead + Seek + 'a,
    source: &Source,
    limit: u64,
) -> Result<(impl ImageDecoder + 'a, Option<ImageFormat>), DataError> {
    // By content: an ending may lie.
    let reader = ImageReader::new(data)
        .with_guessed_format()
        .map_err(|error| failed(source, &error))?;
    let format = reader.format();
    let decoder = reader.into_decoder();
    let decoder = decoder.map_err(|error| failed(source, &error))?;
    let (width, height) = decoder.dimensions();
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
    Ok((decoder, format))
}

struct Look {
    max_pixels: u64,
}

impl Visit for Look {
    type Outcome = Header;

    fn encoded(&self, data: impl BufRead + Seek, source: &Source) -> Result<Header, DataError> {
        let (_, format) = open(data, source, self.max_pixels)?;
        Ok(Header { format })
    }

    fn grey(&self, _: u32, _: u32, _: &[u8]) -> Option<Header> {
        Some(Header { format: None })
    }
}

struct Decode {
    max_pixels: u64,
}

impl Visit for Decode {
    type Outcome = Raster;

    fn encoded(&self, mut data: impl BufRead + Seek, source: &Source) -> Result<Raster, DataError> {
        let (mut decoder, format) = open(&mut data, source, self.max_pixels)?;
        let orientation = decoder.orientation();
        let orientation = orientation.map_err(|error| failed(source, &error))?;
        let image = DynamicImage::from_decoder(decoder);
        let mut image = image.map_err(|error| failed(source, &error))?;
        if format == Some(ImageFormat::Jpeg) {
            let whole = data.rewind().and_then(|()| is_whole(&mut data));
            if !whole.map_err(|error| failed(source, &error))? {
                return Err(failed(source, &"it is cut short"));
            }
        }
        image.apply_orientation(orientation);
        Ok(raster(image.into_rgb8()))
    }

    fn grey(&self, width: u32, height: u32, values: &[u8]) -> Option<Raster> {
        let rgb = values.iter().flat_map(|value| [*value; 3]).collect();
        RgbImage::from_raw(width, height, rgb).map(raster)
    }
}

fn raster(image: RgbImage) -> Raster {
    Raster {
        height: image.height() as usize,
        width: image.width() as usize,
        pixels: image.into_raw(),
    }
}
