//! How a data set was understood: what a user is told before anything is computed from it.

use serde::{Deserialize, Serialize};

use super::left_out::LeftOut;
use super::origin::Origin;
use super::set::ImageSet;
use super::splits::Splits;

/// How a data set was understood. [`Splits::understood`] makes it.
///
/// All texts are one line each, and names of files, folders and classes in them are quoted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Understood {
    /// What the data set is, as part of a sentence: "folder with parts `Training` (train) and `Testing`
    /// (test), one folder per class".
    pub layout: String,
    /// The parts, training images first and test images last.
    pub parts: Vec<PartSummary>,
    /// How the parts were made that the data set does not have, one sentence each.
    pub made: Vec<String>,
    /// Files and folders that are not used.
    pub left_out: Vec<LeftOut>,
    /// Whatever else was decided and might surprise, one sentence each.
    pub notes: Vec<String>,
}

/// What is in one part of a data set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartSummary {
    /// `train`, `valid` or `test`.
    pub name: String,
    /// The folder, file or part that the images came from; `None` if they were split from another part.
    pub from: Option<String>,
    /// Number of images.
    pub images: usize,
    /// Number of images of each class, in the order of the labels.
    pub classes: Vec<ClassCount>,
    /// The most images per class that were asked for. A class may have fewer.
    pub limit_per_class: Option<usize>,
}

/// How many images a class has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassCount {
    /// Name of the class.
    pub class: String,
    /// Number of its images.
    pub images: usize,
}

impl Understood {
    /// How images that are only for testing were understood.
    pub(crate) fn of_test(origin: Origin, set: &ImageSet) -> Self {
        Self {
            parts: vec![PartSummary::new(
                "test",
                origin.from.test.as_ref(),
                set,
                None,
            )],
            layout: origin.layout,
            made: origin.made,
            left_out: origin.left_out,
            notes: origin.notes,
        }
    }

    /// Everything that was decided or left out, one sentence each: `made`, `notes` and `left_out`.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let decided = self.made.iter().chain(&self.notes).cloned();
        decided
            .chain(self.left_out.iter().map(LeftOut::sentence))
            .collect()
    }
}

impl PartSummary {
    fn new(name: &str, from: Option<&String>, set: &ImageSet, limit: Option<usize>) -> Self {
        let counts = set.classes.iter().zip(set.per_class());
        Self {
            name: name.to_owned(),
            from: from.cloned(),
            images: set.len(),
            classes: counts
                .map(|(class, images)| ClassCount {
                    class: class.clone(),
                    images,
                })
                .collect(),
            limit_per_class: limit,
        }
    }

    /// The smallest and the largest number of images of a class.
    #[must_use]
    pub fn per_class(&self) -> Option<[usize; 2]> {
        let counts = || self.classes.iter().map(|class| class.images);
        Some([counts().min()?, counts().max()?])
    }
}

impl Splits {
    /// How the data set was understood, with the numbers of images as they are now.
    #[must_use]
    pub fn understood(&self) -> Understood {
        let origin = &self.origin;
        let from = &origin.from;
        let mut parts = vec![PartSummary::new(
            "train",
            from.train.as_ref(),
            &self.train,
            origin.limit,
        )];
        let valid = self.valid.as_ref();
        parts.extend(valid.map(|set| PartSummary::new("valid", from.valid.as_ref(), set, None)));
        parts.push(PartSummary::new(
            "test",
            from.test.as_ref(),
            &self.test,
            None,
        ));
        Understood {
            layout: origin.layout.clone(),
            parts,
            made: origin.made.clone(),
            left_out: origin.left_out.clone(),
            notes: origin.notes.clone(),
        }
    }
}
