//! Settings that suit a data set, and why.

use finetune_data::Splits;

use super::defaults;
use crate::weights::Published;

/// The network for photographs: the smallest of the usual ones, for which the project has measurements.
const PHOTOGRAPHS: &str = "mobilenet_v2";

/// Default passes over the images.
const EPOCHS: usize = 12;

/// Steps of the optimiser between which a suggestion tries to stay.
const STEPS: [usize; 2] = [300, 30_000];

/// A value and why it is suggested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggested<T> {
    /// The value.
    pub value: T,
    /// Why, in sentences.
    pub why: String,
}

/// Settings that suit a data set. They are where to begin; `compare --tune` measures what is better.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// The model.
    pub model: Suggested<&'static str>,
    /// Side of the images, pixels.
    pub image_size: Suggested<usize>,
    /// Images per batch.
    pub batch_size: Suggested<usize>,
    /// Passes over the training images.
    pub epochs: Suggested<usize>,
    /// The method for one run.
    pub method: Suggested<&'static str>,
    /// Whether classes differ so much in size that they should be weighted, and why.
    pub balance: Option<String>,
}

impl Suggestion {
    /// What suits a data set whose images have a shorter side of `pixels` in the median, if that is known.
    #[must_use]
    pub fn of(splits: &Splits, pixels: Option<usize>) -> Self {
        let published = Published::of(PHOTOGRAPHS);
        let counts = splits.train.per_class();
        Self::from_counts(
            &counts,
            pixels.unwrap_or(usize::MAX),
            published.is_some_and(|published| published.can_be_had()),
        )
    }

    fn from_counts(counts: &[usize], pixels: usize, photographs: bool) -> Self {
        let images: usize = counts.iter().sum();
        let smallest = counts.iter().copied().min().unwrap_or(0);
        let largest = counts.iter().copied().max().unwrap_or(0);
        let batch_size = batch_size(images);
        Self {
            model: model(photographs),
            image_size: image_size(photographs, pixels),
            epochs: epochs(images, batch_size.value),
            batch_size,
            method: method(photographs, smallest),
            balance: (largest >= 3 * smallest.max(1)).then(|| {
                format!(
                    "The largest class has {largest} training images, the smallest {smallest}: without \
                     weights, a model may neglect the small one."
                )
            }),
        }
    }
}

fn model(photographs: bool) -> Suggested<&'static str> {
    if photographs {
        return Suggested {
            value: PHOTOGRAPHS,
            why: "Pretrained on ImageNet's photographs, and the smallest network for which docs/claims.md \
                  has measurements."
                .to_owned(),
        };
    }
    let how = Published::of(PHOTOGRAPHS).map_or_else(String::new, |published| {
        let place = published.place();
        let place = place.map_or_else(|_| String::new(), |place| place.display().to_string());
        format!(
            " Photographs do better with {PHOTOGRAPHS}, whose weights are not on this machine: get {} and \
             put it at {place}.",
            published.link()
        )
    });
    Suggested {
        value: defaults::MODEL,
        why: format!(
            "The network inside the program. It was pretrained on hand signs only, and needs no download.{how}"
        ),
    }
}

fn image_size(photographs: bool, pixels: usize) -> Suggested<usize> {
    let (value, why) = match (photographs, pixels) {
        (true, 0..=112) => (
            128,
            "The images are small: at the usual 224 a step takes three times as long, and shows nothing \
             more.",
        ),
        (true, _) => (224, "What the network was pretrained with."),
        (false, 0..=32) => (
            32,
            "The images are not larger, and a step takes a quarter of the time.",
        ),
        (false, _) => (64, "What the network was pretrained with."),
    };
    Suggested {
        value,
        why: why.to_owned(),
    }
}

fn batch_size(images: usize) -> Suggested<usize> {
    let value = match images {
        0..64 => 8,
        64..128 => 16,
        _ => 32,
    };
    let value = value.min(images.max(1));
    let why = if value == 32 {
        "The default.".to_owned()
    } else {
        format!("Smaller than the default 32, because an epoch has only {images} images.")
    };
    Suggested { value, why }
}

fn epochs(images: usize, batch_size: usize) -> Suggested<usize> {
    const MOST: usize = 40;
    const LEAST: usize = 3;
    let steps = (images / batch_size.max(1)).max(1);
    let [few, many] = STEPS;
    let whole = EPOCHS * steps;
    let (value, why) = if whole < few {
        let value = few.div_ceil(steps).min(MOST);
        let why = format!(
            "The default of {EPOCHS} would be only {whole} steps of the optimiser; this is {}. A rule of \
             thumb: `--tune 6` measures.",
            value * steps
        );
        (value, why)
    } else if whole > many {
        let value = (many / steps).max(LEAST);
        let why = format!(
            "The default of {EPOCHS} would be {whole} steps of the optimiser; this is {}. A rule of thumb: \
             `--tune 6` measures.",
            value * steps
        );
        (value, why)
    } else {
        (
            EPOCHS,
            format!("The default: {whole} steps of the optimiser."),
        )
    };
    Suggested { value, why }
}

fn method(photographs: bool, smallest: usize) -> Suggested<&'static str> {
    if photographs && smallest < 500 {
        return Suggested {
            value: "lora",
            why: "With 244 photographs of ants and bees it was more accurate than training everything \
                  (docs/claims.md)."
                .to_owned(),
        };
    }
    Suggested {
        value: "sft",
        why: "Trains everything; the first choice with many images, or with this small network."
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_images_get_small_batches_and_more_epochs() {
        let of = |counts: &[usize]| {
            let suggestion = Suggestion::from_counts(counts, 500, false);
            (suggestion.batch_size.value, suggestion.epochs.value)
        };
        // 2 steps per epoch; 300 steps would be 150 epochs.
        assert_eq!(of(&[8, 8]), (8, 40));
        // 7 steps per epoch: 300 / 7 = 42.9.
        assert_eq!(of(&[122, 122]), (32, 40));
        // 15 steps: 12 epochs are 180 steps, and 20 are 300.
        assert_eq!(of(&[240, 240]), (32, 20));
        assert_eq!(of(&[1000, 1000]), (32, 12));
        // 31 250 steps per epoch.
        assert_eq!(of(&[500_000, 500_000]), (32, 3));
        // 3125 steps per epoch: 30 000 / 3125 = 9.6.
        assert_eq!(of(&[50_000, 50_000]), (32, 9));
        assert_eq!(of(&[1, 2]), (3, 40));
    }

    #[test]
    fn the_network_for_photographs_is_suggested_if_its_weights_can_be_had() {
        let with = Suggestion::from_counts(&[122, 122], 400, true);
        assert_eq!(
            (with.model.value, with.image_size.value, with.method.value),
            ("mobilenet_v2", 224, "lora")
        );
        let without = Suggestion::from_counts(&[122, 122], 400, false);
        assert_eq!(
            (without.model.value, without.image_size.value),
            (defaults::MODEL, 64)
        );
        assert!(without.model.why.contains("huggingface.co"));
        let small = |photographs| {
            Suggestion::from_counts(&[122, 122], 28, photographs)
                .image_size
                .value
        };
        assert_eq!([small(true), small(false)], [128, 32]);
    }

    #[test]
    fn classes_of_very_different_sizes_are_noticed() {
        let balance = |counts: &[usize]| Suggestion::from_counts(counts, 100, false).balance;
        assert!(balance(&[30, 89]).is_none());
        let why = balance(&[30, 90]).unwrap();
        assert!(why.contains("90") && why.contains("30"), "{why}");
    }
}
