//! The backward pass of a fully connected layer with factors.

// The type that has these methods has no public path.
#![allow(clippy::redundant_closure_for_method_calls)]

use burn::backend::Autodiff;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;

use super::backend::AdaptedBackend;
use super::{Form, Order};

/// `weight + (b·a)ᵀ`, `[in, out]`.
pub(super) fn merged<B: AdaptedBackend>(
    weight: FloatTensor<B>,
    a: FloatTensor<B>,
    b: FloatTensor<B>,
) -> FloatTensor<B> {
    B::matrix_sum(weight, B::float_transpose(a), B::float_transpose(b), 1)
}

/// `x·W + (x·Aᵀ)·Bᵀ` of `[x, weight, a, b]`, and `x·Aᵀ`.
pub(super) fn factored<B: AdaptedBackend>(
    [x, weight, a, b]: [FloatTensor<B>; 4],
) -> (FloatTensor<B>, FloatTensor<B>) {
    let (out, middle) = B::matrix_products(x, weight, a);
    let turned = B::float_transpose(b);
    (B::matrix_sum(out, middle.clone(), turned, 1), middle)
}

/// The product of `[x, weight, a, b]` as one node of the graph.
pub(super) fn tracked<B: AdaptedBackend, C: CheckpointStrategy>(
    [x, weight, a, b]: [FloatTensor<Autodiff<B, C>>; 4],
    form: Form,
) -> FloatTensor<Autodiff<B, C>> {
    let [x_tracked, a_tracked, b_tracked] = [&x, &a, &b].map(|tensor| tensor.is_tracked());
    let nodes = [x.node(), a.node(), b.node()];
    let prepared = AdaptedBackward
        .prepare::<C>(nodes)
        .compute_bound()
        .stateful();
    let primitives = [&x, &weight, &a, &b].map(|tensor| tensor.primitive().clone());
    let (out, middle) = match form {
        Form::Factored => {
            let (out, middle) = factored::<B>(primitives);
            (out, b_tracked.then_some(middle))
        }
        Form::Merged(_) => {
            let [x, weight, a, b] = primitives;
            (B::adapted_product(x, weight, a, b, form), None)
        }
    };
    match prepared {
        OpsKind::Tracked(mut prepared) => {
            let saves_x = a_tracked || (b_tracked && form != Form::Factored);
            let saved = Saved {
                x: saves_x.then(|| prepared.checkpoint(&x)),
                weight: x_tracked.then(|| prepared.checkpoint(&weight)),
                a: (x_tracked || b_tracked).then(|| prepared.checkpoint(&a)),
                b: (x_tracked || a_tracked).then(|| prepared.checkpoint(&b)),
                middle,
                form,
            };
            prepared.finish(saved, out)
        }
        OpsKind::UnTracked(prepared) => prepared.finish(out),
    }
}

/// What the backward pass needs: `x` for the gradients of the factors, the weight for that of `x`.
#[derive(Clone, Debug)]
struct Saved<B: AdaptedBackend> {
    x: Option<NodeId>,
    weight: Option<NodeId>,
    a: Option<NodeId>,
    b: Option<NodeId>,
    /// `x·Aᵀ`, of a layer that is computed from its factors.
    middle: Option<FloatTensor<B>>,
    form: Form,
}

#[derive(Debug)]
struct AdaptedBackward;

impl<B: AdaptedBackend> Backward<B, 3> for AdaptedBackward {
    type State = Saved<B>;

    fn backward(
        self,
        ops: Ops<Saved<B>, 3>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let grad = grads.consume::<B>(&ops.node);
        let nodes = ops.parents.map(|node| node.map(|node| node.id));
        let state = ops.state;
        let mut saved = |node: Option<NodeId>| {
            node.map(|id| checkpointer.retrieve_node_output::<FloatTensor<B>>(id))
        };
        let [x, weight, a, b] = [state.x, state.weight, state.a, state.b].map(&mut saved);
        let pass = Pass::<B> { x, grad, a, b };
        let found = match state.form {
            Form::Factored => pass.of_parts(weight, state.middle, nodes),
            Form::Merged(order) => pass.of_sum(weight, order, nodes),
        };
        for (id, gradient) in nodes.into_iter().zip(found) {
            if let Some((id, gradient)) = id.zip(gradient) {
                grads.register::<B>(id, gradient);
            }
        }
    }
}

/// What the gradients follow from, as far as it is needed.
struct Pass<B: AdaptedBackend> {
    x: Option<FloatTensor<B>>,
    /// The gradient of the output.
    grad: FloatTensor<B>,
    a: Option<FloatTensor<B>>,
    b: Option<FloatTensor<B>>,
}

/// The gradients of `x`, `A` and `B`, if they have nodes.
type Found<B> = [Option<FloatTensor<B>>; 3];

impl<B: AdaptedBackend> Pass<B> {
    fn of_parts(
        self,
        weight: Option<FloatTensor<B>>,
        middle: Option<FloatTensor<B>>,
        [x_node, a_node, b_node]: [Option<NodeId>; 3],
    ) -> Found<B> {
        let Self { x, grad, a, b } = self;
        // `[rows, rank]`
        let middle_grad = b.map(|b| product::<B>((grad.clone(), false), (b, false)));
        let dx = x_node.and(weight).map(|weight| {
            let base = product::<B>((grad.clone(), false), (weight, true));
            let middle_grad = middle_grad
                .clone()
                .expect("B is saved for the gradient of x");
            B::matrix_sum(
                base,
                middle_grad,
                a.expect("A is saved for the gradient of x"),
                1,
            )
        });
        let da = a_node.and(x).zip(middle_grad);
        let da = da.map(|(x, middle_grad)| product::<B>((middle_grad, true), (x, false)));
        let db = b_node.and(middle);
        let db = db.map(|middle| product::<B>((grad, true), (middle, false)));
        [dx, da, db]
    }

    fn of_sum(
        self,
        weight: Option<FloatTensor<B>>,
        order: Order,
        [x_node, a_node, b_node]: [Option<NodeId>; 3],
    ) -> Found<B> {
        let Self { x, grad, a, b } = self;
        let dx = x_node.and(weight).zip(a.clone().zip(b.clone()));
        let dx = dx.map(|(weight, (a, b))| {
            product::<B>((grad.clone(), false), (merged::<B>(weight, a, b), true))
        });
        let Some(x) = x else {
            return [dx, None, None];
        };
        // `[in, out]`
        let dw =
            (order == Order::Dense).then(|| product::<B>((x.clone(), true), (grad.clone(), false)));
        let db = b_node.and(a).map(|a| {
            if let Some(dw) = &dw {
                return product::<B>((dw.clone(), true), (a, true));
            }
            let middle = product::<B>((x.clone(), false), (a, true));
            product::<B>((grad.clone(), true), (middle, false))
        });
        let da = a_node.and(b).map(|b| {
            if let Some(dw) = &dw {
                return product::<B>((b, true), (dw.clone(), true));
            }
            let middle_grad = product::<B>((grad, false), (b, false));
            product::<B>((middle_grad, true), (x, false))
        });
        [dx, da, db]
    }
}

/// The product of two matrices or, if so marked, their transposes.
fn product<B: AdaptedBackend>(
    (left, left_transposed): (FloatTensor<B>, bool),
    (right, right_transposed): (FloatTensor<B>, bool),
) -> FloatTensor<B> {
    B::matrix_product(left, left_transposed, right, right_transposed, 1)
}
