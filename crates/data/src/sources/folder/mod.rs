//! Folders of images: one folder per class, perhaps inside of `train`, `valid` and `test`, or with these
//! inside of it.

pub(crate) mod layout;
pub(crate) mod walk;

use std::path::Path;

use finetune_files::quoted;

use self::layout::{ClassFolder, Kind, Layout, PartFolder};
use self::walk::{Classes, Root, beside};
use super::left_out::{Count, Why};
use super::origin::{From, Origin};
use super::part_names::Part;
use super::set::ImageSet;
use super::splits::{SplitOptions, Splits};
use crate::error::DataError;

/// What it looks like, for lists of what a data set may be.
pub(super) const DESCRIPTION: &str = "Folder with `train` and `test`, or with one folder per class";

/// Opens a folder of images.
pub(super) fn open(path: &Path, options: &SplitOptions) -> Result<Splits, DataError> {
    let name = path.display().to_string();
    let root = Root::new(path)?;
    let layout = Layout::of(&root, path)?;
    let mut left_out = Count::default();
    let mut origin = Origin::new(layout.describe(), path);
    let found = read(&root, &layout, &mut left_out)?;
    origin.notes = layout.notes;
    origin.left_out = left_out.into_list();
    match found {
        Found::Whole(set) => Splits::of_whole(set, name, origin, options),
        Found::Parts(parts) => parts.splits(name, origin, options),
    }
}

/// Opens the test images of a folder: those of its test part, of its validation part if it has no test
/// part, or all if it has no parts.
pub(super) fn open_test(path: &Path) -> Result<(ImageSet, Origin), DataError> {
    let root = Root::new(path)?;
    let mut left_out = Count::default();
    let (layout, set, from) = match Layout::of(&root, path) {
        // Training images are not needed here.
        Err(DataError::MissingPart { has, path, .. }) if Part::named(&has) != Some(Part::Train) => {
            let set = root.classes(&path.join(&has), &mut left_out)?;
            let part = Part::named(&has).map_or("test", Part::title);
            let layout = format!("folder with the part {} ({part})", quoted(&has));
            (layout, set, Some(has))
        }
        Err(error) => return Err(error),
        Ok(layout) => {
            let (set, from) = match &layout.kind {
                // Other parts need not be readable.
                Kind::Parts(parts) => match parts.last() {
                    Some(test) => {
                        let set = root.classes(&test.classes, &mut left_out)?;
                        (set, Some(short(&test.path)))
                    }
                    None => return Err(DataError::NoClasses(path.to_owned())),
                },
                _ => match read(&root, &layout, &mut left_out)? {
                    Found::Whole(set) => (set, None),
                    Found::Parts(parts) => (parts.test, Some(parts.test_from)),
                },
            };
            (layout.describe(), set, from)
        }
    };
    let mut origin = Origin::new(layout, path);
    origin.from.test = from;
    origin.left_out = left_out.into_list();
    Ok((set, origin))
}

/// The images of a folder.
enum Found {
    /// Images that are not split.
    Whole(ImageSet),
    Parts(Parts),
}

/// Images in parts, and the names of the folders that they came from.
struct Parts {
    train: ImageSet,
    train_from: String,
    valid: Option<(ImageSet, String)>,
    test: ImageSet,
    test_from: String,
    /// Whether the test images are those of a validation part.
    is_valid: bool,
}

impl Parts {
    fn splits(
        self,
        name: String,
        mut origin: Origin,
        options: &SplitOptions,
    ) -> Result<Splits, DataError> {
        if self.is_valid {
            origin.made.push(format!(
                "no test part: {} is used for testing",
                quoted(&self.test_from)
            ));
        }
        let (valid, valid_from) = self.valid.unzip();
        origin.from = From {
            train: Some(self.train_from),
            valid: valid_from,
            test: Some(self.test_from),
        };
        let splits = Splits {
            name,
            train: self.train,
            valid,
            test: self.test,
            origin,
        };
        splits.folded(options)
    }
}

fn read(root: &Root, layout: &Layout, left_out: &mut Count) -> Result<Found, DataError> {
    count_outer(root, layout, left_out)?;
    match &layout.kind {
        Kind::Classes => root.classes(&layout.folder, left_out).map(Found::Whole),
        Kind::Parts(parts) => read_parts(root, layout, parts, left_out).map(Found::Parts),
        Kind::ClassFirst(classes) => {
            read_class_first(root, &layout.folder, classes, left_out).map(Found::Parts)
        }
    }
}

/// Notes what is next to the folders that are looked through.
fn count_outer(root: &Root, layout: &Layout, left_out: &mut Count) -> Result<(), DataError> {
    for folder in &layout.through {
        for entry in root.glance(folder)?.iter().filter(|entry| !entry.is_folder) {
            beside(&entry.path, left_out);
        }
    }
    Ok(())
}

fn read_parts(
    root: &Root,
    layout: &Layout,
    parts: &[PartFolder],
    left_out: &mut Count,
) -> Result<Parts, DataError> {
    for entry in root.glance(&layout.folder)? {
        if !entry.is_folder {
            beside(&entry.path, left_out);
        } else if parts.iter().all(|part| part.path != entry.path) {
            left_out.add(&entry.path, Why::Place);
        }
    }
    let [first, rest @ ..] = parts else {
        return Err(DataError::NoClasses(layout.folder.clone()));
    };
    let train = root.classes(&first.classes, left_out)?;
    let mut others = Vec::new();
    for part in rest {
        let set = root.same_classes(&part.classes, &train, left_out)?;
        others.push((part.part, set, short(&part.path)));
    }
    tested(train, short(&first.path), others, &layout.folder)
}

fn read_class_first(
    root: &Root,
    folder: &Path,
    classes: &[ClassFolder],
    left_out: &mut Count,
) -> Result<Parts, DataError> {
    let has = |part: Part| {
        let mut all = classes.iter().flat_map(|class| &class.parts);
        all.any(|(other, _)| *other == part)
    };
    let mut sets = Vec::new();
    for part in [Part::Train, Part::Valid, Part::Test] {
        if !has(part) {
            continue;
        }
        let mut found = Classes::default();
        let mut empty = None;
        let mut from = String::new();
        for class in classes {
            let label = found.add(&class.path)?;
            let own = class.parts.iter().find(|(other, _)| *other == part);
            let before = found.set.len();
            if let Some((_, path)) = own {
                root.images(path, label, &mut found.set, left_out)?;
                if from.is_empty() {
                    from = format!("*/{}", short(path));
                }
            }
            if found.set.len() == before {
                let path =
                    own.map_or_else(|| class.path.join(part.title()), |(_, path)| path.clone());
                empty = empty.or(Some(path));
            }
        }
        sets.push((part, found.checked(folder, empty)?, from));
    }
    for class in classes {
        for entry in root.glance(&class.path)? {
            if !entry.is_folder {
                beside(&entry.path, left_out);
            } else if class.parts.iter().all(|(_, path)| *path != entry.path) {
                left_out.add(&entry.path, Why::Place);
            }
        }
    }
    for entry in root.glance(folder)?.iter().filter(|entry| !entry.is_folder) {
        beside(&entry.path, left_out);
    }
    if sets.is_empty() {
        return Err(DataError::NoClasses(folder.to_owned()));
    }
    let (_, train, from) = sets.remove(0);
    tested(train, from, sets, folder)
}

/// Puts parts together. Without a test part the validation images are for testing.
fn tested(
    train: ImageSet,
    train_from: String,
    mut others: Vec<(Part, ImageSet, String)>,
    folder: &Path,
) -> Result<Parts, DataError> {
    let (part, test, test_from) = others
        .pop()
        .ok_or_else(|| DataError::NoClasses(folder.to_owned()))?;
    let valid = others.pop().map(|(_, set, from)| (set, from));
    Ok(Parts {
        train,
        train_from,
        valid,
        test,
        test_from,
        is_valid: part == Part::Valid,
    })
}

/// The name of a folder.
fn short(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
