//! The identity of a data set.

use finetune_data::Splits;
use finetune_files::{listed, quoted};
use serde::{Deserialize, Serialize};

use super::contents;

use crate::error::Error;

/// The most images whose contents are recorded, so that the files that have the records remain small.
const MOST_IMAGES: usize = 2_000_000;

/// How many differences of one kind a message names.
const SHOWN: usize = 3;

/// The classes and images of a data set, before any are chosen by a seed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataIdentity {
    /// Names of the classes, in the order of the labels.
    pub classes: Vec<String>,
    /// The parts that the data set has: `train`, `valid`, `test`.
    pub parts: Vec<PartIdentity>,
}

/// The images of a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartIdentity {
    /// `train`, `valid` or `test`.
    pub name: String,
    /// Number of images per class.
    pub per_class: Vec<usize>,
    /// SHA-256 over name, size and label of each image, in order: its
    /// [`Fingerprint`](finetune_data::Fingerprint).
    pub sha256: String,
    /// A checksum of the file of each image, in order, as far as it was read; empty if none was.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "contents")]
    pub contents: Vec<Option<u32>>,
}

/// An image whose file has changed although its size has not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherContents {
    /// The name of its part.
    pub part: String,
    /// Its index in the part.
    pub index: usize,
    /// How many other images have changed as well.
    pub others: usize,
}

impl DataIdentity {
    /// The identity of a data set.
    ///
    /// # Errors
    ///
    /// The size of a file cannot be read.
    pub fn of(splits: &Splits) -> Result<Self, Error> {
        let sets = [
            Some(&splits.train),
            splits.valid.as_ref(),
            Some(&splits.test),
        ];
        let parts = splits.fingerprint()?.parts.into_iter();
        let parts = parts.zip(sets.into_iter().flatten());
        Ok(Self {
            classes: splits.classes().to_vec(),
            parts: parts
                .map(|(part, set)| PartIdentity {
                    name: part.name,
                    per_class: set.per_class(),
                    sha256: part.sha256,
                    contents: Vec::new(),
                })
                .collect(),
        })
    }

    /// Sets the checksums of the images' files, for each part in order.
    pub fn set_contents(&mut self, contents: Vec<Vec<Option<u32>>>) {
        let images: usize = contents.iter().map(Vec::len).sum();
        if images > MOST_IMAGES {
            return;
        }
        for (part, contents) in self.parts.iter_mut().zip(contents) {
            if contents.iter().any(Option::is_some) {
                part.contents = contents;
            }
        }
    }

    /// The same without the contents of images.
    #[must_use]
    pub fn without_contents(&self) -> Self {
        let mut identity = self.clone();
        for part in &mut identity.parts {
            part.contents.clear();
        }
        identity
    }

    /// The first image whose contents are known to differ from those in another data set that has no
    /// other [`difference`](Self::difference).
    #[must_use]
    pub fn other_contents(&self, other: &Self) -> Option<OtherContents> {
        let parts = self.parts.iter().zip(&other.parts);
        let mut changed = parts.flat_map(|(was, is)| {
            let images = was.contents.iter().zip(&is.contents).enumerate();
            let changed = images.filter(|(_, (was, is))| match (was, is) {
                (Some(was), Some(is)) => was != is,
                _ => false,
            });
            changed.map(|(index, _)| (&was.name, index))
        });
        let (part, index) = changed.next()?;
        Some(OtherContents {
            part: part.clone(),
            index,
            others: changed.count(),
        })
    }

    /// How another data set differs from this one, in words; `None` if it does not. Contents of images
    /// are not compared.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<String> {
        if let Some(difference) = self.other_classes(&other.classes) {
            return Some(difference);
        }
        for part in &self.parts {
            if !other.parts.iter().any(|found| found.name == part.name) {
                return Some(format!("there are no {} images any more", part.name));
            }
        }
        for part in &other.parts {
            let Some(own) = self.parts.iter().find(|own| own.name == part.name) else {
                return Some(format!("there were no {} images", part.name));
            };
            if let Some(difference) = own.difference(part, &self.classes) {
                return Some(difference);
            }
        }
        None
    }

    fn other_classes(&self, classes: &[String]) -> Option<String> {
        if self.classes == classes {
            return None;
        }
        let without = |these: &[String], those: &[String]| -> Vec<String> {
            let these = these.iter().filter(|class| !those.contains(class));
            these.map(|class| quoted(class)).collect()
        };
        let gone = without(&self.classes, classes);
        let new = without(classes, &self.classes);
        let list = |names: &[String]| listed(names, SHOWN, String::clone);
        let (one, other) = (gone.len() == 1, new.len() == 1);
        let classes = |one: bool| if one { "the class" } else { "the classes" };
        let are = |one: bool| if one { "is" } else { "are" };
        Some(match (gone.as_slice(), new.as_slice()) {
            ([], []) => "the classes have another order".to_owned(),
            (gone, []) => format!("{} {} {} gone", classes(one), list(gone), are(one)),
            ([], new) => format!("{} {} {} new", classes(other), list(new), are(other)),
            (gone, new) => format!(
                "{} {} {} gone and {} {} new",
                classes(one),
                list(gone),
                are(one),
                list(new),
                are(other)
            ),
        })
    }
}

impl PartIdentity {
    fn difference(&self, other: &Self, classes: &[String]) -> Option<String> {
        if (&self.per_class, &self.sha256) == (&other.per_class, &other.sha256) {
            return None;
        }
        let counts = self.per_class.iter().zip(&other.per_class).zip(classes);
        let changed: Vec<String> = counts
            .filter(|((was, is), _)| was != is)
            .map(|((was, is), class)| format!("{is} of {} instead of {was}", quoted(class)))
            .collect();
        Some(if changed.is_empty() {
            format!(
                "the {} images are as many as before, but other ones: a name, a size in bytes or a \
                 label has changed",
                self.name
            )
        } else {
            let changed = listed(&changed, SHOWN, String::clone);
            format!("the {} images are {changed}", self.name)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use finetune_data::{SplitOptions, open};

    use super::*;

    /// Files that are opened as images but never decoded.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for part in ["train", "test"] {
            for class in ["green", "red"] {
                let class = folder.path().join(part).join(class);
                std::fs::create_dir_all(&class).unwrap();
                for name in ["a.png", "b.png"] {
                    std::fs::write(class.join(name), name).unwrap();
                }
            }
        }
        folder
    }

    fn identity(root: &Path) -> DataIdentity {
        DataIdentity::of(&open(root, &SplitOptions::default()).unwrap()).unwrap()
    }

    #[test]
    fn a_data_set_is_the_same_wherever_it_is() {
        assert_eq!(identity(folder().path()), identity(folder().path()));
        let text = serde_json::to_string(&identity(folder().path())).unwrap();
        let read: DataIdentity = serde_json::from_str(&text).unwrap();
        assert_eq!(read, identity(folder().path()));
    }

    #[test]
    fn other_contents_are_found_as_far_as_they_are_known() {
        let was = {
            let mut identity = identity(folder().path());
            assert_eq!(identity.other_contents(&identity), None);
            let test = vec![Some(5), Some(6), None, Some(u32::MAX)];
            identity.set_contents(vec![vec![None; 4], test]);
            identity
        };
        let text = serde_json::to_string(&was).unwrap();
        assert!(
            text.contains("\"0000000500000006........ffffffff\""),
            "{text}"
        );
        // None is known of the training images.
        assert_eq!(text.matches("contents").count(), 1, "{text}");
        let read: DataIdentity = serde_json::from_str(&text).unwrap();
        assert_eq!((&read, read.other_contents(&was)), (&was, None));
        for wrong in ["0000000", "0000000g", "+0000001", "éééé"] {
            let text = text.replace("00000005", wrong);
            assert!(
                serde_json::from_str::<DataIdentity>(&text).is_err(),
                "{wrong}"
            );
        }
        let mut is = was.clone();
        is.parts[0].contents = vec![Some(1); 4];
        is.parts[1].contents = vec![None, Some(7), Some(8), Some(9)];
        let changed = was.other_contents(&is).unwrap();
        assert_eq!(
            (changed.part.as_str(), changed.index, changed.others),
            ("test", 1, 1)
        );
        assert_eq!(was.difference(&is), None);
        assert_eq!(was.other_contents(&is.without_contents()), None);
    }

    #[test]
    fn each_change_of_a_data_set_is_described() {
        let changed = |change: &dyn Fn(&Path)| {
            let folder = folder();
            let before = identity(folder.path());
            change(folder.path());
            before.difference(&identity(folder.path()))
        };
        let rename = |root: &Path, from: &str, to: &str| {
            std::fs::rename(root.join(from), root.join(to)).unwrap();
        };
        let write = |root: &Path, path: &str, text: &str| {
            std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            std::fs::write(root.join(path), text).unwrap();
        };
        assert_eq!(changed(&|_| ()), None);
        assert_eq!(
            changed(&|root| {
                rename(root, "train/green", "train/zebra");
                rename(root, "test/green", "test/zebra");
            })
            .unwrap(),
            "the class `green` is gone and `zebra` is new"
        );
        assert_eq!(
            changed(&|root| {
                write(root, "train/blue/a.png", "a");
                write(root, "test/blue/a.png", "a");
            })
            .unwrap(),
            "the class `blue` is new"
        );
        assert_eq!(
            changed(&|root| write(root, "train/red/c.png", "c")).unwrap(),
            "the train images are 3 of `red` instead of 2"
        );
        assert_eq!(
            changed(&|root| rename(root, "train/red/b.png", "train/green/c.png")).unwrap(),
            "the train images are 3 of `green` instead of 2, 1 of `red` instead of 2"
        );
        let others = "the test images are as many as before, but other ones: a name, a size in bytes \
                      or a label has changed";
        for change in [
            &|root: &Path| rename(root, "test/red/b.png", "test/red/c.png") as (),
            &(|root: &Path| write(root, "test/red/b.png", "longer")) as &dyn Fn(&Path),
        ] {
            assert_eq!(changed(change).unwrap(), others);
        }
        assert_eq!(
            changed(&|root| {
                for class in ["green", "red"] {
                    write(root, &format!("valid/{class}/a.png"), "a");
                }
            })
            .unwrap(),
            "there were no valid images"
        );
        let identity = identity(folder().path());
        let mut other = identity.clone();
        other.classes.reverse();
        assert_eq!(
            identity.difference(&other).unwrap(),
            "the classes have another order"
        );
    }
}
