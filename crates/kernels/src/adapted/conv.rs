//! The backward pass of a convolution with factors.

// The type that has these methods has no public path.
#![allow(clippy::redundant_closure_for_method_calls)]

use burn::backend::TensorMetadata;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::autodiff::{Autodiff, NodeId};
use burn::backend::tensor::FloatTensor;
use burn::tensor::Shape;
use burn::tensor::ops::ConvOptions;

use super::Order;
use super::backend::{AdaptedBackend, merged};
use crate::conv::Bias;

/// The convolution of `[x, weight, a, b]` as one node of the graph.
pub(super) fn tracked<B: AdaptedBackend, C: CheckpointStrategy>(
    [x, weight, a, b]: [FloatTensor<Autodiff<B, C>>; 4],
    bias: Bias<Autodiff<B, C>>,
    options: ConvOptions<2>,
    order: Order,
) -> FloatTensor<Autodiff<B, C>> {
    let [x_tracked, a_tracked, b_tracked] = [&x, &a, &b].map(|tensor| tensor.is_tracked());
    let saved = Saved {
        x: None,
        weight: None,
        a: None,
        b: None,
        x_shape: x.shape(),
        weight_shape: weight.shape(),
        options: options.clone(),
        order,
    };
    macro_rules! apply {
        ($nodes:expr, $bias:expr) => {{
            let prepared = AdaptedBackward
                .prepare::<C>($nodes)
                .compute_bound()
                .stateful();
            match prepared {
                OpsKind::Tracked(mut prepared) => {
                    let trained = a_tracked || b_tracked;
                    let saved = Saved {
                        x: trained.then(|| prepared.checkpoint(&x)),
                        weight: x_tracked.then(|| prepared.checkpoint(&weight)),
                        a: (x_tracked || b_tracked).then(|| prepared.checkpoint(&a)),
                        b: (x_tracked || a_tracked).then(|| prepared.checkpoint(&b)),
                        ..saved
                    };
                    let out = B::adapted_convolution(
                        x.into_primitive(),
                        weight.into_primitive(),
                        a.into_primitive(),
                        b.into_primitive(),
                        $bias,
                        options,
                        order,
                    );
                    prepared.finish(saved, out)
                }
                OpsKind::UnTracked(prepared) => prepared.finish(B::adapted_convolution(
                    x.into_primitive(),
                    weight.into_primitive(),
                    a.into_primitive(),
                    b.into_primitive(),
                    $bias,
                    options,
                    order,
                )),
            }
        }};
    }
    match bias {
        Bias::Given(bias) => {
            let (bias, node) = bias.into_parts();
            apply!([x.node(), a.node(), b.node(), node], Bias::Given(bias))
        }
        Bias::Absent => apply!([x.node(), a.node(), b.node()], Bias::Absent),
    }
}

/// What the backward pass needs: `x` for the gradients of the factors, the weight for that of `x`.
#[derive(Clone, Debug)]
struct Saved {
    x: Option<NodeId>,
    weight: Option<NodeId>,
    a: Option<NodeId>,
    b: Option<NodeId>,
    x_shape: Shape,
    weight_shape: Shape,
    options: ConvOptions<2>,
    order: Order,
}

/// The backward pass, with or without a bias.
#[derive(Debug)]
struct AdaptedBackward;

impl Saved {
    /// Registers the gradients of `x`, `a` and `b`.
    fn backward<B: AdaptedBackend>(
        self,
        [x_node, a_node, b_node]: [Option<NodeId>; 3],
        grad: FloatTensor<B>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let mut saved = |node: Option<NodeId>| {
            node.map(|id| checkpointer.retrieve_node_output::<FloatTensor<B>>(id))
        };
        let [x, weight, a, b] = [self.x, self.weight, self.a, self.b].map(&mut saved);
        if let (Some(id), Some(weight), Some(a), Some(b)) = (x_node, weight, &a, &b) {
            let weight = merged::<B>(weight, a.clone(), b.clone(), self.options.groups);
            let (shape, options) = (self.x_shape.clone(), self.options.clone());
            let dx = B::convolution_input_grad(weight, grad.clone(), shape, options);
            grads.register::<B>(id, dx);
        }
        let Some(x) = x else { return };
        let pass = Pass::<B> {
            x,
            grad,
            saved: &self,
        };
        let factors = match self.order {
            Order::Factors => pass.through_factors((a, b), (a_node, b_node)),
            Order::Dense => pass.through_weight((a, b), (a_node, b_node)),
        };
        for (id, gradient) in factors.into_iter().flatten() {
            grads.register::<B>(id, gradient);
        }
    }
}

/// What the gradients of the factors follow from.
struct Pass<'a, B: AdaptedBackend> {
    x: FloatTensor<B>,
    /// The gradient of the output.
    grad: FloatTensor<B>,
    saved: &'a Saved,
}

/// The gradients of `A` and `B` and their nodes, if they are trained.
type FactorGrads<B> = [Option<(NodeId, FloatTensor<B>)>; 2];

impl<B: AdaptedBackend> Pass<'_, B> {
    fn through_factors(
        self,
        (a, b): (Option<FloatTensor<B>>, Option<FloatTensor<B>>),
        (a_node, b_node): (Option<NodeId>, Option<NodeId>),
    ) -> FactorGrads<B> {
        let Saved {
            weight_shape,
            options,
            ..
        } = self.saved;
        let [outputs, seen, height, width] = weight_shape.dims();
        let groups = options.groups;
        // `B` is a 1 × 1 convolution of the output of `A`.
        let mixing = ConvOptions::new([1, 1], [0, 0], [1, 1], groups);
        let db = b_node.zip(a).map(|(id, a)| {
            let [rows, _] = a.shape().dims();
            let kernel = B::float_reshape(a, Shape::new([rows, seen, height, width]));
            let h = B::convolution(self.x.clone(), kernel, Bias::Absent, options.clone());
            let shape = Shape::new([outputs, rows / groups, 1, 1]);
            let db = B::convolution_weight_grad(h, self.grad.clone(), shape, mixing.clone());
            (
                id,
                B::float_reshape(db, Shape::new([outputs, rows / groups])),
            )
        });
        let da = a_node.zip(b).map(|(id, b)| {
            let [_, rank] = b.shape().dims();
            let [batch, _, rows, columns] = self.grad.shape().dims();
            let kernel = B::float_reshape(b, Shape::new([outputs, rank, 1, 1]));
            let shape = Shape::new([batch, groups * rank, rows, columns]);
            let dh = B::convolution_input_grad(kernel, self.grad, shape, mixing);
            let shape = Shape::new([groups * rank, seen, height, width]);
            let da = B::convolution_weight_grad(self.x, dh, shape, options.clone());
            let shape = Shape::new([groups * rank, seen * height * width]);
            (id, B::float_reshape(da, shape))
        });
        [da, db]
    }

    fn through_weight(
        self,
        (a, b): (Option<FloatTensor<B>>, Option<FloatTensor<B>>),
        (a_node, b_node): (Option<NodeId>, Option<NodeId>),
    ) -> FactorGrads<B> {
        let Saved {
            weight_shape,
            options,
            ..
        } = self.saved;
        let [outputs, seen, height, width] = weight_shape.dims();
        let dw =
            B::convolution_weight_grad(self.x, self.grad, weight_shape.clone(), options.clone());
        let dw = B::float_reshape(dw, Shape::new([outputs, seen * height * width]));
        let groups = options.groups;
        let da = a_node
            .zip(b)
            .map(|(id, b)| (id, B::matrix_product(b, true, dw.clone(), false, groups)));
        let db = b_node
            .zip(a)
            .map(|(id, a)| (id, B::matrix_product(dw, false, a, true, groups)));
        [da, db]
    }
}

impl<B: AdaptedBackend> Backward<B, 3> for AdaptedBackward {
    type State = Saved;

    fn backward(self, ops: Ops<Saved, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let parents = ops.parents.map(|node| node.map(|node| node.id));
        ops.state.backward::<B>(parents, grad, grads, checkpointer);
    }
}

impl<B: AdaptedBackend> Backward<B, 4> for AdaptedBackward {
    type State = Saved;

    fn backward(self, ops: Ops<Saved, 4>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let [x, a, b, bias] = ops.parents.map(|node| node.map(|node| node.id));
        if let Some(id) = bias {
            grads.register::<B>(id, crate::conv::bias_grad::<B>(grad.clone()));
        }
        ops.state
            .backward::<B>([x, a, b], grad, grads, checkpointer);
    }
}
