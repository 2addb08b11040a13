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

use super::Order;
use super::backend::AdaptedBackend;

/// `weight + (b·a)ᵀ`, `[in, out]`.
pub(super) fn merged<B: AdaptedBackend>(
    weight: FloatTensor<B>,
    a: FloatTensor<B>,
    b: FloatTensor<B>,
) -> FloatTensor<B> {
    B::matrix_sum(weight, B::float_transpose(a), B::float_transpose(b), 1)
}

/// The product of `[x, weight, a, b]` as one node of the graph.
pub(super) fn tracked<B: AdaptedBackend, C: CheckpointStrategy>(
    [x, weight, a, b]: [FloatTensor<Autodiff<B, C>>; 4],
    order: Order,
) -> FloatTensor<Autodiff<B, C>> {
    let [x_tracked, a_tracked, b_tracked] = [&x, &a, &b].map(|tensor| tensor.is_tracked());
    let nodes = [x.node(), a.node(), b.node()];
    let prepared = AdaptedBackward
        .prepare::<C>(nodes)
        .compute_bound()
        .stateful();
    let [xs, weights, as_, bs] = [&x, &weight, &a, &b].map(|tensor| tensor.primitive().clone());
    let out = B::adapted_product(xs, weights, as_, bs, order);
    match prepared {
        OpsKind::Tracked(mut prepared) => {
            let saved = Saved {
                x: (a_tracked || b_tracked).then(|| prepared.checkpoint(&x)),
                weight: x_tracked.then(|| prepared.checkpoint(&weight)),
                a: (x_tracked || b_tracked).then(|| prepared.checkpoint(&a)),
                b: (x_tracked || a_tracked).then(|| prepared.checkpoint(&b)),
                order,
            };
            prepared.finish(saved, out)
        }
        OpsKind::UnTracked(prepared) => prepared.finish(out),
    }
}

/// What the backward pass needs: `x` for the gradients of the factors, the weight for that of `x`.
#[derive(Clone, Debug)]
struct Saved {
    x: Option<NodeId>,
    weight: Option<NodeId>,
    a: Option<NodeId>,
    b: Option<NodeId>,
    order: Order,
}

#[derive(Debug)]
struct AdaptedBackward;

impl<B: AdaptedBackend> Backward<B, 3> for AdaptedBackward {
    type State = Saved;

    fn backward(self, ops: Ops<Saved, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let [x_node, a_node, b_node] = ops.parents.map(|node| node.map(|node| node.id));
        let Saved {
            x,
            weight,
            a,
            b,
            order,
        } = ops.state;
        let mut saved = |node: Option<NodeId>| {
            node.map(|id| checkpointer.retrieve_node_output::<FloatTensor<B>>(id))
        };
        let [x, weight, a, b] = [x, weight, a, b].map(&mut saved);
        let product = |left, left_transposed, right, right_transposed| {
            B::matrix_product(left, left_transposed, right, right_transposed, 1)
        };
        if let (Some(id), Some(weight), Some(a), Some(b)) = (x_node, weight, &a, &b) {
            let weight = merged::<B>(weight, a.clone(), b.clone());
            grads.register::<B>(id, product(grad.clone(), false, weight, true));
        }
        let Some(x) = x else { return };
        // `[in, out]`
        let dw = (order == Order::Dense).then(|| product(x.clone(), true, grad.clone(), false));
        if let (Some(id), Some(a)) = (b_node, a) {
            let db = match &dw {
                Some(dw) => product(dw.clone(), true, a, true),
                None => product(
                    grad.clone(),
                    true,
                    product(x.clone(), false, a, true),
                    false,
                ),
            };
            grads.register::<B>(id, db);
        }
        if let (Some(id), Some(b)) = (a_node, b) {
            let da = match dw {
                Some(dw) => product(b, true, dw, true),
                None => product(product(grad, false, b, false), true, x, false),
            };
            grads.register::<B>(id, da);
        }
    }
}
