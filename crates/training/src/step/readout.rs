//! Numbers that are read back from tensors.

use burn::Tensor;
use burn::tensor::Int;

/// The value of a tensor of one element.
pub(crate) fn scalar(tensor: &Tensor<1>) -> f64 {
    let data = tensor.clone().into_data();
    data.iter::<f64>().next().unwrap_or(f64::NAN)
}

/// The class with the largest logit in each row of `[batch, classes]`; the first one among equals.
pub(crate) fn classes(logits: &Tensor<2>) -> Vec<usize> {
    let [_, classes] = logits.dims();
    let values: Vec<f32> = logits.clone().into_data().iter::<f32>().collect();
    values
        .chunks(classes.max(1))
        .map(|row| (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best }))
        .collect()
}

/// The probabilities of the classes in each row of logits `[batch, classes]` (softmax).
pub(crate) fn probabilities(logits: &Tensor<2>) -> impl Iterator<Item = Vec<f32>> {
    let [_, classes] = logits.dims();
    let values: Vec<f32> = logits.clone().into_data().iter::<f32>().collect();
    let rows = values.len() / classes.max(1);
    (0..rows).map(move |row| softmax(&values[row * classes..(row + 1) * classes]))
}

#[allow(clippy::cast_possible_truncation)]
fn softmax(logits: &[f32]) -> Vec<f32> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers = logits.iter().map(|logit| f64::from(logit - most).exp());
    let powers: Vec<f64> = powers.collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| (power / sum) as f32).collect()
}

/// How many rows of logits `[batch, classes]` are largest at their label, `[batch]`.
pub(crate) fn count_correct(logits: &Tensor<2>, labels: &Tensor<1, Int>) -> usize {
    let labels = labels.clone().into_data();
    classes(logits)
        .into_iter()
        .zip(labels.iter::<i64>())
        .filter(|(predicted, truth)| usize::try_from(*truth).is_ok_and(|truth| truth == *predicted))
        .count()
}

#[cfg(test)]
mod tests {
    use super::softmax;

    #[test]
    fn probabilities_are_those_of_the_formula_even_of_large_logits() {
        // e / (e + 1) and 1 / (e + 1).
        for shift in [0.0, 1e4, -1e4] {
            let found = softmax(&[1.0 + shift, shift]);
            assert!((found[0] - 0.731_058_6).abs() < 1e-6, "{found:?}");
            assert!((found[1] - 0.268_941_4).abs() < 1e-6, "{found:?}");
        }
        assert!(softmax(&[f32::NAN, 0.0]).iter().all(|value| value.is_nan()));
    }
}
