//! Which columns of a Parquet file hold images, labels and groups, and what a row of them says.

use std::fs::File;
use std::sync::Arc;

use finetune_files::{quoted, shortened};
use parquet::basic::{Repetition, Type as Physical};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use parquet::schema::types::{Type, TypePtr};
use serde_json::Value;

use super::super::groups;
use crate::error::listed;

/// Names of the column of images, the preferred ones first.
const IMAGES: [&str; 10] = [
    "image",
    "img",
    "picture",
    "photo",
    "images",
    "pic",
    "image_bytes",
    "bytes",
    "jpg",
    "png",
];

/// Names of the column of labels.
const LABELS: [&str; 6] = [
    "label",
    "labels",
    "class",
    "category",
    "target",
    "class_label",
];

/// The columns of images, labels and groups.
pub(super) struct Columns {
    /// A struct of `bytes` and perhaps `path`, or a column of bytes.
    pub(super) image: TypePtr,
    pub(super) label: TypePtr,
    /// What an image has in common with others: see [`Sample::group`](crate::Sample::group).
    pub(super) group: Option<TypePtr>,
    /// Names of the labels, if they are numbers with names.
    pub(super) classes: Option<Vec<String>>,
}

impl Columns {
    pub(super) fn find(reader: &SerializedFileReader<File>) -> Result<Self, String> {
        let metadata = reader.metadata().file_metadata();
        let fields = metadata.schema().get_fields();
        let pairs = metadata.key_value_metadata().into_iter().flatten();
        let metadata = pairs
            .filter(|pair| pair.key == "huggingface")
            .find_map(|pair| serde_json::from_str::<Value>(pair.value.as_deref()?).ok());
        let features = metadata.map_or(Value::Null, |data| data["info"]["features"].clone());
        let column = |names: &[&str], kind: &str, fits: fn(&Type) -> bool| {
            let is_kind = |field: &&TypePtr| features[field.name()]["_type"] == kind;
            let named = |name: &&str| {
                let mut fields = fields.iter();
                fields.find(|field| field.name().eq_ignore_ascii_case(name) && fits(field))
            };
            let found = names.iter().find_map(named);
            let found = found.or_else(|| fields.iter().find(is_kind));
            found.cloned().ok_or_else(|| {
                let columns: Vec<String> =
                    fields.iter().map(|field| field.name().to_owned()).collect();
                format!(
                    "it has no column `{}`; its columns are: {}",
                    names[0],
                    listed(&columns)
                )
            })
        };
        let image = column(&IMAGES, "Image", is_image)?;
        let label = column(&LABELS, "ClassLabel", Type::is_primitive)?;
        if !is_image(&image) {
            return Err(format!(
                "its column {} has no field `bytes`",
                quoted(image.name())
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
        let group = groups::COLUMNS.iter().find_map(|name| {
            // A `ClassLabel` may have any name.
            let is_other = |field: &&TypePtr| field.name() != label.name() && is_value(field);
            let mut fields = fields.iter().filter(is_other);
            fields.find(|field| groups::plain(field.name()) == *name)
        });
        Ok(Self {
            image,
            label,
            group: group.cloned(),
            classes: names,
        })
    }

    /// What the file is, as part of a sentence.
    pub(super) fn describe(&self) -> String {
        let named = if self.classes.is_some() {
            ", named in the metadata"
        } else {
            ""
        };
        let image = quoted(self.image.name());
        let label = format!("{} (label{named})", quoted(self.label.name()));
        let others = match &self.group {
            Some(group) => format!(", {label} and {} (group)", quoted(group.name())),
            None => format!(" and {label}"),
        };
        format!("Parquet files with the columns {image} (image){others}")
    }

    /// The columns of the labels and groups, and that of the images reduced to their `path`.
    pub(super) fn labels(&self) -> Result<Type, ParquetError> {
        let mut columns = vec![Arc::clone(&self.label)];
        columns.extend(self.group.clone());
        columns.extend(part_of(&self.image, "path")?);
        Type::group_type_builder("schema")
            .with_fields(columns)
            .build()
    }

    pub(super) fn label_of(&self, row: &Row) -> Result<String, String> {
        let number = match column(row, self.label.name()) {
            Some(Field::Str(text)) => return Ok(text.clone()),
            // Text that is not marked as such.
            Some(Field::Bytes(bytes)) => {
                let text = std::str::from_utf8(bytes.data());
                return text
                    .map(str::to_owned)
                    .map_err(|_| "has a label of bytes that are not UTF-8 text".to_owned());
            }
            Some(Field::Null) | None => return Err("has no label".to_owned()),
            Some(field) => whole(field).ok_or_else(|| {
                let label = field.to_string();
                format!(
                    "has the label {}, which is neither a whole number nor text",
                    shortened(&label, 100)
                )
            })?,
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

    /// The group of a row; `None` if it has none or its text is empty. It is only compared with others, so
    /// that any value will do.
    pub(super) fn group_of(&self, row: &Row) -> Option<String> {
        let text = match column(row, self.group.as_ref()?.name())? {
            Field::Null => return None,
            Field::Str(text) => text.clone(),
            Field::Bytes(bytes) => String::from_utf8_lossy(bytes.data()).into_owned(),
            // Whole numbers are the same in a file that stores them as another type.
            field => whole(field).map_or_else(|| field.to_string(), |number| number.to_string()),
        };
        (!text.is_empty()).then_some(text)
    }

    pub(super) fn name_of(&self, row: &Row) -> Option<String> {
        match column(row, self.image.name())? {
            Field::Group(image) => match column(image, "path")? {
                Field::Str(name) => Some(name.clone()),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Whether a column may hold encoded images: a struct with the field `bytes`, or bytes.
fn is_image(column: &Type) -> bool {
    if column.is_group() {
        let mut fields = column.get_fields().iter();
        fields.any(|field| field.name() == "bytes")
    } else {
        column.get_physical_type() == Physical::BYTE_ARRAY
    }
}

/// Whether each row has at most one value of a column.
fn is_value(column: &Type) -> bool {
    column.is_primitive() && column.get_basic_info().repetition() != Repetition::REPEATED
}

/// A number without a fraction.
#[allow(clippy::cast_possible_truncation)]
fn whole(field: &Field) -> Option<i128> {
    // Above this, floating point has no fractions and no exact whole numbers.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let float =
        |number: f64| (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i128);
    match field {
        Field::Bool(flag) => Some(i128::from(*flag)),
        Field::Byte(number) => Some(i128::from(*number)),
        Field::Short(number) => Some(i128::from(*number)),
        Field::Int(number) => Some(i128::from(*number)),
        Field::Long(number) => Some(i128::from(*number)),
        Field::UByte(number) => Some(i128::from(*number)),
        Field::UShort(number) => Some(i128::from(*number)),
        Field::UInt(number) => Some(i128::from(*number)),
        Field::ULong(number) => Some(i128::from(*number)),
        Field::Float16(number) => float(f64::from(f32::from(*number))),
        Field::Float(number) => float(f64::from(*number)),
        Field::Double(number) => float(*number),
        // `3` or `3.00`.
        Field::Decimal(_) => field.to_string().parse().ok().and_then(float),
        _ => None,
    }
}

pub(super) fn column<'a>(row: &'a Row, name: &str) -> Option<&'a Field> {
    let mut columns = row.get_column_iter();
    columns
        .find(|(known, _)| *known == name)
        .map(|(_, field)| field)
}

/// The struct `column` reduced to one field; `None` if it does not have that field.
pub(super) fn part_of(column: &TypePtr, field: &str) -> Result<Option<TypePtr>, ParquetError> {
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
