//! The photographs of hands that are part of the program (`finetune-datasets`).

use std::path::Path;

use super::named::NamedSet;
use super::origin::{From, Origin};
use super::set::{ImageSet, Sample};
use super::source::Source;
use super::splits::Splits;

pub(super) const SIGNS: NamedSet = NamedSet {
    name: "embedded",
    pretraining_description: "hands that show 5–9",
    open: || Ok(embedded_signs()),
    pretraining: || Ok(embedded_signs_pretrain()),
};

/// Hands that show the digits 0–4: 150 training and 50 test photographs per class, split by student.
#[must_use]
pub fn embedded_signs() -> Splits {
    Splits {
        name: "embedded:signs".to_owned(),
        train: set("train"),
        valid: None,
        test: set("test"),
        origin: Origin {
            from: From {
                train: Some("train".to_owned()),
                valid: None,
                test: Some("test".to_owned()),
            },
            ..Origin::new(
                "built-in photographs of hands that show the numbers 0 to 4".to_owned(),
                Path::new(""),
            )
        },
    }
}

/// Hands of the training students that show the digits 5–9, 150 photographs per class: to pretrain
/// with.
#[must_use]
pub fn embedded_signs_pretrain() -> ImageSet {
    set("pretrain")
}

fn set(split: &str) -> ImageSet {
    let mut set = ImageSet {
        classes: Vec::new(),
        samples: Vec::new(),
    };
    for photograph in finetune_datasets::signs(split) {
        if set
            .classes
            .last()
            .is_none_or(|last| last != photograph.class)
        {
            set.classes.push(photograph.class.to_owned());
        }
        let name = format!(
            "embedded:signs/{split}/{}/{}",
            photograph.class, photograph.name
        );
        let source = Source::Memory {
            name,
            bytes: photograph.bytes,
        };
        let label = set.classes.len() - 1;
        set.samples.push(Sample::new(source, label));
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Preprocess;

    #[test]
    fn the_splits_have_the_sizes_of_the_chapter() {
        let signs = embedded_signs();
        assert_eq!(signs.classes(), ["0", "1", "2", "3", "4"]);
        assert_eq!(signs.train.per_class(), [150; 5]);
        assert_eq!(signs.test.per_class(), [50; 5]);
        let pretrain = embedded_signs_pretrain();
        assert_eq!(pretrain.classes, ["5", "6", "7", "8", "9"]);
        assert_eq!(pretrain.per_class(), [150; 5]);
    }

    #[test]
    fn all_photographs_decode() {
        let signs = embedded_signs();
        for set in [&signs.train, &signs.test, &embedded_signs_pretrain()] {
            let images = set.decode(&Preprocess::square(64)).unwrap();
            assert_eq!(images.len(), set.len());
        }
    }
}
