//! Recognising how the folder of a data set is arranged: parts, classes, or classes with parts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use finetune_files::{quoted, quoted_path};

use super::walk::{Entry, Root, is_image};
use crate::error::DataError;
use crate::sources::part_names::{Part, PartName};

/// How a folder is arranged.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Folders that hold nothing but the next one, from the one that was given.
    pub(crate) through: Vec<PathBuf>,
    /// The folder below them that has the parts or classes.
    pub(crate) folder: PathBuf,
    pub(crate) kind: Kind,
    /// What was decided, one sentence each.
    pub(crate) notes: Vec<String>,
}

#[derive(Debug)]
pub(crate) enum Kind {
    /// One folder per class.
    Classes,
    /// One folder per part with one folder per class each; training images first.
    Parts(Vec<PartFolder>),
    /// One folder per class with one folder per part each.
    ClassFirst(Vec<ClassFolder>),
}

/// The folder of a part.
#[derive(Debug, Clone)]
pub(crate) struct PartFolder {
    pub(crate) part: Part,
    pub(crate) path: PathBuf,
    /// The folder with the classes: `path`, or a folder of the same name in it.
    pub(crate) classes: PathBuf,
}

/// The folder of a class that has parts.
#[derive(Debug)]
pub(crate) struct ClassFolder {
    pub(crate) path: PathBuf,
    pub(crate) parts: Vec<(Part, PathBuf)>,
}

/// Most folders in folders that are looked through.
const DEEPEST: usize = 16;

impl Layout {
    /// Recognises a folder.
    pub(crate) fn of(root: &Root, path: &Path) -> Result<Self, DataError> {
        let mut layout = Self {
            through: Vec::new(),
            folder: path.to_owned(),
            kind: Kind::Classes,
            notes: Vec::new(),
        };
        loop {
            let entries = root.glance(&layout.folder)?;
            let folders: Vec<&Path> = folders(&entries).collect();
            if let Some(kind) = layout.parts(root, &folders)? {
                layout.kind = kind;
                break;
            }
            if let Some(classes) = class_first(root, &layout.folder, &folders)? {
                layout.kind = Kind::ClassFirst(classes);
                break;
            }
            let inner = match folders.as_slice() {
                [only] if !entries.iter().any(is_image) => *only,
                _ => break,
            };
            let below = root.glance(inner)?;
            // A folder with images is a class.
            let passes = folders_of(&below) > 0 && !below.iter().any(is_image);
            if !passes || layout.through.len() == DEEPEST {
                break;
            }
            let inner = inner.to_owned();
            layout
                .through
                .push(std::mem::replace(&mut layout.folder, inner));
        }
        if layout.through.is_empty() {
            return Ok(layout);
        }
        // A class in folders of its own is not a data set in folders of its own.
        if matches!(layout.kind, Kind::Classes) {
            let entries = root.glance(&layout.folder)?;
            if folders_of(&entries) < 2 {
                layout.folder = layout.through.swap_remove(0);
                layout.through.clear();
                return Ok(layout);
            }
        }
        layout.notes.push(format!(
            "the data set is in {}, the only folder of {}",
            quoted_path(&layout.folder),
            quoted_path(path)
        ));
        Ok(layout)
    }

    /// The folders of parts among `folders`.
    fn parts(&mut self, root: &Root, folders: &[&Path]) -> Result<Option<Kind>, DataError> {
        let mut groups: BTreeMap<String, Vec<(PartName, &Path)>> = BTreeMap::new();
        for folder in folders {
            if let Some(name) = part_name(folder) {
                let group = groups.entry(name.affix.clone()).or_default();
                group.push((name, folder));
            }
        }
        let is_complete = |group: &&Vec<(PartName, &Path)>| {
            let train = group.iter().filter(|(name, _)| name.part == Part::Train);
            let train = train.count();
            train > 0 && train < group.len()
        };
        let mut complete = groups.values().filter(is_complete);
        // Parts without an affix come first: the affix `""` is the smallest.
        let Some(group) = complete.next() else {
            let without_affix = groups.remove("").unwrap_or_default();
            return self.missing(root, &without_affix);
        };
        if let Some(other) = complete.next().filter(|_| !group[0].0.affix.is_empty()) {
            let reason = format!(
                "it has several data sets, {} and {}; give the folder of one of them, or move the others \
                 away",
                listed(group.iter().map(|(_, path)| *path)),
                listed(other.iter().map(|(_, path)| *path))
            );
            return Err(self.ambiguous(reason));
        }
        let found = self.roles(group)?;
        let mut parts = Vec::new();
        for (part, path) in found {
            let classes = same_name_below(root, path, part)?;
            let path = path.to_owned();
            parts.push(PartFolder {
                part,
                path,
                classes,
            });
        }
        self.without_unlabelled(root, &mut parts)?;
        Ok(Some(Kind::Parts(parts)))
    }

    /// Which folder is which part: training images, validation images if there are any, test images.
    fn roles<'a>(
        &self,
        group: &[(PartName, &'a Path)],
    ) -> Result<Vec<(Part, &'a Path)>, DataError> {
        let one = |part: Part, eval: bool| {
            let of_part = group
                .iter()
                .filter(|(name, _)| name.part == part && name.is_eval == eval);
            let paths: Vec<&'a Path> = of_part.map(|(_, path)| *path).collect();
            match paths.as_slice() {
                [] => Ok(None),
                [path] => Ok(Some(*path)),
                several => Err(self.ambiguous(format!(
                    "{} have the names of the same part ({}); rename, merge or remove all but one",
                    listed(several.iter().copied()),
                    part.title()
                ))),
            }
        };
        let train = one(Part::Train, false)?;
        let (mut valid, mut test) = (one(Part::Valid, false)?, one(Part::Test, false)?);
        match (one(Part::Valid, true)?, valid, test) {
            (None, ..) => {}
            (eval, None, _) => valid = eval,
            (eval, _, None) => test = eval,
            (Some(eval), Some(valid), _) => {
                return Err(self.ambiguous(format!(
                    "{} have the names of the same part (valid); rename, merge or remove one",
                    listed([valid, eval])
                )));
            }
        }
        let parts = [
            (Part::Train, train),
            (Part::Valid, valid),
            (Part::Test, test),
        ];
        let found = parts.into_iter();
        Ok(found
            .filter_map(|(part, path)| Some((part, path?)))
            .collect())
    }

    /// Removes a test part that has images but no class folders if there are validation images to test
    /// with; such images are what a competition wants predictions for.
    fn without_unlabelled(
        &mut self,
        root: &Root,
        parts: &mut Vec<PartFolder>,
    ) -> Result<(), DataError> {
        let Some(test) = parts.pop_if(|last| last.part == Part::Test) else {
            return Ok(());
        };
        let entries = root.glance(&test.classes)?;
        let images = entries.iter().filter(|entry| is_image(entry)).count();
        if images == 0 || root.has_classes(&test.classes)? {
            parts.push(test);
            return Ok(());
        }
        let has_valid = parts.iter().any(|part| part.part == Part::Valid);
        if let Some(train) = parts.first().filter(|_| !has_valid) {
            return Err(DataError::Unlabelled {
                path: test.path,
                images,
                train: train.path.clone(),
            });
        }
        self.notes.push(format!(
            "{} is not used: it has {images} image(s) but no class folders, so that they have no \
                     labels",
            quoted_path(&test.path)
        ));
        Ok(())
    }

    /// Rejects a part with class folders if the other parts are not there. A class may be called like a
    /// part.
    fn missing(&self, root: &Root, named: &[(PartName, &Path)]) -> Result<Option<Kind>, DataError> {
        for (name, folder) in named {
            if root.has_classes(folder)? {
                let has = folder.file_name().unwrap_or_default().to_string_lossy();
                return Err(DataError::MissingPart {
                    path: self.folder.clone(),
                    lacks: counterpart(&has, name.part),
                    has: has.into_owned(),
                });
            }
        }
        Ok(None)
    }

    fn ambiguous(&self, reason: String) -> DataError {
        DataError::Ambiguous {
            path: self.folder.clone(),
            reason,
        }
    }

    /// What the folder is, as part of a sentence.
    pub(crate) fn describe(&self) -> String {
        match &self.kind {
            Kind::Classes => "folder with one folder per class".to_owned(),
            Kind::Parts(parts) => {
                let parts = parts.iter().map(|part| (part.part, part.path.as_path()));
                format!("folder with parts {}, one folder per class", named(parts))
            }
            Kind::ClassFirst(classes) => {
                let mut all: BTreeMap<Part, &Path> = BTreeMap::new();
                for (part, path) in classes.iter().flat_map(|class| &class.parts) {
                    all.entry(*part).or_insert(path);
                }
                format!(
                    "folder with one folder per class, and parts {} in each of them",
                    named(all)
                )
            }
        }
    }
}

/// The classes of a folder if each has folders of parts: `cat/train`, `cat/test`, `dog/train`, …
fn class_first(
    root: &Root,
    folder: &Path,
    folders: &[&Path],
) -> Result<Option<Vec<ClassFolder>>, DataError> {
    if folders.len() < 2 {
        return Ok(None);
    }
    let ambiguous = |reason: String| DataError::Ambiguous {
        path: folder.to_owned(),
        reason,
    };
    let mut classes = Vec::new();
    for class in folders {
        let mut parts: BTreeMap<Part, PathBuf> = BTreeMap::new();
        for entry in root.glance(class)? {
            let name =
                part_name(&entry.path).filter(|name| entry.is_folder && name.affix.is_empty());
            let Some(name) = name else { continue };
            if let Some(other) = parts.insert(name.part, entry.path.clone()) {
                return Err(ambiguous(format!(
                    "{} have the names of the same part ({}); rename, merge or remove all but one",
                    listed([other.as_path(), entry.path.as_path()]),
                    name.part.title()
                )));
            }
        }
        classes.push(ClassFolder {
            path: (*class).to_owned(),
            parts: parts.into_iter().collect(),
        });
    }
    let first = |part: Part| {
        let mut all = classes.iter().flat_map(|class| &class.parts);
        all.find(|(other, _)| *other == part).map(|(_, path)| path)
    };
    let others = [Part::Valid, Part::Test].map(first);
    let (Some(train), Some(other)) = (first(Part::Train), others.into_iter().flatten().next())
    else {
        return Ok(None);
    };
    if let Some(class) = classes.iter().find(|class| class.parts.is_empty()) {
        return Err(ambiguous(format!(
            "it has the parts {}, but {} has no parts; give every class the same parts",
            listed([train.as_path(), other.as_path()]),
            quoted_path(&class.path)
        )));
    }
    for (_, part) in classes.iter().flat_map(|class| &class.parts) {
        let entries = root.glance(part)?;
        if !entries.iter().any(is_image) && root.has_classes(part)? {
            return Err(ambiguous(format!(
                "it has parts with class folders in several folders, first {}; give the folder of one \
                 data set",
                quoted_path(part)
            )));
        }
    }
    Ok(Some(classes))
}

/// The only folder in the folder of a part if it is called like it (`seg_train/seg_train`), or has no
/// name of its own (`train/images`); otherwise the folder itself.
fn same_name_below(root: &Root, path: &Path, part: Part) -> Result<PathBuf, DataError> {
    let entries = root.glance(path)?;
    let mut folders = folders(&entries);
    if let (Some(only), None) = (folders.next(), folders.next())
        && !entries.iter().any(is_image)
        && root.has_classes(only)?
    {
        let name = only.file_name().unwrap_or_default();
        let same = path
            .file_name()
            .is_some_and(|own| name.eq_ignore_ascii_case(own));
        let is_part = part_name(only).is_some_and(|name| name.part == part);
        let nameless = name.eq_ignore_ascii_case("images") || name.eq_ignore_ascii_case("data");
        if same || is_part || nameless {
            return Ok(only.to_owned());
        }
    }
    Ok(path.to_owned())
}

fn part_name(folder: &Path) -> Option<PartName> {
    PartName::of(folder.file_name()?.to_str()?)
}

fn folders(entries: &[Entry]) -> impl Iterator<Item = &Path> {
    let folders = entries.iter().filter(|entry| entry.is_folder);
    folders.map(|entry| entry.path.as_path())
}

fn folders_of(entries: &[Entry]) -> usize {
    folders(entries).count()
}

/// What the other folder would be called: `Testing` for `Training`.
fn counterpart(name: &str, part: Part) -> String {
    const PAIRS: [(&str, &str); 3] = [("train", "test"), ("Train", "Test"), ("TRAIN", "TEST")];
    for (train, test) in PAIRS {
        match part {
            Part::Train if name.contains(train) => return name.replace(train, test),
            Part::Test if name.contains(test) => return name.replace(test, train),
            _ => {}
        }
    }
    let title = if part == Part::Train { "test" } else { "train" };
    title.to_owned()
}

fn named<'a>(parts: impl IntoIterator<Item = (Part, &'a Path)>) -> String {
    let parts = parts.into_iter().map(|(part, path)| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        format!("{} ({})", quoted(&name), part.title())
    });
    joined(parts.collect())
}

fn listed<'a>(paths: impl IntoIterator<Item = &'a Path>) -> String {
    let names = paths.into_iter().map(quoted_path);
    joined(names.collect())
}

/// `a, b and c`.
fn joined(mut all: Vec<String>) -> String {
    match all.pop() {
        None => String::new(),
        Some(last) if all.is_empty() => last,
        Some(last) => format!("{} and {last}", all.join(", ")),
    }
}
