//! How much each weight matters to the loss before training, measured by its gradients.

use std::collections::HashMap;

use burn::Tensor;
use burn::module::{Module, ModuleDisplay, ParamId};
use burn::optim::GradientsParams;

use super::layers::{Layer, LayerKind, layers};

/// Sums of the absolute gradients `|∂L/∂W|` of every Linear and Conv2d weight.
///
/// Add the gradients of a few batches of a model whose weights all require gradients, and pass the
/// result in a [`Scope`](crate::Scope) to a method that
/// [needs gradients](crate::Method::needs_gradients).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Importance {
    /// By the weights' identities: the entries of `[outputs, inputs]`, row by row.
    scores: HashMap<ParamId, Vec<f32>>,
}

impl Importance {
    /// Adds the gradients of one batch.
    pub fn add<M: Module + ModuleDisplay>(&mut self, model: &M, gradients: &GradientsParams) {
        for layer in layers(model) {
            let matrix: Option<Tensor<2>> = match layer.kind {
                LayerKind::Linear => gradients
                    .get::<2>(layer.weight)
                    .map(|gradient| layer.shape.matrix(gradient)),
                LayerKind::Conv2d { .. } => gradients
                    .get::<4>(layer.weight)
                    .map(|gradient| layer.shape.matrix(gradient)),
            };
            let Some(matrix) = matrix else { continue };
            let scores = self
                .scores
                .entry(layer.weight)
                .or_insert_with(|| vec![0.0; layer.shape.size()]);
            for (score, value) in scores.iter_mut().zip(matrix.into_data().iter::<f32>()) {
                *score += value.abs();
            }
        }
    }

    /// A layer's sums, row by row of `[outputs, inputs]`; 0 if it had no gradient.
    pub(crate) fn of(&self, layer: &Layer) -> Vec<f32> {
        self.scores
            .get(&layer.weight)
            .cloned()
            .unwrap_or_else(|| vec![0.0; layer.shape.size()])
    }
}
