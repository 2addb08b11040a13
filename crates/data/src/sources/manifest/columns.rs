//! Which columns of a manifest hold paths, labels, parts and groups.

use finetune_files::quoted;

use super::super::groups::{self, plain};
use crate::error::listed;

/// Names of the column of paths, the preferred ones first, without case and punctuation. `file_name` is
/// Hugging Face's.
const PATHS: [&str; 12] = [
    "path",
    "filename",
    "file",
    "filepath",
    "imagepath",
    "imgpath",
    "image",
    "img",
    "imagefile",
    "imagename",
    "fname",
    "relativepath",
];

/// Names of the column of labels.
const LABELS: [&str; 7] = [
    "label",
    "labels",
    "class",
    "classname",
    "category",
    "target",
    "classlabel",
];

/// Names of the column of parts. Only the first one says nothing else.
const PARTS: [&str; 12] = [
    "split",
    "splits",
    "set",
    "subset",
    "partition",
    "part",
    "phase",
    "usage",
    "purpose",
    "dataset",
    "fold",
    "folds",
];

/// Names of columns that say yes or no: fastai's `is_valid`.
const IS_TRAIN: [&str; 4] = ["istrain", "istraining", "istrainingimage", "intrain"];
const IS_VALID: [&str; 4] = ["isvalid", "isval", "isvalidation", "isdev"];
const IS_TEST: [&str; 3] = ["istest", "istesting", "istestimage"];

/// The columns of a manifest.
#[derive(Debug)]
pub(super) struct Columns {
    pub(super) path: Column,
    pub(super) label: Column,
    pub(super) part: Option<PartColumn>,
    /// What an image has in common with others: see [`Sample::group`](crate::Sample::group).
    pub(super) group: Option<Column>,
    /// What is not used and might have been meant, one sentence each.
    pub(super) notes: Vec<String>,
}

/// A column: its index and its name.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) index: usize,
    pub(super) name: String,
}

impl Column {
    /// The column of paths among the names of all.
    pub(super) fn path(names: &[String]) -> Result<Self, String> {
        Self::wanted(names, &PATHS)
    }

    fn wanted(names: &[String], known: &[&str]) -> Result<Self, String> {
        let plain: Vec<String> = names.iter().map(|name| plain(name)).collect();
        Self::find(names, &plain, known).ok_or_else(|| {
            format!(
                "it has no column `{}`; its columns are: {}",
                known[0],
                listed(names)
            )
        })
    }

    /// The first of the known columns, by its plain name.
    fn find(names: &[String], plain: &[String], known: &[&str]) -> Option<Self> {
        let index = known
            .iter()
            .find_map(|known| plain.iter().position(|name| name == known))?;
        let name = names[index].trim().to_owned();
        Some(Self { index, name })
    }
}

/// How the part of an image is said.
#[derive(Debug)]
pub(super) enum PartColumn {
    /// By its name.
    Named {
        column: Column,
        /// Whether the column can mean nothing else.
        sure: bool,
    },
    /// By columns that say yes or no.
    Flags {
        train: Option<Column>,
        valid: Option<Column>,
        test: Option<Column>,
    },
}

impl Columns {
    /// Finds the columns among the names of all.
    pub(super) fn find(names: &[String]) -> Result<Self, String> {
        let plain: Vec<String> = names.iter().map(|name| plain(name)).collect();
        let find = |wanted: &[&str]| Column::find(names, &plain, wanted);
        let (path, label) = (Column::path(names)?, Column::wanted(names, &LABELS)?);
        let mut parts = Vec::new();
        for (rank, known) in PARTS.iter().enumerate() {
            let column = find(&[known]);
            parts.extend(column.map(|column| PartColumn::Named {
                column,
                sure: rank == 0,
            }));
        }
        let [train, valid, test] = [&IS_TRAIN[..], &IS_VALID, &IS_TEST].map(find);
        if train.is_some() || valid.is_some() || test.is_some() {
            parts.push(PartColumn::Flags { train, valid, test });
        }
        let mut parts = parts.into_iter();
        let part = parts.next();
        let notes = part.as_ref().map_or_else(Vec::new, |used| {
            let note = |other: PartColumn| {
                format!(
                    "the column {} is not used, because {} is",
                    other.title(),
                    used.title()
                )
            };
            parts.map(note).collect()
        });
        Ok(Self {
            path,
            label,
            part,
            group: find(&groups::COLUMNS),
            notes,
        })
    }

    /// What the manifest is, as part of a sentence.
    pub(super) fn describe(&self, uses_part: bool) -> String {
        let part = self.part.as_ref().filter(|_| uses_part);
        let part = part.map_or_else(String::new, |part| format!(" and {} (part)", part.title()));
        let group = self.group.as_ref();
        let group = group.map(|column| format!(" and {} (group)", quoted(&column.name)));
        let (part, group) = match (part, group) {
            (part, None) => (part, String::new()),
            (part, Some(group)) => (part.replacen(" and ", ", ", 1), group),
        };
        let between = if part.is_empty() && group.is_empty() {
            " and"
        } else {
            ","
        };
        format!(
            "manifest with the columns {} (path){between} {} (label){part}{group}",
            quoted(&self.path.name),
            quoted(&self.label.name)
        )
    }
}

impl PartColumn {
    /// Its name, or its names.
    pub(super) fn title(&self) -> String {
        match self {
            Self::Named { column, .. } => quoted(&column.name),
            Self::Flags { train, valid, test } => {
                let names = [train, valid, test].into_iter().flatten();
                let names: Vec<String> = names.map(|column| quoted(&column.name)).collect();
                names.join(", ")
            }
        }
    }

    /// What it says, as a word in a message.
    pub(super) fn word(&self) -> String {
        match self {
            Self::Named { sure: true, .. } => "split".to_owned(),
            other => other.title(),
        }
    }

    pub(super) fn is_sure(&self) -> bool {
        !matches!(self, Self::Named { sure: false, .. })
    }

    /// The part of a row, from the cell of each column.
    pub(super) fn read(
        &self,
        cell: impl Fn(&Column) -> Result<Option<String>, String>,
    ) -> Result<Option<String>, String> {
        let (train, valid, test) = match self {
            Self::Named { column, .. } => return cell(column),
            Self::Flags { train, valid, test } => (train, valid, test),
        };
        let flag = |column: &Option<Column>| {
            let Some(column) = column else {
                return Ok(None);
            };
            match cell(column)? {
                None => Err(format!("its {} is empty", quoted(&column.name))),
                Some(answer) => yes_or_no(&answer).map(Some).ok_or_else(|| {
                    format!(
                        "its {} is {}, but must be true or false",
                        quoted(&column.name),
                        quoted(&answer)
                    )
                }),
            }
        };
        let flags = [flag(train)?, flag(valid)?, flag(test)?];
        let yes = flags.iter().filter(|flag| **flag == Some(true)).count();
        let part = match flags {
            _ if yes > 1 => return Err(format!("several of {} are true", self.title())),
            [Some(true), _, _] => "train",
            [_, Some(true), _] => "valid",
            [_, _, Some(true)] => "test",
            // Nothing is true: the part that has no column, training images first.
            [None, _, _] => "train",
            [_, _, None] => "test",
            [_, None, _] => "valid",
            _ => return Err(format!("none of {} is true", self.title())),
        };
        Ok(Some(part.to_owned()))
    }
}

fn yes_or_no(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "1.0" | "yes" | "t" | "y" => Some(true),
        "false" | "0" | "0.0" | "no" | "f" | "n" => Some(false),
        _ => None,
    }
}
