//! The product with a weight as an operation of a backend, and its backward pass.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Capture, Flex, TensorMetadata, backend_extension};
use burn::tensor::Shape;
use burn_flex::FlexTensor;

use super::outer::{self, keep_or_multiply};
use super::product::Matrix;
use crate::memory::{are_f32, contiguous, tensor, values, whole};

/// Backends with matrix products: flex with its own buffers, others with their ordinary operation.
#[backend_extension(Flex, Capture, NdArray: cfg(feature = "ndarray"), Cube: cfg(feature = "wgpu"), Autodiff)]
pub trait LinearBackend: Backend {
    /// The product `x·W` of `[rows, in]` and `[in, out]`.
    fn product(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_matmul(x, weight)
    }

    /// The product `x·W` of `[rows, in]` and `[in, out]`, plus a bias `[out]` in each row.
    fn affine(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        plain_affine::<Self>(x, weight, bias)
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

impl LinearBackend for Capture {}

#[cfg(feature = "ndarray")]
impl<C: CheckpointStrategy> LinearBackend for Autodiff<burn::backend::NdArray, C> {}

#[cfg(feature = "wgpu")]
impl<C: CheckpointStrategy> LinearBackend for Autodiff<burn::backend::Cube, C> {}

impl<C: CheckpointStrategy> LinearBackend for Autodiff<Capture, C> {}

impl LinearBackend for Flex {
    fn product(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        if !are_f32([&x, &weight]) {
            return Self::float_matmul(x, weight);
        }
        match (Matrix::seen(&x), Matrix::seen(&weight)) {
            (Some(left), Some(right)) => {
                let size = [left.rows(), right.columns()];
                tensor(left.times(right), size)
            }
            _ => multiply(&whole(x), false, &whole(weight), false),
        }
    }

    fn affine(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        if are_f32([&x, &weight, &bias]) {
            multiply_plus(&whole(x), &whole(weight), bias)
        } else {
            plain_affine::<Self>(x, weight, bias)
        }
    }
}

fn plain_affine<B: LinearBackend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: FloatTensor<B>,
) -> FloatTensor<B> {
    let outputs = bias.shape()[0];
    let bias = B::float_reshape(bias, Shape::new([1, outputs]));
    B::float_add(B::product(x, weight), bias)
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

    fn affine(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        if !are_f32([x.primitive(), weight.primitive(), bias.primitive()]) {
            return plain_affine::<Self>(x, weight, bias);
        }
        let (x_trains, weight_trains) = (x.is_tracked(), weight.is_tracked());
        let (x, x_node) = x.into_parts();
        let (weight, weight_node) = weight.into_parts();
        let (bias, bias_node) = bias.into_parts();
        let (x, weight) = (whole(x), whole(weight));
        let output = multiply_plus(&x, &weight, bias);
        let prep = ProductBackward.prepare::<C>([x_node, weight_node, bias_node]);
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

/// A node of the graph, and whether it is a leaf.
#[derive(Clone, Copy)]
struct Place {
    id: NodeId,
    is_leaf: bool,
}

/// The input, if the weight has a gradient; the weight, if the input has one.
type Saved = (Option<FlexTensor>, Option<FlexTensor>);

impl ProductBackward {
    /// Registers the gradients of input and weight.
    fn register(
        [x_node, weight_node]: [Option<Place>; 2],
        (x, weight): Saved,
        gradient: &FlexTensor,
        grads: &mut Gradients,
    ) {
        if let (Some(place), Some(weight)) = (x_node, weight) {
            grads.register::<Flex>(place.id, multiply(gradient, false, &weight, true));
        }
        if let (Some(place), Some(x)) = (weight_node, x) {
            let Place { id, is_leaf } = place;
            if let Some(product) = keep_or_multiply(id.value, is_leaf, &x, gradient) {
                grads.register::<Flex>(id, product);
            }
        }
    }
}

impl Backward<Flex, 2> for ProductBackward {
    type State = Saved;

    fn backward(self, ops: Ops<Saved, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = whole(grads.consume::<Flex>(&ops.node));
        let places = ops.parents.map(|node| {
            node.map(|node| Place {
                id: node.id,
                is_leaf: node.parents.is_empty(),
            })
        });
        Self::register(places, ops.state, &gradient, grads);
    }
}

impl Backward<Flex, 3> for ProductBackward {
    type State = Saved;

    fn backward(self, ops: Ops<Saved, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = whole(grads.consume::<Flex>(&ops.node));
        let [x, weight, bias] = ops.parents.map(|node| {
            node.map(|node| Place {
                id: node.id,
                is_leaf: node.parents.is_empty(),
            })
        });
        if let Some(place) = bias {
            let sums = Matrix::of(&gradient).column_sums();
            let outputs = sums.len();
            grads.register::<Flex>(place.id, tensor(sums, [outputs]));
        }
        Self::register([x, weight], ops.state, &gradient, grads);
    }
}

/// `x·W` plus a bias in each row.
fn multiply_plus(x: &FlexTensor, weight: &FlexTensor, bias: FlexTensor) -> FlexTensor {
    let (x, weight, bias) = (Matrix::of(x), Matrix::of(weight), contiguous(bias));
    tensor(
        x.times_plus_row(weight, values(&bias)),
        [x.rows(), weight.columns()],
    )
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
