//! Weights' gradients that stay what they are a product of.
//!
//! A fully connected layer's weight `[in, out]` has the gradient `xᵀ·g` of its inputs `[rows, in]`
//! and its outputs' gradient `[rows, out]`. Where few rows go through a large weight, the two are far
//! smaller than their product, and an optimiser can make that product piece by piece.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use burn::Tensor;
use burn::backend::Dispatch;
use burn::tensor::Gradients;
use burn_flex::FlexTensor;

use super::backend::{LinearBackend, multiply};

/// Entries from which on a weight's gradient may stay a product: 4 MiB.
const LARGE: usize = 1 << 20;

/// How many times smaller the two matrices are at least.
const GAIN: usize = 4;

thread_local! {
    /// What the backward pass that runs on this thread has kept apart, by the weight's node; `None`
    /// where it is to keep nothing.
    static KEPT: RefCell<Option<HashMap<u64, OuterProduct>>> = const { RefCell::new(None) };
    /// The node that was asked for last.
    static NODE: Cell<Option<u64>> = const { Cell::new(None) };
}

/// A gradient `xᵀ·g` of a weight `[in, out]`.
#[derive(Debug, Clone)]
pub struct OuterProduct {
    /// The layer's inputs, `[rows, in]`.
    pub x: Tensor<2>,
    /// Its outputs' gradient, `[rows, out]`.
    pub gradient: Tensor<2>,
}

impl OuterProduct {
    /// The product itself, `[in, out]`.
    #[must_use]
    pub fn product(self) -> Tensor<2> {
        self.x.transpose().matmul(self.gradient)
    }
}

/// The gradients of weights that a backward pass has kept apart.
#[derive(Debug, Default)]
pub struct OuterProducts(HashMap<u64, OuterProduct>);

impl OuterProducts {
    /// Takes the one of a weight, as it was in the forward pass.
    ///
    /// What the weight's other uses add to its gradient is in the ordinary gradients.
    pub fn remove<const D: usize>(&mut self, weight: &Tensor<D>) -> Option<OuterProduct> {
        if self.0.is_empty() || !weight.is_require_grad() {
            return None;
        }
        NODE.set(None);
        drop(<Dispatch as LinearBackend>::node(
            weight.clone().into_dispatch(),
        ));
        self.0.remove(&NODE.take()?)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A backward pass that keeps the gradients of large weights of [`linear`](super::linear()) apart,
/// where few rows went through them; all other gradients are the ordinary ones.
///
/// Only on flex in `f32`; elsewhere nothing is kept apart.
#[must_use]
pub fn backward<const D: usize>(loss: &Tensor<D>) -> (Gradients, OuterProducts) {
    KEPT.set(Some(HashMap::new()));
    let end = End;
    let gradients = loss.backward();
    let kept = KEPT.take().unwrap_or_default();
    drop(end);
    (gradients, OuterProducts(kept))
}

/// Keeps nothing apart any more, also where the pass panics.
struct End;

impl Drop for End {
    fn drop(&mut self) {
        KEPT.take();
    }
}

/// Says which node [`OuterProducts::remove`] asks for.
pub(super) fn is_node(id: u64) {
    NODE.set(Some(id));
}

/// Keeps `xᵀ·g` apart where that is wanted and gains something; otherwise it is the product.
pub(super) fn keep_or_multiply(
    node: u64,
    is_leaf: bool,
    x: &FlexTensor,
    gradient: &FlexTensor,
) -> Option<FlexTensor> {
    let kept = is_leaf && KEPT.with_borrow_mut(|kept| keep(kept.as_mut(), node, x, gradient));
    (!kept).then(|| multiply(x, true, gradient, false))
}

fn keep(
    kept: Option<&mut HashMap<u64, OuterProduct>>,
    node: u64,
    x: &FlexTensor,
    gradient: &FlexTensor,
) -> bool {
    let [rows, inputs, outputs] = [
        x.layout().shape()[0],
        x.layout().shape()[1],
        gradient.layout().shape()[1],
    ];
    let size = inputs * outputs;
    match kept {
        // A second use of the same weight is added as it is.
        Some(kept)
            if size >= LARGE
                && rows * (inputs + outputs) * GAIN <= size
                && !kept.contains_key(&node) =>
        {
            let [x, gradient] = [x, gradient]
                .map(|tensor| Tensor::from_primitive::<burn::backend::Flex>(tensor.clone()));
            kept.insert(node, OuterProduct { x, gradient });
            true
        }
        _ => false,
    }
}
