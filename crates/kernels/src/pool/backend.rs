//! Pooling as an operation of a backend, and its backward pass.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Capture, Flex, backend_extension};
use burn_flex::FlexTensor;

use super::Window;
use super::kernel::Pooling;
use crate::memory::{are_f32, tensor, values, whole};

/// Backends with max pooling: flex with a kernel, others with their ordinary operations.
#[backend_extension(Flex, Capture, NdArray: cfg(feature = "ndarray"), Cube: cfg(feature = "wgpu"), Autodiff)]
pub trait PoolBackend: Backend {
    /// The maximum of each window of `x`, or of `relu(x)` if `rectify` is set.
    fn max_pool(x: FloatTensor<Self>, window: Window, rectify: bool) -> FloatTensor<Self> {
        plain::<Self>(x, window, rectify)
    }
}

#[cfg(feature = "ndarray")]
impl PoolBackend for burn::backend::NdArray {}

#[cfg(feature = "wgpu")]
impl PoolBackend for burn::backend::Cube {}

impl PoolBackend for Capture {}

#[cfg(feature = "ndarray")]
impl<C: CheckpointStrategy> PoolBackend for Autodiff<burn::backend::NdArray, C> {}

#[cfg(feature = "wgpu")]
impl<C: CheckpointStrategy> PoolBackend for Autodiff<burn::backend::Cube, C> {}

impl<C: CheckpointStrategy> PoolBackend for Autodiff<Capture, C> {}

impl PoolBackend for Flex {
    fn max_pool(x: FloatTensor<Self>, window: Window, rectify: bool) -> FloatTensor<Self> {
        match pooling(&x, window, rectify) {
            Some(pooling) => forward(&pooling, x, false).0,
            None => plain::<Self>(x, window, rectify),
        }
    }
}

impl<C: CheckpointStrategy> PoolBackend for Autodiff<Flex, C> {
    fn max_pool(x: FloatTensor<Self>, window: Window, rectify: bool) -> FloatTensor<Self> {
        let Some(pooling) = pooling(x.primitive(), window, rectify) else {
            return plain::<Self>(x, window, rectify);
        };
        let tracked = x.is_tracked();
        let (x, node) = x.into_parts();
        let (output, places) = forward(&pooling, x, tracked);
        match PoolBackward.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((pooling, Arc::new(places)), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

#[derive(Debug)]
struct PoolBackward;

impl Backward<Flex, 1> for PoolBackward {
    /// The position of each output in its window.
    type State = (Pooling, Arc<Vec<u8>>);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (pooling, places) = ops.state;
        unary::<Flex, _>(ops.parents, ops.node, grads, |gradient| {
            let gradient = whole(gradient);
            let shape = gradient.layout().shape();
            let [height, width] = pooling.input;
            let shape = [shape[0], shape[1], height, width];
            tensor(pooling.backward(values(&gradient), &places), shape)
        });
    }
}

/// The sizes for the kernel, if it supports them.
fn pooling(x: &FlexTensor, window: Window, rectify: bool) -> Option<Pooling> {
    let shape = x.layout().shape();
    let pooling = Pooling {
        window,
        input: [shape[2], shape[3]],
        rectify,
    };
    (are_f32([x]) && shape.num_elements() > 0 && pooling.fits()).then_some(pooling)
}

fn forward(pooling: &Pooling, x: FlexTensor, tracked: bool) -> (FlexTensor, Vec<u8>) {
    let x = whole(x);
    let shape = x.layout().shape();
    let [height, width] = pooling.output();
    let shape = [shape[0], shape[1], height, width];
    let (made, places) = pooling.forward(values(&x), tracked);
    (tensor(made, shape), places)
}

fn plain<B: Backend>(x: FloatTensor<B>, window: Window, rectify: bool) -> FloatTensor<B> {
    let x = if rectify { B::relu(x) } else { x };
    let Window {
        kernel,
        stride,
        padding,
    } = window;
    B::max_pool2d(x, kernel, stride, padding, [1, 1], false)
}
