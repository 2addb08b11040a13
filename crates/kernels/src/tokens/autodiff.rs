//! The backward passes of the operations on tokens on flex.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::ops::{ActivationOps, ModuleOps};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};
use burn_flex::FlexTensor;

use super::backend::{TokenBackend, attended, gelu_forward, normalized, plain_attention, sizes};
use super::layer_norm::Moments;
use super::{attention, gelu, layer_norm};
use crate::memory::{are_f32, contiguous, tensor, values, written};

impl<C: CheckpointStrategy> TokenBackend for Autodiff<Flex, C> {
    fn layer_normalized(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        if !are_f32([x.primitive(), gamma.primitive(), beta.primitive()]) {
            return <Self as ModuleOps<Self>>::layer_norm(x, gamma, Some(beta), epsilon);
        }
        let trains = gamma.is_tracked() || beta.is_tracked();
        let (x, x_node) = x.into_parts();
        let (gamma, gamma_node) = gamma.into_parts();
        let (beta, beta_node) = beta.into_parts();
        let x = contiguous(x);
        let (out, moments) = normalized(&x, gamma.clone(), beta, epsilon);
        let prepared = NormBackward.prepare::<C>([x_node, gamma_node, beta_node]);
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let saved = SavedNorm {
                    x,
                    gamma: contiguous(gamma),
                    moments: Arc::new(moments),
                    trains,
                };
                prepared.finish(saved, out)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }

    fn gaussian_error_linear(x: FloatTensor<Self>) -> FloatTensor<Self> {
        if !are_f32([x.primitive()]) {
            return <Self as ActivationOps<Self>>::gelu(x);
        }
        let (x, node) = x.into_parts();
        let x = contiguous(x);
        let out = gelu_forward(&x);
        match GeluBackward.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(x, out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }

    fn self_attention(qkv: FloatTensor<Self>, heads: usize) -> FloatTensor<Self> {
        if !are_f32([qkv.primitive()]) {
            return plain_attention::<Self>(qkv, heads);
        }
        let (qkv, node) = qkv.into_parts();
        let qkv = contiguous(qkv);
        let (out, logs) = attended(&qkv, heads);
        match AttentionBackward
            .prepare::<C>([node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prepared) => {
                let saved = SavedAttention {
                    qkv,
                    output: out.clone(),
                    logs: Arc::new(logs),
                    heads,
                };
                prepared.finish(saved, out)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }
}

#[derive(Clone, Debug)]
struct SavedNorm {
    x: FlexTensor,
    gamma: FlexTensor,
    moments: Arc<Moments>,
    /// Whether γ or β has a gradient.
    trains: bool,
}

#[derive(Debug)]
struct NormBackward;

impl Backward<Flex, 3> for NormBackward {
    type State = SavedNorm;

    fn backward(self, ops: Ops<SavedNorm, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = contiguous(grads.consume::<Flex>(&ops.node));
        let SavedNorm {
            x,
            gamma,
            moments,
            trains,
        } = ops.state;
        let mut sums = None;
        let pair = (values(&x), values(&grad));
        // SAFETY: `backward` writes all rows.
        #[allow(unsafe_code, reason = "the gradient is written once, not zeroed first")]
        let dx = unsafe {
            written(pair.0.len(), |out| {
                sums = layer_norm::backward(values(&gamma), &moments, pair, trains, out);
            })
        };
        let [x_node, gamma_node, beta_node] = ops.parents;
        if let Some(node) = x_node {
            let shape = x.layout().shape().clone();
            grads.register::<Flex>(node.id, tensor(dx, shape));
        }
        let (dgamma, dbeta) = sums.unwrap_or_default();
        for (node, sums) in [(gamma_node, dgamma), (beta_node, dbeta)] {
            if let Some(node) = node {
                let width = sums.len();
                grads.register::<Flex>(node.id, tensor(sums, [width]));
            }
        }
    }
}

#[derive(Debug)]
struct GeluBackward;

impl Backward<Flex, 1> for GeluBackward {
    type State = FlexTensor;

    fn backward(self, ops: Ops<FlexTensor, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let x = ops.state;
        unary::<Flex, _>(ops.parents, ops.node, grads, |grad| {
            let grad = contiguous(grad);
            let x_values = values(&x);
            // SAFETY: `backward` writes every value.
            #[allow(unsafe_code, reason = "the gradient is written once, not zeroed first")]
            let dx = unsafe {
                written(x_values.len(), |out| {
                    gelu::backward(x_values, values(&grad), out);
                })
            };
            tensor(dx, x.layout().shape().clone())
        });
    }
}

#[derive(Clone, Debug)]
struct SavedAttention {
    qkv: FlexTensor,
    output: FlexTensor,
    logs: Arc<Vec<f32>>,
    heads: usize,
}

#[derive(Debug)]
struct AttentionBackward;

impl Backward<Flex, 1> for AttentionBackward {
    type State = SavedAttention;

    fn backward(self, ops: Ops<SavedAttention, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let SavedAttention {
            qkv,
            output,
            logs,
            heads,
        } = ops.state;
        unary::<Flex, _>(ops.parents, ops.node, grads, |grad| {
            let grad = contiguous(grad);
            let (sizes, _) = sizes(&qkv, heads);
            let saved = attention::Saved {
                qkv: values(&qkv),
                output: values(&output),
                logs: &logs,
                grad: values(&grad),
            };
            // SAFETY: `backward` writes all parts of all heads of all images.
            #[allow(unsafe_code, reason = "the gradient is written once, not zeroed first")]
            let dqkv = unsafe {
                written(saved.qkv.len(), |out| {
                    attention::backward(sizes, saved, out);
                })
            };
            tensor(dqkv, qkv.layout().shape().clone())
        });
    }
}
