//! Gradients of weights that are stored as the two factors of a product.
//!
//! The weight `[in, out]` of a fully connected layer has the gradient `xᵀ·g` of its inputs `[rows,
//! in]` and the gradient of its outputs `[rows, out]`. If the weight is large and there are few
//! rows, the two factors are far smaller than their product, and an optimiser can compute the
//! product piece by piece.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use burn::Tensor;
use burn::backend::Dispatch;
use burn::tensor::Gradients;
use burn_flex::FlexTensor;

use super::backend::{LinearBackend, multiply};

/// Minimum number of entries (4 MiB) of a gradient that is stored as factors.
const LARGE: usize = 1 << 20;

/// Minimum ratio of the size of the product to that of the factors.
const GAIN: usize = 4;

thread_local! {
    /// The gradients that the backward pass on this thread has stored as factors, by the node of
    /// the weight; `None` if it stores none.
    static KEPT: RefCell<Option<HashMap<u64, OuterProduct>>> = const { RefCell::new(None) };
    /// The node that was passed last.
    static NODE: Cell<Option<u64>> = const { Cell::new(None) };
}

/// A gradient `xᵀ·g` of a weight `[in, out]`.
#[derive(Debug, Clone)]
pub struct OuterProduct {
    /// The inputs of the layer, `[rows, in]`.
    pub x: Tensor<2>,
    /// The gradient of its outputs, `[rows, out]`.
    pub gradient: Tensor<2>,
}

impl OuterProduct {
    /// Computes the product, `[in, out]`.
    #[must_use]
    pub fn product(self) -> Tensor<2> {
        self.x.transpose().matmul(self.gradient)
    }
}

/// The gradients that a backward pass has stored as factors.
#[derive(Debug, Default)]
pub struct OuterProducts(HashMap<u64, OuterProduct>);

impl OuterProducts {
    /// Removes and returns the gradient of `weight`, the tensor of the forward pass.
    ///
    /// If the weight is used in other ways as well, their part of its gradient is among the
    /// ordinary gradients.
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

    /// The number of gradients.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no gradients.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Runs a backward pass that stores the gradients of large weights of [`linear`](super::linear())
/// as factors if they were used with few rows; all other gradients are ordinary ones.
///
/// Only for `f32` on flex; other gradients are never stored as factors.
#[must_use]
pub fn backward<const D: usize>(loss: &Tensor<D>) -> (Gradients, OuterProducts) {
    KEPT.set(Some(HashMap::new()));
    let end = End;
    let gradients = loss.backward();
    let kept = KEPT.take().unwrap_or_default();
    drop(end);
    (gradients, OuterProducts(kept))
}

/// Ends the storing of factors, also if the pass panics.
struct End;

impl Drop for End {
    fn drop(&mut self) {
        KEPT.take();
    }
}

/// Sets the node for [`OuterProducts::remove`].
pub(super) fn is_node(id: u64) {
    NODE.set(Some(id));
}

/// Stores `xᵀ·g` as factors if this is enabled and saves memory; otherwise computes the product.
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
        // The gradient of a second use of the same weight is computed.
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
