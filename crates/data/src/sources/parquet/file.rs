//! One Parquet file of images: a column `image`, which is a struct of `bytes` and `path`, and a column
//! `label` of text or of numbers, whose names are in the metadata of the file.
//!
//! Opening a file reads labels and paths only. The bytes of the images are in compressed pages of many,
//! and training reads images in any order. So the first read copies the bytes of all images of the file
//! to a temporary file, and all reads are from there. The temporary file has no name and disappears
//! with the process.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use parquet::schema::types::{Type, TypePtr};
use serde_json::Value;

use super::super::parts::{Part, Parts, Place};
use super::super::source::{Container, Source};
use crate::error::DataError;
use crate::positioned::PositionedFile;

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

/// Reads the labels of files.
pub(in super::super) fn read(files: Vec<(Part, PathBuf)>) -> Result<Parts, DataError> {
    let mut parts = Parts::default();
    for (part, path) in files {
        let error = |reason: String| DataError::Parquet {
            path: path.clone(),
            reason,
        };
        let failed = |reason: ParquetError| error(reason.to_string());
        let reader = open(&path)?;
        let columns = Columns::find(&reader).map_err(error)?;
        let projection = columns.labels().map_err(failed)?;
        let mut labels = Vec::new();
        let mut names = Vec::new();
        for (number, row) in reader
            .get_row_iter(Some(projection))
            .map_err(failed)?
            .enumerate()
        {
            let row = row.map_err(failed)?;
            let label = columns.label_of(&row);
            labels.push(label.map_err(|reason| error(format!("row {number} {reason}")))?);
            names.push(columns.name_of(&row));
        }
        let file: Arc<dyn Container> = Arc::new(ParquetFile {
            path: path.clone(),
            image: columns.image,
            names,
            copied: OnceLock::new(),
        });
        let shared: Arc<Path> = path.as_path().into();
        for (row, label) in labels.into_iter().enumerate() {
            let source = Source::Contained {
                container: file.clone(),
                index: row,
            };
            let place = Place {
                file: Arc::clone(&shared),
                unit: "row",
                number: row as u64,
            };
            parts.add(part, source, &label, place);
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

fn open(path: &Path) -> Result<SerializedFileReader<File>, DataError> {
    let file = File::open(path).map_err(|source| DataError::Io {
        path: path.to_owned(),
        source,
    })?;
    SerializedFileReader::new(file).map_err(|reason| DataError::Parquet {
        path: path.to_owned(),
        reason: format!("it is not a readable Parquet file: {reason}"),
    })
}

/// The columns of images and labels.
struct Columns {
    /// A struct of `bytes` and perhaps `path`, or a column of bytes.
    image: TypePtr,
    label: TypePtr,
    /// Names of the labels, if they are numbers with names.
    classes: Option<Vec<String>>,
}

impl Columns {
    fn find(reader: &SerializedFileReader<File>) -> Result<Self, String> {
        let metadata = reader.metadata().file_metadata();
        let fields = metadata.schema().get_fields();
        let pairs = metadata.key_value_metadata().into_iter().flatten();
        let metadata = pairs
            .filter(|pair| pair.key == "huggingface")
            .find_map(|pair| serde_json::from_str::<Value>(pair.value.as_deref()?).ok());
        let features = metadata.map_or(Value::Null, |data| data["info"]["features"].clone());
        let column = |names: &[&str], kind: &str| {
            let is_kind = |field: &&TypePtr| features[field.name()]["_type"] == kind;
            let named = |name: &&str| fields.iter().find(|field| field.name() == *name);
            let found = names
                .iter()
                .find_map(named)
                .or_else(|| fields.iter().find(is_kind));
            found.cloned().ok_or_else(|| {
                let columns: Vec<&str> = fields.iter().map(|field| field.name()).collect();
                format!(
                    "it has no column `{}`; its columns are: {}",
                    names[0],
                    columns.join(", ")
                )
            })
        };
        let image = column(&["image", "img"], "Image")?;
        let label = column(&["label", "labels"], "ClassLabel")?;
        if image.is_group()
            && !image
                .get_fields()
                .iter()
                .any(|field| field.name() == "bytes")
        {
            return Err(format!(
                "its column `{}` has no field `bytes`",
                image.name()
            ));
        }
        let names = features[label.name()]["names"].as_array();
        let names = names.map(|names| {
            let name = |name: &Value| {
                name.as_str()
                    .map_or_else(|| name.to_string(), str::to_owned)
            };
            names.iter().map(name).collect()
        });
        Ok(Self {
            image,
            label,
            classes: names,
        })
    }

    /// The column of the labels, and that of the images reduced to their `path`.
    fn labels(&self) -> Result<Type, ParquetError> {
        let mut columns = vec![Arc::clone(&self.label)];
        columns.extend(part_of(&self.image, "path")?);
        Type::group_type_builder("schema")
            .with_fields(columns)
            .build()
    }

    fn label_of(&self, row: &Row) -> Result<String, String> {
        let number = match column(row, self.label.name()) {
            Some(Field::Str(text)) => return Ok(text.clone()),
            Some(Field::Byte(number)) => i64::from(*number),
            Some(Field::Short(number)) => i64::from(*number),
            Some(Field::Int(number)) => i64::from(*number),
            Some(Field::Long(number)) => *number,
            Some(Field::UByte(number)) => i64::from(*number),
            Some(Field::UShort(number)) => i64::from(*number),
            Some(Field::UInt(number)) => i64::from(*number),
            Some(Field::Bool(flag)) => i64::from(*flag),
            Some(Field::Null) | None => return Err("has no label".to_owned()),
            Some(other) => {
                return Err(format!(
                    "has the label {other}, which is neither a number nor text"
                ));
            }
        };
        match &self.classes {
            None if number >= 0 => Ok(number.to_string()),
            None => Err(format!(
                "has the label {number}, which means that it is not labelled"
            )),
            Some(names) => {
                let name = usize::try_from(number)
                    .ok()
                    .and_then(|number| names.get(number));
                name.cloned()
                    .ok_or_else(|| format!("has the label {number}, which has no name"))
            }
        }
    }

    fn name_of(&self, row: &Row) -> Option<String> {
        match column(row, self.image.name())? {
            Field::Group(image) => match column(image, "path")? {
                Field::Str(name) => Some(name.clone()),
                _ => None,
            },
            _ => None,
        }
    }
}

fn column<'a>(row: &'a Row, name: &str) -> Option<&'a Field> {
    let mut columns = row.get_column_iter();
    columns
        .find(|(known, _)| *known == name)
        .map(|(_, field)| field)
}

/// The struct `column` reduced to one field; `None` if it does not have that field.
fn part_of(column: &TypePtr, field: &str) -> Result<Option<TypePtr>, ParquetError> {
    if !column.is_group() {
        return Ok(None);
    }
    let Some(field) = column
        .get_fields()
        .iter()
        .find(|known| known.name() == field)
    else {
        return Ok(None);
    };
    let info = column.get_basic_info();
    let group = Type::group_type_builder(column.name())
        .with_repetition(info.repetition())
        .with_fields(vec![Arc::clone(field)]);
    Ok(Some(Arc::new(group.build()?)))
}

impl Container for ParquetFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn name(&self, index: usize) -> String {
        let name = self.names.get(index).and_then(Option::as_deref);
        let own = name.map_or_else(String::new, |name| format!(" ({name})"));
        format!("{}, row {index}{own}", self.path.display())
    }

    fn bytes(&self, index: usize) -> Result<Vec<u8>, DataError> {
        let error = |reason: String| DataError::Parquet {
            path: self.path.clone(),
            reason,
        };
        let copied = self.copied.get_or_init(|| self.copy());
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
        let reader = open(&self.path).map_err(|reason| reason.to_string())?;
        let bytes = part_of(&self.image, "bytes").map_err(failed)?;
        let columns = vec![bytes.unwrap_or_else(|| Arc::clone(&self.image))];
        let projection = Type::group_type_builder("schema").with_fields(columns);
        let projection = projection.build().map_err(failed)?;
        let mut file = BufWriter::new(tempfile::tempfile().map_err(cannot)?);
        let mut ends = Vec::with_capacity(self.names.len());
        let mut end = 0;
        for row in reader.get_row_iter(Some(projection)).map_err(failed)? {
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
