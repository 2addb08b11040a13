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

/// How many rows of logits `[batch, classes]` are largest at their label, `[batch]`.
pub(crate) fn count_correct(logits: &Tensor<2>, labels: &Tensor<1, Int>) -> usize {
    let labels = labels.clone().into_data();
    classes(logits)
        .into_iter()
        .zip(labels.iter::<i64>())
        .filter(|(predicted, truth)| usize::try_from(*truth).is_ok_and(|truth| truth == *predicted))
        .count()
}
