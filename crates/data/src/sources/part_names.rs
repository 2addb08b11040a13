//! Which part of a data set a name stands for: `Training`, `seg_test`, `val2017`, …

/// The part that an image belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Part {
    /// The data set does not say.
    Unknown,
    Train,
    Valid,
    Test,
}

impl Part {
    /// The part of that name, in any of its common forms but without the name of a data set.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let name = PartName::of(name)?;
        name.affix.is_empty().then_some(name.part)
    }

    /// `train`, `valid` or `test`.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Train => "train",
            Self::Valid => "valid",
            Self::Test => "test",
        }
    }
}

/// What a name says about a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartName {
    pub(crate) part: Part,
    /// Whether it is called `eval`, which is another name of validation images if there are test images
    /// and of test images if there are other validation images.
    pub(crate) is_eval: bool,
    /// What else the name says, in lower case: `seg` of `seg_train`. Parts of one data set agree in it.
    pub(crate) affix: String,
}

const TRAIN: [&str; 3] = ["train", "training", "trn"];
const VALID: [&str; 5] = ["valid", "val", "validation", "validate", "dev"];
const EVAL: [&str; 2] = ["eval", "evaluation"];
const TEST: [&str; 3] = ["test", "testing", "tst"];

/// Words beside the part that say nothing.
const FILLERS: [&str; 14] = [
    "data", "dataset", "set", "split", "images", "image", "imgs", "img", "pictures", "photos",
    "folder", "dir", "samples", "part",
];

impl PartName {
    /// Reads a name. The word for the part is its first or its last one; numbers and words such as
    /// `data` do not count.
    pub(crate) fn of(name: &str) -> Option<Self> {
        let words = words(name);
        let mut kinds = words.iter().filter_map(|word| kind(word));
        let (part, is_eval) = kinds.next()?;
        // `train_test_split` or `trainval` is no part.
        if kinds.any(|other| other != (part, is_eval)) {
            return None;
        }
        let counts = |word: &&String| {
            let number = word.chars().all(|character| character.is_ascii_digit());
            !number && !FILLERS.contains(&word.as_str())
        };
        let telling: Vec<&String> = words.iter().filter(counts).collect();
        let at_an_end = [telling.first(), telling.last()];
        if !at_an_end.iter().flatten().any(|word| kind(word).is_some()) {
            return None;
        }
        let rest = telling.into_iter().filter(|word| kind(word).is_none());
        let rest: Vec<&str> = rest.map(String::as_str).collect();
        Some(Self {
            part,
            is_eval,
            affix: rest.join(" "),
        })
    }
}

/// The part that a word in lower case stands for, and whether it is `eval`.
fn kind(word: &str) -> Option<(Part, bool)> {
    let is = |names: &[&str]| {
        names.iter().any(|name| {
            // `trainset` is `train`.
            let rest = word.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || FILLERS.contains(&rest))
        })
    };
    if is(&TRAIN) {
        Some((Part::Train, false))
    } else if is(&VALID) {
        Some((Part::Valid, false))
    } else if is(&EVAL) {
        Some((Part::Valid, true))
    } else if is(&TEST) {
        Some((Part::Test, false))
    } else {
        None
    }
}

/// The words of a name in lower case: separated by anything but letters and digits, by a capital after a
/// small letter (`TrainSet`), and between letters and digits (`val2017`).
fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut before: Option<char> = None;
    for character in name.chars() {
        let starts = before.is_some_and(|before| {
            (before.is_lowercase() && character.is_uppercase())
                || before.is_numeric() != character.is_numeric()
        });
        if (starts || !character.is_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if character.is_alphanumeric() {
            word.extend(character.to_lowercase());
        }
        before = Some(character);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_names_of_parts_are_recognised() {
        for (name, part) in [
            ("train", Part::Train),
            ("TRAIN", Part::Train),
            ("Training", Part::Train),
            ("train_data", Part::Train),
            ("TrainSet", Part::Train),
            ("training-images", Part::Train),
            ("Train ", Part::Train),
            ("1_train", Part::Train),
            ("train2017", Part::Train),
            ("trainset", Part::Train),
            ("val", Part::Valid),
            ("Validation", Part::Valid),
            ("dev", Part::Valid),
            ("eval", Part::Valid),
            ("valid_data", Part::Valid),
            ("test", Part::Test),
            ("Testing", Part::Test),
            ("test data", Part::Test),
        ] {
            assert_eq!(Part::named(name), Some(part), "{name}");
        }
    }

    #[test]
    fn what_else_a_name_says_is_its_affix() {
        for (name, affix) in [
            ("seg_train", "seg"),
            ("train_cropped", "cropped"),
            ("ILSVRC2012_img_val", "ilsvrc"),
            ("testA", "a"),
            ("steam train", "steam"),
        ] {
            assert_eq!(PartName::of(name).unwrap().affix, affix, "{name}");
            assert_eq!(Part::named(name), None);
        }
    }

    #[test]
    fn other_names_are_no_parts() {
        for name in [
            "cat",
            "trains",
            "trainer",
            "contest",
            "valley",
            "device",
            "protest",
            "trainval",
            "train_test_split",
            "steam train station",
            "",
            "2017",
        ] {
            assert_eq!(PartName::of(name), None, "{name}");
        }
    }
}
