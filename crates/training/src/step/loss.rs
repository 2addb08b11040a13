//! Cross-entropy as `torch.nn.functional.cross_entropy` defines it.

use burn::Tensor;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, TensorData};

use crate::data::TrainingData;
use crate::recipe::{ClassWeights, Recipe};

/// Cross-entropy with label smoothing (Szegedy et al. 2016) and class weights.
#[derive(Debug, Clone)]
pub(crate) struct CrossEntropy {
    smoothing: f64,
    /// The weight of each class, as values and as a tensor `[1, classes]`.
    weights: Option<(Vec<f32>, Tensor<2>)>,
}

/// The true classes of a batch.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// The index of each image's class, `[batch]`.
    Labels(Tensor<1, Int>),
    /// The share of each class in each image, `[batch, classes]`.
    Shares(Tensor<2>),
}

impl Target {
    /// The shares if there are any, otherwise the labels.
    pub(crate) fn of(labels: Tensor<1, Int>, shares: Option<Tensor<2>>) -> Self {
        shares.map_or(Self::Labels(labels), Self::Shares)
    }
}

impl CrossEntropy {
    /// Without smoothing and class weights.
    pub(crate) fn plain() -> Self {
        Self {
            smoothing: 0.0,
            weights: None,
        }
    }

    /// The loss of a recipe; balanced class weights come from the training images.
    pub(crate) fn of(recipe: &Recipe, data: &TrainingData<'_>, device: &Device) -> Self {
        Self::new(recipe.label_smoothing, class_weights(recipe, data), device)
    }

    fn new(smoothing: f64, weights: Option<Vec<f32>>, device: &Device) -> Self {
        let weights = weights.map(|weights| {
            let data = TensorData::new(weights.clone(), [1, weights.len()]);
            (weights, Tensor::from_data(data, device))
        });
        Self { smoothing, weights }
    }

    /// The mean loss of a batch with logits `[batch, classes]`.
    ///
    /// Let `ℓᵢ(c)` be the negative log-probability of class `c` of `C` in image `i`, `w` the class
    /// weights and `ε` the smoothing. With labels `y`, the mean is
    /// `((1 - ε) Σᵢ w(yᵢ) ℓᵢ(yᵢ) + ε/C Σᵢ Σ_c w(c) ℓᵢ(c)) / Σᵢ w(yᵢ)`; with shares `q`, it is
    /// `Σᵢ Σ_c w(c) ((1 - ε) qᵢ(c) + ε/C) ℓᵢ(c) / batch`.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn mean(&self, logits: Tensor<2>, target: &Target) -> Tensor<1> {
        let [batch, classes] = logits.dims();
        let spread = self.smoothing / classes as f64;
        let log = log_softmax(logits, 1);
        match target {
            Target::Labels(labels) => {
                let picked = log
                    .clone()
                    .gather(1, labels.clone().unsqueeze_dim::<2>(1))
                    .neg();
                let Some((_, weights)) = &self.weights else {
                    let picked = picked.mean();
                    if self.smoothing == 0.0 {
                        return picked;
                    }
                    let all = log.neg().sum_dim(1).mean();
                    return picked * (1.0 - self.smoothing) + all * spread;
                };
                let own: Tensor<2> = weights.clone().select(1, labels.clone()).transpose();
                let picked = (picked * own.clone()).sum();
                let sum = if self.smoothing == 0.0 {
                    picked
                } else {
                    let all = (log.neg() * weights.clone()).sum();
                    picked * (1.0 - self.smoothing) + all * spread
                };
                sum / own.sum()
            }
            Target::Shares(shares) => {
                let shares = if self.smoothing == 0.0 {
                    shares.clone()
                } else {
                    shares.clone() * (1.0 - self.smoothing) + spread
                };
                let terms = log.neg() * shares;
                let terms = match &self.weights {
                    Some((_, weights)) => terms * weights.clone(),
                    None => terms,
                };
                terms.sum() / batch as f64
            }
        }
    }

    /// The number that [`mean`](Self::mean) divides by: the weight of the batch among others.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn count(&self, target: &Target) -> f64 {
        match (target, &self.weights) {
            (Target::Labels(labels), Some((weights, _))) => {
                let labels = labels.clone().into_data();
                let weight = |label: i64| usize::try_from(label).ok().map(|label| weights[label]);
                labels.iter::<i64>().filter_map(weight).map(f64::from).sum()
            }
            (Target::Labels(labels), None) => labels.dims()[0] as f64,
            (Target::Shares(shares), _) => shares.dims()[0] as f64,
        }
    }
}

/// The weight of each class by a recipe; `None` if all are equal.
pub(crate) fn class_weights(recipe: &Recipe, data: &TrainingData<'_>) -> Option<Vec<f32>> {
    match recipe.class_weights {
        ClassWeights::None => None,
        ClassWeights::Balanced => Some(balanced(&data.train.labels, data.train.classes.len())),
    }
}

/// The weight `images / (classes · images of the class)` of each class; 0 for one without images.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
fn balanced(labels: &[usize], classes: usize) -> Vec<f32> {
    let mut counts = vec![0_usize; classes];
    for label in labels {
        counts[*label] += 1;
    }
    let weight = |count: usize| match count {
        0 => 0.0,
        count => (labels.len() as f64 / (classes * count) as f64) as f32,
    };
    counts.into_iter().map(weight).collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Fixture {
        losses: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        smoothing: f64,
        weights: Option<Vec<f32>>,
        soft: Option<Vec<f32>>,
        labels: Vec<i64>,
        logits: Vec<f32>,
        loss: f64,
        gradient: Vec<f32>,
    }

    #[test]
    fn losses_and_gradients_agree_with_pytorch() {
        let device = Device::flex().autodiff();
        let fixture: Fixture =
            serde_json::from_str(include_str!("../../tests/fixtures/recipe.json")).unwrap();
        assert_eq!(fixture.losses.len(), 8);
        for case in fixture.losses {
            let matrix = |values: &Vec<f32>| {
                Tensor::<2>::from_data(TensorData::new(values.clone(), [5, 4]), &device)
            };
            let target = match &case.soft {
                Some(soft) => Target::Shares(matrix(soft)),
                None => Target::Labels(Tensor::from_data(
                    TensorData::new(case.labels.clone(), [5]),
                    &device,
                )),
            };
            let name = format!(
                "smoothing {}, weights {:?}, {target:?}",
                case.smoothing, case.weights
            );
            let count = match (&case.weights, &case.soft) {
                (Some(weights), None) => {
                    let of = |label: &i64| f64::from(weights[usize::try_from(*label).unwrap()]);
                    case.labels.iter().map(of).sum()
                }
                _ => 5.0,
            };
            let logits = matrix(&case.logits).require_grad();
            let criterion = CrossEntropy::new(case.smoothing, case.weights, &device);
            assert!((criterion.count(&target) - count).abs() < 1e-9, "{name}");
            let loss = criterion.mean(logits.clone(), &target);
            let value = f64::from(loss.clone().into_scalar::<f32>());
            assert!((value - case.loss).abs() < 1e-6, "{name}: {value}");
            let gradients = loss.backward();
            let found = logits.grad(&gradients).unwrap().into_data();
            for (found, wanted) in found.iter::<f32>().zip(&case.gradient) {
                assert!((found - wanted).abs() < 1e-6, "{name}: {found}");
            }
        }
    }

    #[test]
    fn balanced_weights_give_every_class_the_same_sum() {
        // The weights for six images in three classes are 6/(3·1), 6/(3·2) and 6/(3·3).
        let weights = balanced(&[0, 1, 1, 2, 2, 2], 3);
        assert_eq!(weights, [2.0, 1.0, 6.0 / 9.0]);
        assert_eq!(balanced(&[0, 0], 2), [0.5, 0.0]);
    }
}
