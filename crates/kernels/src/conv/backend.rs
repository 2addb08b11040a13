//! The convolution as an operation of a backend, and its backward pass.

#[cfg(feature = "wgpu")]
use burn::backend::Cube;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::autodiff::{Autodiff, NodeId};
use burn::backend::ops::{FloatTensorOps, ModuleOps};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, ExtensionType, TensorMetadata, backend_extension};
use burn::backend::{Capture, Flex};
use burn::tensor::Shape;
use burn::tensor::ops::ConvOptions;
use burn_flex::FlexTensor;

use super::choose::{forward, forward_pair, input_grad, weight_grad};
use super::geometry::Geometry;
use super::part::Part;
use crate::memory::{are_f32, contiguous, tensor, values, written};
use crate::simd::Level;

/// An optional bias; a type of its own because the extension mechanism does not pass an `Option`.
#[derive(ExtensionType)]
pub(crate) enum Bias<B: Backend> {
    /// `[channels out]`.
    Given(FloatTensor<B>),
    /// No bias.
    Absent,
}

impl<B: Backend> Bias<B> {
    fn into_option(self) -> Option<FloatTensor<B>> {
        match self {
            Self::Given(bias) => Some(bias),
            Self::Absent => None,
        }
    }
}

/// A backend's convolution and its gradients; by default Burn's own.
#[backend_extension(Flex, Capture, NdArray: cfg(feature = "ndarray"), Cube: cfg(feature = "wgpu"), Autodiff)]
pub(crate) trait ConvBackend: Backend {
    /// The convolution of `x` with `weight`, plus `bias`.
    fn convolution(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        #[extension_type] bias: Bias<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        Self::conv2d(x, weight, bias.into_option(), options)
    }

    /// The gradient of the input, which has shape `shape`.
    fn convolution_input_grad(
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        shape: Shape,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        // Burn's operation takes the input, but uses only its shape.
        let x = Self::float_empty(shape, &grad.device(), grad.dtype().into());
        Self::conv2d_x_backward(x, weight, grad, options)
    }

    /// The gradient of the weight, which has shape `shape`.
    fn convolution_weight_grad(
        x: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        shape: Shape,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        let weight = Self::float_empty(shape, &grad.device(), grad.dtype().into());
        Self::conv2d_weight_backward(x, weight, grad, options)
    }
}

#[cfg(feature = "ndarray")]
impl ConvBackend for burn::backend::NdArray {}

#[cfg(feature = "wgpu")]
impl ConvBackend for Cube {}

impl ConvBackend for Capture {}

impl ConvBackend for Flex {
    fn convolution(
        x: FlexTensor,
        weight: FlexTensor,
        bias: Bias<Self>,
        options: ConvOptions<2>,
    ) -> FlexTensor {
        let bias = bias.into_option();
        let geometry = Geometry::new(&x.shape(), &weight.shape(), &options)
            .filter(|_| are_f32([&x, &weight].into_iter().chain(&bias)));
        let Some(g) = geometry else {
            return Flex::conv2d(x, weight, bias, options);
        };
        let (x, weight, bias) = (contiguous(x), contiguous(weight), bias.map(contiguous));
        let len = g.batch * g.image_out();
        // SAFETY: `forward` writes every element.
        #[allow(unsafe_code, reason = "the output is written once, not zeroed first")]
        let out = unsafe {
            written(len, |out| {
                let bias = bias.as_ref().map(values);
                forward(Level::best(), &g, values(&x), values(&weight), bias, out);
            })
        };
        tensor(out, [g.batch, g.channels_out, g.output[0], g.output[1]])
    }

    fn convolution_input_grad(
        weight: FlexTensor,
        grad: FlexTensor,
        shape: Shape,
        options: ConvOptions<2>,
    ) -> FlexTensor {
        let geometry =
            Geometry::new(&shape, &weight.shape(), &options).filter(|_| are_f32([&weight, &grad]));
        let Some(g) = geometry else {
            let x = Flex::float_empty(shape, &grad.device(), grad.dtype().into());
            return Flex::conv2d_x_backward(x, weight, grad, options);
        };
        let (weight, grad) = (contiguous(weight), contiguous(grad));
        let len = g.batch * g.image_in();
        // SAFETY: `input_grad` writes every element.
        #[allow(unsafe_code, reason = "the output is written once, not zeroed first")]
        let out = unsafe {
            written(len, |out| {
                input_grad(Level::best(), &g, values(&grad), values(&weight), out);
            })
        };
        tensor(out, shape)
    }

    fn convolution_weight_grad(
        x: FlexTensor,
        grad: FlexTensor,
        shape: Shape,
        options: ConvOptions<2>,
    ) -> FlexTensor {
        let geometry = Geometry::new(&x.shape(), &shape, &options).filter(|_| are_f32([&x, &grad]));
        let Some(g) = geometry else {
            let weight = Flex::float_empty(shape, &grad.device(), grad.dtype().into());
            return Flex::conv2d_weight_backward(x, weight, grad, options);
        };
        let (x, grad) = (contiguous(x), contiguous(grad));
        // SAFETY: `weight_grad` writes every element.
        #[allow(unsafe_code, reason = "the output is written once, not zeroed first")]
        let out = unsafe {
            written(shape.num_elements(), |out| {
                weight_grad(Level::best(), &g, values(&x), values(&grad), out);
            })
        };
        tensor(out, shape)
    }
}

/// The convolutions of `x` with two weights of the same kernel size, of which the first has a bias.
pub(crate) fn pair<B: ConvBackend>(
    x: FloatTensor<B>,
    [weight, beside]: [FloatTensor<B>; 2],
    bias: Bias<B>,
    options: ConvOptions<2>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let out = B::convolution(x.clone(), weight, bias, options.clone());
    (out, B::convolution(x, beside, Bias::Absent, options))
}

/// [`pair`], in one pass over `x` if the same kernel computes both.
pub(crate) fn flex_pair(
    x: FlexTensor,
    weights: [FlexTensor; 2],
    bias: Bias<Flex>,
    options: ConvOptions<2>,
) -> (FlexTensor, FlexTensor) {
    let bias = bias.into_option();
    let supported = are_f32([&x].into_iter().chain(&weights).chain(&bias));
    let geometry = |weight: &FlexTensor| {
        Geometry::new(&x.shape(), &weight.shape(), &options).filter(|_| supported)
    };
    let geometries = [&weights[0], &weights[1]].map(geometry);
    let [Some(first), Some(second)] = geometries else {
        let bias = bias.map_or(Bias::Absent, Bias::Given);
        return pair::<Flex>(x, weights, bias, options);
    };
    let (x, weights, bias) = (contiguous(x), weights.map(contiguous), bias.map(contiguous));
    let mut other = Vec::new();
    // SAFETY: `forward_pair` writes every element of both.
    #[allow(unsafe_code, reason = "outputs are written once, not zeroed first")]
    let out = unsafe {
        written(first.batch * first.image_out(), |one| {
            other = written(second.batch * second.image_out(), |two| {
                let ours = Part {
                    shape: &first,
                    weight: values(&weights[0]),
                    bias: bias.as_ref().map(values),
                    out: one,
                };
                let beside = Part {
                    shape: &second,
                    weight: values(&weights[1]),
                    bias: None,
                    out: two,
                };
                forward_pair(Level::best(), values(&x), [ours, beside]);
            });
        })
    };
    let shape = |g: &Geometry| [g.batch, g.channels_out, g.output[0], g.output[1]];
    (tensor(out, shape(&first)), tensor(other, shape(&second)))
}

/// What the backward pass needs: the input if the weight is trained, the weight if the input has a
/// gradient.
#[derive(Clone, Debug)]
struct Saved {
    input: Option<NodeId>,
    weight: Option<NodeId>,
    input_shape: Shape,
    weight_shape: Shape,
    options: ConvOptions<2>,
}

/// The backward pass, with or without a bias.
#[derive(Debug)]
struct ConvBackward;

impl Saved {
    /// Registers the gradients of input and weight.
    fn backward<B: ConvBackend>(
        self,
        [input, weight]: [Option<NodeId>; 2],
        grad: FloatTensor<B>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let mut saved = |node: Option<NodeId>| {
            node.map(|id| checkpointer.retrieve_node_output::<FloatTensor<B>>(id))
        };
        let (saved_weight, saved_input) = (saved(self.weight), saved(self.input));
        if let (Some(id), Some(weight)) = (input, saved_weight) {
            let grad = B::convolution_input_grad(
                weight,
                grad.clone(),
                self.input_shape,
                self.options.clone(),
            );
            grads.register::<B>(id, grad);
        }
        if let (Some(id), Some(x)) = (weight, saved_input) {
            let grad = B::convolution_weight_grad(x, grad, self.weight_shape, self.options);
            grads.register::<B>(id, grad);
        }
    }
}

/// The gradient of the bias, `[channels]`.
pub(crate) fn bias_grad<B: Backend>(grad: FloatTensor<B>) -> FloatTensor<B> {
    let channels = grad.shape()[1];
    let sum = B::float_sum_dims(grad, &[0, 2, 3]);
    B::float_reshape(sum, Shape::new([channels]))
}

impl<B: ConvBackend> Backward<B, 2> for ConvBackward {
    type State = Saved;

    fn backward(self, ops: Ops<Saved, 2>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let parents = ops.parents.map(|node| node.map(|node| node.id));
        ops.state.backward::<B>(parents, grad, grads, checkpointer);
    }
}

impl<B: ConvBackend> Backward<B, 3> for ConvBackward {
    type State = Saved;

    fn backward(self, ops: Ops<Saved, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let [x, weight, bias] = ops.parents.map(|node| node.map(|node| node.id));
        if let Some(id) = bias {
            grads.register::<B>(id, bias_grad::<B>(grad.clone()));
        }
        ops.state
            .backward::<B>([x, weight], grad, grads, checkpointer);
    }
}

impl<B: ConvBackend, C: CheckpointStrategy> ConvBackend for Autodiff<B, C> {
    fn convolution(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Bias<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        let tracked = (x.is_tracked(), weight.is_tracked());
        let saved = Saved {
            input: None,
            weight: None,
            input_shape: x.shape(),
            weight_shape: weight.shape(),
            options: options.clone(),
        };
        macro_rules! apply {
            ($nodes:expr, $bias:expr) => {{
                let prepared = ConvBackward.prepare::<C>($nodes).compute_bound().stateful();
                match prepared {
                    OpsKind::Tracked(mut prepared) => {
                        let saved = Saved {
                            input: tracked.1.then(|| prepared.checkpoint(&x)),
                            weight: tracked.0.then(|| prepared.checkpoint(&weight)),
                            ..saved
                        };
                        let out = B::convolution(
                            x.into_primitive(),
                            weight.into_primitive(),
                            $bias,
                            options,
                        );
                        prepared.finish(saved, out)
                    }
                    OpsKind::UnTracked(prepared) => prepared.finish(B::convolution(
                        x.into_primitive(),
                        weight.into_primitive(),
                        $bias,
                        options,
                    )),
                }
            }};
        }
        match bias {
            Bias::Given(bias) => {
                let (bias, node) = bias.into_parts();
                apply!([x.node(), weight.node(), node], Bias::Given(bias))
            }
            Bias::Absent => apply!([x.node(), weight.node()], Bias::Absent),
        }
    }
}
