//! The product with a weight as an operation of a backend, and its backward pass.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, backend_extension};
use burn_flex::FlexTensor;

use super::outer::{self, keep_or_multiply};
use super::product::Matrix;
use crate::memory::{are_f32, tensor, whole};

/// Backends with matrix products: flex with its own buffers, others with their ordinary operation.
#[backend_extension(Flex, NdArray: cfg(feature = "ndarray"), Cube: cfg(feature = "wgpu"), Autodiff)]
pub trait LinearBackend: Backend {
    /// The product `x·W` of `[rows, in]` and `[in, out]`.
    fn product(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_matmul(x, weight)
    }

    /// Passes the node of a tensor in the autodiff graph to
    /// [`OuterProducts::remove`](super::OuterProducts::remove).
    fn node(tensor: FloatTensor<Self>) -> FloatTensor<Self> {
        tensor
    }
}

#[cfg(feature = "ndarray")]
impl LinearBackend for burn::backend::NdArray {}

#[cfg(feature = "wgpu")]
impl LinearBackend for burn::backend::Cube {}

#[cfg(feature = "ndarray")]
impl<C: CheckpointStrategy> LinearBackend for Autodiff<burn::backend::NdArray, C> {}

#[cfg(feature = "wgpu")]
impl<C: CheckpointStrategy> LinearBackend for Autodiff<burn::backend::Cube, C> {}

impl LinearBackend for Flex {
    fn product(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        if are_f32([&x, &weight]) {
            multiply(&whole(x), false, &whole(weight), false)
        } else {
            Self::float_matmul(x, weight)
        }
    }
}

impl<C: CheckpointStrategy> LinearBackend for Autodiff<Flex, C> {
    fn product(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        if !are_f32([x.primitive(), weight.primitive()]) {
            return Self::float_matmul(x, weight);
        }
        let (x_trains, weight_trains) = (x.is_tracked(), weight.is_tracked());
        let (x, x_node) = x.into_parts();
        let (weight, weight_node) = weight.into_parts();
        let (x, weight) = (whole(x), whole(weight));
        let output = multiply(&x, false, &weight, false);
        let prep = ProductBackward.prepare::<C>([x_node, weight_node]);
        match prep.compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(
                (weight_trains.then_some(x), x_trains.then_some(weight)),
                output,
            ),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn node(tensor: FloatTensor<Self>) -> FloatTensor<Self> {
        outer::is_node(tensor.node().id().value);
        tensor
    }
}

#[derive(Debug)]
struct ProductBackward;

impl Backward<Flex, 2> for ProductBackward {
    /// The input, if the weight has a gradient; the weight, if the input has one.
    type State = (Option<FlexTensor>, Option<FlexTensor>);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = whole(grads.consume::<Flex>(&ops.node));
        let [x_node, weight_node] = ops.parents;
        let (x, weight) = ops.state;
        if let (Some(node), Some(weight)) = (x_node, weight) {
            grads.register::<Flex>(node.id, multiply(&gradient, false, &weight, true));
        }
        if let (Some(node), Some(x)) = (weight_node, x) {
            let leaf = node.parents.is_empty();
            if let Some(product) = keep_or_multiply(node.id.value, leaf, &x, &gradient) {
                grads.register::<Flex>(node.id, product);
            }
        }
    }
}

/// The product of two whole matrices or their transposes.
pub(super) fn multiply(
    left: &FlexTensor,
    left_transposed: bool,
    right: &FlexTensor,
    right_transposed: bool,
) -> FlexTensor {
    let [left, right] = [(left, left_transposed), (right, right_transposed)].map(|(of, turned)| {
        let matrix = Matrix::of(of);
        if turned { matrix.transposed() } else { matrix }
    });
    let size = [left.rows(), right.columns()];
    tensor(left.times(right), size)
}
