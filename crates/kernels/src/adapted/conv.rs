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

use super::backend::{AdaptedBackend, merged};
use super::{Form, Order};
use crate::conv::Bias;

/// The shapes of a convolution with factors.
#[derive(Debug, Clone)]
struct Layer {
    /// Of the weight, `[outputs, seen, height, width]`.
    weight: Shape,
    options: ConvOptions<2>,
}

impl Layer {
    /// `A` as the weight of a convolution that sees what the layer sees.
    fn down<B: AdaptedBackend>(&self, a: FloatTensor<B>) -> FloatTensor<B> {
        let ([_, seen, height, width], rows) = (self.weight.dims(), a.shape()[0]);
        B::float_reshape(a, Shape::new([rows, seen, height, width]))
    }

    /// `B` as the weight of a 1 × 1 convolution of the output of `A`.
    fn up<B: AdaptedBackend>(b: FloatTensor<B>) -> FloatTensor<B> {
        let [outputs, rank] = b.shape().dims();
        B::float_reshape(b, Shape::new([outputs, rank, 1, 1]))
    }

    /// The options of the convolution with `B`.
    fn mixing(&self) -> ConvOptions<2> {
        ConvOptions::new([1, 1], [0, 0], [1, 1], self.options.groups)
    }
}

/// `W·x + B·(A·x) + bias` of `[x, weight, a, b]`, and `A·x`.
pub(super) fn factored<B: AdaptedBackend>(
    [x, weight, a, b]: [FloatTensor<B>; 4],
    bias: Bias<B>,
    options: ConvOptions<2>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let layer = Layer {
        weight: weight.shape(),
        options,
    };
    let down = layer.down::<B>(a);
    let (out, middle) = B::convolutions(x, weight, down, bias, layer.options.clone());
    let (up, mixing) = (Layer::up::<B>(b), layer.mixing());
    let change = B::convolution(middle.clone(), up, Bias::Absent, mixing);
    (B::float_add(out, change), middle)
}

/// The convolution of `[x, weight, a, b]` as one node of the graph.
pub(super) fn tracked<B: AdaptedBackend, C: CheckpointStrategy>(
    [x, weight, a, b]: [FloatTensor<Autodiff<B, C>>; 4],
    bias: Bias<Autodiff<B, C>>,
    options: &ConvOptions<2>,
    form: Form,
) -> FloatTensor<Autodiff<B, C>> {
    let [x_tracked, a_tracked, b_tracked] = [&x, &a, &b].map(|tensor| tensor.is_tracked());
    let saved = Saved::<B> {
        x: None,
        weight: None,
        a: None,
        b: None,
        middle: None,
        x_shape: x.shape(),
        layer: Layer {
            weight: weight.shape(),
            options: options.clone(),
        },
        form,
    };
    let run = |[x, weight, a, b]: [FloatTensor<B>; 4], bias: Bias<B>| match form {
        Form::Factored => {
            let (out, middle) = factored::<B>([x, weight, a, b], bias, options.clone());
            (out, b_tracked.then_some(middle))
        }
        Form::Merged(_) => {
            let out = B::adapted_convolution(x, weight, a, b, bias, options.clone(), form);
            (out, None)
        }
    };
    macro_rules! apply {
        ($nodes:expr, $bias:expr) => {{
            let prepared = AdaptedBackward
                .prepare::<C>($nodes)
                .compute_bound()
                .stateful();
            match prepared {
                OpsKind::Tracked(mut prepared) => {
                    let saves_x = a_tracked || (b_tracked && form != Form::Factored);
                    let saved = Saved {
                        x: saves_x.then(|| prepared.checkpoint(&x)),
                        weight: x_tracked.then(|| prepared.checkpoint(&weight)),
                        a: (x_tracked || b_tracked).then(|| prepared.checkpoint(&a)),
                        b: (x_tracked || a_tracked).then(|| prepared.checkpoint(&b)),
                        ..saved
                    };
                    let tensors = [x, weight, a, b].map(|tensor| tensor.into_primitive());
                    let (out, middle) = run(tensors, $bias);
                    prepared.finish(Saved { middle, ..saved }, out)
                }
                OpsKind::UnTracked(prepared) => {
                    let tensors = [x, weight, a, b].map(|tensor| tensor.into_primitive());
                    prepared.finish(run(tensors, $bias).0)
                }
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
struct Saved<B: AdaptedBackend> {
    x: Option<NodeId>,
    weight: Option<NodeId>,
    a: Option<NodeId>,
    b: Option<NodeId>,
    /// `A·x`, of a layer that is computed from its factors.
    middle: Option<FloatTensor<B>>,
    x_shape: Shape,
    layer: Layer,
    form: Form,
}

/// The backward pass, with or without a bias.
#[derive(Debug)]
struct AdaptedBackward;

impl<B: AdaptedBackend> Saved<B> {
    /// Registers the gradients of `x`, `a` and `b`.
    fn backward(
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
        let pass = Pass::<B> {
            x,
            grad,
            a,
            b,
            layer: &self.layer,
        };
        let (dx, factors) = match self.form {
            Form::Factored => {
                let middle_grad = (x_node.or(a_node)).map(|_| pass.middle_grad());
                let dx = x_node
                    .and(weight)
                    .zip(middle_grad.clone())
                    .map(|(weight, middle)| {
                        pass.input_grad_of_parts(weight, middle, &self.x_shape)
                    });
                let db = b_node
                    .zip(self.middle)
                    .map(|(id, middle)| (id, pass.b_grad(middle)));
                let da = a_node
                    .zip(middle_grad)
                    .map(|(id, middle)| (id, pass.a_grad(middle)));
                (dx, [da, db])
            }
            Form::Merged(order) => {
                let dx = x_node
                    .and(weight)
                    .map(|weight| pass.input_grad(weight, &self.x_shape));
                let factors = match order {
                    Order::Factors => pass.through_factors(a_node, b_node),
                    Order::Dense => pass.through_weight(a_node, b_node),
                };
                (dx, factors)
            }
        };
        if let Some((id, dx)) = x_node.zip(dx) {
            grads.register::<B>(id, dx);
        }
        for (id, gradient) in factors.into_iter().flatten() {
            grads.register::<B>(id, gradient);
        }
    }
}

/// What the gradients follow from, as far as it is needed.
struct Pass<'a, B: AdaptedBackend> {
    x: Option<FloatTensor<B>>,
    /// The gradient of the output.
    grad: FloatTensor<B>,
    a: Option<FloatTensor<B>>,
    b: Option<FloatTensor<B>>,
    layer: &'a Layer,
}

/// The gradients of `A` and `B` and their nodes, if they are trained.
type FactorGrads<B> = [Option<(NodeId, FloatTensor<B>)>; 2];

impl<B: AdaptedBackend> Pass<'_, B> {
    fn x(&self) -> FloatTensor<B> {
        self.x
            .clone()
            .expect("saved for the gradients of the factors")
    }

    fn a(&self) -> FloatTensor<B> {
        self.a.clone().expect("saved for the gradients of x and B")
    }

    fn b(&self) -> FloatTensor<B> {
        self.b.clone().expect("saved for the gradients of x and A")
    }

    /// The gradient of `x`, through the sum.
    fn input_grad(&self, weight: FloatTensor<B>, shape: &Shape) -> FloatTensor<B> {
        let options = self.layer.options.clone();
        let weight = merged::<B>(weight, self.a(), self.b(), options.groups);
        B::convolution_input_grad(weight, self.grad.clone(), shape.clone(), options)
    }

    /// The gradient of `x`, through the weight and through the factors.
    fn input_grad_of_parts(
        &self,
        weight: FloatTensor<B>,
        middle_grad: FloatTensor<B>,
        shape: &Shape,
    ) -> FloatTensor<B> {
        let options = &self.layer.options;
        let grad =
            |weight, of| B::convolution_input_grad(weight, of, shape.clone(), options.clone());
        let base = grad(weight, self.grad.clone());
        B::float_add(base, grad(self.layer.down::<B>(self.a()), middle_grad))
    }

    /// The gradient of `A·x`.
    fn middle_grad(&self) -> FloatTensor<B> {
        let b = self.b();
        let rank = b.shape()[1];
        let [batch, _, rows, columns] = self.grad.shape().dims();
        let groups = self.layer.options.groups;
        let shape = Shape::new([batch, groups * rank, rows, columns]);
        let mixing = self.layer.mixing();
        B::convolution_input_grad(Layer::up::<B>(b), self.grad.clone(), shape, mixing)
    }

    /// The gradient of `A`, from that of `A·x`.
    fn a_grad(&self, middle_grad: FloatTensor<B>) -> FloatTensor<B> {
        let [_, seen, height, width] = self.layer.weight.dims();
        let rows = middle_grad.shape()[1];
        let shape = Shape::new([rows, seen, height, width]);
        let options = self.layer.options.clone();
        let da = B::convolution_weight_grad(self.x(), middle_grad, shape, options);
        B::float_reshape(da, Shape::new([rows, seen * height * width]))
    }

    /// The gradient of `B`, from `A·x`.
    fn b_grad(&self, middle: FloatTensor<B>) -> FloatTensor<B> {
        let outputs = self.layer.weight[0];
        let rank = middle.shape()[1] / self.layer.options.groups;
        let shape = Shape::new([outputs, rank, 1, 1]);
        let mixing = self.layer.mixing();
        let db = B::convolution_weight_grad(middle, self.grad.clone(), shape, mixing);
        B::float_reshape(db, Shape::new([outputs, rank]))
    }

    fn through_factors(&self, a_node: Option<NodeId>, b_node: Option<NodeId>) -> FactorGrads<B> {
        let db = b_node.map(|id| {
            let (down, options) = (self.layer.down::<B>(self.a()), &self.layer.options);
            let middle = B::convolution(self.x(), down, Bias::Absent, options.clone());
            (id, self.b_grad(middle))
        });
        let da = a_node.map(|id| (id, self.a_grad(self.middle_grad())));
        [da, db]
    }

    fn through_weight(&self, a_node: Option<NodeId>, b_node: Option<NodeId>) -> FactorGrads<B> {
        if a_node.or(b_node).is_none() {
            return [None, None];
        }
        let Layer { weight, options } = self.layer;
        let [outputs, seen, height, width] = weight.dims();
        let dw = B::convolution_weight_grad(
            self.x(),
            self.grad.clone(),
            weight.clone(),
            options.clone(),
        );
        let dw = B::float_reshape(dw, Shape::new([outputs, seen * height * width]));
        let groups = options.groups;
        let da = a_node.map(|id| {
            (
                id,
                B::matrix_product(self.b(), true, dw.clone(), false, groups),
            )
        });
        let db = b_node.map(|id| (id, B::matrix_product(dw, false, self.a(), true, groups)));
        [da, db]
    }
}

impl<B: AdaptedBackend> Backward<B, 3> for AdaptedBackward {
    type State = Saved<B>;

    fn backward(
        self,
        ops: Ops<Saved<B>, 3>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let grad = grads.consume::<B>(&ops.node);
        let parents = ops.parents.map(|node| node.map(|node| node.id));
        ops.state.backward(parents, grad, grads, checkpointer);
    }
}

impl<B: AdaptedBackend> Backward<B, 4> for AdaptedBackward {
    type State = Saved<B>;

    fn backward(
        self,
        ops: Ops<Saved<B>, 4>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let grad = grads.consume::<B>(&ops.node);
        let [x, a, b, bias] = ops.parents.map(|node| node.map(|node| node.id));
        if let Some(id) = bias {
            grads.register::<B>(id, crate::conv::bias_grad::<B>(grad.clone()));
        }
        ops.state.backward([x, a, b], grad, grads, checkpointer);
    }
}
