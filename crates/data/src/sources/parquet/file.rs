//! One Parquet file of images: a column `image`, which is a struct of `bytes` and `path`, a column
//! `label` of text or of numbers, whose names are in the metadata of the file, and perhaps a column
//! `group`.
//!
//! Opening a file reads labels, groups and paths only. The bytes of the images are in compressed pages of many,
//! and training reads images in any order. So the first read copies the bytes of all images of the file
//! to a temporary file, and all reads are from there. The temporary file has no name and disappears
//! with the process.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use finetune_files::shortened;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use parquet::schema::types::{Type, TypePtr};

use super::super::groups::interned;
use super::super::origin::Origin;
use super::super::parts::{Part, Parts, Place};
use super::super::source::{Container, Source};
use super::columns::{Columns, column, part_of};
use super::pages::{self, MOST_EXPANSION};
use crate::error::DataError;
use crate::guard::guarded;
use crate::positioned::PositionedFile;

/// The most characters of an error of the reader.
const LONGEST: usize = 500;

/// A Parquet file of images.
#[derive(Debug)]
struct ParquetFile {
    path: PathBuf,
    /// The column of the images.
    image: TypePtr,
    /// The `path` of each image, if it has one.
    names: Vec<Option<String>>,
    copied: OnceLock<Result<Copied, String>>,
}

/// The bytes of all images of a file, one image after the other.
#[derive(Debug)]
struct Copied {
    bytes: PositionedFile,
    /// End of each image; the first begins at 0.
    ends: Vec<u64>,
}

/// Reads the labels and groups of the files of a data set.
pub(super) fn read(data_set: &Path, files: Vec<(Part, PathBuf)>) -> Result<Parts, DataError> {
    let mut parts = Parts::default();
    let mut texts = HashSet::new();
    let root = if data_set.is_dir() {
        data_set
    } else {
        data_set.parent().unwrap_or(data_set)
    };
    for (part, path) in files {
        let error = |reason: String| DataError::Parquet {
            path: path.clone(),
            reason: shortened(&reason, LONGEST).into_owned(),
        };
        let failed = |reason: ParquetError| error(reason.to_string());
        let (reader, size) = open(&path)?;
        let columns = Columns::find(&reader).map_err(error)?;
        let mut names = vec![columns.image.name(), columns.label.name()];
        names.extend(columns.group.as_ref().map(|group| group.name()));
        let (file, _) = regular(&path)?;
        pages::check(file, reader.metadata(), &names).map_err(error)?;
        let projection = columns.labels().map_err(failed)?;
        if parts.origin.layout.is_empty() {
            parts.origin = Origin::new(columns.describe(), root);
        }
        let mut labels = Vec::new();
        let mut names = Vec::new();
        for (number, row) in reader
            .get_row_iter(Some(projection))
            .map_err(failed)?
            .enumerate()
        {
            let row = row.map_err(failed)?;
            // Rows that are all the same take no bytes.
            if number as u64 >= size {
                return Err(error("it has more rows than bytes".to_owned()));
            }
            let label = columns.label_of(&row);
            let label = label.map_err(|reason| error(format!("row {number} {reason}")))?;
            let group = columns.group_of(&row);
            labels.push((label, group.map(|group| interned(&mut texts, &group))));
            names.push(columns.name_of(&row));
        }
        let file: Arc<dyn Container> = Arc::new(ParquetFile {
            path: path.clone(),
            image: columns.image,
            names,
            copied: OnceLock::new(),
        });
        let shared: Arc<Path> = path.as_path().into();
        for (row, (label, group)) in labels.into_iter().enumerate() {
            let source = Source::Contained {
                container: file.clone(),
                index: row,
            };
            let place = Place {
                file: Arc::clone(&shared),
                unit: "row",
                number: row as u64,
            };
            parts.add(part, (source, group), &label, place);
        }
        let from = parts.from.entry(part).or_default();
        from.push(
            path.file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
        );
        parts.classes = parts.classes.or(columns.classes);
    }
    Ok(parts)
}

/// Opens a file of any kind.
fn regular(path: &Path) -> Result<(File, u64), DataError> {
    finetune_files::open(path).map_err(|source| DataError::Io {
        path: path.to_owned(),
        source,
    })
}

/// Opens a Parquet file. Returns its size in bytes as well.
fn open(path: &Path) -> Result<(SerializedFileReader<File>, u64), DataError> {
    let (file, size) = regular(path)?;
    let reader = SerializedFileReader::new(file).map_err(|reason| DataError::Parquet {
        path: path.to_owned(),
        reason: format!("it is not a readable Parquet file: {reason}"),
    })?;
    Ok((reader, size))
}

impl Container for ParquetFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn name(&self, index: usize) -> String {
        let own = self.own_name(index).map_or_else(String::new, |name| {
            format!(" ({})", finetune_files::shortened(name, 200))
        });
        format!("{}, row {index}{own}", self.path.display())
    }

    fn own_name(&self, index: usize) -> Option<&str> {
        self.names.get(index)?.as_deref()
    }

    fn bytes(&self, index: usize) -> Result<Vec<u8>, DataError> {
        let error = |reason: String| DataError::Parquet {
            path: self.path.clone(),
            reason,
        };
        let copied = self
            .copied
            .get_or_init(|| guarded(|| self.copy()).unwrap_or_else(Err));
        let copied = copied.as_ref().map_err(|reason| error(reason.clone()))?;
        let end = copied.ends.get(index).copied().unwrap_or_default();
        let start = index
            .checked_sub(1)
            .and_then(|before| copied.ends.get(before));
        let start = start.copied().unwrap_or(0);
        let length = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length];
        let outcome = copied.bytes.read(&mut bytes, start);
        outcome.map_err(|reason| error(reason.to_string()))?;
        Ok(bytes)
    }
}

impl ParquetFile {
    /// Copies the bytes of all images to a temporary file.
    fn copy(&self) -> Result<Copied, String> {
        let failed = |reason: ParquetError| reason.to_string();
        let cannot = |reason: std::io::Error| {
            format!("cannot copy its images to a temporary file: {reason}")
        };
        let (reader, size) = open(&self.path).map_err(|reason| reason.to_string())?;
        let bytes = part_of(&self.image, "bytes").map_err(failed)?;
        let columns = vec![bytes.unwrap_or_else(|| Arc::clone(&self.image))];
        let projection = Type::group_type_builder("schema").with_fields(columns);
        let projection = projection.build().map_err(failed)?;
        let mut file = BufWriter::new(tempfile::tempfile().map_err(cannot)?);
        let mut ends = Vec::with_capacity(self.names.len());
        let mut end = 0;
        let rows = reader.get_row_iter(Some(projection)).map_err(failed)?;
        for row in rows.take(self.names.len()) {
            let row = row.map_err(failed)?;
            let image = column(&row, self.image.name());
            let bytes = match image {
                Some(Field::Group(image)) => column(image, "bytes"),
                other => other,
            };
            // A missing image has no bytes, so that decoding it fails and names it.
            if let Some(Field::Bytes(bytes)) = bytes {
                file.write_all(bytes.data()).map_err(cannot)?;
                end += bytes.len() as u64;
            }
            if end / MOST_EXPANSION > size {
                return Err("its images have far more bytes than the file".to_owned());
            }
            ends.push(end);
        }
        let file = file
            .into_inner()
            .map_err(|reason| cannot(reason.into_error()))?;
        Ok(Copied {
            bytes: PositionedFile::new(file),
            ends,
        })
    }
}
